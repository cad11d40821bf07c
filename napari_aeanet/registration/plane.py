"""Register one plane to another: search, collect the evidence, judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import convert
from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import BlockMatches
from napari_aeanet.registration.drift import FollowedDrift, follow_drift
from napari_aeanet.registration.features import InitialGuess, RegistrationMethod
from napari_aeanet.registration.preprocessing import Plane, read_plane, reduced
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.search import SearchResult, likely_scale, refine, search
from napari_aeanet.registration.settings import Deform, RegistrationSettings
from napari_aeanet.registration.tile_refinement import refine_on_tiles
from napari_aeanet.registration.transforms import POINTS_NEEDED
from napari_aeanet.registration.verdict import judge
from napari_aeanet.registration.warping import covered_share

#: Shortest side of an image with enough structure.
SMALLEST_IMAGE = 32


def register_from_landmarks(
    source_points: np.ndarray,
    target_points: np.ndarray,
    source: Image,
    target: Image,
    settings: RegistrationSettings | None = None,
) -> Registration:
    """Register from manually placed points, shape (n, 2) each, as (y, x) in pixels.

    The landmarks give the initial guess, which is refined on the images; where the images do not
    confirm the refined transform, the landmarks alone are kept and the verdict is doubtful.
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
        msg = f"The landmarks lie too close to one point or line to determine a {settings.kind}."
        raise ValueError(msg)
    z = max(image.sizes.get("Z", 1) for image in (source, target)) // 2
    planes = read_plane(source, z), read_plane(target, z)
    method = RegistrationMethod.LANDMARKS
    guess = InitialGuess(
        matrix=matrix, matches=matches, candidates=len(matches), method=method
    ).mapped(*(np.linalg.inv(plane.to_image) for plane in planes))
    for inverted in (False, True):
        start = replace(guess, inverted=inverted)
        found = refine(planes[0].values, planes[1].values, start, settings.kind)
        if found is not None and found.blocks.is_convincing:
            return _with_evidence(source, target, z, planes, found, settings)
    residual = _residual(matrix, matches)
    reason = (
        f"only your {len(matches)} landmarks support it (they fit to {residual:.1f} px); the "
        "images do not confirm it"
    )
    return replace(
        failed_registration(source, target, settings, reason),
        matrix=matrix,
        verdict=Verdict.DOUBTFUL,
        method=method,
        matches=matches,
        candidates=len(matches),
        residual=residual,
        coverage=covered_share(matrix, source.plane_shape, target.plane_shape),
    )


def expected_scale(source: Image, target: Image, settings: RegistrationSettings) -> float | None:
    """Return target pixels per source pixel from settings or pixel sizes; None if unknown."""
    if settings.magnification > 0:
        return settings.magnification
    sizes = [image.pixel_size[-1] for image in (source, target)]
    if sizes[0] is None or sizes[1] is None or source.unit is None or target.unit is None:
        return None
    return sizes[0] / convert(sizes[1], target.unit, source.unit)


def register_planes(
    source: Image, target: Image, z: int, settings: RegistrationSettings
) -> Registration:
    """Register one plane to another, plane `z` of stacks."""
    planes = read_plane(source, z), read_plane(target, z)
    if reason := _obstacle(source, target, planes):
        return failed_registration(source, target, settings, reason)
    expected = expected_scale(source, target, settings)
    # Planes of large images are reduced, each by its own factor.
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
    registration = _with_evidence(source, target, z, planes, found, settings)
    if source.shape == target.shape and np.array_equal(planes[0].values, planes[1].values):
        reason = "source and target are the same image, which is no use for training"
        return replace(registration, verdict=Verdict.DOUBTFUL, reason=reason)
    return registration


def _obstacle(source: Image, target: Image, planes: tuple[Plane, Plane]) -> str:
    """Return the reason why no method can register two planes; empty if there is none."""
    for side, image, plane in zip(("source", "target"), (source, target), planes, strict=True):
        if min(plane.values.shape) < SMALLEST_IMAGE:
            height, width = image.shape[-2:]
            return (
                f"the {side} has {height} x {width} pixels, too few to register: at least "
                f"{SMALLEST_IMAGE} along each side"
            )
        if np.ptp(plane.values) == 0:
            return f"the {side} has the same value everywhere: there is nothing to align"
    return ""


