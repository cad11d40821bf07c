"""Figures of one image against its truth, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from napari_aeanet.core import metrics
from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import SPATIAL_AXES, Image, Region
from napari_aeanet.io import ImageSource, as_image

# Between these, squares and their sums are far from the ends of a number's range.
SMALLEST, LARGEST = 1e-30, 1e30


class Matching(StrEnum):
    """Matching of intensities before images are compared."""

    AFFINE = "gain and offset"  # the best of both for every image
    NONE = "as they are"  # clipped to the truth's number type, as in the EM tables of the papers
    CARE = "CARE"  # truth normalised by percentiles, both mean-free, the image scaled


@dataclass(frozen=True)
class Metric:
    """Title, unit and meaning of a figure."""

    title: str
    unit: str
    digits: int
    higher_is_better: bool
    meaning: str


METRICS = {
    "psnr": Metric("PSNR", "dB", 2, True, "3 dB more is half the squared error"),
    "ssim": Metric("SSIM", "", 3, True, "structural similarity, 1 is perfect; window of 7 pixels"),
    "nrmse": Metric("NRMSE", "", 4, False, "root mean squared error over the data range"),
    "pearson": Metric("Pearson r", "", 4, True, "correlation of intensities, 1 is perfect"),
    "error": Metric("IE", "", 2, False, "mean absolute error on the scale of 8 bits"),
    "foreground": Metric("PSNR bright", "dB", 2, True, "PSNR above Otsu's threshold of the truth"),
    "background": Metric("PSNR dark", "dB", 2, True, "PSNR below Otsu's threshold of the truth"),
    "resolution": Metric("FRC", "px", 2, False, "finest period that correlates in image and truth"),
}


@dataclass(frozen=True)
class Scores:
    """Figures of an image, one for each name in `METRICS`; NaN where there is none.

    `resolution` is in pixels, for planes only.
    """

    psnr: float
    ssim: float
    nrmse: float
    pearson: float
    error: float
    foreground: float
    background: float
    resolution: float

    def of(self, name: str) -> float:
        return float(getattr(self, name))


def score(
    image: ImageSource,
    truth: ImageSource,
    matching: Matching = Matching.AFFINE,
    regions: Sequence[Region] = (),
    data_range: float = 0.0,
) -> Scores:
    """Return the figures of `image`, as means over `regions` of the spatial axes (() for all).

    Channels and time points are scored one by one and averaged.

    Parameters
    ----------
    data_range
        Data range of PSNR, SSIM, NRMSE and IE; 0: as `range_of` finds it.

    Raises
    ------
    ValueError
        If the images differ in size, or a region holds NaN, or numbers that are out of range.
    """
    check_type("matching", matching, Matching)
    image, truth = as_image(image, "image"), as_image(truth, "truth")
    if image.shape != truth.shape or image.axes != truth.axes:
        msg = (
            f"{image.name} ({_sizes(image)}) and its truth {truth.name} ({_sizes(truth)}) differ "
            "in size. Register them, or resample one to the grid of the other."
        )
        raise ValueError(msg)
    width = range_of(truth, data_range)
    found = [
        _score(x, y, matching, width)
        for region in regions or (tuple(slice(None) for _ in truth.spatial_axes),)
        for x, y in _parts(image, truth, region)
    ]
    means = {f.name: _mean([one.of(f.name) for one in found]) for f in fields(Scores)}
    return Scores(**means)


def range_of(truth: Image, chosen: float = 0.0) -> float:
    """Return the data range: as chosen, 255 for 8 bits, as the file states, or by percentiles.

    The range that a file states is that of the detector: 4095 for 12 bits in a 16-bit file.
    Without one it runs from the 0.1st to the 99.9th percentile of the truth.
    """
    if chosen:
        return chosen
    if truth.dtype == np.uint8:
        return 255.0
    if stated := _stated_range(truth):
        return stated.high - stated.low
    values = truth.read()
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        raise ValueError(f"{_file(truth)} holds no finite number: leave this image out.")
    low, high = np.percentile(values, metrics.CARE_PERCENTILES)
    return float(high - low) or 1.0


def range_in_words(truth: Image, chosen: float = 0.0) -> str:
    """Return the data range with its reason, in words."""
    if chosen:
        return f"{chosen:g} (as chosen)"
    if truth.dtype == np.uint8:
        return "255 (8 bit)"
    if stated := _stated_range(truth):
        return f"{stated.high - stated.low:g} (as the files state: {stated.stated_by})"
    return "from the 0.1st to the 99.9th percentile of each truth"


def _stated_range(truth: Image) -> DeclaredRange | None:
    stated = truth.intensity_range
    return None if stated is None or stated.is_display else stated


def matched(
    image: np.ndarray, truth: np.ndarray, matching: Matching
) -> tuple[np.ndarray, np.ndarray]:
    """Return image and truth after matching, in float64."""
    if matching is Matching.CARE:
        return metrics.care_matched(image, truth)
    if matching is Matching.AFFINE:
        return metrics.affine_matched(image, truth), truth.astype(np.float64)
    if truth.dtype.kind == "u":  # as when saved in this type
        image = np.clip(image, 0, np.iinfo(truth.dtype).max)
    return image.astype(np.float64), truth.astype(np.float64)


def _score(image: np.ndarray, truth: np.ndarray, matching: Matching, width: float) -> Scores:
    image, truth = matched(image, truth, matching)
    width = 1.0 if matching is Matching.CARE else width
    grounds = metrics.psnr_by_ground(truth, image, width)
    plane = truth.ndim == 2 and min(truth.shape) >= metrics.SSIM_WINDOW
    return Scores(
        psnr=min(metrics.psnr(truth, image, width), metrics.HIGHEST_PSNR),
        ssim=_mean([metrics.ssim(y, x, width) for x, y in _windowed(image, truth)]),
        nrmse=metrics.nrmse(truth, image, width),
        pearson=metrics.pearson(truth, image),
        error=metrics.interpolation_error(truth, image, width),
        foreground=min(grounds.foreground, metrics.HIGHEST_PSNR),
        background=min(grounds.background, metrics.HIGHEST_PSNR),
        resolution=metrics.ring_correlation(truth, image).resolution if plane else float("nan"),
    )


def _parts(image: Image, truth: Image, region: Region) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a region of every time point and channel."""
    looped = truth.axes.rstrip(SPATIAL_AXES)
    for index in np.ndindex(*truth.shape[: len(looped)]):
        where = (*(slice(i, i + 1) for i in index), *region)
        x, y = (one.read(where)[(0,) * len(looped)] for one in (image, truth))
        _check_numbers(x, image)
        _check_numbers(y, truth)
        yield x, y


def _check_numbers(values: np.ndarray, image: Image) -> None:
    """Refuse pixels without a number, and those whose squares no number holds."""
    if values.dtype.kind != "f":
        return
    if not np.isfinite(values).all():
        msg = (
            f"{_file(image)} has missing pixels (NaN or inf) in the compared region: fill them, or "
            "leave this image out."
        )
        raise ValueError(msg)
    largest = float(np.abs(values).max(initial=0))
    if largest and not SMALLEST <= largest <= LARGEST:
        msg = (
            f"{_file(image)} holds numbers of about {largest:.0e}, which cannot be compared: "
            "rescale the image and save it again."
        )
        raise ValueError(msg)


def _file(image: Image) -> str:
    return str(image.source or image.name)


def _windowed(image: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the images, plane by plane where a stack is too flat for the window of SSIM."""
    if min(truth.shape) >= metrics.SSIM_WINDOW:
        return [(image, truth)]
    if truth.ndim == 3 and min(truth.shape[1:]) >= metrics.SSIM_WINDOW:
        return list(zip(image, truth, strict=True))
    return []


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _sizes(image: Image) -> str:
    return " × ".join(map(str, image.shape))
