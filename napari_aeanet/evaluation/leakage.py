"""Training pixels among the evaluated ones, found by the hashes in a model's card, without torch.

A model file holds a hash of every target of its training, and the boxes that were kept out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_aeanet.core.image import Region
from napari_aeanet.core.intensity import AS_THEY_ARE
from napari_aeanet.core.tiles import intersection
from napari_aeanet.dataset import (
    SMALLEST_CHECK,
    PairRanges,
    boxes_kept_out,
    samples_of,
    training_number,
)
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair


@dataclass(frozen=True)
class TrainedOn:
    """A truth from the training of a model, with the boxes that were kept out of the training."""

    name: str
    kept_out: tuple[Region, ...]


def trained_on(card: ModelCard, pair: ImagePair) -> TrainedOn | None:
    """Return the boxes of the pair's target outside the training; None if it was not used at all.

    A pair of several channels or time points was used if one of them was.
    """
    plan = card.provenance.get("plan", {})
    if not plan.get("pairs"):
        return None
    with TemporaryDirectory() as scratch:
        rule = AS_THEY_ARE if plan.get("is_normalised") else card.normalisation
        found = samples_of({0: pair}, rule, Path(scratch), PairRanges.known(card))
        numbers = [training_number(card, one) for one in found.samples]
    number = next((one for one in numbers if one is not None), None)
    if number is None:
        return None
    return TrainedOn(plan["pairs"][number]["name"], boxes_kept_out(card, number))


def untrained(field: Region, used: Sequence[TrainedOn | None]) -> tuple[Region, ...]:
    """Return the boxes of a field that lie outside the training of all models."""
    boxes: tuple[Region, ...] = (field,)
    for one in used:
        if one is not None:
            boxes = tuple(
                shared
                for box in boxes
                for kept in one.kept_out
                if (shared := intersection(box, kept)) is not None
            )
    return tuple(box for box in boxes if min(s.stop - s.start for s in box[-2:]) >= SMALLEST_CHECK)
