"""Camera model: photons to grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Offset, gain and noise of a camera.

    Parameters
    ----------
    offset
        Grey level in the dark.
    gain
        Grey levels per photon.
    read_noise
        Standard deviation of a pixel in the dark, in photons.
    """

    offset: float = 100.0
    gain: float = 4.0
    read_noise: float = 1.5

    def expose(self, photons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return one exposure: Poisson noise of the photons, read noise, digitised to 16 bit."""
        counted = rng.poisson(photons).astype(np.float32)
        counted += self.read_noise * rng.standard_normal(photons.shape, dtype=np.float32)
        grey = np.rint(self.offset + self.gain * counted)
        return np.clip(grey, 0, 65535).astype(np.uint16)


SENSITIVE = Camera()
"""For fluorescence: few photons."""

ORDINARY = Camera(gain=1.0, read_noise=4.0)
"""For transmitted light: many photons."""
