"""Consistency of a restored image with its input: numbers only, no torch.

The restored image R is transformed to the grid and the sharpness of the input I: averaged
where its grid is finer, blurred by the width that fits best, matched in gain and offset. The
residual,

    residual = I - (gain · blur(R) + offset),

should be the removed noise, and noise has no structure larger than a pixel or two. So the
residual is smoothed, divided by the deviation that smoothing leaves of the noise, and averaged:

    consistency = √ mean over a window of (smoothed residual / expected)²

About 1: only noise was removed. Well above 1: something was added or removed that the noise does
not explain. The noise is measured in the residual itself, by its finest differences, which
structure hardly touches, in dependence on the brightness.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, uniform_filter

from napari_aeanet.core.resampling import resampled, resampled_shape
from napari_aeanet.core.tiles import whole

# Widths of blur to be tried, in pixels of the input.
BLURS = (0.0, 0.5, 0.8, 1.1, 1.5, 2.0, 2.7)
# The residual is smoothed by this, and its square averaged over this window.
SMOOTHING, WINDOW = 1.2, 9
# Brightness classes in which the noise is measured, and fewest pixels of one.
CLASSES, FEWEST = 12, 400
# Differences of differences (Immerkær): zero for any smooth patch, noise times 6.
FINEST = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# From the median of absolute values of a normal distribution to its standard deviation.
MAD = 1.4826


def consistency(image: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Return the consistency of two planes (y, x) over the same field, on the grid of `image`."""
    image = image.astype(np.float32)
    explained = fitted_to(restored.astype(np.float32), image)
    residual = image - explained
    noise = noise_of(residual, explained)
    smoothed = gaussian_filter(residual, SMOOTHING)
    ratio = smoothed / (noise * _left_by_smoothing())
    return np.sqrt(uniform_filter(np.square(ratio), WINDOW))


def fitted_to(restored: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the restored plane with grid, blur, gain and offset fitted to the input."""
    factors = [n / m for n, m in zip(image.shape, restored.shape, strict=True)]
    if restored.shape != image.shape:
        everything = whole(resampled_shape(restored.shape, factors))
        restored = resampled(restored.__getitem__, restored.shape, factors, everything)
    best, least = restored, np.inf
    for blur in BLURS:
        candidate = _matched(gaussian_filter(restored, blur) if blur else restored, image)
        error = float(np.mean(np.square(image - candidate)))
        if error < least:
            best, least = candidate, error
    return best


def noise_of(residual: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the noise at every pixel, a function of the brightness."""
    finest = np.abs(convolve(residual, FINEST / 6))
    count = int(np.clip(residual.size // FEWEST, 1, CLASSES))
    edges = np.quantile(brightness, np.linspace(0, 1, count + 1))
    which = np.clip(np.searchsorted(edges, brightness, side="right") - 1, 0, count - 1)
    levels, spreads = [], []
    for number in range(count):
        inside = which == number
        if inside.any():
            levels.append(float(np.median(brightness[inside])))
            spreads.append(MAD * float(np.median(finest[inside])))
    spread = np.interp(brightness, levels, spreads)
    # Digitising alone leaves this much; it also keeps the ratio finite where there is no noise.
    least = 1 / np.sqrt(12) if np.ptp(residual) > 1 else 1e-6
    return np.maximum(spread, max(least, 1e-3 * float(np.mean(spread)))).astype(np.float32)


def _matched(explained: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return gain · explained + offset, by least squares."""
    mean, target = explained.mean(), image.mean()
    variance = float(np.mean(np.square(explained - mean)))
    gain = float(np.mean((explained - mean) * (image - target))) / variance if variance else 0.0
    return gain * (explained - mean) + target


def _left_by_smoothing() -> float:
    """Return the factor of smoothing on the standard deviation of white noise."""
    spot = np.zeros((15, 15), np.float32)
    spot[7, 7] = 1
    return float(np.sqrt(np.square(gaussian_filter(spot, SMOOTHING)).sum()))
