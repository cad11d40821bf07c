"""Structures: fit kinds to a model from pairs, and find them in images.

`fit_structures_events` and `structure_events` are generators of events; `fit_structures` and
`structure_maps` run them to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.image import Region
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import Progress, Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.dataset import PairRanges, collect_samples, refuse_shifted
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import Model
from napari_aeanet.networks import choose_device
from napari_aeanet.pairs import ImagePair
from napari_aeanet.relevance import OpenRun, frame_of, opened
from napari_aeanet.restoration import (
    ModelSource,
    PreparedRun,
    TileRunner,
    as_model,
    at_stride,
    prepare_analysis,
)
from napari_aeanet.structures.features import (
    Encoder,
    at_fitted_spacing,
    encoder_of,
    features_of,
)
from napari_aeanet.structures.fit import FitRegion, fit_kinds
from napari_aeanet.structures.head import PREFIX, FittedStructures, structures_of
from napari_aeanet.structures.settings import (
    FitEvent,
    FitSettings,
    StructureEvent,
    StructureMaps,
    StructureSettings,
    StructuresFitted,
    most_probable,
)
from napari_aeanet.structures.teaching import taught_kinds

Returned = TypeVar("Returned")

DEFAULTS, FIT_DEFAULTS = StructureSettings(), FitSettings()


def structure_maps(
    source: ImageSource,
    model: ModelSource,
    settings: StructureSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> StructureMaps:
    """Return the probability of every kind of structure.

    Source, model and progress as in `napari_aeanet.restore`; the model holds structures.
    """
    return result_of(StructureMaps, structure_events(as_image(source), model, settings), progress)


def structure_events(
    image: ImageSource,
    model: ModelSource,
    settings: StructureSettings = DEFAULTS,
    *,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[StructureEvent, None, None]:
    """Return a generator of maps of structures: an event for each tile, and the maps at last.

    Images of any size: tiles give the same maps as the whole image. The arguments are checked at
    once, and pixels are read from the first event on. `mapper` computes the tiles.

    Raises
    ------
    TypeError, ValueError
        If the model has no structures, or the image does not suit it.
    """
    check_type("settings", settings, StructureSettings)
    prepared = prepare_analysis(image, model, settings, context="whole")
    card = prepared.model.card
    encoder = encoder_of(prepared.network, card)
    found = structures_of(prepared.model, encoder.channels)
    if found is None:
        msg = (
            f"{card.name}: the model has no structures yet. Fit them from pairs "
            "(napari-aeanet structures)."
        )
        raise ValueError(msg)
    check_type("mapper", mapper, Mapper)
    mapper.check(prepared.image, None)
    return _maps(prepared, encoder, found, mapper)


def _maps(
    prepared: PreparedRun, encoder: Encoder, found: FittedStructures, mapper: Mapper
) -> Generator[StructureEvent, None, None]:
    image, tiles, grid = prepared.image, prepared.layout.tiles, encoder.places
    counter = StepCounter(f"structures in {image.name}", len(prepared.inputs) * len(tiles))
    frame = frame_of(prepared.inputs[0], grid)
    dtype = np.dtype(str(next(encoder.parameters()).dtype).removeprefix("torch."))
    maps = np.empty((len(found), *frame.shape), dtype)
    kinds = taught_kinds(prepared.model, encoder.channels)
    taught = np.empty((len(kinds.names), *frame.shape), dtype)
    with opened(prepared, suspends=False) as run:
        for number, source in enumerate(prepared.inputs):
            places = (frame.place(source, at_stride(inner, grid.stride)) for inner in tiles)
            with closing(mapper.map(partial(_maps_of_tiles, number), run, tiles)) as results:
                for both in results:
                    if both is None:
                        yield Progressed(counter.unchanged())
                        continue
                    place = (slice(None), *next(places))
                    maps[place], taught[place] = both
                    yield Progressed(counter.step())
    yield StructureMaps(
        maps=maps,
        labels=most_probable(maps),
        axes=frame.axes,
        scale=frame.scale,
        translate=frame.translate,
        image=image,
        names=found.names(prepared.model.card.structure_names),
        taught=dict(zip(kinds.names, taught, strict=True)),
        notices=prepared.notices,
        progress=counter.finish(),
    )


def _maps_of_tiles(
    number: int, run: OpenRun, tiles: Iterable[Region]
) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
    """Yield the probabilities of the kinds, and the maps of taught ones, over each tile."""
    prepared = run.prepared
    encoder = encoder_of(prepared.network, prepared.model.card)
    found = structures_of(prepared.model, encoder.channels)
    assert found is not None
    kinds = taught_kinds(prepared.model, encoder.channels)
    runner = TileRunner(encoder, prepared.device)
    for inner in tiles:
        features = features_of(runner, prepared.inputs[number], inner, encoder)
        yield found.probabilities(features), kinds.maps(features)


def fit_structures(
    model: ModelSource,
    pairs: Iterable[ImagePair],
    settings: FitSettings = FIT_DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> StructuresFitted:
    """Fit kinds of structure to a model and return the last event, with the model to be saved.

    Parameters
    ----------
    model
        The model, or its file.
    pairs
        Registered or aligned pairs: those of the training, or others of the same kind.
    settings
        Options.
    progress
        As in `napari_aeanet.restore`.
    """
    return result_of(StructuresFitted, fit_structures_events(model, pairs, settings), progress)


def fit_structures_events(
    model: ModelSource, pairs: Iterable[ImagePair], settings: FitSettings = FIT_DEFAULTS
) -> Iterator[FitEvent]:
    """Return a generator that fits structures: steps, and `StructuresFitted` at last.

    The arguments are checked at once. The restoration of the model stays as it is.

    Raises
    ------
    TypeError, ValueError
        If the pairs do not suit the model, or structures are not known for its network.
    """
    check_type("settings", settings, FitSettings)
    pairs, model = check_items("pairs", pairs, ImagePair), at_fitted_spacing(as_model(model))
    encoder = encoder_of(model.network(), model.card)
    usable = _usable(model, pairs)
    return _fit(model, encoder, usable, len(pairs) - len(usable), settings)


def _usable(model: Model, pairs: Sequence[ImagePair]) -> dict[int, ImagePair]:
    """Return the pairs of images that are registered, by their numbers."""
    usable = {number: pair for number, pair in enumerate(pairs) if not pair.has_failed}
    if not usable:
        raise ValueError("There is no registered pair to fit structures from. Register them.")
    for pair in usable.values():
        if any(len(one.spatial_axes) != 2 for one in (pair.source, pair.target)):
            raise ValueError(f"{pair.name}: structures are fitted from images, not from stacks.")
    return usable


def _fit(
    model: Model,
    encoder: Encoder,
    usable: dict[int, ImagePair],
    left_out: int,
    settings: FitSettings,
) -> Iterator[FitEvent]:
    device = choose_device(settings.device)
    with TemporaryDirectory() as scratch:
        samples = yield from reported(
            collect_samples(
                usable, model.card.normalisation, Path(scratch), PairRanges.known(model.card)
            )
        )
        notices = yield from reported(refuse_shifted(samples.samples, usable))
        regions = [FitRegion.of(one) for one in samples.samples]
        found, agreement = yield from reported(
            fit_kinds(regions, encoder, device, settings.kinds, settings.seed)
        )
        del samples, regions
    if left_out:
        notices = (*notices, f"{left_out} pairs are not registered and were left out.")
    yield StructuresFitted(
        model=with_structures(model, found),
        names=found.names({}),
        shares=found.share,
        agreement=agreement,
        notices=notices,
        progress=Progress("fitting structures", 1, 1, 0.0),
    )


def fit_model(
    model: Model, regions: Sequence[FitRegion], device: torch.device
) -> Generator[Progress, None, FittedStructures | None]:
    """Return structures for a model that was just trained; None if the regions are too small."""
    settings, model = FitSettings(), at_fitted_spacing(model)
    encoder = encoder_of(model.network(), model.card)
    try:
        found, _ = yield from fit_kinds(regions, encoder, device, settings.kinds, settings.seed)
    except ValueError:
        return None
    return found


def reported(
    work: Generator[Progress, None, Returned], whole: Callable[[], Progress] | None = None
) -> Generator[Progressed, None, Returned]:
    """Yield an event for every progress, and return what the work returns.

    `whole` gives the progress of the job that the work is a part of.
    """
    while True:
        try:
            progress = next(work)
        except StopIteration as done:
            return done.value
        if whole is not None:
            job = whole()
            progress = replace(progress, share=job.share, seconds_left=job.seconds_left)
        yield Progressed(progress)


def with_structures(model: Model, found: FittedStructures) -> Model:
    """Return the model with these structures in place of others and their names."""
    model = at_fitted_spacing(model)
    others = {k: v for k, v in model.statistics.items() if not k.startswith(PREFIX)}
    card = replace(model.card, structures=len(found), structure_names={})
    return replace(model, card=card, statistics=others | found.to_arrays())
