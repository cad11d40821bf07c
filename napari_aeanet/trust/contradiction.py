"""Does a restored image contradict its input? A test of what was removed, with p-values per region.

The restored image R is brought to the grid and the sharpness of the input I: averaged where its
grid is finer, blurred by the width that fits best, and brought to the brightness of the input by
gain and offset and then by a rising curve, as two detectors differ. The residual,

    residual = I - curve(blur(R)),

should be the removed noise, and noise has no structure larger than a pixel or two. So the
residual is divided by the noise, smoothed, divided by the deviation that noise of this brightness
is left with, and its energy measured in a region around every pixel:

    energy = mean over a region of (smooth(residual / noise) / left)²

Noise alone gives a gamma distribution of energies. The noise of detectors is correlated, so the two
parameters are taken from the image itself, from the lower half of the energies of its regions: a
region is compared with the quieter half of the image. The p-value is the probability of more energy
by noise alone, and the map is

    contradiction = -log10 p

The noise is measured in the residual by its finest differences, which structure hardly touches. A
result follows the coarser noise in part, often more in bright places than in dark ones, so that
less is left of it than of white noise. How much is left is measured by brightness as well. Where
more is left than of white noise, and than in the lower quarter of the brightness classes, it counts
as structure.

A fault that is the same everywhere in an image, or in most places of one brightness, is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.ndimage import convolve, gaussian_filter, uniform_filter
from scipy.optimize import lsq_linear
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
# Brightness classes in which noise and curve are measured, and fewest pixels of one.
CLASSES, FEWEST = 24, 400
# Least and greatest slope of the curve of brightness: a steeper or flatter one is a contradiction.
SLOPES = (0.5, 2.0)
# Deviation of white noise after smoothing; share of the classes that tells that of other noise.
WHITE, QUARTER = 1 / (2 * np.sqrt(np.pi) * SMOOTHING), 0.25
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
    left = left_of(smoothed, gaussian_filter(explained, SMOOTHING))
    energy = uniform_filter(np.square(smoothed / left), REGION)
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
    """Return the restored plane with grid, blur and brightness fitted to the input."""
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
    return _through_curve(best, image)


def noise_of(residual: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the noise at every pixel, a function of the brightness."""
    classes = by_brightness(convolve(residual, FINEST / 6), brightness)
    spread = np.interp(brightness, classes.levels, classes.spreads)
    # Digitising alone leaves this much; it also keeps the ratio finite where there is no noise.
    least = 1 / np.sqrt(12) if np.ptp(residual) > 1 else 1e-6
    return np.maximum(spread, max(least, 1e-3 * float(np.mean(spread)))).astype(np.float32)


def left_of(smoothed: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Return the deviation at every pixel that the noise is left with, in units of its own."""
    classes = by_brightness(smoothed, brightness)
    most = max(WHITE, float(np.quantile(classes.spreads, QUARTER)))
    return np.interp(brightness, classes.levels, np.clip(classes.spreads, 1e-3, most))


@dataclass(frozen=True, eq=False)
class BrightnessClasses:
    """Values in classes of brightness.

    Parameters
    ----------
    levels
        Median brightness of each class, rising.
    medians, spreads
        Median and robust standard deviation of the values of each class.
    sizes
        Number of pixels of each class.
    """

    levels: np.ndarray
    medians: np.ndarray
    spreads: np.ndarray
    sizes: np.ndarray


def by_brightness(values: np.ndarray, brightness: np.ndarray) -> BrightnessClasses:
    """Return the values in classes of brightness, the finest at the dark and the bright end."""
    count = int(np.clip(np.pi / 2 * np.sqrt(brightness.size / FEWEST), 1, CLASSES))
    shares = np.square(np.sin(np.pi / 2 * np.linspace(0, 1, count + 1)))
    inner = np.unique(np.quantile(brightness, shares[1:-1]))
    which = np.searchsorted(inner, brightness, side="right")
    rows = []
    for number in np.unique(which):
        inside = which == number
        within = values[inside]
        median = np.median(within)
        spread = MAD * np.median(np.abs(within - median))
        rows.append((np.median(brightness[inside]), median, spread, len(within)))
    return BrightnessClasses(*np.array(rows, np.float64).T)


def _through_curve(explained: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the explained plane through the rising curve that leads to the input.

    Both are smoothed before, so that the median of a class is not that of skew noise.
    """
    brightness = gaussian_filter(explained, SMOOTHING)
    classes = by_brightness(gaussian_filter(image, SMOOTHING) - brightness, brightness)
    if len(classes.levels) == 1:
        return explained + np.float32(classes.medians[0])
    steps = np.diff(classes.levels)
    # The start of the correction and its slope from class to class, by least squares.
    count = len(classes.levels)
    terms = np.column_stack([np.ones(count), np.tril(np.ones((count, count - 1)), -1) * steps])
    weights = np.sqrt(classes.sizes)
    least, most = (np.full(count - 1, slope - 1) for slope in SLOPES)
    bounds = (np.append(-np.inf, least), np.append(np.inf, most))
    found = lsq_linear(terms * weights[:, None], classes.medians * weights, bounds).x
    curve = make_interp_spline(classes.levels, classes.levels + terms @ found, k=1)
    return curve(explained).astype(np.float32)


def _matched(explained: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return gain · explained + offset, by least squares."""
    mean, target = explained.mean(), image.mean()
    variance = float(np.mean(np.square(explained - mean)))
    gain = float(np.mean((explained - mean) * (image - target))) / variance if variance else 0.0
    return gain * (explained - mean) + target
