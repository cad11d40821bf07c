"""Teach a model one more kind of structure from marked images: events, and what the file keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import Model
from napari_aeanet.relevance import MapFrame, frame_of
from napari_aeanet.restoration import (
    ModelSource,
    PreparedRun,
    as_model,
    at_stride,
    prepare_analysis,
)
from napari_aeanet.structures.discriminant import (
    STEPS_PER_IMAGE,
    Marked,
    TaughtScores,
    check_marks,
    taught_from,
)
from napari_aeanet.structures.features import Encoder, encoder_of, features_of
from napari_aeanet.structures.filters import INPUT_FILTERS
from napari_aeanet.structures.head import FittedStructures, structures_of
from napari_aeanet.structures.settings import StructureSettings, StructureTaught, TeachEvent

WEIGHTS, OFFSETS = "taught_weights", "taught_offsets"
DEFAULTS = StructureSettings()


@dataclass(frozen=True, eq=False)
class TaughtKinds:
    """Kinds that users taught a model: names, weights (kinds, features) and offsets (kinds,)."""

    names: tuple[str, ...]
    weights: np.ndarray
    offsets: np.ndarray

    def maps(self, features: np.ndarray) -> np.ndarray:
        """Return the map of every kind, (kinds, y, x), above zero where it is likely."""
        flat = features.reshape(len(features), -1)
        found = self.weights.astype(flat.dtype) @ flat + self.offsets.astype(flat.dtype)[:, None]
        return found.reshape(-1, *features.shape[1:])


def taught_kinds(model: Model, channels: int) -> TaughtKinds:
    """Return the kinds that a model was taught, of so many features of its network.

    Raises
    ------
    ValueError
        If they do not fit together or to the network.
    """
    names = tuple(model.card.taught)
    features = channels + INPUT_FILTERS
    if not names:
        return TaughtKinds((), np.zeros((0, features)), np.zeros(0))
    empty = np.zeros(0)
    weights, offsets = (model.statistics.get(key, empty) for key in (WEIGHTS, OFFSETS))
    shapes = ((len(names), features), (len(names),))
    is_number = all(one.dtype.kind == "f" for one in (weights, offsets))
    if not is_number or (weights.shape, offsets.shape) != shapes:
        where = model.path.name if model.path else model.card.name
        raise ValueError(f"{where}: a kind that it was taught is damaged. Teach it again.")
    return TaughtKinds(names, weights, offsets)


def teach(
    model: ModelSource,
    images: Sequence[ImageSource],
    marks: Sequence[np.ndarray],
    name: str,
    settings: StructureSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> StructureTaught:
    """Teach a model a kind of structure and return the last event, with the model to be saved.

    Parameters
    ----------
    model
        A model with structures, or its file.
    images
        One or several images (y, x).
    marks
        For each image the marked pixels, (y, x): those that are not zero. All others count as
        something else.
    name
        Name of the kind; one of the same name is replaced.
    settings
        Options.
    progress
        As in `napari_aeanet.restore`.
    """
    return result_of(StructureTaught, teach_events(model, images, marks, name, settings), progress)


def teach_events(
    model: ModelSource,
    images: Sequence[ImageSource],
    marks: Sequence[np.ndarray],
    name: str,
    settings: StructureSettings = DEFAULTS,
) -> Iterator[TeachEvent]:
    """Return a generator that teaches: an event for each tile, `StructureTaught` at last.

    The arguments are checked at once. Nothing else in the model changes.

    Raises
    ------
    TypeError, ValueError
        If the model has no structures, or marks do not fit their image.
    """
    check_type("settings", settings, StructureSettings)
    check_type("name", name, str)
    model = as_model(model)
    shown = [as_image(one, "images") for one in check_items("images", images, object)]
    marked = check_items("marks", marks, np.ndarray)
    if not name.strip():
        raise ValueError("A kind of structure needs a name.")
    if len(shown) != len(marked):
        raise ValueError(f"There are {len(shown)} images and {len(marked)} images of marks.")
    for image, mark in zip(shown, marked, strict=True):
        if image.axes != "YX" or mark.shape != image.shape:
            msg = (
                f"{image.name}: an image {image.shape} with axes {image.axes} and marks "
                f"{mark.shape} do not fit; give one plane and marks of the same size."
            )
            raise ValueError(msg)
    encoder = encoder_of(model.network(), model.card)
    found = structures_of(model, encoder.channels)
    if found is None:
        msg = f"{model.card.name}: the model has no structures yet. Fit them first (structures)."
        raise ValueError(msg)
    runs = [prepare_analysis(image, model, settings, context="whole") for image in shown]
    return _teach(model, encoder, found, runs, marked, name.strip())


def _teach(
    model: Model,
    encoder: Encoder,
    found: FittedStructures,
    runs: Sequence[PreparedRun],
    marks: Sequence[np.ndarray],
    name: str,
) -> Iterator[TeachEvent]:
    frames = [frame_of(run.inputs[0], encoder.places) for run in runs]
    inside = [
        _at_places(mark, run.image, frame)
        for run, mark, frame in zip(runs, marks, frames, strict=True)
    ]
    check_marks(inside)
    tiles = sum(len(run.layout.tiles) for run in runs)
    counter = StepCounter(f"teaching {name}", tiles + STEPS_PER_IMAGE * len(runs))
    marked = []
    for run, frame, places in zip(runs, frames, inside, strict=True):
        features = np.empty((len(found.mean), *frame.shape), np.float32)
        with replace(run, network=encoder).runner(suspends=False) as runner:
            for inner in run.layout.tiles:
                place = at_stride(inner, encoder.places.stride)
                values = features_of(runner, run.inputs[0], inner, encoder)
                features[(slice(None), *place)] = (
                    values - found.mean[:, None, None]
                ) / found.scale[:, None, None]
                yield Progressed(counter.step())
        marked.append(Marked(features, places))
    weights, offset, scores = yield from taught_from(marked, counter)
    weights = weights / found.scale
    taught = with_taught(model, encoder.channels, name, weights, offset - weights @ found.mean)
    yield StructureTaught(
        model=taught,
        name=name,
        other_half=scores.other_half,
        other_images=scores.other_images,
        null=scores.null,
        notices=_doubts(scores),
        progress=counter.finish(),
    )


def _doubts(scores: TaughtScores) -> tuple[str, ...]:
    """Return why the map should not be relied on, as far as the scores tell."""
    if np.isnan(scores.other_half):
        return (
            "The marks lie in one half of the image only, so it is not known how well the kind is "
            "found where it was not taught: mark places in both halves.",
        )
    if not scores.other_half > scores.null:
        return (
            "The kind is not found in the other half of the image better than by chance: do not "
            "rely on its map.",
        )
    return ()


def _at_places(mark: np.ndarray, image: Image, frame: MapFrame) -> np.ndarray:
    """Return the places of a map whose centre is marked."""
    index = []
    for axis in range(2):
        size = image.pixel_size[axis] or 1.0
        position = frame.translate[axis] + frame.scale[axis] * np.arange(frame.shape[axis])
        pixel = np.rint((position - image.origin[axis]) / size).astype(int)
        index.append(np.clip(pixel, 0, mark.shape[axis] - 1))
    return (mark != 0)[np.ix_(*index)]


def with_taught(
    model: Model, channels: int, name: str, weights: np.ndarray, offset: float
) -> Model:
    """Return the model with one more taught kind, in place of one of the same name."""
    known = taught_kinds(model, channels)
    others = [number for number, one in enumerate(known.names) if one != name]
    statistics = {
        WEIGHTS: np.concatenate((known.weights[others], weights[None])).astype(np.float64),
        OFFSETS: np.append(known.offsets[others], offset).astype(np.float64),
    }
    names = (*(known.names[number] for number in others), name)
    card = replace(model.card, taught=names)
    return replace(model, card=card, statistics={**model.statistics, **statistics})


def with_kind_of(model: Model, taught: StructureTaught) -> Model:
    """Return a model with the kind that another state of it was just taught."""
    channels = encoder_of(model.network(), model.card).channels
    kinds = taught_kinds(taught.model, channels)
    number = kinds.names.index(taught.name)
    offset = float(kinds.offsets[number])
    return with_taught(model, channels, taught.name, kinds.weights[number], offset)
