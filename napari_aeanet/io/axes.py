"""Conversion of the arrays of a file into images: order of axes, stacks, grey stored as colour.

Every reader returns `Stored` arrays with the axes letters of its file; their interpretation is
the same for all formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import AXES, SPATIAL_AXES, Channel, Image, blocks
from napari_aeanet.core.words import listed
from napari_aeanet.io.lazy import arranged, same_values

SAMPLES = "S"
StackAxis = Literal["Z", "T", "C"]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Pixel size, origin (by axis letter), channels, time interval (s), interpolated slices.

    Axes missing in `pixel_size` are uncalibrated. `single_axes` are axes of length 1 named by the
    file; other axes of length 1 are dropped.
    """

    pixel_size: Mapping[str, float] = field(default_factory=dict)
    unit: str | None = None
    origin: Mapping[str, float] = field(default_factory=dict)
    single_axes: str = ""
    channels: tuple[Channel, ...] = ()
    time_interval: float | None = None
    interpolated: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """An array with the axes of its file.

    Parameters
    ----------
    array
        Numpy, memory-mapped or zarr.
    axes
        One letter per dimension in the order of the file: those of `Image`, "S" for colour
        samples, any other ("I", "Q", ...) for separate images.
    colour
        True if the samples are colours (red, green, blue, perhaps alpha).
    intensity_range
        Full range of intensities by the metadata.
    """

    array: Any
    axes: str
    calibration: Calibration = Calibration()
    colour: bool = False
    notices: tuple[str, ...] = ()
    intensity_range: DeclaredRange | None = None


def images_from(
    stored: Stored, path: Path, name: str, stack_axis: StackAxis | None = None
) -> list[Image]:
    """Return the image of `stored`, or one per page of a stack of separate images."""
    array, axes, notices = stored.array, stored.axes, stored.notices
    calibration = stored.calibration
    if 0 in array.shape:
        msg = f"{path} holds no pixels (shape {tuple(array.shape)}): export it again."
        raise ValueError(msg)
    dtype = _number_type(np.dtype(array.dtype), path)
    dropped = {
        i: 0
        for i, letter in enumerate(axes)
        if array.shape[i] == 1 and letter not in calibration.single_axes + "YX"
    }
    if stored.colour:
        _check_grey(array, axes.index(SAMPLES), path)
        dropped[axes.index(SAMPLES)] = 0
        notices += ("Stored as colour with grey values only: read as grey.",)
    if calibration.interpolated:
        notices += (_made_slices(calibration.interpolated),)
    axes = _with_stack_axis(axes, dropped, stack_axis)
    order, letters = _image_order(axes, dropped, calibration.single_axes, path)
    images = []
    for fixed in _pages(axes, array.shape, dropped):
        spatial = [a for a in letters if a in SPATIAL_AXES]
        sizes = [calibration.pixel_size.get(a, math.nan) for a in spatial]
        images.append(
            Image(
                arranged(array, order, fixed, dtype, path),
                letters,
                pixel_size=tuple(s if math.isfinite(s) and s > 0 else None for s in sizes),
                unit=calibration.unit,
                origin=tuple(calibration.origin.get(a, 0.0) for a in spatial),
                name=name,
                source=path,
                notices=notices,
                intensity_range=stored.intensity_range,
                channels=calibration.channels,
                time_interval=calibration.time_interval,
                interpolated=calibration.interpolated,
            )
        )
    return images


def _made_slices(interpolated: Mapping[int, str]) -> str:
    """Return the notice that some slices were not recorded."""
    numbers = listed(sorted(interpolated))
    if len(interpolated) == 1:
        return f"Slice {numbers} was interpolated from its neighbours, not recorded."
    return f"Slices {numbers} were interpolated from their neighbours, not recorded."


def _number_type(dtype: np.dtype, path: Path) -> np.dtype:
    """Return the type of the image: `dtype` for real numbers, 8 bits for booleans."""
    if dtype.kind == "c":
        msg = (
            f"{path} holds complex numbers, which cannot be restored: "
            "save the magnitude (or the real part) as TIFF and open that."
        )
        raise ValueError(msg)
    if dtype.kind not in "buif":
        msg = f"{path} holds values of type {dtype}, not numbers: save it as a grey image."
        raise ValueError(msg)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def _check_grey(array: Any, axis: int, path: Path) -> None:
    """Raise a ValueError if colour samples differ or transparency hides pixels."""
    others = [i for i in range(len(array.shape)) if i != axis]
    samples = [arranged(array, others, {axis: i}, array.dtype) for i in range(array.shape[axis])]
    count = 3 if len(samples) >= 3 else 1  # red, green, blue; or grey and transparency
    if not all(same_values(samples[0], other) for other in samples[1:count]):
        msg = (
            f"{path} is a colour image (RGB), but restoration needs grey values: "
            "convert it to grey, or save its channels as separate images."
        )
        raise ValueError(msg)
    for alpha in samples[count:]:
        if len({v for r in blocks(alpha.shape) for v in (alpha[r].min(), alpha[r].max())}) > 1:
            msg = (
                f"{path} has a transparency channel that is not opaque everywhere: "
                "save it without transparency."
            )
            raise ValueError(msg)


def _with_stack_axis(axes: str, dropped: Mapping[int, int], stack_axis: StackAxis | None) -> str:
    """Name the only stack axis without a meaning `stack_axis`, if given."""
    unnamed = [i for i, a in enumerate(axes) if a not in AXES and i not in dropped]
    if stack_axis is None or len(unnamed) != 1 or stack_axis in axes:
        return axes
    return axes[: unnamed[0]] + stack_axis + axes[unnamed[0] + 1 :]


def _image_order(
    axes: str, dropped: Mapping[int, int], single_axes: str, path: Path
) -> tuple[list[int | None], str]:
    """Return positions (None for an added axis of length 1) and letters of the image's axes."""
    at = {a: i for i, a in enumerate(axes) if a in AXES and i not in dropped}
    if "Y" not in at or "X" not in at:
        msg = f"{path} has no image plane (its axes are '{axes}'): save it as a 2D image."
        raise ValueError(msg)
    letters = "".join(a for a in AXES if a in at or a in single_axes)
    return [at.get(a) for a in letters], letters


def _pages(
    axes: str, shape: Sequence[int], dropped: Mapping[int, int]
) -> Iterator[Mapping[int, int]]:
    """Yield the fixed positions of each page: dropped axes and axes of separate images."""
    stacked = [i for i, a in enumerate(axes) if a not in AXES and i not in dropped]
    for position in np.ndindex(*(shape[i] for i in stacked)):
        yield {**dropped, **dict(zip(stacked, position, strict=True))}
