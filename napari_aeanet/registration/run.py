"""Register a source image to a target image, with a verdict on the result.

The low-resolution source and the high-resolution target of an electron microscope show about the
same place at two magnifications. `register` finds the transform between their pixels in three
steps: an initial guess from matched features (`features`), sub-pixel refinement (`refinement`),
and a block-by-block check with a control (`block_matching`). Local drift is then followed where
the images prove it (`drift`). `verdict` explains the outcome.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.plane import check_axes, register_planes
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.settings import Deform, RegistrationSettings

#: The one transform of a stack is the mean over this many of its planes, spread evenly.
SAMPLED_PLANES = 5
#: Corners of the planes further apart than this (target pixels) mean that planes moved.
LARGEST_PLANE_SHIFT = 1.0


def register(
    source: ImageSource, target: ImageSource, settings: RegistrationSettings | None = None
) -> Registration:
    """Find the transform from `source` pixels to `target` pixels, with its evidence.

    Difficult images raise no error: the verdict is 'failed' or 'doubtful', with the reason.
    Stacks (ZYX) get one transform, or one per plane (`settings.slice_by_slice`). Arrays and image
    files are taken as in `napari_aeanet.restore`.

    Raises
    ------
    TypeError, ValueError
        If an image is neither a plane (YX) nor a stack (ZYX), or two stacks differ in depth.
    """
    settings = RegistrationSettings() if settings is None else settings
    check_type("settings", settings, RegistrationSettings)
    source, target = as_image(source, "source"), as_image(target, "target")
    check_axes(source, target)
    depth = max(image.sizes.get("Z", 1) for image in (source, target))
    if depth == 1:
        return register_planes(source, target, 0, settings)
    every = settings.slice_by_slice
    if not every:  # the planes of a stack drift each in its own way
        settings = replace(settings, deform=Deform.OFF)
    count = depth if every else min(depth, SAMPLED_PLANES)
    sampled = np.unique(np.linspace(0, depth - 1, count).round().astype(int)).tolist()
    planes = [register_planes(source, target, z, settings) for z in sampled]
    if not any(plane.verdict.is_usable for plane in planes):
        return max(planes, key=lambda plane: plane.verdict is Verdict.DOUBTFUL)
    return _one_per_plane(planes) if every else _mean_transform(planes, settings)


def _mean_transform(planes: list[Registration], settings: RegistrationSettings) -> Registration:
    """Return the mean of the transforms of sampled planes, as that of the stack."""
    usable = [plane for plane in planes if plane.verdict.is_usable]
    points = transforms.corners(planes[0].source_shape)
    moved = np.array([transforms.apply(plane.matrix, points) for plane in usable])
    apart = float(np.linalg.norm(moved - moved.mean(axis=0), axis=2).max())
    best = min(usable, key=lambda plane: np.inf if plane.drift is None else plane.drift)
    verdict, reason = best.verdict, f"{len(usable)} of {len(planes)} sampled planes agree on it"
    if apart > LARGEST_PLANE_SHIFT:
        verdict = Verdict.DOUBTFUL
        reason = (
            f"the planes lie up to {apart:.1f} px apart: register slice by slice, or align the "
            "stack first"
        )
    matrix = transforms.fit(points, moved.mean(axis=0), settings.kind)
    return replace(best, matrix=matrix, verdict=verdict, reason=reason)


def _one_per_plane(planes: list[Registration]) -> Registration:
    """Combine the planes of a stack; those that failed take the nearest usable transform."""
    usable = [z for z, plane in enumerate(planes) if plane.verdict.is_usable]
    middle = planes[usable[len(usable) // 2]]
    others = [z for z in range(len(planes)) if z not in usable]
    for z in others:
        nearest = min(usable, key=lambda u: abs(u - z))
        taken = planes[nearest]
        planes[z] = replace(planes[z], matrix=taken.matrix, deformation=taken.deformation)
    if others:
        verdict = Verdict.DOUBTFUL
        listed = ", ".join(str(z) for z in others)
        reason = f"planes {listed} (from 0) took the transform of their nearest good neighbour"
    else:
        drifts = any(plane.verdict is Verdict.DRIFTS for plane in planes)
        verdict = Verdict.DRIFTS if drifts else Verdict.GOOD
        reason = f"all {len(planes)} planes were registered"
    return replace(middle, verdict=verdict, reason=reason, slices=tuple(planes))
