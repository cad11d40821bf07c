"""Parts of a sample that the training of a model did not see, by the hashes in its card."""

from __future__ import annotations

from napari_aeanet.core.image import Region
from napari_aeanet.dataset.pair_samples import Sample, fingerprint, target_fingerprint
from napari_aeanet.models import ModelCard


def training_number(card: ModelCard, sample: Sample) -> int | None:
    """Return the number of a sample's target in the training of a model; None if it is not one."""
    known = card.provenance.get("plan", {}).get("pairs", ())
    # Models of older versions hold only the hash of source and target together.
    numbers = {one.get("target_hash", one["hash"]): i for i, one in enumerate(known)}
    if not numbers:
        return None
    prints = (make(sample) for make in (target_fingerprint, fingerprint))
    return next((numbers[print_] for print_ in prints if print_ in numbers), None)


def boxes_kept_out(card: ModelCard, number: int) -> tuple[Region, ...]:
    """Return the boxes of a target of the training that were kept out of it."""
    return tuple(
        tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        for image, start, stop in card.provenance["plan"]["split"]["check"]
        if image == number
    )
