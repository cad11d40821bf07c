"""Take from a registration what files of other programs hold, and make one of what was read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aeanet.registration import Deformation, Registration, Verdict, transforms


def check_sizes(*sizes: float | tuple[float, float]) -> None:
    if not all(np.all(np.isfinite(size)) and np.all(np.asarray(size) > 0) for size in sizes):
        raise ValueError(f"pixel sizes must be positive, got {sizes}")


def target_to_source(registration: Registration, path: Path, files: str) -> np.ndarray:
    """Return the affine matrix from target to source pixels.

    Raises
    ------
    ValueError
        If the registration failed, is a homography or has one transform per plane: `files` hold
        none of these.
    """
    if registration.verdict is Verdict.FAILED:
        msg = f"{path.name} cannot be written: the pair is not registered ({registration.reason})."
        raise ValueError(msg)
    if registration.kind is transforms.TransformKind.HOMOGRAPHY or registration.slices:
        kind = "one transform per plane" if registration.slices else "a homography"
        msg = f"{path.name} cannot be written: {files} hold one affine transform, not {kind}."
        raise ValueError(msg)
    inverse = np.linalg.inv(registration.matrix)
    return np.asarray(inverse / inverse[2, 2])


def registration_of(
    path: Path,
    matrix: np.ndarray,
    coefficients: np.ndarray | None,
    source_shape: tuple[int, int],
    target_shape: tuple[int, int],
    notice: str = "",
) -> Registration:
    """Return what was read as a doubtful registration, since no image has confirmed it."""
    nan = float("nan")
    return Registration(
        matrix=matrix,
        kind=transforms.TransformKind.AFFINE,
        source_shape=source_shape,
        target_shape=target_shape,
        verdict=Verdict.DOUBTFUL,
        reason=f"read from {path.name}; the images have not confirmed it{notice}",
        deformation=None
        if coefficients is None
        else Deformation(coefficients=coefficients, before=nan, after=nan),
    )
