"""Options and events of `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.evaluation.scoring import METRICS, Matching, Scores
from napari_aeanet.evaluation.statistics import Mean, PairedTest, mean_of, paired_test
from napari_aeanet.registration.settings import Deform
from napari_aeanet.restoration.settings import RestoreSettings, Use

# Correlation with the truth below which an image probably shows another field.
UNRELATED = 0.2


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Options of `evaluate`.

    Parameters
    ----------
    matching
        Matching of intensities before the comparison: affine (the best gain and offset for every
        image), none, or care (as in the CARE papers).
    border
        Rim in pixels that is left out at every side of the plane.
    data_range
        Data range of PSNR, SSIM and the errors; 0 is 255 for 8 bits, else what the truth's file
        states, else from the 0.1st to the 99.9th percentile of the truth.
    deform
        Follow local drift where the registration of a pair does (auto), or compare under its
        global transform alone (off).
    force
        Also score images that a model was trained on. Such figures are too good.
    """

    matching: Matching = Matching.AFFINE
    border: int = 0
    data_range: float = 0.0
    deform: Deform = Deform.AUTO
    force: bool = False

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """How compared models restore: exactly as a whole, or patch by patch as in the papers.

    Parameters
    ----------
    patch_size
        Restore patch by patch, as the papers do: edge of a patch in pixels; 0 restores each image
        exactly as a whole.
    margin
        Rim of a patch that is discarded, in pixels; the papers' is 32.
    """

    patch_size: int = 0
    margin: int = 32

    def __post_init__(self) -> None:
        check_options(self)
        if self.patch_size and self.patch_size <= 2 * self.margin:
            msg = (
                f"Patches of {self.patch_size} pixels without a margin of {self.margin} at either "
                "side leave nothing: choose larger patches or a smaller margin."
            )
            raise ValueError(msg)

    def titled(self, name: str) -> str:
        """Return the name of a model, with the size of the patches."""
        return f"{name}, patches of {self.patch_size}" if self.patch_size else name

    def restore_settings(self, device: str = "auto") -> RestoreSettings:
        """Return the options of the restoration."""
        if not self.patch_size:
            return RestoreSettings(device=device)
        size, margin = self.patch_size, self.margin
        return RestoreSettings(use=Use.PATCHES, patch_size=size, margin=margin, device=device)


@dataclass(frozen=True)
class ScoreRow:
    """Figures of one method for one case."""

    case: str
    method: str
    scores: Scores


@dataclass(frozen=True, eq=False)
class Example:
    """A cut-out of one case, on one grid: the truth, and the image of each method."""

    case: str
    truth: np.ndarray
    images: tuple[tuple[str, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures, with means, gains and tests.

    Parameters
    ----------
    notices
        Remarks for the user.
    example
        A cut-out of one case.
    baseline
        The method that is the input itself, which gains refer to; empty without one.
    data_range
        Data range of the figures, in words.
    missing
        One sentence on the methods and cases without any figure; empty if there are none.
    """

    settings: EvaluateSettings
    rows: tuple[ScoreRow, ...]
    notices: tuple[str, ...] = ()
    example: Example | None = None
    baseline: str = ""
    data_range: str = ""
    missing: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.case for row in self.rows))

    def values(self, method: str, metric: str) -> list[float]:
        """Return a figure for every case, in the order of `cases`; NaN where it is missing."""
        found = {r.case: r.scores.of(metric) for r in self.rows if r.method == method}
        return [found.get(case, float("nan")) for case in self.cases]

    def mean(self, method: str, metric: str) -> Mean:
        return mean_of(self.values(method, metric))

    def gains(self, method: str, metric: str) -> list[float]:
        """Return a figure less that of the input, for every case; NaN where one is missing."""
        base = self.values(self.baseline, metric)
        return [a - b for a, b in zip(self.values(method, metric), base, strict=True)]

    def gain(self, method: str, metric: str) -> Mean:
        """Return the mean gain over the input."""
        return mean_of(self.gains(method, metric))

    @property
    def is_unrelated(self) -> bool:
        """True if no image resembles its truth, so that none is near it."""
        return all(self.mean(name, "pearson").value < UNRELATED for name in self.methods)

    def best(self, metric: str = "psnr") -> str:
        """Return the method with the best mean."""
        sign = 1 if METRICS[metric].higher_is_better else -1
        means = {name: sign * self.mean(name, metric).value for name in self.methods}
        known = {name: value for name, value in means.items() if np.isfinite(value)}
        return max(known or means, key=lambda name: means[name])

    def tests(self, metric: str = "psnr", first: str = "") -> tuple[PairedTest, ...]:
        """Test one method (the best, unless named) against each of the others."""
        first = first or self.best(metric)
        return tuple(
            paired_test(
                first,
                self.values(first, metric),
                other,
                self.values(other, metric),
                higher_is_better=METRICS[metric].higher_is_better,
            )
            for other in self.methods
            if other != first
        )


@dataclass(frozen=True, eq=False)
class Scored:
    """Event: one method is scored on one case.

    `image` is on the grid of the truth. `error` is image - truth after matching, on the same grid
    and in the truth's intensities (in those of CARE with the CARE matching); NaN where the image
    does not reach.
    """

    row: ScoreRow
    image: Image
    error: Image
    progress: Progress


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Last event: all figures."""

    evaluation: Evaluation
    progress: Progress


EvaluateEvent = Progressed | Scored | Evaluated
