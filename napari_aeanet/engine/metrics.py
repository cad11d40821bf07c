"""How near an image is to the truth: PSNR and SSIM, as they are and after affine matching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

# The window and constants of the SSIM paper's uniform form, scikit-image's default.
SSIM_WINDOW = 7
SSIM_K1, SSIM_K2 = 0.01, 0.03
# A gain is told up to here: an image that equals the truth has no finite PSNR.
HIGHEST_PSNR = 100.0


@dataclass(frozen=True)
class Gain:
    """By how much a restored image is nearer to the truth than its input."""

    psnr: float  # dB
    ssim: float


def psnr(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: 10 · log10(data_range² / mean((image - truth)²)).

    Infinite where both are equal.
    """
    error = np.mean(np.square(np.subtract(image, truth, dtype=np.float64)))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(data_range**2 / error))


def ssim(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Mean structural similarity with a uniform 7-wide window along every axis.

    ssim = (2·μx·μy + C1)(2·σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),

    with sample (co)variances, averaged over the pixels whose window lies in the image. Equal to
    ``skimage.metrics.structural_similarity`` with its defaults.
    """
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
    x, y = image.astype(np.float64), truth.astype(np.float64)
    centred = x - x.mean()
    variance = np.mean(centred**2)
    slope = np.mean(centred * (y - y.mean())) / variance if variance > 0 else 0.0
    return slope * centred + y.mean()


def scale_matched(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both mean-free, the image scaled by cov/var: the form of the CARE evaluation.

    Returns the matched image and the mean-free truth.
    """
    mean = truth.mean(dtype=np.float64)
    return affine_matched(image, truth) - mean, truth.astype(np.float64) - mean


def gain(source: np.ndarray, restored: np.ndarray, truth: np.ndarray, data_range: float) -> Gain:
    """Gain of `restored` over `source`, both affine-matched to the truth."""
    before, after = affine_matched(source, truth), affine_matched(restored, truth)
    return Gain(
        psnr=_told(psnr(truth, after, data_range)) - _told(psnr(truth, before, data_range)),
        ssim=ssim(truth, after, data_range) - ssim(truth, before, data_range),
    )


def _told(decibels: float) -> float:
    return min(decibels, HIGHEST_PSNR)


def _window_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the window of every pixel whose window lies inside."""
    inside = slice(SSIM_WINDOW // 2, -(SSIM_WINDOW // 2))
    return uniform_filter(values, SSIM_WINDOW)[(inside,) * values.ndim]
