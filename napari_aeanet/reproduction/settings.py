"""Options and events of `reproduce`."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.evaluation import Scores
from napari_aeanet.training.settings import Profile

# Name and title of the table that is not among those of papers.py.
SLICES, SLICES_TITLE = "slices", "Interpolated slices (SSAN paper, CREMI)"
# The authors score this many planes of a denoised volume.
PUBLISHED_PLANES = 30


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings:
    """Options of `reproduce`.

    Parameters
    ----------
    profile
        Quick (a time budget), or the recipe and the sizes of the papers, which take days on a GPU.
    budget
        Minutes of quick training for each method; in self-training its models share them.
    methods
        Methods to compute; default: all of the table.
    published_sizes
        Train VDSR, EDSR and RCAN in the sizes of their papers instead of small ones.
    steps
        Steps of every training, instead of the budget or the paper's number.
    patch
        Patch size in pixels; 0 for that of the profile.
    batch
        Patches per step; 0 for those of the profile.
    planes
        Planes of each denoised volume that are scored, from the first; 0 is all, with the
        published profile the first 30.
    vgg_weights
        File with the weights of VGG-16 (torchvision), for slices with the published profile;
        without it, fixed random filters take their place.
    seed
        Random seed; the same seed gives the same result on the same kind of device.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    profile: Profile = Profile.QUICK
    budget: float = 3.0
    methods: tuple[str, ...] = ()
    published_sizes: bool = False
    steps: int = 0
    patch: int = 0
    batch: int = 0
    planes: int = 0
    vgg_weights: str = ""
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def is_published(self) -> bool:
        return self.profile == Profile.PUBLISHED

    @property
    def scored_planes(self) -> int:
        """Planes of a denoised volume that are scored; 0 for all."""
        return self.planes or (PUBLISHED_PLANES if self.is_published else 0)


@dataclass(frozen=True)
class CaseScores:
    """Figures of one tested image."""

    case: str
    group: str
    scores: Scores


@dataclass(frozen=True, eq=False)
class UnitResult:
    """Result of a method in a column.

    Parameters
    ----------
    column
        Column of the table; for transfer it names both sets.
    size
        Size of the network: "" as published, or "small".
    seconds
        Time of training and restoring, without that of interrupted attempts.
    parameters
        Trainable parameters of the network; 0 for a method without one.
    per_image
        Seconds to restore an image; None in results of earlier versions.
    """

    method: str
    column: str
    size: str
    seconds: float
    cases: tuple[CaseScores, ...]
    parameters: int = 0
    per_image: float | None = None


@dataclass(frozen=True, eq=False)
class UnitDone:
    """Event: a unit is done, now or in an earlier call (`reused`)."""

    result: UnitResult
    reused: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class Reproduced:
    """Last event: all results."""

    results: tuple[UnitResult, ...]
    notices: tuple[str, ...]
    progress: Progress


ReproduceEvent = Progressed | UnitDone | Reproduced
