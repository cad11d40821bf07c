"""Does a restored image contradict its input? A test of what was removed, with p-values per region.

The restored image R is brought to the grid and the sharpness of the input I: averaged where its
grid is finer, blurred by the width that fits best, matched in gain and offset. The residual,

    residual = I - (gain · blur(R) + offset),

should be the removed noise, and noise has no structure larger than a pixel or two. So the
residual is divided by the noise, smoothed, and its energy measured in a region around every pixel:

    energy = mean over a region of (smooth(residual / noise))²

Noise alone gives a gamma distribution of energies. The noise of detectors is correlated, so the two
parameters are taken from the image itself, from the lower half of the energies of its regions: a
region is compared with the quieter half of the image. The p-value is the probability of more energy
by noise alone, and the map is

    contradiction = -log10 p

A fault that is the same everywhere in an image is not seen. The noise is measured in the residual
by its finest differences, which structure hardly touches, in dependence on the brightness.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, uniform_filter
from scipy.stats import gamma

from napari_aeanet.core.resampling import resampled, resampled_shape
from napari_aeanet.core.tiles import whole

# Widths of blur to be tried, in pixels of the input.
BLURS = (0.0, 0.5, 0.8, 1.1, 1.5, 2.0, 2.7)
# The residual is smoothed by this, and its square averaged over regions of this edge.
SMOOTHING, REGION = 1.2, 15
# Fewest regions side by side from which their distribution is known, and quantiles that give it.
FEWEST_REGIONS, LOW, MIDDLE = 30, 0.1, 0.5
# Shapes of gamma distributions that are tried: few to many independent values in a region.
SHAPES = np.geomspace(0.5, 500, 200)
# Brightness classes in which the noise is measured, and fewest pixels of one.
CLASSES, FEWEST = 12, 400
# Differences of differences (Immerkær): zero for any smooth patch, noise times 6.
FINEST = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# From the median of absolute values of a normal distribution to its standard deviation.
MAD = 1.4826


def contradiction(image: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Return -log10 of the p-value around every pixel of two planes (y, x), on `image`'s grid."""
    image = image.astype(np.float32)
    explained = fitted_to(restored.astype(np.float32), image)
    residual = image - explained
    smoothed = gaussian_filter(residual / noise_of(residual, explained), SMOOTHING)
    energy = uniform_filter(np.square(smoothed), REGION)
    rim = REGION // 2
    if min(energy.shape) > 2 * rim:  # regions lie within the image
        energy = np.pad(energy[rim:-rim, rim:-rim], rim, mode="edge")
    return minus_log_p(energy)


def minus_log_p(energy: np.ndarray) -> np.ndarray:
    """Return -log10 of the probability of more energy, by the lower half of all energies.

    The ratio of a low quantile to the median gives the shape of the gamma distribution, the median
    its scale. With too few regions nothing is said: 0.
    """
    if energy.size < FEWEST_REGIONS * REGION**2:
        return np.zeros(energy.shape, np.float32)
    low, middle = np.quantile(energy, (LOW, MIDDLE))
    if middle <= 0:
        return np.zeros(energy.shape, np.float32)
    ratios = gamma.ppf(LOW, SHAPES) / gamma.ppf(MIDDLE, SHAPES)
    shape = float(np.interp(low / middle, ratios, SHAPES))
    scale = middle / gamma.ppf(MIDDLE, shape)
    return (-gamma.logsf(energy / scale, shape) / np.log(10)).astype(np.float32)


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