def _with_evidence(
    source: Image,
    target: Image,
    z: int,
    planes: tuple[Plane, Plane],
    found: SearchResult,
    settings: RegistrationSettings,
) -> Registration:
    """Return the registration of the images from the transform between their planes."""
    moving, fixed = planes
    guess = found.guess.mapped(moving.to_image, fixed.to_image)
    matrix, blocks = _at_full_resolution(source, target, z, planes, found, settings)
    shapes = source.plane_shape, target.plane_shape
    coverage = covered_share(matrix, (moving.rows, shapes[0][1]), shapes[1])
    followed = None
    if settings.deform is Deform.AUTO and found.blocks.is_convincing:
        followed = _followed(planes, matrix, guess.inverted, shapes[1], blocks.drift)
    verdict, reason = judge(
        found=found,
        matrix=matrix,
        matches=guess.matches,
        blocks=blocks,
        deformation=None if followed is None else followed.deformation,
        overlap_area=coverage * shapes[1][0] * shapes[1][1],
        expected_scale=expected_scale(source, target, settings),
        settings=settings,
    )
    failed = failed_registration(source, target, settings, reason)
    if verdict is Verdict.FAILED:
        return failed
    if followed is not None:
        failed = replace(
            failed, deformation=followed.deformation, remaining_vectors=followed.vectors
        )
    return replace(
        failed,
        matrix=matrix,
        verdict=verdict,
        method=guess.method,
        inverted=guess.inverted,
        matches=guess.matches,
        candidates=guess.candidates,
        residual=_residual(matrix, guess.matches),
        expected_error=(
            blocks.expected_corner_error(settings.kind, shapes[1])
            if followed is None
            else followed.expected_error
        ),
        correlation_before=found.correlation_before,
        correlation_after=found.correlation_after,
        coverage=coverage,
        drift=blocks.drift,
        drift_vectors=np.stack([blocks.points, blocks.displacements], axis=1),
    )


def _followed(
    planes: tuple[Plane, Plane],
    matrix: np.ndarray,
    inverted: bool,
    shape: tuple[int, int],
    drift: float,
) -> FollowedDrift | None:
    """Follow the drift that `matrix` leaves, on planes of about one pixel size."""
    moving, fixed = planes
    between = np.linalg.inv(fixed.to_image) @ matrix @ moving.to_image
    scale = transforms.scale_of(between / between[2, 2])
    source, up_source = reduced(moving.values, max(1.0, 1 / scale))
    target, up_target = reduced(fixed.values, max(1.0, scale))
    between = np.linalg.inv(up_target) @ between @ up_source
    source = -source if inverted else source
    return follow_drift((source, target), between, fixed.to_image @ up_target, shape, drift)


def _at_full_resolution(
    source: Image,
    target: Image,
    z: int,
    planes: tuple[Plane, Plane],
    found: SearchResult,
    settings: RegistrationSettings,
) -> tuple[np.ndarray, BlockMatches]:
    """Return the transform between the images; that of reduced planes is refined on tiles."""
    moving, fixed = planes
    matrix = fixed.to_image @ found.matrix @ np.linalg.inv(moving.to_image)
    matrix = matrix / matrix[2, 2]
    if (moving.is_reduced or fixed.is_reduced) and found.blocks.is_convincing:
        reduction = [transforms.scale_of(plane.to_image) for plane in planes]
        refined = refine_on_tiles(
            (source, target),
            z,
            (moving.rows, fixed.rows),
            matrix,
            kind=settings.kind,
            inverted=found.guess.inverted,
            reduction=max(reduction[1], reduction[0] * transforms.scale_of(matrix)),
        )
        if refined is not None:
            return refined
    return matrix, found.blocks.scaled(fixed.to_image)


def failed_registration(
    source: Image, target: Image, settings: RegistrationSettings, reason: str
) -> Registration:
    """Return the registration of a pair that failed: the nominal placement, and the reason."""
    shapes = source.plane_shape, target.plane_shape
    scale = expected_scale(source, target, settings) or likely_scale(*shapes) or 1.0
    return Registration(
        matrix=transforms.nominal(*shapes, scale),
        kind=settings.kind,
        source_shape=shapes[0],
        target_shape=shapes[1],
        verdict=Verdict.FAILED,
        reason=reason,
        target_pixel_size=target.pixel_size[-1],
        unit=target.unit,
    )


def _residual(matrix: np.ndarray, matches: np.ndarray) -> float | None:
    if not len(matches):
        return None
    distances = np.linalg.norm(transforms.apply(matrix, matches[:, 0]) - matches[:, 1], axis=1)
    return float(np.sqrt((distances**2).mean()))


def check_axes(source: Image, target: Image) -> None:
    """Raise ValueError if an image is neither plane nor stack, or two stacks differ in depth."""
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
