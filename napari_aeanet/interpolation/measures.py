"""Quality of an interpolated section against the true one.

PSNR and SSIM reward blur, since two sections never agree in their fine structure. So membranes and
sharpness are measured too:

- membrane agreement, kappa = (Dice - 0.25) / 0.75 of the quarter of the pixels with the strongest
  dark ridges (largest eigenvalue of the Hessian at a scale of 4 pixels): 0 is chance, 1 perfect;
- sharpness, mean gradient magnitude at a scale of 1 pixel, as a share of the truth's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from napari_aeanet.core.metrics import interpolation_error, psnr

#: Scale of a ridge (standard deviation, pixels) and share of the pixels counted as membrane.
RIDGE_SCALE, MEMBRANE_SHARE = 4.0, 0.25
#: Scale of gradients, and of the blur of the control.
GRADIENT_SCALE, CONTROL_BLUR = 1.0, 1.5
#: SSIM as in the publications on interpolated sections: Gaussian window 11 wide.
SSIM_SCALE, SSIM_WINDOW = 1.5, 11


@dataclass(frozen=True, kw_only=True)
class SectionScores:
    """Scores of one interpolated section.

    Attributes
    ----------
    psnr
        In dB.
    ssim
        With a Gaussian window of 11 pixels, standard deviation 1.5.
    error
        Mean absolute difference, as of 255 grey levels.
    agreement
        Of the membranes: 1 perfect, 0 chance.
    sharpness
        Share of the truth's.
    """

    psnr: float
    ssim: float
    error: float
    agreement: float
    sharpness: float


def score_section(truth: np.ndarray, section: np.ndarray, data_range: float) -> SectionScores:
    """Return all scores of a section, both float32 planes of one size."""
    return SectionScores(
        psnr=psnr(truth, section, data_range),
        ssim=gaussian_ssim(truth, section, data_range),
        error=interpolation_error(truth, section, data_range),
        agreement=membrane_agreement(truth, section),
        sharpness=sharpness(section) / (sharpness(truth) or 1.0),
    )


def gaussian_ssim(truth: np.ndarray, section: np.ndarray, data_range: float) -> float:
    """Return the mean SSIM over the pixels whose Gaussian window (11, 1.5) lies in the section."""
    _, everywhere = structural_similarity(
        truth.astype(np.float64),
        section.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SSIM_SCALE,
        use_sample_covariance=False,
        full=True,
    )
    edge = SSIM_WINDOW // 2
    return float(everywhere[edge:-edge, edge:-edge].mean())


def membrane_agreement(truth: np.ndarray, section: np.ndarray) -> float:
    """Return (Dice - 0.25) / 0.75 of the quarters with the strongest dark ridges."""
    first, second = (_membranes(one) for one in (truth, section))
    dice = float((first & second).sum() / first.sum())
    return (dice - MEMBRANE_SHARE) / (1 - MEMBRANE_SHARE)


def sharpness(section: np.ndarray) -> float:
    """Return the mean gradient magnitude at a scale of one pixel."""
    smooth = cv2.GaussianBlur(section, (0, 0), GRADIENT_SCALE)
    rows, columns = np.gradient(smooth)
    return float(np.hypot(rows, columns).mean())


def blurred(section: np.ndarray) -> np.ndarray:
    """Return the control: a section blurred so that PSNR and SSIM rise without more knowledge."""
    return cv2.GaussianBlur(section, (0, 0), CONTROL_BLUR)


def ridge_strength(section: np.ndarray) -> np.ndarray:
    """Return the largest eigenvalue of the Hessian: high on dark lines."""
    smooth = cv2.GaussianBlur(section.astype(np.float32), (0, 0), RIDGE_SCALE)
    rows, columns = np.gradient(smooth)
    yy, yx = np.gradient(rows)
    xx = np.gradient(columns, axis=1)
    return (yy + xx) / 2 + np.hypot((yy - xx) / 2, yx)


def _membranes(section: np.ndarray) -> np.ndarray:
    """Return the strongest quarter of the dark ridges; a tie is broken by position."""
    strength = ridge_strength(section).ravel()
    count = max(1, round(MEMBRANE_SHARE * strength.size))
    chosen = np.zeros(strength.size, bool)
    chosen[np.argpartition(-strength, count - 1)[:count]] = True
    return chosen
