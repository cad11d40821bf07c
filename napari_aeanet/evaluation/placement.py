"""Images on the grid of their truth: by the registration of a pair, or by their place in the world.

Places count where both images have a pixel size. The grid of an image is then, along each axis and
in pixels of the truth, begin + step · i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.image import SPATIAL_AXES, Image, Region
from napari_aeanet.core.metrics import SSIM_WINDOW
from napari_aeanet.core.units import METRES, convert
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import Registration, Verdict, resample, transforms
from napari_aeanet.restoration import TOLERANCE

# Drift over the whole image, and part of a pixel, below which two grids are one.
SAME_STEP, WHOLE_PIXEL = 0.1, 0.05
# Positions of images of one size differ by less than a pixel where programs count from the corner
# of a pixel instead of its centre.
SAME_PLACE = 1.0
# The enlargement of an image without position begins up to so many pixels before it.
BEFORE_ZERO = 4.0


def on_target_grid(restored: Image, pair: ImagePair) -> Image:
    """Return the restored source of a pair on the grid of its target, in decimal numbers.

    The restored image covers the field of the source; where the pair is registered, it is resampled
    by the registration, once.
    """
    registration = pair.registration
    if registration is None:
        if restored.shape == pair.target.shape:
            return restored
        return ImagePair(as_decimal(restored), pair.target, name=pair.name).on_target_grid()
    made = zip(restored.plane_shape, pair.source.plane_shape, strict=True)
    shrink = np.linalg.inv(transforms.enlargement([new / old for new, old in made]))

    def moved(one: Registration) -> Registration:
        return replace(one, matrix=one.matrix @ shrink, source_shape=restored.plane_shape)

    planes = registration.slices if "Z" in restored.axes else ()
    registration = replace(moved(registration), slices=tuple(map(moved, planes)))
    return resample(as_decimal(restored), registration, pair.target)


def as_decimal(image: Image) -> Image:
    """Return an image as 32-bit float, so that resampling does not round."""
    return image if image.dtype.kind == "f" else image.with_array(image.read().astype(np.float32))


@dataclass(frozen=True, eq=False)
class Place:
    """The place of an image on the grid of a truth, along the spatial axes.

    Parameters
    ----------
    box
        The part of the truth that the image covers.
    begin, step
        Position of the image's first pixel and distance of its pixels, in pixels of the truth.
    is_same
        True if image and truth have one grid.
    notice
        Remark for the user.
    """

    image: Image
    truth: Image
    box: Region
    begin: tuple[float, ...]
    step: tuple[float, ...]
    is_same: bool = False
    notice: str = ""

    def on_grid(self) -> Image:
        """Return the image on the truth's grid, NaN where it does not reach."""
        if self.is_same:
            return self.image
        notices = (*self.image.notices, *([self.notice] if self.notice else []))
        if not _is_whole(self.begin, self.step, self.image):
            return replace(self._resampled(), notices=notices)
        looped = (slice(None),) * (self.image.array.ndim - len(self.box))
        shifts = [round(b) for b in self.begin]
        inside = [slice(s.start - b, s.stop - b) for s, b in zip(self.box, shifts, strict=True)]
        values = self.image.read((*looped, *inside))
        if values.shape != self.truth.shape:
            whole = np.full(self.truth.shape, np.nan, np.float32)
            whole[(*looped, *self.box)] = values
            values = whole
        return self.truth.with_array(
            values, name=self.image.name, source=self.image.source, notices=notices
        )

    def _resampled(self) -> Image:
        (y0, x0), (y, x) = self.begin[-2:], self.step[-2:]
        registration = Registration(
            matrix=np.array([[y, 0, y0], [0, x, x0], [0, 0, 1]]),
            kind=transforms.TransformKind.AFFINE,
            source_shape=self.image.plane_shape,
            target_shape=self.truth.plane_shape,
            verdict=Verdict.GOOD,
            reason="by their places",
        )
        return resample(as_decimal(self.image), registration, self.truth)


def place_of(image: Image, truth: Image) -> Place:
    """Return the place of an image on the grid of its truth.

    Images of one size and without a place of their own have one grid. With pixel sizes, places
    count: images shifted by whole pixels are compared where both are, others are resampled.

    Raises
    ------
    ValueError
        If the images do not overlap, or nothing says how they lie on each other.
    """
    _check_axes(image, truth)
    begin, step = _grid(image, truth)
    whole = tuple(slice(0, truth.sizes[axis]) for axis in truth.spatial_axes)
    is_of_one_size = image.shape == truth.shape
    if is_of_one_size and _is_one_place(image, truth, begin, step):
        return Place(image, truth, whole, begin, step, is_same=True)
    if not is_of_one_size and not _has_a_place(image, truth):
        if not _is_one_field(image, truth, step):
            raise ValueError(_size_in_words(image, truth))
        begin = tuple((s - 1) / 2 for s in step)
    box = _covered(image, truth, begin, step)
    if any(s.stop - s.start < SSIM_WINDOW for s in box[-2:]) or box[0].stop <= box[0].start:
        raise ValueError(_distance_in_words(image, truth, begin, step))
    is_whole = _is_whole(begin, step, image)
    if not is_whole and not _is_whole(begin[:-2], step[:-2], image):
        msg = (
            f"The planes of {image.name} lie at other heights than those of its truth "
            f"{truth.name}: take stacks with the same planes."
        )
        raise ValueError(msg)
    notice = "" if box == whole else _part_in_words(image, truth, box)
    if not is_whole:
        notice = f"{_grid_in_words(image, truth)} {notice}".rstrip()
    return Place(image, truth, box, begin, step, notice=notice)


