"""Image quality metrics against a ground truth: PSNR, SSIM and others, plain or after matching.

Computed in float64 from images of equal shape; unequal shapes are an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SSIM_WINDOW = 7
# Limit of the PSNR in a gain: that of an image equal to the truth is infinite.
HIGHEST_PSNR = 100.0
# Interpolation errors are given on the scale of 8 bits.
EIGHT_BITS = 255.0
# Percentiles of the truth mapped to 0 and 1 by the CARE evaluation.
CARE_PERCENTILES = (0.1, 99.9)
# Fourier ring correlation at the limit of resolution, by convention.
RESOLVED = 1 / 7


@dataclass(frozen=True)
class Gain:
    """Improvement of a restored image over its input."""

    psnr: float  # dB
    ssim: float


def psnr(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Return the PSNR in dB, 10 · log10(data_range² / mean((image - truth)²)).

    Infinite if both are equal.
    """
    return _decibels(mse(truth, image), data_range)


def mse(truth: np.ndarray, image: np.ndarray) -> float:
    """Return mean((image - truth)²)."""
    return float(np.mean(np.square(_error(truth, image))))


def nrmse(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Return sqrt(mean((image - truth)²)) / data_range."""
    return float(np.sqrt(mse(truth, image)) / data_range)


def interpolation_error(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Return 255 · mean(|image - truth|) / data_range, the mean absolute error in 8 bits."""
    return float(EIGHT_BITS * np.mean(np.abs(_error(truth, image))) / data_range)


def pearson(truth: np.ndarray, image: np.ndarray) -> float:
    """Return cov(truth, image) / sqrt(var(truth) · var(image)); NaN if one is constant."""
    _check_shapes(truth, image)
    x, y = _centred(truth), _centred(image)
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / scale if scale > 0 else float("nan")


@dataclass(frozen=True)
class Grounds:
    """PSNR in dB of the bright and of the dark pixels of the truth; NaN if there are none."""

    foreground: float
    background: float


def psnr_by_ground(truth: np.ndarray, image: np.ndarray, data_range: float) -> Grounds:
    """Return the PSNR of the pixels above and not above Otsu's threshold of the truth."""
    from skimage.filters import threshold_otsu

    squares = np.square(_error(truth, image))
    if np.ptp(truth) == 0:
        return Grounds(float("nan"), _decibels(float(squares.mean()), data_range))
    # In one type, so that the threshold does not depend on the type of the truth.
    bright = truth > threshold_otsu(truth.astype(np.float64))
    return Grounds(
        _decibels(float(squares[bright].mean()), data_range),
        _decibels(float(squares[~bright].mean()), data_range),
    )


def ssim(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Return the mean structural similarity with a uniform 7-wide window along every axis.

    ssim = (2·μx·μy + C1)(2·σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),

    with sample (co)variances, averaged over the pixels whose window lies in the image.
    """
    from skimage.metrics import structural_similarity

    _check_shapes(truth, image)
    if min(truth.shape) < SSIM_WINDOW:
        msg = f"SSIM needs at least {SSIM_WINDOW} pixels along every axis, got {truth.shape}."
        raise ValueError(msg)
    x, y = truth.astype(np.float64), image.astype(np.float64)
    return float(structural_similarity(x, y, win_size=SSIM_WINDOW, data_range=data_range))


def affine_matched(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a·image + b with the a and b of the least-squares fit to the truth.

    A gain or an offset of the intensities then has no effect on a metric.
    """
    _check_shapes(truth, image)
    centred, target = _centred(image), truth.astype(np.float64)
    mean = target.mean()
    variance = np.mean(centred**2)
    slope = np.mean(centred * (target - mean)) / variance if variance > 0 else 0.0
    return slope * centred + mean


def scale_matched(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image scaled by cov/var and the truth, both mean-free (CARE evaluation)."""
    mean = truth.mean(dtype=np.float64)
    return affine_matched(image, truth) - mean, truth.astype(np.float64) - mean


def care_matched(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Like `scale_matched`, with the 0.1st and 99.9th percentile of the truth mapped to 0 and 1.

    The data range for PSNR, SSIM and NRMSE of the two is 1.
    """
    low, high = np.percentile(truth, CARE_PERCENTILES)
    return scale_matched(image, (truth.astype(np.float64) - low) / ((high - low) or 1.0))


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """Correlation of two images by frequency.

    Parameters
    ----------
    frequency
        Of every ring, in cycles per pixel.
    correlation
        From -1 to 1; 1 where both images agree.
    resolution
        In pixels: the period at which the correlation first falls below 1/7, or 2 (the Nyquist
        limit) if it never does.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    resolution: float


def ring_correlation(truth: np.ndarray, image: np.ndarray) -> RingCorrelation:
    """Return the Fourier ring correlation of two planes.

    FRC(f) = Re Σ F(truth)·F(image)* / sqrt(Σ |F(truth)|² · Σ |F(image)|²), the sums over the ring
    of frequency f; rings are as wide as one frequency step of the shorter axis. Both images are
    made mean-free and multiplied by a Hann window, against effects of the borders.
    """
    _check_shapes(truth, image)
    if truth.ndim != 2 or min(truth.shape) < SSIM_WINDOW:
        msg = (
            f"Fourier ring correlation needs planes of at least {SSIM_WINDOW} × {SSIM_WINDOW} "
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
    # Linear interpolation between the two rings around the limit.
    rings = [below[0], max(below[0] - 1, 0)]
    return float(1 / np.interp(RESOLVED, correlation[rings], frequency[rings]))


def gain(source: np.ndarray, restored: np.ndarray, truth: np.ndarray, data_range: float) -> Gain:
    """Return the gain of `restored` over `source`, both affine-matched to the truth."""

    def limited_psnr(image: np.ndarray) -> float:
        return min(psnr(truth, image, data_range), HIGHEST_PSNR)

    before, after = affine_matched(source, truth), affine_matched(restored, truth)
    return Gain(
        psnr=limited_psnr(after) - limited_psnr(before),
        ssim=ssim(truth, after, data_range) - ssim(truth, before, data_range),
    )


def _error(truth: np.ndarray, image: np.ndarray) -> np.ndarray:
    _check_shapes(truth, image)
    return np.subtract(image, truth, dtype=np.float64)


def _check_shapes(truth: np.ndarray, image: np.ndarray) -> None:
    if truth.shape != image.shape:
        sizes = " and ".join(" × ".join(map(str, one.shape)) for one in (image, truth))
        msg = (
            f"An image and its truth must have one size, got {sizes} pixels: register them, or "
            "resample one to the grid of the other."
        )
        raise ValueError(msg)


def _centred(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return values - values.mean()


def _decibels(error: float, data_range: float) -> float:
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))
