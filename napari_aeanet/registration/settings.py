"""Options of `register`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_aeanet.core.arguments import check_options
from napari_aeanet.registration.transforms import TransformKind


class Deform(StrEnum):
    """Treatment of local drift, which no global transform can follow."""

    AUTO = "auto"  # followed where the images prove it
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """Options of `register`.

    Parameters
    ----------
    kind
        Type of the transform: similarity (shift, rotate, scale), affine or homography.
    magnification
        Target pixels per source pixel, where known (2 for a target twice as fine). Zero: taken
        from the pixel sizes if both images have one, else estimated from the images.
    scale_tolerance
        Largest relative deviation from the expected magnification; beyond it the result is
        doubtful.
    rotation_tolerance
        Largest rotation in degrees; beyond it the result is doubtful.
    deform
        Follow local drift by a smooth displacement where the images prove it (auto), or never
        (off). Stacks that get one transform for all planes are not deformed.
    slice_by_slice
        Give every plane of a stack its own transform; otherwise one transform serves all.
    seed
        Seed of the random draws: the same seed gives the same result.
    """

    kind: TransformKind = TransformKind.SIMILARITY
    magnification: float = 0.0
    scale_tolerance: float = 0.2
    rotation_tolerance: float = 45.0
    deform: Deform = Deform.AUTO
    slice_by_slice: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(self)
