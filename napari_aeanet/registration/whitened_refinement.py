"""Frequency weights for the last step of sub-pixel refinement.

The maximum-likelihood estimate of a shift between two noisy images weights their cross-spectrum by

    W = S12 / (S11 S22 - S12²)

with S11 and S22 their power spectra and S12 their cross-spectrum (Hannan and Thomson, 1973). The
three are averages over rings of equal frequency, measured on the images themselves, which must
therefore be aligned to within a pixel beforehand. Both images are then filtered with √W.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

RINGS = 48
#: Rings over which the spectra are smoothed (standard deviation).
SMOOTHING = 1.5
#: Invalid margin of the filtered planes, in pixels.
MARGIN = 2
#: Reflection padding during filtering, in pixels.
PADDING = 24
#: Share of the overlap, from its border, that the window of the spectra tapers.
TAPER = 0.25


def weights(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> np.ndarray | None:
    """Return W for each ring, at most 1, of two aligned planes and the mask of their overlap.

    None if the two are uncorrelated.
    """
    window = _window(inside)
    spectra = [np.fft.rfft2((p - np.average(p, weights=window)) * window) for p in (first, second)]
    ring = np.minimum((_frequencies(window.shape) * 2 * RINGS).astype(int), RINGS).ravel()
    count = np.bincount(ring, minlength=RINGS + 1)[:RINGS].clip(1)

    def per_ring(power: np.ndarray) -> np.ndarray:
        mean = np.bincount(ring, power.ravel(), minlength=RINGS + 1)[:RINGS] / count
        return ndimage.gaussian_filter1d(mean, SMOOTHING, mode="nearest")

    s11, s22 = (per_ring(np.abs(spectrum) ** 2) for spectrum in spectra)
    s12 = np.maximum(per_ring((spectra[0] * spectra[1].conj()).real), 0)
    found = s12 / np.maximum(s11 * s22 - s12**2, 1e-9 * s11 * s22 + np.finfo(float).tiny)
    return found / found.max() if found.max() > 0 else None


def weighted(plane: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Filter the plane with √W."""
    wide = np.pad(plane, PADDING, mode="reflect")
    middles = (np.arange(RINGS) + 0.5) / (2 * RINGS)
    gain = np.interp(_frequencies(wide.shape), middles, np.sqrt(weight), right=0.0)
    filtered = np.fft.irfft2(np.fft.rfft2(wide) * gain, wide.shape)
    return filtered[PADDING:-PADDING, PADDING:-PADDING].astype(np.float32)


def _window(inside: np.ndarray) -> np.ndarray:
    """Return a window: 1 in the middle of the overlap, falling smoothly to 0 at its border."""
    framed = np.pad(inside.astype(np.uint8), 1)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    share = np.clip(depth / (2 * TAPER * depth.max()), 0, 1)
    return np.sin(np.pi / 2 * share) ** 2


def _frequencies(shape: tuple[int, ...]) -> np.ndarray:
    """Return the frequencies of `rfft2` in cycles per pixel."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
