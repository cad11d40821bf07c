"""Gain of a restored sample over its source, as measured against its target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_aeanet.core.metrics import SSIM_WINDOW, Gain, gain
from napari_aeanet.dataset.pair_samples import Sample
from napari_aeanet.dataset.patches import Area


def mean_gain(gains: Sequence[Gain]) -> Gain:
    return Gain(
        psnr=float(np.mean([one.psnr for one in gains])),
        ssim=float(np.mean([one.ssim for one in gains])),
    )


def baseline(sample: Sample) -> np.ndarray:
    """Return the source, (1, pixels...), of a projection its maximum over all planes."""
    return sample.source.max(axis=0, keepdims=True) if sample.projects else sample.source


def gain_over(sample: Sample, area: Area, restored: np.ndarray) -> Gain:
    """Return the gain of `restored`, (1, pixels...) over `area`, over the sample's source."""
    box = (slice(None), *area.box)
    before, truth = baseline(sample)[box], sample.target[box]
    gains = [
        gain(b, r, t, sample.data_range)
        for b, r, t in zip(_images(before), _images(restored), _images(truth), strict=True)
        if np.ptp(t) > 0  # PSNR and SSIM need a truth with contrast
    ]
    return mean_gain(gains) if gains else Gain(0.0, 0.0)


def _images(values: np.ndarray) -> list[np.ndarray]:
    """Return the image by itself, or the planes of a stack too flat for the window of SSIM."""
    if min(values.shape[1:]) < SSIM_WINDOW:
        return list(values.reshape(-1, *values.shape[-2:]))
    return list(values)
