"""Background work of the Relevance dock, without Qt and napari.

Importing this module does not load torch; every function loads it in its own thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.viewer.drawn import MarkedImage
from napari_aeanet.models import ModelCard, load_model, rename_structure, save_model
from napari_aeanet.pairs import ImagePair
from napari_aeanet.relevance import (
    AGAINST,
    FOR,
    Difference,
    KeptAttention,
    MapGroup,
    MapStatistics,
    Ranking,
    RelevanceMaps,
    RelevanceSettings,
    contrast_limit,
    group_maps,
    plane_of,
)
from napari_aeanet.relevance.settings import RelevanceEvent
from napari_aeanet.structures.settings import (
    FitEvent,
    FitSettings,
    StructureEvent,
    StructureMaps,
    StructureSettings,
    StructureTaught,
)
from napari_aeanet.trust import TrustEvent, TrustMaps, TrustSettings

THUMBNAIL_EDGE = 64  # px: four in a row


@dataclass(frozen=True, eq=False)
class MapsReady:
    """Relevance maps of one image with everything that is needed to show them.

    Parameters
    ----------
    thumbnails
        RGB pictures of shape (abstract pixels, y, x, 3), uint8.
    statistics
        Mean and standard deviation of each map.
    limits
        Distance from the mean at which the colours of each map are full.
    """

    maps: RelevanceMaps
    groups: tuple[MapGroup, ...]
    thumbnails: np.ndarray
    statistics: MapStatistics
    limits: np.ndarray
    progress: Progress


@dataclass(frozen=True, eq=False)
class MapsCompared:
    """Relevance maps of several images, in the requested order."""

    compared: tuple[RelevanceMaps, ...]
    progress: Progress


@dataclass(frozen=True, eq=False)
class AttentionReady:
    """Queries and keys of one plane or stack, with the statistics of its relevance maps.

    Parameters
    ----------
    mean, spread
        Mean and standard deviation of the map of each abstract pixel, empty without any.
    """

    kept: KeptAttention
    mean: np.ndarray
    spread: np.ndarray
    progress: Progress


@dataclass(frozen=True, eq=False)
class KindTaught:
    """A model with one more kind, not saved yet, and its structures in an image."""

    taught: StructureTaught
    maps: StructureMaps
    progress: Progress


def map_relevance(
    image: Image, model_path: Path, layer: int, device: str
) -> Iterator[Progressed | MapsReady]:
    """Compute the maps of every abstract pixel of one attention layer."""
    for event in _maps_of(image, model_path, layer, device):
        yield event if isinstance(event, Progressed) else _ready(event)


def compare_relevance(
    images: Sequence[Image], model_path: Path, layer: int, device: str
) -> Iterator[Progressed | MapsCompared]:
    """Compute the maps of several images with the same abstract pixels."""
    found, total = [], len(images)
    for number, image in enumerate(images):
        for event in _maps_of(image, model_path, layer, device):
            if isinstance(event, Progressed):
                part = event.progress
                done = number * part.total + part.done
                yield Progressed(Progress(part.what, done, total * part.total))
            else:
                found.append(event)
    yield MapsCompared(tuple(found), Progress("comparing images", 1, 1, 0.0))


def rank_influence(
    image: Image, model_path: Path, layer: int, device: str
) -> Iterator[Progressed | Ranking]:
    """Measure the influence of every abstract pixel on the output of the attention."""
    from napari_aeanet.relevance import ranking_events

    yield from ranking_events(image, load_model(model_path), _settings(layer, device))


def compute_difference(
    image: Image, model_path: Path, pixels: Sequence[int], layer: int, device: str
) -> Iterator[Progressed | Difference]:
    """Restore an image with and without some abstract pixels."""
    from napari_aeanet.relevance import difference_events

    yield from difference_events(image, load_model(model_path), pixels, _settings(layer, device))


def keep_attention(
    image: Image, model_path: Path, at: Sequence[float], layer: int, device: str
) -> Iterator[Progressed | AttentionReady]:
    """Gather queries and keys of the plane or stack in which a place lies."""
    from napari_aeanet.relevance import attention_events

    for event in attention_events(image, load_model(model_path), at, _settings(layer, device)):
        if isinstance(event, Progressed):
            yield event
            continue
        mean = spread = np.zeros(0)
        if count := len(event.reference_keys):
            found = MapStatistics.of(event.relevance_of(*range(count)).maps)
            mean, spread = found.mean, found.spread
        yield AttentionReady(event, mean, spread, event.progress)


def map_trust(
    image: Image, model_path: Path, symmetries: bool, device: str
) -> Iterator[TrustEvent]:
    """Restore an image and map the doubts about the result."""
    from napari_aeanet.trust import trust_events

    settings = TrustSettings(symmetries=symmetries, device=device)
    yield from trust_events(image, load_model(model_path), settings)


def save_trust(found: TrustMaps, path: Path) -> Path:
    """Write the light and all maps of trust as one stack; return its path."""
    from napari_aeanet.io import write_image

    write_image(found.as_image(), path)
    return path


def map_structures(image: Image, model_path: Path, device: str) -> Iterator[StructureEvent]:
    """Compute the probability of every kind of structure."""
    from napari_aeanet.structures import structure_events

    settings = StructureSettings(device=device)
    yield from structure_events(image, load_model(model_path), settings)


def fit_model(model_path: Path, pairs: Sequence[ImagePair], device: str) -> Iterator[FitEvent]:
    """Fit structures from pairs and keep them in the model file."""
    from napari_aeanet.structures import StructuresFitted, fit_structures_events

    for event in fit_structures_events(load_model(model_path), pairs, FitSettings(device=device)):
        if isinstance(event, StructuresFitted):
            save_model(event.model, model_path)
        yield event


def teach_kind(
    examples: Sequence[MarkedImage], image: Image, name: str, model_path: Path, device: str
) -> Iterator[Progressed | KindTaught]:
    """Teach a kind of structure from marked images, and find it in an image."""
    from napari_aeanet.structures import structure_events, teach_events

    settings, marks = StructureSettings(device=device), [one.marks() for one in examples]
    images, model = [one.image for one in examples], load_model(model_path)
    for event in teach_events(model, images, marks, name, settings):
        if isinstance(event, StructureTaught):
            taught = event
        else:
            yield event
    for found in structure_events(image, taught.model, settings):
        if isinstance(found, StructureMaps):
            yield KindTaught(taught, found, found.progress)
        else:
            yield found


def keep_kind(model_path: Path, taught: StructureTaught, replaces: bool) -> ModelCard:
    """Add a kind that was taught to the model file as it is now; return the card.

    Raises
    ------
    ValueError
        If the model has a kind of this name by now, and it is not to be replaced.
    """
    from napari_aeanet.structures import with_kind_of

    model = load_model(model_path)
    if taught.name in model.card.taught and not replaces:
        raise ValueError(f"{model_path.name} has a kind “{taught.name}” by now: click again.")
    kept = with_kind_of(model, taught)
    save_model(kept, model_path)
    return kept.card


def name_structure(model_path: Path, kind: int, name: str) -> tuple[ModelCard, tuple[str, ...]]:
    """Keep the name of a kind in the model file; return the card and the names of all kinds."""
    from napari_aeanet.structures import structures_of

    card = rename_structure(model_path, kind, name)
    found = structures_of(load_model(model_path))
    assert found is not None
    return card, found.names(card.structure_names)


def _settings(layer: int, device: str) -> RelevanceSettings:
    return RelevanceSettings(layer=layer, device=device)


def _maps_of(image: Image, model_path: Path, layer: int, device: str) -> Iterator[RelevanceEvent]:
    from napari_aeanet.relevance import relevance_events

    yield from relevance_events(image, load_model(model_path), _settings(layer, device))


def _ready(maps: RelevanceMaps) -> MapsReady:
    planes, statistics = plane_of(maps), MapStatistics.of(maps.maps)
    centred = [plane - mean for plane, mean in zip(planes, statistics.mean, strict=True)]
    return MapsReady(
        maps=maps,
        groups=group_maps(planes),
        thumbnails=np.stack([thumbnail(plane) for plane in centred]),
        statistics=statistics,
        limits=np.array(
            [contrast_limit(v - m) for v, m in zip(maps.maps, statistics.mean, strict=True)]
        ),
        progress=maps.progress,
    )


def thumbnail(plane: np.ndarray) -> np.ndarray:
    """Return a map in colours on black, about THUMBNAIL_EDGE wide: (y, x, 3), uint8."""
    step = max(1, max(plane.shape) // THUMBNAIL_EDGE)
    height, width = (n // step for n in plane.shape)
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step)
    small = blocks.mean(axis=(1, 3))
    share = np.clip(small / contrast_limit(small), -1, 1)[..., None]
    colours = np.where(share < 0, AGAINST, FOR) * np.abs(share)
    return (255 * colours).astype(np.uint8)
