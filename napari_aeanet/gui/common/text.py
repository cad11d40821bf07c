"""Facts about models, images and pairs in the words that the docks show."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import METRES, convert, readable_length
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import config_from_json
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import Registration, Verdict
from napari_aeanet.restoration import TOLERANCE, fit_to_model

ARROW = "→"
TIMES = "×"


def size_words(image: Image) -> str:
    """ "944 × 1280", or "12 planes of 944 × 1280"."""
    height, width = image.shape[-2:]
    plane = f"{height} {TIMES} {width}"
    planes = image.sizes.get("Z", 1)
    return plane if planes == 1 else f"{planes} planes of {plane}"


def pixel_words(size: float | None, unit: str | None) -> str:
    """A pixel size in the unit a microscopist would choose; "unknown" where it is."""
    if size is None or unit is None:
        return "unknown"
    if unit not in METRES:
        return f"{size:.3g} {unit}"
    length, readable = readable_length(size * METRES[unit])
    return f"{length:.3g} {readable}"


def model_lines(card: ModelCard) -> str:
    """What a user should know before choosing a model."""
    parts = [card.note] if card.note else []
    if (gain := card.gain.get("psnr")) is not None:
        parts.append(f"{gain:+.1f} dB better than its input")
    restored = card.pixel_size[-1]
    if restored is not None and card.unit is not None:
        taken = pixel_words(restored * card.ratio[-1], card.unit)
        parts.append(f"{taken} {ARROW} {pixel_words(restored, card.unit)} a pixel")
    pairs = card.provenance.get("plan", {}).get("pairs")
    if pairs:
        parts.append(f"learnt from {count(len(pairs), 'pair')}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def input_axes(card: ModelCard) -> str:
    """The axes that one input of the model has: "YX" or "ZYX"."""
    return "ZYX"[-config_from_json(dict(card.network)).dims :]


@dataclass(frozen=True)
class SizeFit:
    """Whether an image has the pixel size a model was trained for, in words."""

    text: str
    is_fitting: bool = True


def size_fit(card: ModelCard, image: Image) -> SizeFit:
    """What the model makes of the image's pixel size; the engine decides whether it fits."""
    ours, trained = image.pixel_size[-1], card.pixel_size[-1]
    if trained is None or card.unit not in METRES:
        return SizeFit("The model does not know the pixel size it was trained at.")
    wanted = pixel_words(trained * card.ratio[-1], card.unit)
    if ours is None or image.unit not in METRES:
        return SizeFit(f"Pixel size unknown: taken to be {wanted}, as in training.")
    try:
        fit_to_model(image, card, input_axes(card))
    except ValueError:
        text = (
            f"Trained at {wanted} a pixel, {image.name} has {pixel_words(ours, image.unit)}: "
            "the result would be unreliable."
        )
        return SizeFit(text, is_fitting=False)
    result = pixel_words(trained, card.unit)
    if isclose(convert(ours, image.unit, card.unit), trained, rel_tol=TOLERANCE):
        return SizeFit(f"{result} a pixel, as the model's result: it is not enlarged.")
    return SizeFit(f"{pixel_words(ours, image.unit)} {ARROW} {result} a pixel, as trained.")


def count(number: int, thing: str) -> str:
    """ "1 pair", "18 pairs"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


@dataclass(frozen=True)
class PairState:
    """What a table says about a pair: a symbol and a word, its colour role, and the reason."""

    text: str
    role: str
    reason: str = ""


def pair_sizes(pair: ImagePair) -> str:
    """How large the images are and how much finer the target is: "1280 × 944, 2×"."""
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
    """Whether a pair can be used, and why."""
    registration = pair.registration
    if decision == "rejected":
        return PairState("– left out", "hint", "You left this pair out.")
    if registration is None:
        if reason := why_register(pair):
            return PairState("· to register", "caution", reason)
        return PairState("· not checked", "hint", "Not registered yet; it can be used as it is.")
    reason = registration.sentence()
    if registration.verdict is Verdict.FAILED:
        return PairState("✗ failed", "bad", reason)
    if registration.verdict is Verdict.DOUBTFUL:
        if decision == "accepted":
            return PairState("✓ accepted", "good", reason)
        return PairState("! doubtful", "caution", reason)
    if registration.verdict is Verdict.DRIFTS:
        return PairState(f"~ drifts {_pixels(registration.drift)}", "good", reason)
    return PairState(f"✓ good {_pixels(registration.expected_error)}", "good", reason)


def why_register(pair: ImagePair) -> str:
    """Why a pair cannot be used before it is registered; empty if it can."""
    if problem := pair.size_problem():
        return problem
    if not (pair.source.is_calibrated and pair.target.is_calibrated):
        return ""
    fields = [_pixel_in_metres(i) * i.sizes["X"] for i in (pair.source, pair.target)]
    if isclose(*fields, rel_tol=TOLERANCE):
        return ""
    source, target = (pixel_words(field, "m") for field in fields)
    return f"The source is {source} wide and the target {target}: register the pair."


def evidence_lines(registration: Registration | None) -> list[tuple[str, str]]:
    """What speaks for or against a registration: caption and figure."""
    if registration is None or registration.verdict is Verdict.FAILED:
        return []
    lines = [("Scale", f"{registration.scale:.3f}, turned {registration.rotation:+.2f}°")]
    if registration.candidates:
        method = "" if registration.method is None else f" ({registration.method})"
        lines.append(("Matches", f"{registration.inliers} of {registration.candidates}{method}"))
    for caption, length in (("Error", registration.expected_error), ("Drift", registration.drift)):
        if length is not None:
            real = registration.physical(length)
            known = real is not None and registration.unit is not None
            beside = f" = {real:.2g} {registration.unit}" if known else ""
            lines.append((caption, f"{_pixels(length)}{beside}"))
    before, after = registration.correlation_before, registration.correlation_after
    if before is not None and after is not None:
        lines.append(("Agreement", f"{before:.2f} {ARROW} {after:.2f}"))
    return lines


def _pixels(length: float | None) -> str:
    """A length with the precision that an estimate has."""
    if length is None:
        return ""
    return f"{length:.1f} px" if length >= 1 else f"{length:.1g} px"


def _pixel_in_metres(image: Image) -> float:
    size, unit = image.pixel_size[-1], image.unit
    return 1.0 if size is None or unit is None else size * METRES.get(unit, 1.0)
