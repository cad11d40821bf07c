"""Descriptions of models, images and pairs in the docks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import METRES, convert, readable_length
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair, kind_in_words
from napari_aeanet.registration import Verdict
from napari_aeanet.restoration import TOLERANCE, fit_to_model

ARROW = "→"
TIMES = "×"


def size_text(image: Image) -> str:
    """Return "944 × 1280", or "12 planes of 944 × 1280"."""
    height, width = image.shape[-2:]
    plane = f"{height} {TIMES} {width}"
    planes = image.sizes.get("Z", 1)
    return plane if planes == 1 else f"{planes} planes of {plane}"


def pixel_size_text(size: float | None, unit: str | None) -> str:
    """Return a pixel size in a readable unit, or "unknown"."""
    if size is None or unit is None:
        return "unknown"
    if unit not in METRES:
        return f"{size:.3g} {unit}"
    length, readable = readable_length(size * METRES[unit])
    return f"{length:.3g} {readable}"


def model_lines(card: ModelCard) -> str:
    """Return a summary of a model: its note, gain, pixel sizes and training data."""
    parts = [card.note] if card.note else []
    if (gain := card.gain.get("psnr")) is not None:
        parts.append(_gain_text(gain))
    restored = card.pixel_size[-1]
    if restored is not None and card.unit is not None:
        taken = pixel_size_text(restored * card.ratio[-1], card.unit)
        begin = "" if card.ratio[-1] == 1 else f"{taken} {ARROW} "
        parts.append(f"{begin}{pixel_size_text(restored, card.unit)} a pixel")
    pairs = card.provenance.get("plan", {}).get("pairs")
    if pairs:
        parts.append(f"trained on {count(len(pairs), 'pair')}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def model_role(card: ModelCard) -> str:
    """Return the role of the summary: a model that improves nothing is one to be careful with."""
    return "caution" if round(card.gain.get("psnr", 1), 1) <= 0 else "hint"


def _gain_text(decibels: float) -> str:
    if round(abs(decibels), 1) == 0:
        return "no better than its input"
    return f"{abs(decibels):.1f} dB {'better' if decibels > 0 else 'worse'} than its input"


def signed(value: float, decimals: int) -> str:
    """Return a number with its sign, and a minus as wide as a plus."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def input_axes(card: ModelCard) -> str:
    """Return the axes of an input of the model: "YX" or "ZYX"."""
    return card.config.input_axes


@dataclass(frozen=True)
class SizeFit:
    """Comparison of the pixel size of an image with that of the training."""

    text: str
    is_fitting: bool = True


def size_fit(card: ModelCard, image: Image) -> SizeFit:
    """Compare the pixel size of an image with that of the training."""
    ours, trained = image.pixel_size[-1], card.pixel_size[-1]
    if trained is None or card.unit not in METRES:
        return SizeFit("The pixel size of the training is unknown.")
    wanted = pixel_size_text(trained * card.ratio[-1], card.unit)
    if ours is None or image.unit not in METRES:
        return SizeFit(f"Pixel size unknown: {wanted} is assumed, as in the training.")
    try:
        fit_to_model(image, card, input_axes(card))
    except ValueError:
        text = (
            f"Trained at {wanted} a pixel, {image.name} has {pixel_size_text(ours, image.unit)}: "
            "the result would be unreliable."
        )
        return SizeFit(text, is_fitting=False)
    result = pixel_size_text(trained, card.unit)
    enlarges = card.ratio[-1] != 1
    if enlarges and isclose(convert(ours, image.unit, card.unit), trained, rel_tol=TOLERANCE):
        return SizeFit(f"{result} a pixel, as the model's output: the image is not enlarged.")
    begin = f"{pixel_size_text(ours, image.unit)} {ARROW} " if enlarges else ""
    return SizeFit(f"{begin}{result} a pixel, as trained.")


def is_as_trained(card: ModelCard, image: Image) -> bool:
    """Return True if the pixel size of an image is known to be that of the training's sources."""
    ours, trained = image.pixel_size[-1], card.pixel_size[-1]
    if ours is None or trained is None or image.unit not in METRES or card.unit not in METRES:
        return False
    source = trained * card.ratio[-1]
    return isclose(convert(ours, image.unit, card.unit), source, rel_tol=TOLERANCE)


