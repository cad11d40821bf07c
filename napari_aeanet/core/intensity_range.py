"""The range of intensities that full-scale normalisation maps to 0 and 1.

A file's number type says little about it: 12-bit cameras write 16-bit files, and decimal numbers
run to 1, to 255 or to 4095. For each image the range is decided in this order:

1. the one that the user gives;
2. 8-bit files: 0 to 255;
3. the one that the metadata state (`DeclaredRange`), of the image or else of its series;
4. the one that the model was trained at, if the image has the same number type and fits into it,
   or if an image of a wider type fits into the 8 bits of the training;
5. the smallest usual range that holds all pixels: 8, 10, 12, 14, 16, ... bits, and for decimal
   numbers also 0 to 1 or, where the pixels fill less than a quarter of either, their own maximum.

All images of a series (one number type in a batch; all time points and channels of an image) have
one range, so that a dim image stays dim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from napari_aeanet.core.declared_range import FEWEST_BITS, DeclaredRange, bits_of
from napari_aeanet.core.image import Image

RangeChoice = Literal["auto", "full"] | tuple[float, float]

# Interpolation overshoots: pixels this share beyond a range still count as inside it.
OVERSHOOT = 0.05
# Decimal numbers that fill less of a usual range are scaled by their own maximum.
LEAST_FILL, LEAST_FILL_OF_ONE = 1 / 4, 1 / 16
# Bit depths that most instruments have; an image that fills this share of one has no other.
COMMON_BITS, CLEAR_FILL = (8, 12), 1 / 2
# An image that comes so close to the end of its range is saturated there, which proves the range.
SATURATED = 0.98
MOST_BITS_OF_FLOATS = 32


@dataclass(frozen=True)
class TrainedRange:
    """The range of intensities and the number type (by name) of the images of a training."""

    low: float
    high: float
    dtype: str


EIGHT_BIT = TrainedRange(0.0, 255.0, "uint8")


@dataclass(frozen=True)
class IntensityRange:
    """The range of an image, the reason for it, and True if it is a guess."""

    low: float
    high: float
    reason: str = ""
    is_ambiguous: bool = False

    def __str__(self) -> str:
        bits = bits_of(self.low, self.high)
        return f"{_plain(self.low)} to {_plain(self.high)}" + (f" ({bits} bit)" if bits else "")


@dataclass(frozen=True)
class Survey:
    """The extremes of images of one number type, and the range that their metadata state.

    `low` is above `high` if no pixel was looked at.
    """

    low: float = np.inf
    high: float = -np.inf
    declared: DeclaredRange | None = None
    images: int = 1

    def joined(self, other: Survey) -> Survey:
        """Return the survey of both series; files that contradict each other declare nothing."""
        found = [one.declared for one in (self, other) if one.declared is not None]
        agree = len({(one.low, one.high) for one in found}) == 1
        return Survey(
            min(self.low, other.low),
            max(self.high, other.high),
            found[0] if agree else None,
            self.images + other.images,
        )


@dataclass(frozen=True)
class ImageSeries:
    """Images that belong together: one `Survey` for each number type."""

    surveys: Mapping[str, Survey] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Iterable[Image]) -> ImageSeries:
        """Look at images one by one; 8-bit images and those with metadata are not read."""
        found: dict[str, Survey] = {}
        for image in images:
            survey, name = survey_of(image), image.dtype.name
            found[name] = found[name].joined(survey) if name in found else survey
        return cls(found)


def common_range(images: Iterable[Image]) -> ImageSeries:
    """Return the series that a batch of images forms, to be passed to the restoration of each."""
    return ImageSeries.of(images)


def is_certain(image: Image) -> bool:
    """Return True if the range of an image is known without a look at pixels of any image."""
    stated = image.intensity_range
    return image.dtype == np.uint8 or (stated is not None and not stated.is_display)


def survey_of(image: Image) -> Survey:
    """Return the survey of one image; pixels are read only where metadata do not decide."""
    if image.dtype == np.uint8:
        return Survey(0.0, 255.0)
    declared = image.intensity_range
    if is_certain(image) and type(image.array) is not np.ndarray:
        return Survey(declared=declared)
    low, high = _extremes_of_most(image)
    return Survey(
        low, high, declared if declared is not None and _agrees(declared, low, high) else None
    )


def channel_ranges(
    image: Image,
    choice: RangeChoice = "auto",
    trained: TrainedRange | None = None,
    series: ImageSeries | None = None,
) -> tuple[IntensityRange, ...]:
    """Return the range of every channel of an image (of one, if it has no channels).

    All are equal, except that channels of decimal numbers between 0 and 1 beside channels of
    larger ones (a probability beside intensities) have a range of their own.
    """
    count = image.sizes.get("C", 1)
    if isinstance(choice, tuple):
        return (IntensityRange(*choice, "as chosen"),) * count
    if image.dtype == np.uint8:
        return (IntensityRange(0.0, 255.0),) * count
    if choice == "full":
        return (_full(image),) * count
    survey = None if series is None else series.surveys.get(image.dtype.name)
    # Looked at already as part of its series, unless its own metadata are to be checked.
    own = survey_of(image) if survey is None or image.intensity_range is not None else Survey()
    shared = _decided(image.dtype, own, survey or own, trained)
    if image.dtype.kind != "f" or count == 1 or own.declared is not None or shared.high <= 1:
        return (shared,) * count
    surveys = [Survey(*extremes(channel)) for channel in channels_of(image)]
    return tuple(
        _decided(image.dtype, one, one, None) if _is_within_one(one) else shared for one in surveys
    )


def image_range(image: Image) -> IntensityRange:
    """Return the range of an image by itself."""
    return channel_ranges(image)[0]


def checked_choice(choice: object) -> RangeChoice:
    """Return a range by the user: "auto", "full" or two numbers in rising order.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    match choice:
        case "auto" | "full":
            return choice
        case [int() | float() as low, int() | float() as high] if -np.inf < low < high < np.inf:
            return float(low), float(high)
    msg = (
        'The intensity range is "auto", "full" or two numbers, the lower one first (such as '
        f"0 4095), got {choice!r}."
    )
    raise ValueError(msg)


