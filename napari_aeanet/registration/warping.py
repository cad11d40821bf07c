"""Apply a registration: resample one image, exactly once, to the pixel grid of the other.

Output pixel p lies at the place q = M p of the image, M the matrix from the output grid to the
image, or at M (p + u(p)) where the displacement u follows local drift. It is the sum over image
pixels of w((y - q_y) / s) w((x - q_x) / s) · image(y, x) with the cubic kernel w, divided by the
sum of the weights. s is 1 where the output is finer than the image, and the ratio of the pixel
sizes where it is coarser, which prevents aliasing. Beyond the border the last pixel is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import overload

import numpy as np
from scipy import optimize

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Array, Image, Region, is_array
from napari_aeanet.core.number_types import in_type
from napari_aeanet.core.resampling import cubic
from napari_aeanet.core.units import convert
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.pixel_places import ToSource, ToTarget
from napari_aeanet.registration.result import Registration, Verdict

#: Output pixels computed at a time: few enough to stay in the processor's cache.
PIXELS_AT_ONCE = 2**17
NO_OVERLAP = "Source and target have no field in common: check their registration."


@overload
def resample(
    source: Array, registration: Registration, target: ImageSource, region: Region | None = ...
) -> np.ndarray: ...


@overload
def resample(
    source: Image | Path | str,
    registration: Registration,
    target: ImageSource,
    region: Region | None = ...,
) -> Image: ...


def resample(
    source: ImageSource,
    registration: Registration,
    target: ImageSource,
    region: Region | None = None,
) -> Image | np.ndarray:
    """Resample the source to the pixel grid of the target, in the intensity type of the source.

    Stacks are resampled plane by plane, with one transform or one each, as registered. The result
    has pixel size, unit and origin of the target in the plane.

    Parameters
    ----------
    source
        The registered image, or another one of the same height and width: an image, an array (the
        result is then one too) or a file.
    target
        The image registered to, or another one on the same grid.
    region
        Rows and columns of the target grid; all by default.
    """
    check_type("registration", registration, Registration)
    image, grid = as_image(source, "source"), as_image(target, "target")
    planes = _checked_planes(image, registration, grid, image)
    resampled = _onto(image, [ToSource(one) for one in planes], grid, region)
    return resampled.read() if is_array(source) else resampled


def resample_reverse(
    target: Image, registration: Registration, source: Image, region: Region | None = None
) -> Image:
    """Resample the target to the pixel grid of the source."""
    planes = _checked_planes(source, registration, target, target)
    return _onto(target, [ToTarget(one) for one in planes], source, region)


@overload
def crop_to_overlap(
    source: Array, registration: Registration, target: Array
) -> tuple[np.ndarray, np.ndarray]: ...


@overload
def crop_to_overlap(
    source: Image | Path | str, registration: Registration, target: ImageSource
) -> tuple[Image, Image]: ...


@overload
def crop_to_overlap(
    source: Array, registration: Registration, target: Image | Path | str
) -> tuple[Image, Image]: ...


def crop_to_overlap(
    source: ImageSource, registration: Registration, target: ImageSource
) -> tuple[Image, Image] | tuple[np.ndarray, np.ndarray]:
    """Return the source on the target grid, and the target, both cropped to their common field.

    Two arrays give two arrays; anything else gives images.
    """
    check_type("registration", registration, Registration)
    image, grid = as_image(source, "source"), as_image(target, "target")
    region = overlap_region(registration)
    moved = resample(image, registration, grid, region)
    leading = (slice(None),) * (len(grid.axes) - 2)
    cropped = _placed(grid, grid, grid.read((*leading, *region)), region)
    if is_array(source) and is_array(target):
        return moved.read(), cropped.read()
    return moved, cropped


def overlap_region(registration: Registration) -> Region:
    """Return the largest rectangle of the target grid that the source covers.

    A rectangle lies in a convex field a·p <= b if its corners do; its sides that maximise
    log(height) + log(width) under these linear conditions are found by sequential quadratic
    programming, and rounded inwards. A deformation moves each side of the field inwards by what
    it moves the source outwards along it.
    """
    height, width = registration.target_shape
    planes = registration.slices or (registration,)
    conditions = np.concatenate([_conditions(one) for one in planes])
    # Half planes a_y y + a_x x <= b, at the rectangle's worst corner: sides y0 y1 x0 x1.
    positive, negative = np.maximum(conditions, 0), np.minimum(conditions, 0)
    sides = np.column_stack([negative[:, 0], positive[:, 0], negative[:, 1], positive[:, 1]])
    limits = conditions[:, 2]
    inside = _sampled_field(planes[0].matrix, registration.source_shape, (height, width))
    if not len(inside):
        raise ValueError(NO_OVERLAP)
    square = np.array([-0.5, 0.5, -0.5, 0.5])  # y0, y1, x0, x1
    start = np.repeat(inside.mean(axis=0), 2) + square
    unit = max(height, width)
    best = optimize.minimize(
        lambda r: -np.log(max(r[1] - r[0], 1e-9)) - np.log(max(r[3] - r[2], 1e-9)),
        start / unit,
        bounds=np.array([[0, height - 1]] * 2 + [[0, width - 1]] * 2) / unit,
        constraints={"type": "ineq", "fun": lambda r: limits / unit - sides @ r},
        method="SLSQP",
    )
    y0, y1, x0, x1 = best.x * unit
    slack = 1e-3  # keeps whole pixels in spite of rounding errors
    rows = slice(int(np.ceil(y0 - slack)), int(np.floor(y1 + slack)) + 1)
    columns = slice(int(np.ceil(x0 - slack)), int(np.floor(x1 + slack)) + 1)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        raise ValueError(NO_OVERLAP)
    return rows, columns


def _conditions(registration: Registration) -> np.ndarray:
    """Return the half planes of the source field; of a deformed one, those that lie within it."""
    found = _half_planes(registration.matrix, registration.source_shape)
    deformation, shape = registration.deformation, registration.target_shape
    if deformation is None:
        return found
    rows, columns = (np.linspace(0, n - 1, 128) for n in shape)
    shift = np.stack(deformation.on_grid(rows, columns, shape), axis=-1).reshape(-1, 2)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    outwards, depth = shift @ found[:, :2].T, found[:, 2] - points @ found[:, :2].T
    # Pixels that are deeper in the field than any displacement is long stay inside.
    near = depth < np.linalg.norm(shift, axis=1).max() + max(shape) / 128
    found[:, 2] -= np.where(near, np.maximum(outwards, 0), 0).max(axis=0)
    return found


def _half_planes(matrix: np.ndarray, source_shape: tuple[int, int]) -> np.ndarray:
    """Return the source field in the target as rows (a_y, a_x, b): inside is a · p <= b."""
    edge = transforms.corners(source_shape) + 0.5 * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    outline = transforms.apply(matrix, edge)
    along = np.roll(outline, -1, axis=0) - outline
    normals = np.column_stack([along[:, 1], -along[:, 0]])
    limits = (normals * outline).sum(axis=1)
    outwards = np.sign(limits - normals @ outline.mean(axis=0))[:, None]
    rows = outwards * np.column_stack([normals, limits])
    return rows / np.linalg.norm(rows[:, :2], axis=1, keepdims=True)


def covered_share(
    matrix: np.ndarray, source_shape: tuple[int, int], target_shape: tuple[int, int]
) -> float:
    """Return the share of the target field that the source covers (from 128 x 128 samples)."""
    return len(_sampled_field(matrix, source_shape, target_shape)) / 128**2


def _sampled_field(
    matrix: np.ndarray, source_shape: tuple[int, int], target_shape: tuple[int, int]
) -> np.ndarray:
    """Return those of 128 x 128 points spread over the target that the source covers."""
    rows, columns = ((np.arange(128) + 0.5) / 128 * n - 0.5 for n in target_shape)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    at = transforms.apply(np.linalg.inv(matrix), points)
    inside = (at > -0.5).all(axis=1) & (at < np.array(source_shape) - 0.5).all(axis=1)
    return points[inside]


def _checked_planes(
    source: Image, registration: Registration, target: Image, moved: Image
) -> Sequence[Registration]:
    """Return one registration for all planes of `moved` (source or target), or one per plane."""
    if registration.verdict is Verdict.FAILED:
        msg = f"{moved.name} is not registered ({registration.reason}): it cannot be resampled."
        raise ValueError(msg)
    for side, image, (height, width) in (
        ("source", source, registration.source_shape),
        ("target", target, registration.target_shape),
    ):
        if image.shape[-2:] != (height, width):
            msg = (
                f"{image.name} has {image.shape[-2]} x {image.shape[-1]} pixels, but the "
                f"registration was made for a {side} of {height} x {width}."
            )
            raise ValueError(msg)
    if not registration.slices:
        return [registration]
    depth = moved.sizes.get("Z", 1)
    if depth != len(registration.slices):
        msg = (
            f"{moved.name} has {depth} planes, but its registration was made plane by plane for "
            f"{len(registration.slices)}."
        )
        raise ValueError(msg)
    return registration.slices


def _onto(
    image: Image,
    to_image: Sequence[ToSource | ToTarget],
    grid: Image,
    region: Region | None,
) -> Image:
    """Resample `image` to the plane grid of `grid`; `to_image` maps grid to image, per plane."""
    rows, columns = (
        range(n)[part]
        for n, part in zip(grid.shape[-2:], region or (slice(None),) * 2, strict=True)
    )
    leading = image.shape[:-2]
    values = np.empty((*leading, len(rows), len(columns)), image.dtype)
    z = image.axes.find("Z")
    for index in product(*map(range, leading)):
        one = to_image[index[z] if len(to_image) > 1 else 0]
        _warp_plane(image, index, one, (rows, columns), values[index])
    return _placed(
        image, grid, values, (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    )


def _warp_plane(
    image: Image,
    index: tuple[int, ...],
    to_image: ToSource | ToTarget,
    field: tuple[range, range],
    out: np.ndarray,
) -> None:
    """Fill `out` with `field` of the output grid, strip by strip, with little reading."""
    rows, columns = field
    stretch = max(1.0, transforms.scale_of(to_image.matrix))
    strip = max(1, PIXELS_AT_ONCE // max(1, len(columns)))
    for top in range(0, len(rows), strip):
        part = rows[top : top + strip]
        at = to_image.places(part, columns)
        values = _interpolate(image, index, at, stretch).reshape(len(part), len(columns))
        out[top : top + strip] = in_type(values, out.dtype)


def _interpolate(
    image: Image, index: tuple[int, ...], at: np.ndarray, stretch: float
) -> np.ndarray:
    """Interpolate one plane of the image at (n, 2) places, by the sum in the module's docstring."""
    shape = np.array(image.shape[-2:])
    radius = int(np.ceil(2 * stretch))
    first = np.floor(at).astype(np.int64) + 1 - radius
    low = np.clip(first.min(axis=0), 0, shape - 1)
    high = np.clip(first.max(axis=0) + 2 * radius, low + 1, shape)
    needed = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    pixels = image.read((*index, *needed)).astype(np.float64)
    taps = [first + t for t in range(2 * radius)]
    weights = np.stack([cubic((tap - at) / stretch) for tap in taps])  # (taps, n, 2)
    weights /= weights.sum(axis=0)
    places = [np.clip(tap, 0, shape - 1) - low for tap in taps]
    total = np.zeros(len(at))
    for ty, wy in zip(places, weights[..., 0], strict=True):
        row = np.zeros(len(at))
        for tx, wx in zip(places, weights[..., 1], strict=True):
            row += wx * pixels[ty[:, 0], tx[:, 1]]
        total += wy * row
    return total


def _placed(image: Image, grid: Image, values: np.ndarray, region: Region) -> Image:
    """Return `values` of `image` with origin and calibration of `region` of `grid` in the plane."""
    sizes, origin = grid.pixel_size[-2:], grid.origin[-2:]
    corner = [
        o + part.start * (1.0 if s is None else s)
        for o, s, part in zip(origin, sizes, region, strict=True)
    ]
    unit = grid.unit or (image.unit if all(s is None for s in sizes) else None)
    depth_size, depth_origin = list(image.pixel_size[:-2]), list(image.origin[:-2])
    if image.unit is not None and unit is not None:
        depth_size = [None if s is None else convert(s, image.unit, unit) for s in depth_size]
        depth_origin = [convert(o, image.unit, unit) for o in depth_origin]
    return image.with_array(
        values,
        pixel_size=(*depth_size, *sizes),
        origin=(*depth_origin, *corner),
        unit=unit,
    )