def count(number: int, thing: str) -> str:
    """Return "1 pair", "18 pairs"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def usable_text(usable: Sequence[ImagePair], total: int) -> str:
    """Return how many pairs can be trained on, and whether all at once; empty without pairs."""
    if not total:
        return ""
    begin = f"{len(usable)} of {count(total, 'pair')}"
    kinds = dict.fromkeys(kind_in_words(pair.source.axes, pair.target.axes) for pair in usable)
    if len(kinds) < 2:
        return f"{begin} can be trained on."
    of = " and of ".join(kinds)
    return f"{begin} are ready, but pairs of {of} cannot be trained on together: leave some out."


@dataclass(frozen=True)
class PairState:
    """State of a pair in a table: symbol and word, colour role, and reason."""

    text: str
    role: str
    reason: str = ""


def pair_sizes(pair: ImagePair) -> str:
    """Return the widths and the ratio of the pixel sizes: "640 → 1280, 2×"."""
    source, target = pair.source.sizes, pair.target.sizes
    if pair.registration is not None:
        finer = pair.registration.scale
    elif pair.source.is_calibrated and pair.target.is_calibrated:
        finer = _pixel_in_metres(pair.source) / _pixel_in_metres(pair.target)
    else:
        finer = pair.factors[-1]
    width = f"{source['X']}" if source == target else f"{source['X']} {ARROW} {target['X']}"
    return width if isclose(finer, 1, rel_tol=0.01) else f"{width}, {finer:.2g}{TIMES}"


def pair_state(pair: ImagePair, decision: str = "none") -> PairState:
    """Return the state of a pair."""
    registration = pair.registration
    if decision == "rejected":
        return PairState("– left out", "hint", "Left out by you.")
    if pair.swapped().projects:
        reason = "The source is an image and the target a stack: swap them."
        return PairState("✗ swapped", "bad", reason)
    if registration is None:
        if reason := why_register(pair):
            return PairState("· to register", "caution", reason)
        if decision == "accepted":
            return PairState("✓ accepted", "good", "Not registered; used as the two images lie.")
        return PairState("· not checked", "hint", "Not registered yet; it can be used as it is.")
    # Plain text there, for terminals; the figures have their own lines.
    words = f"{registration.verdict}: {registration.reason}".replace("->", ARROW)
    reason = f"{words[:1].upper()}{words[1:].rstrip('.')}."
    if registration.verdict is Verdict.FAILED:
        return PairState("✗ failed", "bad", reason)
    if registration.verdict is Verdict.DOUBTFUL:
        if decision == "accepted":
            return PairState("✓ accepted", "good", reason)
        return PairState("! doubtful", "caution", reason)
    if decision == "for evaluation":
        kept = "Added in AEANet: Evaluate and not trained on; accept it to train on it as well."
        return PairState("✓ for evaluation", "good", f"{reason} {kept}")
    if registration.verdict is Verdict.DRIFTS:
        return PairState(f"✓ good, drifts {pixels_text(registration.drift)}", "good", reason)
    return PairState(f"✓ good {pixels_text(registration.expected_error)}", "good", reason)


def why_register(pair: ImagePair) -> str:
    """Return why a pair must be registered before use; empty if it need not be."""
    if problem := pair.size_problem():
        return problem
    if not (pair.source.is_calibrated and pair.target.is_calibrated):
        return ""
    fields = [_pixel_in_metres(i) * i.sizes["X"] for i in (pair.source, pair.target)]
    if isclose(*fields, rel_tol=TOLERANCE):
        return ""
    source, target = (pixel_size_text(field, "m") for field in fields)
    return f"The source is {source} wide and the target {target}: register the pair."


def pixels_text(length: float | None) -> str:
    """Return a length with the precision of an estimate."""
    if length is None:
        return ""
    return f"{estimate_text(length)} px"


def estimate_text(value: float) -> str:
    """Return a number with two digits at most: 0.05, 1.3, 26."""
    return f"{value:.1g}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _pixel_in_metres(image: Image) -> float:
    size, unit = image.pixel_size[-1], image.unit
    return 1.0 if size is None or unit is None else size * METRES.get(unit, 1.0)