def channels_of(image: Image) -> list[Image]:
    """Return every channel as an image; the image itself if it has no channels."""
    if "C" not in image.axes:
        return [image]
    axis = image.axes.index("C")
    before = (slice(None),) * axis
    return [
        image.with_array(image.array[(*before, slice(i, i + 1))]) for i in range(image.shape[axis])
    ]


def extremes(image: Image) -> tuple[float, float]:
    """Return the lowest and the highest finite pixel; (0, 0) if there is none."""
    low, high = np.inf, -np.inf
    for values in finite_blocks(image):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def finite_blocks(image: Image) -> Iterator[np.ndarray]:
    """Yield the finite pixels block by block, as 1D arrays that are not empty."""
    return (values for block in image.read_blocks() if (values := finite(block)).size)


def finite(values: np.ndarray) -> np.ndarray:
    """Return the finite values as a 1D array."""
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()


def _decided(
    dtype: np.dtype, own: Survey, survey: Survey, trained: TrainedRange | None
) -> IntensityRange:
    """Return the range by metadata, training or extremes; `survey` is that of the series."""
    stated = own.declared
    if stated is not None:
        return IntensityRange(stated.low, stated.high, f"as the file says ({stated.stated_by})")
    others = survey.declared
    if others is not None and _agrees(others, survey.low, survey.high):
        reason = f"as other images of the series say ({others.stated_by})"
        return IntensityRange(others.low, others.high, reason)
    low, high = (survey.low, survey.high) if survey.low <= survey.high else (own.low, own.high)
    if trained is not None and _fits_training(dtype, low, high, trained):
        is_ambiguous = dtype.name != trained.dtype and high < CLEAR_FILL * trained.high
        reason = "as in the training of the model"
        return IntensityRange(trained.low, trained.high, reason, is_ambiguous)
    used = _range_used(dtype, low, high)
    whose = "its pixels" if survey.images == 1 else f"the pixels of all {survey.images} images"
    how = "guessed from" if used.is_ambiguous else "the smallest usual one that holds"
    run = f"{_plain(low)} to {_plain(high)}"
    return replace(used, reason=f"{how} {whose} ({run})")


def _full(image: Image) -> IntensityRange:
    """Return all that the number type can hold; decimal numbers run to their extremes."""
    reason = "as chosen (full)"
    if image.dtype.kind != "f":
        limits = np.iinfo(image.dtype)
        return IntensityRange(float(limits.min), float(limits.max), reason)
    low, high = extremes(image)
    return IntensityRange(min(low, 0.0), high if high > min(low, 0.0) else low + 1.0, reason)


