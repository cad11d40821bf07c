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
from napari_aeanet.core.image import Image
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.plane import check_axes, register_planes
from napari_aeanet.registration.preprocessing import flattened
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.settings import Deform, RegistrationSettings

#: The one transform of a stack is the mean over this many of its planes, spread evenly.
SAMPLED_PLANES = 5
#: Where most planes are too dim or noisy, the means of up to this many neighbours are used instead.
AVERAGED_PLANES = 16
#: Corners of the planes further apart than this (target pixels) mean that planes moved.
LARGEST_PLANE_SHIFT = 1.0
#: Largest expected error of the transform of a stack that is good (target pixels).
LARGEST_ERROR = 2.0


def register(
    source: ImageSource, target: ImageSource, settings: RegistrationSettings | None = None
) -> Registration:
    """Find the transform from `source` pixels to `target` pixels, with its evidence.

    Difficult images raise no error: the verdict is 'failed' or 'doubtful', with the reason.
    Stacks (ZYX) get one transform, or one per plane (`settings.slice_by_slice`). Of a stack whose
    target is a plane, the brightest pixels along Z are registered, or else their mean. Arrays and
    image files are taken as in `napari_aeanet.restore`.

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
    if settings.slice_by_slice and "Z" in target.axes:
        return _one_per_plane([register_planes(source, target, z, settings) for z in range(depth)])
    # The planes of a stack drift each in its own way.
    settings = replace(settings, deform=Deform.OFF)
    if "Z" in target.axes:
        found = _mean_transform(_sampled(source, target, depth, settings), settings)
    else:
        found = _projected(source, target, depth, settings)
    return _in_doubt_if_inexact(found)


def _projected(
    source: Image, target: Image, depth: int, settings: RegistrationSettings
) -> Registration:
    """Register the brightest pixels of a stack to its projection; or their mean, if that fails.

    The planes themselves show other things than the projection does, each one a part of it.
    """
    brightest, mean = flattened(source, range(depth))
    first = register_planes(brightest, target, 0, settings)
    if first.verdict.is_usable:
        return first
    return _most_reliable([first, register_planes(mean, target, 0, settings)])


def _sampled(
    source: Image, target: Image, depth: int, settings: RegistrationSettings
) -> list[Registration]:
    """Register sampled planes; where most of them fail, the means of neighbouring planes."""
    count = min(depth, SAMPLED_PLANES)
    places = np.unique(np.linspace(0, depth - 1, count).round().astype(int)).tolist()
    planes = [register_planes(source, target, z, settings) for z in places]
    if _most_are_usable(planes) or depth == count:
        return planes
    means = []
    for part in np.array_split(np.arange(depth), count):
        near = part[:AVERAGED_PLANES].tolist()
        sides = [flattened(image, near)[1] for image in (source, target)]
        means.append(register_planes(sides[0], sides[1], 0, settings))
    return means if len(_usable(means)) >= len(_usable(planes)) else planes


def _usable(planes: list[Registration]) -> list[Registration]:
    return [plane for plane in planes if plane.verdict.is_usable]


def _most_are_usable(planes: list[Registration]) -> bool:
    return 2 * len(_usable(planes)) >= len(planes)


def _most_reliable(planes: list[Registration]) -> Registration:
    """Return the first usable one, else the first doubtful one, else the first."""
    ranks = (Verdict.GOOD, Verdict.DRIFTS), (Verdict.DOUBTFUL,), (Verdict.FAILED,)
    return min(planes, key=lambda plane: next(i for i, r in enumerate(ranks) if plane.verdict in r))


def _mean_transform(planes: list[Registration], settings: RegistrationSettings) -> Registration:
    """Return the mean of the transforms of sampled planes, as that of the stack."""
    usable = _usable(planes)
    if not usable:
        return _most_reliable(planes)
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
    elif not _most_are_usable(planes):
        verdict = Verdict.DOUBTFUL
        reason = (
            f"only {len(usable)} of {len(planes)} sampled planes could be registered: look at it "
            "in several planes, or give three landmarks"
        )
    matrix = transforms.fit(points, moved.mean(axis=0), settings.kind)
    return replace(best, matrix=matrix, verdict=verdict, reason=reason)


def _in_doubt_if_inexact(found: Registration) -> Registration:
    """Return a usable registration as doubtful if its expected error is too large."""
    error = found.expected_error
    if not found.verdict.is_usable or error is None or error <= LARGEST_ERROR:
        return found
    reason = (
        f"it may be off by {error:.1f} px, since the images are dim or noisy: look at it, or give "
        "three landmarks"
    )
    return replace(found, verdict=Verdict.DOUBTFUL, reason=reason)


def _one_per_plane(planes: list[Registration]) -> Registration:
    """Combine the planes of a stack; those that failed take the nearest usable transform."""
    usable = [z for z, plane in enumerate(planes) if plane.verdict.is_usable]
    if not usable:
        return _most_reliable(planes)
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
