"""What a training run is asked to do, and the events by which it tells what it does.

No torch here: forms and the command line are made from these before torch is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from napari_aeanet.core.progress import Progress, Progressed


class Profile(StrEnum):
    """How to train: what suits a laptop and a coffee, or the papers' recipe."""

    QUICK = "quick"
    PUBLISHED = "published"


class KeptOut(StrEnum):
    """What is kept out of the training and used to check the model."""

    RIGHT_SIDE = "right side"  # the papers' split: 3 x 4 grid, right column, with a guard band
    WHOLE_IMAGES = "whole images"
    REGION = "a region"  # the same box of every image, with a guard band around it


class Loss(StrEnum):
    """What the training makes small."""

    AUTOMATIC = "as the recipe says"
    MAE = "mean absolute error"
    MSE = "mean squared error"
    CHARBONNIER = "Charbonnier"


class Intensities(StrEnum):
    """How intensities are brought to the range that a network sees."""

    AUTOMATIC = "as the recipe says"
    FULL_SCALE = "full scale"
    PERCENTILE = "percentile"
    Z_SCORE = "z-score"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a model is trained. Zero means: as the preset and the profile say.

    Parameters
    ----------
    preset
        The catalogue's name of the network and its recipe.
    profile
        Quick (a time budget) or the published recipe.
    minutes
        Time budget of the quick profile.
    kept_out
        What is kept out of the training for the check.
    uncertainty
        Also learn how uncertain every pixel is.
    steps
        Number of optimisation steps; overrides the time budget.
    patch
        Edge of a training patch in the plane, in pixels.
    batch
        Patches per step.
    learning_rate
        Step size of the optimiser at the start.
    loss
        What the training makes small.
    intensities
        How intensities are normalised.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    seed
        Same seed, same device kind, same result.
    average
        Use the weights averaged over the last steps: steadier, a little slower.
    weight_decay
        Pull the weights towards zero (AdamW); 0 is Adam.
    jitter
        Change brightness and contrast of each patch at random by up to this share.
    region
        The box that is kept out where that is a region: top, left, bottom, right in target pixels.
    background
        How often patches of empty background are used, 1 as often as others, 0.1 a tenth.
    patience
        Stop after so many checks without a better model; 0 never stops before the end.
    """

    preset: str = "aeanet-2d"
    profile: Profile = Profile.QUICK
    minutes: float = 10.0
    kept_out: KeptOut = KeptOut.RIGHT_SIDE
    uncertainty: bool = False
    steps: int = 0
    patch: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    loss: Loss = Loss.AUTOMATIC
    intensities: Intensities = Intensities.AUTOMATIC
    device: str = "auto"
    seed: int = 0
    average: bool = False
    weight_decay: float = 0.0
    jitter: float = 0.0
    region: tuple[int, int, int, int] = (0, 0, 0, 0)
    background: float = 1.0
    patience: int = 0


class FinishReason(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"  # the generator was closed; the best model is kept
    NO_GAIN = "no further gain"


@dataclass(frozen=True)
class Planned:
    """The run is about to start: what it will do, in words, and where it is kept."""

    steps: int
    folder: Path
    device: str
    summary: str
    notices: tuple[str, ...]
    progress: Progress


@dataclass(frozen=True)
class Stepped:
    """One optimisation step is done."""

    step: int
    loss: float
    progress: Progress


@dataclass(frozen=True)
class Validated:
    """The kept-out data were restored: how much better than the input."""

    step: int
    psnr_gain: float
    ssim_gain: float
    is_best: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class Previewed:
    """One kept-out region before, restored and as it should be; in the target's intensities.

    `origin` is the region's first pixel on the target grid of pair `pair`.
    """

    step: int
    pair: int
    origin: tuple[int, ...]
    source: np.ndarray
    restored: np.ndarray
    target: np.ndarray
    progress: Progress


@dataclass(frozen=True)
class Saved:
    """The state of the run (and, if it improved, the best model) is on disk."""

    step: int
    path: Path
    progress: Progress


@dataclass(frozen=True)
class Noticed:
    """Something the user should know, in plain words; the run goes on."""

    text: str
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """The run ended and `bundle` holds its best model."""

    reason: FinishReason
    bundle: Path
    psnr_gain: float
    ssim_gain: float
    summary: str
    progress: Progress


TrainEvent = Planned | Stepped | Validated | Previewed | Saved | Noticed | Progressed | Finished
