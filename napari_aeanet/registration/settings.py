"""Options of `register`."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.registration.transforms import Kind


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """How to register.

    Parameters
    ----------
    kind
        What the transform may do: similarity (shift, rotate, scale), affine or homography.
    magnification
        Target pixels per source pixel where known (2 for a target twice as fine). Zero: taken
        from the pixel sizes if both images have one, else found out.
    scale_tolerance
        A magnification further than this fraction from the expected one makes the result doubtful.
    rotation_tolerance
        So does a rotation by more than this many degrees.
    slice_by_slice
        Give every plane of a stack its own transform; otherwise one transform serves all.
    seed
        Of the random draws: the same seed gives the same result.
    """

    kind: Kind = Kind.SIMILARITY
    magnification: float = 0.0
    scale_tolerance: float = 0.2
    rotation_tolerance: float = 45.0
    slice_by_slice: bool = False
    seed: int = 0
