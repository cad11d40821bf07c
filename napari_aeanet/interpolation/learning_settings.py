"""Options and events of learning to interpolate from the sections of a stack. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress
from napari_aeanet.interpolation.config import GuidedConfig, InterpolationConfig, SsanConfig
from napari_aeanet.interpolation.measures import SectionScores

#: Shortest side of a patch in pixels.
SMALLEST_PATCH = 32
#: The published recipe of SSAN.
PUBLISHED_EPOCHS, PUBLISHED_BATCH, PUBLISHED_PATCH, PUBLISHED_RATE = 50, 3, 512, 1e-3
#: Share of the steps after which the published schedule divides the learning rate by ten.
PUBLISHED_SHARE, PUBLISHED_FACTOR = 0.6, 0.1


class SectionNetwork(StrEnum):
    """Network that learns."""

    GUIDED = "U-Net guided by flow"
    SSAN = "SSAN, small"
    SSAN_PUBLISHED = "SSAN as published"


class SectionLoss(StrEnum):
    """Loss function."""

    CHARBONNIER = "Charbonnier"
    PUBLISHED = "published"  # with balance of style and features


class Schedule(StrEnum):
    """Course of the learning rate."""

    COSINE = "cosine"  # down to 0
    PUBLISHED = "published"  # a tenth in the last two fifths


#: Patch, batch and learning rate that suit each network in a training of minutes.
RECIPES = {
    SectionNetwork.GUIDED: (128, 4, 1e-3),
    SectionNetwork.SSAN: (96, 1, 2e-3),
    SectionNetwork.SSAN_PUBLISHED: (128, 1, 1e-3),
}


@dataclass(frozen=True, kw_only=True)
class LearnSettings:
    """Options of `learn_sections`. Zero means: as suits the network.

    Parameters
    ----------
    network
        U-Net guided by flow: learns within minutes. SSAN: sparse attention, for comparison.
    cpu_seconds
        Computing time for everything, added over the cores in use (on a GPU: seconds).
    steps
        Number of optimisation steps; overrides the computing time.
    patch, batch
        Edge of a training patch in pixels, and patches per step.
    learning_rate, schedule
        Learning rate at the start, and its course.
    loss
        Charbonnier, or the published loss with features and balance of style.
    vgg_weights
        File with the weights of VGG-16 (torchvision) for the published loss. Without it, fixed
        random filters take its place.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    seed
        The same seed and number of steps on the same computer give the same result.
    """

    network: SectionNetwork = SectionNetwork.GUIDED
    cpu_seconds: float = 150.0
    steps: int = 0
    patch: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    schedule: Schedule = Schedule.COSINE
    loss: SectionLoss = SectionLoss.CHARBONNIER
    vgg_weights: str = ""
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(self)
        if not self.steps and not self.cpu_seconds:
            raise ValueError("cpu_seconds must be more than 0, or give a number of steps.")
        if 0 < self.patch < SMALLEST_PATCH:
            raise ValueError(f"patch must be at least {SMALLEST_PATCH} pixels, got {self.patch}.")
        if self.vgg_weights and self.loss is not SectionLoss.PUBLISHED:
            raise ValueError("vgg_weights is for the published loss: choose that, or no file.")

    @property
    def config(self) -> InterpolationConfig:
        """The configuration of the network."""
        configs: dict[SectionNetwork, InterpolationConfig] = {
            SectionNetwork.GUIDED: GuidedConfig(),
            SectionNetwork.SSAN: SsanConfig.small(),
            SectionNetwork.SSAN_PUBLISHED: SsanConfig(),
        }
        return configs[self.network]

    def resolved(self) -> LearnSettings:
        """Return the settings with all that suits the network filled in."""
        patch, batch, rate = RECIPES[self.network]
        return replace(
            self,
            patch=self.patch or patch,
            batch=self.batch or batch,
            learning_rate=self.learning_rate or rate,
        )

    def published(self, sections: int) -> LearnSettings:
        """Return the published recipe of SSAN for this number of sections to learn from."""
        return replace(
            self,
            network=SectionNetwork.SSAN_PUBLISHED,
            steps=-(-PUBLISHED_EPOCHS * sections // PUBLISHED_BATCH),
            patch=PUBLISHED_PATCH,
            batch=PUBLISHED_BATCH,
            learning_rate=PUBLISHED_RATE,
            schedule=Schedule.PUBLISHED,
            loss=SectionLoss.PUBLISHED,
        )


@dataclass(frozen=True, kw_only=True)
class MethodScores:
    """Mean scores of the kept-out sections by method.

    Attributes
    ----------
    learnt
        The network.
    flow
        The blend of both neighbours as warped by the flow.
    smoothed
        The same, blurred: what a network has to beat, as blur alone raises most scores.
    mean
        The mean of both neighbours as aligned.
    """

    learnt: SectionScores
    flow: SectionScores
    smoothed: SectionScores
    mean: SectionScores

    @property
    def is_better(self) -> bool:
        """True if the network's membranes agree better with the truth than those of the flow."""
        return self.learnt.agreement > max(self.smoothed.agreement, self.flow.agreement)

    @property
    def words(self) -> str:
        """One sentence with both figures."""
        figures = (
            f"membrane agreement {self.learnt.agreement:.3f} on sections kept out of the learning, "
            f"against {self.smoothed.agreement:.3f} of the smoothed optical flow"
        )
        if self.is_better:
            return f"The network is used: {figures}."
        return f"The network is not used, the optical flow stays: {figures}."


@dataclass(frozen=True, kw_only=True)
class SectionPrepared:
    """Section `index` was aligned with its neighbours; `refusal` is why it is not used, if so."""

    progress: Progress
    index: int
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class LearnStepped:
    """An optimisation step was made."""

    progress: Progress
    step: int
    loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnCompared:
    """The network was compared with the flow on kept-out sections; section `index` is shown.

    The three planes are in the intensities of the stack.
    """

    progress: Progress
    step: int
    scores: MethodScores
    index: int
    learnt: np.ndarray
    flow: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SectionsLearnt:
    """The last event: the model and whether it is to be used.

    Attributes
    ----------
    model
        The file of the model.
    scores
        On the kept-out sections; `scores.is_better` decides on the use.
    sections, kept_out
        Sections learnt from, and sections kept out.
    steps, seconds
        Steps made, and their computing time with all preparation.
    """

    progress: Progress
    model: Path
    scores: MethodScores
    sections: tuple[int, ...]
    kept_out: tuple[int, ...]
    steps: int
    seconds: float


LearnEvent = SectionPrepared | LearnStepped | LearnCompared | SectionsLearnt
