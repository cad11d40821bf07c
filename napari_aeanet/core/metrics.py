"""How near an image is to the truth: PSNR, SSIM and the like, as they are or after matching.

All are computed in float64, from images of one shape: unequal shapes are an error, never a crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

# The window and constants of the SSIM paper's uniform form, scikit-image's default.
SSIM_WINDOW = 7
SSIM_K1, SSIM_K2 = 0.01, 0.03
# A gain is told up to here: an image that equals the truth has no finite PSNR.
HIGHEST_PSNR = 100.0
# Interpolation errors are told on the scale of 8 bits.
EIGHT_BITS = 255.0
# The CARE evaluation brings these percentiles of the truth to 0 and 1.
CARE_PERCENTILES = (0.1, 99.9)
# Fourier rings correlate by more than this where there is signal, by the usual convention.
RESOLVED = 1 / 7


@dataclass(frozen=True)
class Gain:
    """By how much a restored image is nearer to the truth than its input."""

    psnr: float  # dB
    ssim: float


def psnr(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: 10 · log10(data_range² / mean((image - truth)²)).

    Infinite where both are equal.
    """
    return _decibels(mse(truth, image), data_range)


def mse(truth: np.ndarray, image: np.ndarray) -> float:
    """mean((image - truth)²)"""
    return float(np.mean(np.square(_error(truth, image))))


