"""Options and events of training.

No torch here: forms and the command line are made from these before torch is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.dataset.settings import KeptOut as KeptOut

# Edge of the smallest patch, in pixels.
SMALLEST_PATCH = 8
AUTOMATIC = "auto"
RECIPE = KeptOut.AUTOMATIC.value
# Smaller gains vary as much between kept-out regions.
NOTABLE_PSNR = 0.05


class Profile(StrEnum):
    """Training recipe: a short run for a workstation, or the recipe of the papers."""

    QUICK = "quick"
    PUBLISHED = "published"


class Keep(StrEnum):
    """Model that a run keeps: the best on the kept-out data, or that of the last step."""

    AUTOMATIC = RECIPE
    BEST = "the best"
    LAST = "the last"


class Turns(StrEnum):
    """Flips and quarter turns of patches."""

    AUTOMATIC = RECIPE
    RANDOM = "at random"
    NONE = "none"


class Places(StrEnum):
    """Places of patches: cut anywhere, or each image as it is, once an epoch."""

    AUTOMATIC = RECIPE
    RANDOM = "at random"
    GIVEN = "as given"


class Statistics(StrEnum):
    """Running statistics of batch normalisation."""

    AUTOMATIC = RECIPE
    FOLLOWED = "followed while training"
    ESTIMATED = "estimated anew"


class Precision(StrEnum):
    """Number type of the steps; mixed is bfloat16 on recent CUDA devices, else float32."""

    AUTOMATIC = RECIPE
    MIXED = "mixed"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Loss(StrEnum):
    """Loss function."""

    AUTOMATIC = RECIPE
    MAE = "mean absolute error"
    MSE = "mean squared error"
    CHARBONNIER = "Charbonnier"


class Intensities(StrEnum):
    """Normalisation of intensities."""

    AUTOMATIC = RECIPE
    FULL_SCALE = "full scale"
    PERCENTILE = "percentile"
    Z_SCORE = "z-score"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Options of `train`. Zero means: as the preset and the profile say.

    Parameters
    ----------
    preset
        Name of the network with its recipe; "auto" is the first choice for the pairs.
    profile
        Quick (a time budget) or the published recipe.
    minutes
        Time budget of the quick profile.
    kept_out
        Part of the images kept out of the training to validate the model; automatic is the right
        side, in the published recipe nothing.
    uncertainty
        Also train a map of the uncertainty of every pixel.
    structures
        Also fit kinds of structure at the end of a quick training on images, in about 20 s.
    steps
        Number of optimisation steps; overrides the time budget.
    patch
        Edge of a training patch in the plane, in pixels.
    batch
        Patches per step.
    learning_rate
        Learning rate at the start.
    loss
        Loss function.
    intensities
        Normalisation of intensities; none takes images that are normalised already as they are, in
        training and in restoring.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    seed
        The same seed on the same kind of device gives the same result.
    average
        Use the weights averaged over the last steps: steadier, a little slower.
    weight_decay
        Pull the weights towards zero (AdamW); 0 is Adam.
    jitter
        Change brightness and contrast of each patch at random by up to this share.
    region
        Box for "a region": top, left, bottom, right in target pixels.
    background
        Share of patches of empty background that is used: 1 is all of them, 0.1 a tenth.
    patience
        Stop after this many validations without a better model; 0 never stops early.
    keep
        Model that is kept: the best at any validation, or that of the last step, as published.
    turns
        Flips and quarter turns of patches; the published recipe has none.
    places
        Cut patches at random places, or take each image as it is, once an epoch. The published
        recipe does the latter if all images have the size of its patches.
    statistics
        Running statistics of batch normalisation: followed while training, as published, or
        estimated anew before every validation.
    precision
        Number type of the steps; the published recipe has float32.
    network
        File (.json) that describes the network in the place of that of the preset, whose recipe is
        taken; see `presets NAME --json`.
    """

    preset: str = AUTOMATIC
    profile: Profile = Profile.QUICK
    minutes: float = 10.0
    kept_out: KeptOut = KeptOut.AUTOMATIC
    uncertainty: bool = False
    structures: bool = True
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
    keep: Keep = Keep.AUTOMATIC
    turns: Turns = Turns.AUTOMATIC
    places: Places = Places.AUTOMATIC
    statistics: Statistics = Statistics.AUTOMATIC
    precision: Precision = Precision.AUTOMATIC
    network: str = ""

    def __post_init__(self) -> None:
        check_options(self)
        if self.is_timed and not self.minutes:
            raise ValueError("minutes must be more than 0, or give a number of steps.")
        if 0 < self.patch < SMALLEST_PATCH:
            raise ValueError(f"patch must be at least {SMALLEST_PATCH} pixels, got {self.patch}.")
        if self.batch == 1:
            raise ValueError("batch must be at least 2 patches, got 1.")
        for name in ("jitter", "background"):
            if (value := getattr(self, name)) > 1:
                raise ValueError(f"{name} is a share and must be at most 1, got {value}.")
        if min(self.region) < 0:
            raise ValueError(f"region must not be negative, got {self.region}.")
        if self.kept_out == KeptOut.NOTHING and self.keep == Keep.BEST:
            raise ValueError("To keep the best model, some data must be kept out of the training.")
        if self.patience and (self.kept_out == KeptOut.NOTHING or self.keep == Keep.LAST):
            raise ValueError("patience needs data that are kept out, and keeps the best model.")
        if self.places == Places.GIVEN and (self.patch or self.background < 1):
            raise ValueError("Patches as they are given have their own size and background.")

    @property
    def is_timed(self) -> bool:
        """True if a time budget decides on the number of steps."""
        return self.profile == Profile.QUICK and not self.steps

    @property
    def budget(self) -> float:
        """Time budget in seconds; 0 where a number of steps decides."""
        return 60 * self.minutes if self.is_timed else 0.0


class FinishReason(StrEnum):
    """Reason for the end of a run."""

    COMPLETE = "complete"
    NO_GAIN = "no further gain"


@dataclass(frozen=True)
class Planned:
    """Event at the start: the plan in words and the run folder."""

    steps: int
    folder: Path
    device: str
    summary: str
    notices: tuple[str, ...]
    progress: Progress


@dataclass(frozen=True)
class Stepped:
    """Event after an optimisation step."""

    step: int
    loss: float
    progress: Progress


@dataclass(frozen=True)
class Validated:
    """Event after a validation: the gain over the input on the kept-out data.

    That of the final model is measured on more of the data where there is time for it: it need not
    compare with the others.
    """

    step: int
    psnr_gain: float
    ssim_gain: float
    is_best: bool
    progress: Progress
    is_final: bool = False


@dataclass(frozen=True, eq=False)
class Previewed:
    """Event with one kept-out region: input, restored and target, in the target's intensities.

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
    """Event after saving: the state of the run and the best model are on disk."""

    step: int
    path: Path
    progress: Progress


@dataclass(frozen=True)
class Noticed:
    """Event with a notice for the user; the run continues."""

    text: str
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """Last event of a run; `bundle` is the file of its model.

    The gains are NaN where nothing was kept out.
    `notices` are the findings of the check before the start.
    """

    reason: FinishReason
    bundle: Path
    psnr_gain: float
    ssim_gain: float
    summary: str
    progress: Progress
    notices: tuple[str, ...] = ()

    @property
    def is_better(self) -> bool:
        """True if the model restores better than its input, as far as that was measured."""
        return self.psnr_gain >= NOTABLE_PSNR


TrainEvent = Planned | Stepped | Validated | Previewed | Saved | Noticed | Progressed | Finished
