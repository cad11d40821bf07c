"""Checks of pairs before training or registration: all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import convert, normalise_unit, shown_unit
from napari_aeanet.io import PixelStatistics, image_statistics, same_values
from napari_aeanet.pairs.pair import ImagePair, PairProblem, Severity
from napari_aeanet.registration import Registration, Verdict

SMALLEST_SIDE = 16  # pixels: a smaller image holds no training patch
NOTABLE_SATURATION = 0.01  # share of pixels at the highest value
_FINER = 1.1  # smallest ratio of pixel sizes that is not due to rounding

Finding = tuple[Severity, str]


def check_pairs(pairs: Sequence[ImagePair]) -> list[PairProblem]:
    """Return every problem of every pair, in the order of the pairs.

    A pair with an error cannot be used; notes deserve a look. Reads all pixels, block by block.
    """
    return [problem for pair in pairs for problem in check_pair(pair)]


def check_pair(pair: ImagePair) -> list[PairProblem]:
    """Return every problem of one pair, as `check_pairs` does."""
    return [PairProblem(pair.name, message, severity) for severity, message in _findings(pair)]


def _findings(pair: ImagePair) -> Iterator[Finding]:
    source, target = image_statistics(pair.source), image_statistics(pair.target)
    if pair.registration is not None:
        yield from _registration_findings(pair.registration)
    elif problem := pair.size_problem():
        yield Severity.ERROR, problem
    if source == target and same_values(pair.source.array, pair.target.array):
        yield Severity.ERROR, "source and target are the same image: choose another target."
    yield from _image_findings(f"source '{pair.source.name}'", pair.source, source)
    yield from _image_findings(f"target '{pair.target.name}'", pair.target, target)
    if hint := _swap_hint(pair):
        yield Severity.NOTE, f"{hint}: check that source and target are not swapped."


def _registration_findings(registration: Registration) -> Iterator[Finding]:
    if registration.verdict is Verdict.FAILED:
        yield (
            Severity.ERROR,
            f"it could not be registered ({registration.reason}): "
            "mark three landmarks in both images, or leave the pair out.",
        )
    elif registration.verdict is Verdict.DOUBTFUL:
        yield (
            Severity.NOTE,
            f"its registration is doubtful ({registration.reason}): look at it before training.",
        )


def _image_findings(what: str, image: Image, facts: PixelStatistics) -> Iterator[Finding]:
    height, width = image.sizes["Y"], image.sizes["X"]
    if min(height, width) < SMALLEST_SIDE:
        yield (
            Severity.ERROR,
            f"the {what} has only {height} x {width} pixels: "
            f"at least {SMALLEST_SIDE} x {SMALLEST_SIDE} are needed.",
        )
    if facts.not_finite == 1:
        yield (
            Severity.ERROR,
            f"no pixel of the {what} is a finite number: export it again, or leave the pair out.",
        )
    elif facts.not_finite:
        yield (
            Severity.NOTE,
            f"{_percent(facts.not_finite)} of the {what} are not finite (NaN or inf): "
            "they are not used in training.",
        )
    if facts.is_constant:
        yield (
            Severity.ERROR,
            f"the {what} has the value {facts.lowest:g} everywhere: leave the pair out.",
        )
    elif facts.share_highest > NOTABLE_SATURATION:
        yield (
            Severity.NOTE,
            f"{_percent(facts.share_highest)} of the {what} are at the highest value (saturated): "
            "brighter detail is lost there.",
        )


def _length(size: float, unit: str) -> str:
    shown = shown_unit(size, unit) or unit
    return f"{convert(size, unit, shown):.4g} {shown}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} % of the pixels"


def _swap_hint(pair: ImagePair) -> str | None:
    """Return the evidence that source and target are swapped: finer or more source pixels."""
    source, target = pair.source, pair.target
    fine, coarse = source.pixel_size[-1], target.pixel_size[-1]
    unit, target_unit = normalise_unit(source.unit), normalise_unit(target.unit)
    if fine is not None and coarse is not None and unit and target_unit:
        if convert(coarse, target_unit, unit) < _FINER * fine:
            return None
        return (
            f"the source has finer pixels ({_length(fine, unit)}) "
            f"than the target ({_length(coarse, target_unit)})"
        )
    more = all(source.sizes[axis] > target.sizes[axis] for axis in "YX")
    if pair.registration is None and more:
        return "the source has more pixels than the target"
    return None
