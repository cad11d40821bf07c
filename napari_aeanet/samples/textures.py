"""Seeded random fields, the basis of every synthetic specimen.

All fields are float32 with expected mean 0 and standard deviation 1, of any number of dimensions.
Lengths are in pixels, one number for all axes or one per axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy import fft

Lengths = float | Sequence[float]


def streams(seed: int, index: int, count: int) -> list[np.random.Generator]:
    """Return `count` independent random generators for specimen `index` of a seed.

    One generator per purpose (scene, geometry, noise of each image ...): changing the noise does
    not change the scene, and specimen 3 does not depend on the number of specimens.
    """
    children = np.random.SeedSequence([seed, index]).spawn(count)
    return [np.random.default_rng(child) for child in children]


def smooth_field(shape: Sequence[int], length: Lengths, rng: np.random.Generator) -> np.ndarray:
    """Return white noise filtered by a Gaussian of standard deviation `length`."""
    return _field(shape, length, rng, lambda k: np.exp(-2 * (np.pi * k) ** 2), 0.7)


def band_field(
    shape: Sequence[int], wavelength: Lengths, rng: np.random.Generator, width: float = 0.25
) -> np.ndarray:
    """Return isotropic ripples of one `wavelength`, in a band of relative width `width`.

    The power spectrum is a ring, exp(-(k - 1)^2 / (2 width^2)) with k = wavelength * frequency.
    """
    return _field(
        shape, wavelength, rng, lambda k: np.exp(-(((k - 1) / (2 * width)) ** 2)), 1 + 5 * width
    )


def rough_field(
    shape: Sequence[int],
    longest: float,
    rng: np.random.Generator,
    shortest: float = 4.0,
    exponent: float = 1.3,
) -> np.ndarray:
    """Return a fractal field: amplitude ~ frequency^-exponent between two wavelengths."""
    return _field(shape, longest, rng, lambda k: (1 + k**2) ** (-exponent / 2), longest / shortest)


def _field(
    shape: Sequence[int],
    length: Lengths,
    rng: np.random.Generator,
    transfer: Callable[[np.ndarray], np.ndarray],
    cutoff: float,
) -> np.ndarray:
    """Return Gaussian noise with the amplitude spectrum `transfer(k)`, k = length * frequency.

    Only frequencies up to k = `cutoff` are drawn, and the inverse transform interpolates: long
    waves cost little.
    """
    lengths = np.broadcast_to(np.asarray(length, float), (len(shape),))
    grid = [fft.next_fast_len(int(n), real=True) for n in shape]
    limits = [
        min(n // 2, int(np.ceil(cutoff * n / s))) if np.isfinite(cutoff) else n // 2
        for n, s in zip(grid, lengths, strict=True)
    ]
    # Integer frequencies kept along each axis, in the order of an FFT; the last axis is halved.
    kept = [np.fft.ifftshift(np.arange(-m, m + 1)) for m in limits]
    kept[-1] = np.arange(limits[-1] + 1)
    waves = [f * s / n for f, s, n in zip(kept, lengths, grid, strict=True)]
    k = np.sqrt(sum(np.square(w, dtype=np.float32) for w in np.ix_(*waves)))
    size = k.shape
    spectrum = rng.standard_normal((*size, 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum *= transfer(k)
    spectrum[(0,) * len(size)] = 0  # no mean
    power = 2 * np.sum(np.square(np.abs(spectrum), dtype=np.float64))
    power -= np.sum(np.square(np.abs(spectrum[..., 0]), dtype=np.float64))
    spectrum *= np.float32(1 / np.sqrt(power))
    for axis, (n, m) in enumerate(zip(grid[:-1], limits[:-1], strict=True)):
        spectrum = fft.ifft(_padded(spectrum, axis, n, m), axis=axis, norm="forward", workers=-1)
        spectrum = spectrum[(slice(None),) * axis + (slice(shape[axis]),)]
    return fft.irfft(spectrum, n=grid[-1], norm="forward", workers=-1)[..., : shape[-1]]


def _padded(spectrum: np.ndarray, axis: int, size: int, limit: int) -> np.ndarray:
    """Insert zeros for the high frequencies between the positive and the negative ones."""
    positive, negative = np.split(spectrum, [limit + 1], axis=axis)
    between = list(spectrum.shape)
    between[axis] = size - spectrum.shape[axis]
    if between[axis] < 0:  # an even axis kept whole: +n/2 and -n/2 are one frequency
        return np.concatenate([positive, negative[(slice(None),) * axis + (slice(1, None),)]], axis)
    return np.concatenate([positive, np.zeros(between, spectrum.dtype), negative], axis)


def blurred(image: np.ndarray, deviation: float) -> np.ndarray:
    """Blur a float32 image by a Gaussian; OpenCV takes a fifth of the time of SciPy."""
    width = 2 * int(4 * deviation + 0.5) + 1
    if width == 1:
        return image
    size, border = (width, width), cv2.BORDER_REFLECT
    return cv2.GaussianBlur(image, size, deviation, borderType=border).astype(np.float32)


def local_mean(image: np.ndarray, width: int) -> np.ndarray:
    """Average a float32 image over squares of `width` pixels, twice: nearly isotropic."""
    for _ in range(2):
        image = cv2.blur(image, (width, width), borderType=cv2.BORDER_REFLECT)
    return image


def soft_step(value: np.ndarray, width: float) -> np.ndarray:
    """Return 0 for negative values and 1 for positive ones, with a transition of `width`."""
    return 0.5 * (1 + np.tanh(value / width))
