"""What the Relevance dock runs in the background: touches neither Qt nor napari."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.relevance import (
    AGAINST,
    FOR,
    MapGroup,
    MapStatistics,
    contrast_limit,
    group_maps,
    plane_of,
)

if TYPE_CHECKING:
    from napari_aeanet.relevance import Difference, Ranking, RelevanceMaps
    from napari_aeanet.trust import TrustEvent

EDGE = 64  # of a thumbnail: four in a row


@dataclass(frozen=True, eq=False)
class MapsReady:
    """Maps of one image with all that showing them takes, so that the window need not wait.

    Parameters
    ----------
    thumbnails
        Colours on black: (abstract pixels, y, x, 3), uint8.
    level
        What each map says on average, and how far it goes from that.
    limits
        How far from the average colours are full, for each map.
    """

    maps: RelevanceMaps
    groups: tuple[MapGroup, ...]
    thumbnails: np.ndarray
    level: MapStatistics
    limits: np.ndarray
    progress: Progress


@dataclass(frozen=True, eq=False)
class MapsCompared:
    """Maps of several images, in the order in which they were asked for."""

    shown: tuple[RelevanceMaps, ...]
    progress: Progress


def map_relevance(
    image: Image, model_path: Path, layer: int, device: str
) -> Iterator[Progressed | MapsReady]:
    """Relevance maps of every abstract pixel of one attention."""
    for event in _maps_of(image, model_path, layer, device):
        yield event if isinstance(event, Progressed) else _ready(event)


def compare_relevance(
    images: Sequence[Image], model_path: Path, layer: int, device: str
) -> Iterator[Progressed | MapsCompared]:
    """Maps of several images, which share the model's abstract pixels."""
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
    """By how much every abstract pixel moves the attention."""
    from napari_aeanet.models import load_model
    from napari_aeanet.relevance import RelevanceSettings, ranking_events

    yield from ranking_events(
        image, load_model(model_path), RelevanceSettings(layer=layer, device=device)
    )


def show_difference(
    image: Image, model_path: Path, pixels: Sequence[int], layer: int, device: str
) -> Iterator[Progressed | Difference]:
    """What abstract pixels change in the result."""
    from napari_aeanet.models import load_model
    from napari_aeanet.relevance import RelevanceSettings, difference_events

    chosen = RelevanceSettings(layer=layer, device=device)
    yield from difference_events(image, load_model(model_path), pixels, chosen)


def judge(image: Image, model_path: Path, symmetries: bool, device: str) -> Iterator[TrustEvent]:
    """How far to trust the result."""
    from napari_aeanet.models import load_model
    from napari_aeanet.trust import TrustSettings, trust_events

    yield from trust_events(
        image, load_model(model_path), TrustSettings(symmetries=symmetries, device=device)
    )


def _maps_of(
    image: Image, model_path: Path, layer: int, device: str
) -> Iterator[Progressed | RelevanceMaps]:
    from napari_aeanet.models import load_model
    from napari_aeanet.relevance import RelevanceMaps, RelevanceSettings, relevance_events

    model = load_model(model_path)
    for event in relevance_events(image, model, RelevanceSettings(layer=layer, device=device)):
        yield event if isinstance(event, RelevanceMaps) else Progressed(event.progress)


def _ready(maps: RelevanceMaps) -> MapsReady:
    planes, level = plane_of(maps), MapStatistics.of(maps.maps)
    centred = [plane - mean for plane, mean in zip(planes, level.mean, strict=True)]
    return MapsReady(
        maps=maps,
        groups=group_maps(planes),
        thumbnails=np.stack([thumbnail(plane) for plane in centred]),
        level=level,
        limits=np.array(
            [contrast_limit(v - m) for v, m in zip(maps.maps, level.mean, strict=True)]
        ),
        progress=maps.progress,
    )


def thumbnail(plane: np.ndarray) -> np.ndarray:
    """The map in colours on black, about EDGE pixels wide: (y, x, 3), uint8."""
    step = max(1, max(plane.shape) // EDGE)
    height, width = (n // step for n in plane.shape)
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step)
    small = blocks.mean(axis=(1, 3))
    share = np.clip(small / contrast_limit(small), -1, 1)[..., None]
    colours = np.where(share < 0, AGAINST, FOR) * np.abs(share)
    return (255 * colours).astype(np.uint8)