def _check_axes(image: Image, truth: Image) -> None:
    looped = truth.axes.rstrip(SPATIAL_AXES)
    if image.axes != truth.axes or any(image.sizes[a] != truth.sizes[a] for a in looped):
        msg = (
            f"{image.name} ({_size(image)}, axes {image.axes}) and its truth {truth.name} "
            f"({_size(truth)}, axes {truth.axes}) do not have the same axes: compare planes with "
            "planes and stacks with stacks of the same channels and time points."
        )
        raise ValueError(msg)


def _grid(image: Image, truth: Image) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return begin and step of the image's grid; (0, 1) along axes where they are unknown."""
    begins, steps = [], []
    for o, s, origin, size in zip(
        image.origin, image.pixel_size, truth.origin, truth.pixel_size, strict=True
    ):
        begin, step = 0.0, 1.0
        if image.unit in METRES and truth.unit in METRES:
            if s is not None and size is not None:
                begin = (convert(o, image.unit, truth.unit) - origin) / size
                step = convert(s, image.unit, truth.unit) / size
        elif not _is_known(image) and not _is_known(truth):
            begin = o - origin  # both in pixels
        begins.append(begin)
        steps.append(step)
    return tuple(begins), tuple(steps)


def _is_known(image: Image) -> bool:
    return image.is_calibrated and image.unit in METRES


def _has_a_place(image: Image, truth: Image) -> bool:
    """Return True if both have pixel sizes, and one of them a position other than none."""
    if not (_is_known(image) and _is_known(truth)):
        return False
    return any(
        o > 0 or o < -BEFORE_ZERO * (size or 1.0)
        for one in (image, truth)
        for o, size in zip(one.origin[-2:], one.pixel_size[-2:], strict=True)
    )


def _is_one_place(
    image: Image, truth: Image, begin: tuple[float, ...], step: tuple[float, ...]
) -> bool:
    """Return True if images of one size have one grid, as exactly as pixel sizes are known."""
    if any(abs(s - 1) > TOLERANCE for s in step):
        return False
    near = BEFORE_ZERO if not _has_a_place(image, truth) else SAME_PLACE
    return all(abs(b) < near for b in begin)


def _is_one_field(image: Image, truth: Image, step: tuple[float, ...]) -> bool:
    """Return True if images of known pixel sizes cover fields of one size."""
    if not (_is_known(image) and _is_known(truth)):
        return False
    sizes = zip(image.spatial_axes, step, strict=True)
    return all(abs(image.sizes[a] * s - truth.sizes[a]) < max(s, 1.0) for a, s in sizes) and any(
        s != 1 for s in step
    )


def _covered(
    image: Image, truth: Image, begin: tuple[float, ...], step: tuple[float, ...]
) -> Region:
    """Return the pixels of the truth whose centres the image covers."""
    box = []
    for axis, b, s in zip(truth.spatial_axes, begin, step, strict=True):
        first = max(0, int(np.ceil(b - s / 2 - 1e-6)))
        last = min(truth.sizes[axis] - 1, int(np.floor(b + (image.sizes[axis] - 0.5) * s + 1e-6)))
        box.append(slice(first, last + 1))
    return tuple(box)


def _is_whole(begin: tuple[float, ...], step: tuple[float, ...], image: Image) -> bool:
    """Return True if two grids agree up to a shift by whole pixels."""
    longest = max(image.shape[-len(step) :]) if step else 0
    steps = all(abs(s - 1) * longest < SAME_STEP for s in step)
    return steps and all(abs(b - round(b)) < WHOLE_PIXEL for b in begin)


def _size(image: Image) -> str:
    return " × ".join(map(str, image.shape))


def _size_in_words(image: Image, truth: Image) -> str:
    return (
        f"{image.name} has {_size(image)} pixels and its truth {truth.name} {_size(truth)}, and "
        "nothing says how they lie on each other: register them (napari-aeanet register, or "
        "AEANet: Pairs) and evaluate the registered pairs."
    )


def _distance_in_words(
    image: Image, truth: Image, begin: tuple[float, ...], step: tuple[float, ...]
) -> str:
    sizes = [
        (b + (image.sizes[a] * s - truth.sizes[a]) / 2, size or 1.0)
        for a, b, s, size in zip(truth.spatial_axes, begin, step, truth.pixel_size, strict=True)
    ]
    apart = math.hypot(*[pixels * size for pixels, size in sizes[-2:]])
    return (
        f"{image.name} and its truth {truth.name} lie {apart:.4g} {truth.unit or 'pixels'} apart "
        "and do not overlap: choose images of one field, or correct their positions; images of one "
        "field with wrong positions can be registered (napari-aeanet register, or AEANet: Pairs)."
    )


def _part_in_words(image: Image, truth: Image, box: Region) -> str:
    part = " × ".join(str(s.stop - s.start) for s in box)
    return (
        f"{image.name} covers {part} of {_size(truth)} pixels of its truth {truth.name}, by "
        "their positions: only these are compared."
    )


def _grid_in_words(image: Image, truth: Image) -> str:
    sizes = [f"{one.pixel_size[-1] or 1.0:.4g} {one.unit or 'pixels'}" for one in (image, truth)]
    return (
        f"{image.name} ({sizes[0]} a pixel) lies on another grid than its truth {truth.name} "
        f"({sizes[1]}): it was resampled by bicubic interpolation, which changes the figures."
    )
