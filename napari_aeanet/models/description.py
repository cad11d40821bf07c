"""Describe a model in words and as plain values, from its card alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_aeanet.core.intensity import NormalisationKind
from napari_aeanet.core.intensity_range import IntensityRange
from napari_aeanet.core.units import lengths_in_words
from napari_aeanet.models.model_file import ModelCard


def describe_model(card: ModelCard) -> list[str]:
    """Return the name of a model and facts about it in words, one per line."""
    facts = [
        f"preset: {card.preset}",
        f"pixel size: {_pixel_size(card)}",
        f"intensities: {_intensities(card)}",
        f"trained on: {_trained_on(card)}",
        f"gain: {_gain(card)}",
    ]
    return [card.name, *(f"  {fact}" for fact in (*facts, card.note) if fact)]


def model_facts(card: ModelCard) -> dict[str, Any]:
    """Return the facts of `describe_model` as plain values; None where unknown."""
    known = card.source_range
    return {
        "name": card.name,
        "preset": card.preset,
        "ratio": list(card.ratio),
        "restored_pixel_size": list(card.pixel_size),
        "unit": card.unit,
        "normalisation": card.normalisation.kind.value,
        "range": None if known is None else [known.low, known.high],
        "pairs": _pairs(card),
        "gain": dict(card.gain),
        "note": card.note,
    }


def _pairs(card: ModelCard) -> int | None:
    """Return the number of pairs of the training; None if unknown."""
    plan = card.provenance.get("plan")
    pairs = plan.get("pairs") if isinstance(plan, Mapping) else None
    return len(pairs) if isinstance(pairs, Sequence) and pairs else None


def _trained_on(card: ModelCard) -> str:
    count = _pairs(card)
    return "unknown" if count is None else f"{count} pair{'s' * (count != 1)}"


def _pixel_size(card: ModelCard) -> str:
    if card.unit is None or None in card.pixel_size[-2:]:
        factor = card.ratio[-1]
        return "unknown" if factor == 1 else f"unknown, restored {factor:g} times finer"
    pairs = zip(card.pixel_size, card.ratio, strict=True)
    taken = [None if size is None else size * ratio for size, ratio in pairs]
    sizes = [lengths_in_words(one, card.unit) for one in (taken, card.pixel_size)]
    return sizes[0] if sizes[0] == sizes[1] else f"{sizes[0]}, restored to {sizes[1]}"


def _intensities(card: ModelCard) -> str:
    kind, known = card.normalisation.kind, card.source_range
    if kind is not NormalisationKind.FULL_SCALE or known is None:
        return kind.value
    return f"{kind.value}, {IntensityRange(known.low, known.high)}"


def _gain(card: ModelCard) -> str:
    gain = card.gain.get("psnr")
    if gain is None:
        return "unknown"
    than = "worse" if gain < 0 else "better"
    return f"{than} than the input by {abs(gain):.1f} dB"