def nrmse(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """sqrt(mean((image - truth)²)) / data_range"""
    return float(np.sqrt(mse(truth, image)) / data_range)


def interpolation_error(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """255 · mean(|image - truth|) / data_range: the mean absolute error on the scale of 8 bits."""
    return float(EIGHT_BITS * np.mean(np.abs(_error(truth, image))) / data_range)


def pearson(truth: np.ndarray, image: np.ndarray) -> float:
    """cov(truth, image) / sqrt(var(truth) · var(image)); NaN where one of them is constant."""
    _check_shapes(truth, image)
    x, y = _centred(truth), _centred(image)
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / scale if scale > 0 else float("nan")


@dataclass(frozen=True)
class Grounds:
    """PSNR in dB of what is bright in the truth and of what is dark; NaN where there is none."""

    foreground: float
    background: float


def psnr_by_ground(truth: np.ndarray, image: np.ndarray, data_range: float) -> Grounds:
    """PSNR of the pixels above and not above Otsu's threshold of the truth."""
    from skimage.filters import threshold_otsu

    squares = np.square(_error(truth, image))
    if np.ptp(truth) == 0:
        return Grounds(float("nan"), _decibels(float(squares.mean()), data_range))
    # In one number type, so that the threshold does not depend on how the truth was stored.
    bright = truth > threshold_otsu(truth.astype(np.float64))
    return Grounds(
        _decibels(float(squares[bright].mean()), data_range),
        _decibels(float(squares[~bright].mean()), data_range),
    )


def ssim(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Mean structural similarity with a uniform 7-wide window along every axis.

    ssim = (2·μx·μy + C1)(2·σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),

    with sample (co)variances, averaged over the pixels whose window lies in the image. Equal to
    ``skimage.metrics.structural_similarity`` with its defaults.
    """
    _check_shapes(truth, image)
    if min(truth.shape) < SSIM_WINDOW:
        msg = f"SSIM needs at least {SSIM_WINDOW} pixels along every axis, got {truth.shape}."
        raise ValueError(msg)
    x, y = truth.astype(np.float64), image.astype(np.float64)
    pixels = SSIM_WINDOW**x.ndim
    unbiased = pixels / (pixels - 1)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = unbiased * (_window_mean(x * x) - mean_x * mean_x)
    var_y = unbiased * (_window_mean(y * y) - mean_y * mean_y)
    covariance = unbiased * (_window_mean(x * y) - mean_x * mean_y)
    c1, c2 = (SSIM_K1 * data_range) ** 2, (SSIM_K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(np.mean(above / below))


def affine_matched(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """a·image + b with the a and b that bring it nearest to the truth (least squares).

    So a gain or an offset of the intensities neither earns nor costs anything.
    """
    _check_shapes(truth, image)
    centred, target = _centred(image), truth.astype(np.float64)
    mean = target.mean()
    variance = np.mean(centred**2)
    slope = np.mean(centred * (target - mean)) / variance if variance > 0 else 0.0
    return slope * centred + mean


def scale_matched(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both mean-free, the image scaled by cov/var: the form of the CARE evaluation.

    Returns the matched image and the mean-free truth.
    """
    mean = truth.mean(dtype=np.float64)
    return affine_matched(image, truth) - mean, truth.astype(np.float64) - mean


def care_matched(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `scale_matched`, with the truth's 0.1st and 99.9th percentile brought to 0 and 1 first.

    PSNR, SSIM and NRMSE of the two have the data range 1.
    """
    low, high = np.percentile(truth, CARE_PERCENTILES)
    return scale_matched(image, (truth.astype(np.float64) - low) / ((high - low) or 1.0))


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """Correlation of two images, frequency by frequency.

    Parameters
    ----------
    frequency
        In cycles per pixel, from one ring to the next.
    correlation
        From -1 to 1; 1 where both images say the same.
    resolution
        In pixels: the period at which the correlation first falls below 1/7; 2 (the finest that
        pixels can show) where it never does.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    resolution: float


def ring_correlation(truth: np.ndarray, image: np.ndarray) -> RingCorrelation:
    """Fourier ring correlation of two planes.

    FRC(f) = Re Σ F(truth)·F(image)* / sqrt(Σ |F(truth)|² · Σ |F(image)|²), both sums over the ring
    of frequency f; rings are as wide as one frequency step of the shorter axis. Both images are
    mean-free and multiplied by a Hann window first, which keeps the borders out of it.
    """
    _check_shapes(truth, image)
    if truth.ndim != 2 or min(truth.shape) < SSIM_WINDOW:
        msg = (
            f"Fourier ring correlation is for planes of at least {SSIM_WINDOW} × {SSIM_WINDOW} "
            f"pixels, got {truth.shape}."
        )
        raise ValueError(msg)
    window = np.outer(*(np.hanning(n) for n in truth.shape))
    x, y = (np.fft.fft2(_centred(one) * window) for one in (truth, image))
    rows, columns = (np.fft.fftfreq(n) for n in truth.shape)
    step = 1 / min(truth.shape)
    ring = np.rint(np.hypot(rows[:, None], columns) / step).astype(int).ravel()
    count = min(truth.shape) // 2 + 1
    both, of_x, of_y = (
        np.bincount(ring, values.ravel(), minlength=count)[1:count]
        for values in ((x * y.conj()).real, np.abs(x) ** 2, np.abs(y) ** 2)
    )
    scale = np.sqrt(of_x * of_y)
    correlation = np.divide(both, scale, out=np.zeros_like(both), where=scale > 0)
    frequency = np.arange(1, count) * step
    return RingCorrelation(frequency, correlation, _resolution(frequency, correlation))


def _resolution(frequency: np.ndarray, correlation: np.ndarray) -> float:
    below = np.flatnonzero(correlation < RESOLVED)
    if not below.size:
        return 2.0
    first = int(below[0])
    if first == 0:
        return float(1 / frequency[0])
    # Between two rings the curve is taken to be straight.
    high, low = correlation[first - 1], correlation[first]
    share = (high - RESOLVED) / (high - low)
    return float(1 / (frequency[first - 1] + share * (frequency[first] - frequency[first - 1])))


def gain(source: np.ndarray, restored: np.ndarray, truth: np.ndarray, data_range: float) -> Gain:
    """Gain of `restored` over `source`, both affine-matched to the truth."""
    before, after = affine_matched(source, truth), affine_matched(restored, truth)
    return Gain(
        psnr=_told(psnr(truth, after, data_range)) - _told(psnr(truth, before, data_range)),
        ssim=ssim(truth, after, data_range) - ssim(truth, before, data_range),
    )


def _error(truth: np.ndarray, image: np.ndarray) -> np.ndarray:
    _check_shapes(truth, image)
    return np.subtract(image, truth, dtype=np.float64)


def _check_shapes(truth: np.ndarray, image: np.ndarray) -> None:
    if truth.shape != image.shape:
        sizes = " and ".join(" × ".join(map(str, one.shape)) for one in (image, truth))
        msg = (
            f"An image and its truth must have one size, got {sizes} pixels. Register them, or "
            "resample one to the grid of the other."
        )
        raise ValueError(msg)


def _centred(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return values - values.mean()


def _decibels(error: float, data_range: float) -> float:
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def _told(decibels: float) -> float:
    return min(decibels, HIGHEST_PSNR)


def _window_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the window of every pixel whose window lies inside."""
    inside = slice(SSIM_WINDOW // 2, -(SSIM_WINDOW // 2))
    return uniform_filter(values, SSIM_WINDOW)[(inside,) * values.ndim]
