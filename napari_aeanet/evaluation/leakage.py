"""What a model has learnt from: figures of these pixels would say nothing.

A model's file keeps a hash of every target it was trained with, and which boxes of it were learnt
from and which kept out. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import intersection
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import SMALLEST_CHECK, fingerprint, samples_of, target_fingerprint


@dataclass(frozen=True)
class Seen:
    """A truth that a model knows: which of its boxes were kept out of the training."""

    name: str
    kept_out: tuple[Region, ...]


def seen_by(card: ModelCard, pair: ImagePair) -> Seen | None:
    """What the model has seen of the pair's target, or None if it has never met it.

    A pair of several channels or time points has been seen if one of them was.
    """
    plan = card.provenance.get("plan", {})
    known_pairs = plan.get("pairs", ())
    if not known_pairs:
        return None
    # Models of older versions know only the hash of source and target together.
    numbers = {one.get("target_hash", one["hash"]): i for i, one in enumerate(known_pairs)}
    with TemporaryDirectory() as scratch:
        found = samples_of({0: pair}, card.normalisation, Path(scratch))
        prints = [make(one) for one in found.samples for make in (target_fingerprint, fingerprint)]
    met = [numbers.get(print_) for print_ in prints]
    known = next((number for number in met if number is not None), None)
    if known is None:
        return None
    boxes = tuple(
        tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        for image, start, stop in plan["split"]["check"]
        if image == known
    )
    return Seen(known_pairs[known]["name"], boxes)


def unseen(field: Region, seen: Sequence[Seen | None]) -> tuple[Region, ...]:
    """The boxes of a field that none of the models, which have seen this of it, has learnt from."""
    boxes: tuple[Region, ...] = (field,)
    for one in seen:
        if one is not None:
            boxes = tuple(
                shared
                for box in boxes
                for kept in one.kept_out
                if (shared := intersection(box, kept)) is not None
            )
    return tuple(box for box in boxes if min(s.stop - s.start for s in box[-2:]) >= SMALLEST_CHECK)
