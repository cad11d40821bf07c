"""Register one plane to another: search, describe the evidence, judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import convert
from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import Agreement
from napari_aeanet.registration.features import Guess, Method
from napari_aeanet.registration.preprocessing import Plane, read_plane
from napari_aeanet.registration.result import Registration, Verdict, nominal_matrix
from napari_aeanet.registration.search import Found, likely_scale, refine, search
from napari_aeanet.registration.settings import RegistrationSettings
from napari_aeanet.registration.tile_refinement import fit_tiles
from napari_aeanet.registration.transforms import POINTS_NEEDED, Kind
from napari_aeanet.registration.verdict import Expectations, judge
from napari_aeanet.registration.warping import covered

#: Shorter sides than this hold too little to register.
SMALLEST_SIDE = 32


def register_from_landmarks(
    source_points: np.ndarray,
    target_points: np.ndarray,
    source: Image,
    target: Image,
    settings: RegistrationSettings | None = None,
) -> Registration:
    """Register from points clicked by a person, shape (n, 2) each, as (y, x) in pixels.

    The landmarks give the first guess, the images refine it; where the refined transform does not
    hold, the landmarks alone are kept and the verdict says so.
    """
    settings = settings or RegistrationSettings()
    check_axes(source, target)
    points = [np.asarray(p, dtype=np.float64) for p in (source_points, target_points)]
    needed = max(3, POINTS_NEEDED[settings.kind])
    if any(p.ndim != 2 or p.shape[1] != 2 or len(p) < needed for p in points) or (
        len(points[0]) != len(points[1])
    ):
        msg = (
            f"A {settings.kind} needs at least {needed} landmarks, the same ones in both images; "
            f"got {len(points[0])} in the source and {len(points[1])} in the target."
        )
        raise ValueError(msg)
    matches = np.stack(points, axis=1)
    matrix = transforms.fit(matches[:, 0], matches[:, 1], settings.kind)
    if abs(np.linalg.det(matrix[:2, :2])) < 1e-6:
        msg = f"The landmarks lie too close to one point or line to fix a {settings.kind}."
        raise ValueError(msg)
    z = max(image.sizes.get("Z", 1) for image in (source, target)) // 2
    planes = tuple(_read(image, z) for image in (source, target))
    guess = Guess(
        matrix=matrix, matches=matches, candidates=len(matches), method=Method.LANDMARKS
    ).between(*(np.linalg.inv(plane.to_image) for plane in planes))
    for inverted in (False, True):
        found = refine(planes[0].values, planes[1].values, guess, settings.kind, inverted)
        if found is not None and found.agreement.holds:
            return _describe(source, target, z, planes, found, settings)
    return _only_landmarks(source, target, matrix, matches, settings)


def expected_scale(source: Image, target: Image, settings: RegistrationSettings) -> float | None:
    """Target pixels per source pixel: as typed, else from the pixel sizes, else None."""
    if settings.magnification > 0:
        return settings.magnification
    sizes = [image.pixel_size[-1] for image in (source, target)]
    if sizes[0] is None or sizes[1] is None or source.unit is None or target.unit is None:
        return None
    return sizes[0] / convert(sizes[1], target.unit, source.unit)


def register_planes(
    source: Image, target: Image, z: int, settings: RegistrationSettings
) -> Registration:
    """Register one plane to another; of a stack it is plane `z`."""
    planes = tuple(_read(image, z) for image in (source, target))
    if reason := _hopeless(source, target, planes):
        return failed_registration(source, target, settings, reason)
    expected = expected_scale(source, target, settings)
    # Planes of large images were averaged down, each in its own way.
    reduction = [transforms.scale_of(plane.to_image) for plane in planes]
    found = search(
        planes[0].values,
        planes[1].values,
        kind=settings.kind,
        scale=None if expected is None else expected * reduction[0] / reduction[1],
        seed=settings.seed,
    )
    if found is None:
        reason = (
            "nothing in the two images matches. Check that both show the same place, type the "
            "magnification, or give three landmarks"
        )
        return failed_registration(source, target, settings, reason)
    registration = _describe(source, target, z, planes, found, settings)
    if source.shape == target.shape and np.array_equal(planes[0].values, planes[1].values):
        return replace(
            registration,
            verdict=Verdict.DOUBTFUL,
            reason="source and target are the same image: nothing can be learnt from this pair",
        )
    return registration


def _hopeless(source: Image, target: Image, planes: tuple[Plane, ...]) -> str:
    """Why two planes cannot be registered whatever is tried; empty if they may be."""
    for side, image, plane in zip(("source", "target"), (source, target), planes, strict=True):
        if min(plane.values.shape) < SMALLEST_SIDE:
            height, width = image.shape[-2:]
            return (
                f"the {side} has {height} x {width} pixels, too few to register: at least "
                f"{SMALLEST_SIDE} along each side"
            )
        if np.ptp(plane.values) == 0:
            return f"the {side} has the same value everywhere: there is nothing to align"
    return ""


def _describe(
    source: Image,
    target: Image,
    z: int,
    planes: tuple[Plane, ...],
    found: Found,
    settings: RegistrationSettings,
) -> Registration:
    """The evidence for a transform between planes, in pixels of the images."""
    moving, fixed = planes
    guess = found.guess.between(moving.to_image, fixed.to_image)
    matrix, agreement = _in_images(source, target, z, planes, found, settings.kind)
    shapes = source.plane_shape, target.plane_shape
    coverage = covered(matrix, (moving.rows, shapes[0][1]), shapes[1])
    verdict, reason = judge(
        found=found,
        matrix=matrix,
        matches=guess.matches,
        agreement=agreement,
        overlap_area=coverage * shapes[1][0] * shapes[1][1],
        expected=Expectations(
            scale=expected_scale(source, target, settings),
            scale_tolerance=settings.scale_tolerance,
            rotation_tolerance=settings.rotation_tolerance,
        ),
    )
    if verdict is Verdict.FAILED:
        return failed_registration(source, target, settings, reason)
    return Registration(
        matrix=matrix,
        kind=settings.kind,
        source_shape=shapes[0],
        target_shape=shapes[1],
        verdict=verdict,
        reason=reason,
        method=guess.method,
        inverted=found.inverted,
        matches=guess.matches,
        candidates=guess.candidates,
        residual=_residual(matrix, guess.matches),
        expected_error=agreement.expected_corner_error(settings.kind, shapes[1]),
        correlation_before=found.correlation_before,
        correlation_after=found.correlation_after,
        coverage=coverage,
        drift=agreement.drift,
        drift_vectors=np.stack([agreement.points, agreement.displacements], axis=1),
        target_pixel_size=target.pixel_size[-1],
        unit=target.unit,
    )


def _in_images(
    source: Image,
    target: Image,
    z: int,
    planes: tuple[Plane, ...],
    found: Found,
    kind: Kind,
) -> tuple[np.ndarray, Agreement]:
    """The transform between the images themselves; of large ones as full resolution shows it."""
    moving, fixed = planes
    matrix = fixed.to_image @ found.matrix @ np.linalg.inv(moving.to_image)
    matrix = matrix / matrix[2, 2]
    if (moving.is_reduced or fixed.is_reduced) and found.agreement.holds:
        coarseness = [transforms.scale_of(plane.to_image) for plane in planes]
        sharper = fit_tiles(
            (source, target),
            z,
            (moving.rows, fixed.rows),
            matrix,
            kind=kind,
            inverted=found.inverted,
            reduction=max(coarseness[1], coarseness[0] * transforms.scale_of(matrix)),
        )
        if sharper is not None:
            return sharper
    return matrix, found.agreement.scaled(fixed.to_image)


def failed_registration(
    source: Image, target: Image, settings: RegistrationSettings, reason: str
) -> Registration:
    """The registration of a pair that could not be registered: nominal placement, and why."""
    shapes = source.plane_shape, target.plane_shape
    scale = expected_scale(source, target, settings) or likely_scale(*shapes) or 1.0
    return Registration(
        matrix=nominal_matrix(*shapes, scale),
        kind=settings.kind,
        source_shape=shapes[0],
        target_shape=shapes[1],
        verdict=Verdict.FAILED,
        reason=reason,
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
        target_pixel_size=target.pixel_size[-1],
        unit=target.unit,
    )


def _only_landmarks(
    source: Image,
    target: Image,
    matrix: np.ndarray,
    matches: np.ndarray,
    settings: RegistrationSettings,
) -> Registration:
    """Landmarks that the images do not confirm."""
    residual = _residual(matrix, matches)
    return replace(
        failed_registration(source, target, settings, ""),
        matrix=matrix,
        verdict=Verdict.DOUBTFUL,
        reason=(
            f"only your {len(matches)} landmarks speak for it (they fit to {residual:.1f} px); the "
            "images themselves do not confirm it"
        ),
        method=Method.LANDMARKS,
        matches=matches,
        candidates=len(matches),
        residual=residual,
        coverage=covered(matrix, source.plane_shape, target.plane_shape),
    )


def _read(image: Image, z: int) -> Plane:
    return read_plane(image, z if "Z" in image.axes else None)


def _residual(matrix: np.ndarray, matches: np.ndarray) -> float | None:
    if not len(matches):
        return None
    distances = np.linalg.norm(transforms.apply(matrix, matches[:, 0]) - matches[:, 1], axis=1)
    return float(np.sqrt((distances**2).mean()))


def check_axes(source: Image, target: Image) -> None:
    for side, image in (("source", source), ("target", target)):
        if image.axes not in ("YX", "ZYX"):
            msg = (
                f"The {side} {image.name} has the axes {image.axes}; registration takes planes "
                "(YX) or stacks (ZYX). Choose one channel and one time point."
            )
            raise ValueError(msg)
    depths = {image.sizes["Z"] for image in (source, target) if "Z" in image.axes}
    if len(depths) > 1:
        msg = f"{source.name} and {target.name} have different numbers of planes: {sorted(depths)}."
        raise ValueError(msg)
