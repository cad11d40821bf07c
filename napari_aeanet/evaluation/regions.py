"""The scored part of a truth: where all images reach, outside the training of all models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import intersection
from napari_aeanet.evaluation.methods import Case, ComparedMethod, GivenImages, Restoration
from napari_aeanet.evaluation.placement import place_of
from napari_aeanet.evaluation.settings import EvaluateSettings
from napari_aeanet.registration import Verdict, overlap_region


@dataclass(frozen=True)
class Regions:
    """The scored boxes of a truth, along its spatial axes.

    Parameters
    ----------
    boxes
        Empty if all of the truth was used to train a model.
    covered
        The part of the truth that all images reach.
    notice
        The reason for omissions.
    """

    boxes: tuple[Region, ...]
    covered: Region
    notice: str = ""


def scored_regions(
    case: Case, methods: Sequence[ComparedMethod], settings: EvaluateSettings
) -> Regions:
    """Return the overlap of all images and the truth, less the border, less all trainings.

    Raises
    ------
    ValueError
        If the images have no field in common with the truth.
    """
    from napari_aeanet.evaluation.leakage import trained_on, untrained

    covered = _covered(case, methods)
    field = list(covered)
    registration = case.pair.registration if case.pair is not None else None
    if registration is not None and registration.verdict is Verdict.FAILED:
        msg = f"{case.name} cannot be compared, because its registration failed."
        raise ValueError(msg)
    if registration is not None:
        field[-2:] = overlap_region(registration)
    rim = settings.border
    field[-2:] = [slice(s.start + rim, s.stop - rim) for s in field[-2:]]
    if any(s.stop - s.start < 1 for s in field):
        msg = f"{case.name} is too small for a border of {rim} pixels."
        raise ValueError(msg)
    whole = tuple(field)
    if settings.force or case.pair is None:
        return Regions((whole,), covered)
    cards = {m.name: m.model.card for m in methods if isinstance(m, Restoration)}
    used = {name: trained_on(card, case.pair) for name, card in cards.items()}
    models = " and ".join(name for name, one in used.items() if one is not None)
    boxes = untrained(whole, list(used.values()))
    if not models:
        return Regions(boxes, covered)
    if not boxes:
        notice = (
            f"{case.name} was used to train {models}, so that a figure would mean nothing: "
            "take other images, or force it."
        )
        return Regions((), covered, notice)
    notice = f"{case.name}: only the part outside the training of {models} counts."
    return Regions(boxes, covered, notice)


def _covered(case: Case, methods: Sequence[ComparedMethod]) -> Region:
    """Return the part of the truth that all given images reach.

    Images that cannot be placed are left out: they are reported when they are scored.
    """
    field: Region = tuple(slice(0, case.truth.sizes[axis]) for axis in case.truth.spatial_axes)
    for method in methods:
        if not isinstance(method, GivenImages) or method.name not in case.files:
            continue
        try:
            box = place_of(case.files[method.name], case.truth).box
        except ValueError:
            continue
        shared = intersection(field, box)
        if shared is None:
            msg = f"The images of {case.name} have no field in common: compare them one by one."
            raise ValueError(msg)
        field = shared
    return field