def _extremes_of_most(image: Image) -> tuple[float, float]:
    """Return the extremes without channels between 0 and 1 beside channels of larger numbers."""
    if image.dtype.kind != "f" or image.sizes.get("C", 1) == 1:
        return extremes(image)
    found = [Survey(*extremes(channel)) for channel in channels_of(image)]
    larger = [one for one in found if not _is_within_one(one)] or found
    return min(one.low for one in larger), max(one.high for one in larger)


def _agrees(declared: DeclaredRange, low: float, high: float) -> bool:
    """Return True if the extremes of the pixels agree with what the metadata state."""
    overshoot = 0.0 if declared.is_display else OVERSHOOT
    return _holds(declared.low, declared.high, low, high, overshoot)


def _is_within_one(survey: Survey) -> bool:
    return _holds(0.0, 1.0, survey.low, survey.high)


def _holds(
    first: float, last: float, low: float, high: float, overshoot: float = OVERSHOOT
) -> bool:
    """Return True if all of low to high lies between first and last, or a little beyond."""
    beyond = overshoot * (last - first)
    return first - beyond <= low and high <= last + beyond


def _fits_training(dtype: np.dtype, low: float, high: float, trained: TrainedRange) -> bool:
    if not _holds(trained.low, trained.high, low, high):
        return False
    is_float, top = dtype.kind == "f", trained.high
    if dtype.name == trained.dtype:
        # Numbers up to 1 are another scale than that of a training with larger ones.
        return not is_float or top <= 1 or high > 1 + OVERSHOOT
    is_eight_bit = trained.dtype == "uint8" and (trained.low, top) == (0, 255)
    return is_eight_bit and (not is_float or high > LEAST_FILL * top)


def _range_used(dtype: np.dtype, low: float, high: float) -> IntensityRange:
    """Return the smallest usual range that holds all values."""
    if dtype.kind == "f":
        return _range_of_floats(low, high)
    limits = np.iinfo(dtype)
    lowest = float(limits.min)
    if low >= -max(high, 0.0) / 2:  # unsigned, or a background was subtracted
        return _from(0.0, high, float(limits.max))
    if high <= 0 and low < lowest / 2:  # unsigned numbers, moved to begin at the lowest
        return _from(lowest, high, float(limits.max))
    for bits in _bits(8 * dtype.itemsize):
        half = 2.0 ** (bits - 1)
        if -half <= low and high <= half - 1:
            return IntensityRange(-half, half - 1, is_ambiguous=high - low < half)
    return IntensityRange(lowest, float(limits.max))


def _from(first: float, high: float, most: float) -> IntensityRange:
    """Return the smallest bit depth from `first` on that holds `high`, at most up to `most`."""
    for bits in _bits(64):
        width = 2.0**bits - 1
        if high <= first + width * (1 + OVERSHOOT):
            break
    if first + width >= most:
        return IntensityRange(first, most, is_ambiguous=high - first < (most - first) / 4)
    fill = (high - first) / width
    is_clear = fill >= SATURATED or (bits in COMMON_BITS and fill >= CLEAR_FILL)
    return IntensityRange(first, first + width, is_ambiguous=not is_clear)


def _range_of_floats(low: float, high: float) -> IntensityRange:
    if low < -max(high, 0.0) / 2:
        for half in (0.5, 1.0, *(2.0 ** (bits - 1) for bits in _bits(MOST_BITS_OF_FLOATS))):
            last = half if half <= 1 else half - 1
            if -half <= low and high <= last and high - low >= LEAST_FILL * 2 * half:
                return IntensityRange(-half, last)
        return IntensityRange(low, high if high > low else low + 1.0, is_ambiguous=True)
    if high <= 1 + OVERSHOOT:
        if high >= LEAST_FILL_OF_ONE:
            return IntensityRange(0.0, 1.0, is_ambiguous=high < LEAST_FILL)
    elif high <= 2.0**MOST_BITS_OF_FLOATS:
        found = _from(0.0, high, np.inf)
        if high >= LEAST_FILL * found.high:
            return found
    return IntensityRange(0.0, high or 1.0, is_ambiguous=True)


def _bits(most: int) -> range:
    """Return the usual bit depths: even ones."""
    return range(FEWEST_BITS, most + 1, 2)


def _plain(value: float) -> str:
    """Return a number without an exponent, and without zeros after the point."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
