"""Register a source image to a target image, and say how well it went.

The low-resolution source and the high-resolution target of an electron microscope show the same
place at two magnifications, more or less. `register` finds the transform between their pixels in
three steps: a first guess from matched features (`features`), sub-pixel refinement (`refinement`),
and a block-by-block check with a control (`agreement`). `verdicts` puts the outcome into words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.plane import check_axes, register_planes
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.settings import RegistrationSettings

#: One transform for a stack is found from this many of its planes, spread evenly.
PLANES_ASKED = 5
#: Planes of a stack whose corners lie further apart than this (target pixels) moved.
PLANES_APART = 1.0


def register(
    source: Image, target: Image, settings: RegistrationSettings | None = None
) -> Registration:
    """Find the transform that takes `source` pixels to `target` pixels, with its evidence.

    Hard images do not raise: the verdict says 'failed' or 'doubtful', and why. Stacks (ZYX) get
    one transform, or one per plane (`settings.slice_by_slice`).

    Raises
    ------
    ValueError
        If an image is neither a plane (YX) nor a stack (ZYX), or two stacks differ in depth.
    """
    settings = settings or RegistrationSettings()
    check_axes(source, target)
    depth = max(image.sizes.get("Z", 1) for image in (source, target))
    if depth == 1:
        return register_planes(source, target, 0, settings)
    if settings.slice_by_slice:
        return _register_every_plane(source, target, depth, settings)
    return _register_stack(source, target, depth, settings)


def _register_stack(
    source: Image, target: Image, depth: int, settings: RegistrationSettings
) -> Registration:
    """One transform for a stack: the mean of those of a few planes."""
    asked = np.unique(np.linspace(0, depth - 1, min(depth, PLANES_ASKED)).round().astype(int))
    planes = [register_planes(source, target, int(z), settings) for z in asked]
    usable = [plane for plane in planes if plane.verdict.is_usable]
    if not usable:
        return max(planes, key=lambda plane: plane.verdict is Verdict.DOUBTFUL)
    points = transforms.corners(source.shape[-2:])
    moved = np.array([transforms.apply(plane.matrix, points) for plane in usable])
    apart = float(np.linalg.norm(moved - moved.mean(axis=0), axis=2).max())
    best = min(usable, key=lambda plane: plane.drift or np.inf)
    reason = f"{len(usable)} of {len(planes)} planes looked at agree on it"
    if apart > PLANES_APART:
        reason = (
            f"the planes lie up to {apart:.1f} px apart: register slice by slice, or align the "
            "stack first"
        )
    return replace(
        best,
        matrix=transforms.fit(points, moved.mean(axis=0), settings.kind),
        verdict=best.verdict if apart <= PLANES_APART else Verdict.DOUBTFUL,
        reason=reason,
    )


def _register_every_plane(
    source: Image, target: Image, depth: int, settings: RegistrationSettings
) -> Registration:
    """Each plane by itself; one that fails takes the transform of the nearest that did not."""
    planes = [register_planes(source, target, z, settings) for z in range(depth)]
    usable = [z for z, plane in enumerate(planes) if plane.verdict.is_usable]
    if not usable:
        return max(planes, key=lambda plane: plane.verdict is Verdict.DOUBTFUL)
    middle = planes[usable[len(usable) // 2]]
    others = [z for z in range(depth) if z not in usable]
    for z in others:
        nearest = min(usable, key=lambda u: abs(u - z))
        planes[z] = replace(planes[z], matrix=planes[nearest].matrix)
    if not others:
        drifts = any(plane.verdict is Verdict.DRIFTS for plane in planes)
        verdict = Verdict.DRIFTS if drifts else Verdict.GOOD
        reason = f"all {depth} planes were registered"
    else:
        verdict = Verdict.DOUBTFUL
        listed = ", ".join(str(z) for z in others)
        reason = f"planes {listed} (from 0) took the transform of their nearest good neighbour"
    return replace(middle, verdict=verdict, reason=reason, slices=tuple(planes))
