"""Alignment of pairs that are not registered, from the middle of their images."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from napari_aeanet.core.names import names_in_words
from napari_aeanet.core.progress import Progress
from napari_aeanet.dataset.pair_samples import Sample
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import BlockMatches, detail, match_blocks, transforms

# Longest side of the part that is looked at, in pixels: a shift is the same everywhere. The larger
# part is looked at where the smaller one holds too little.
SIDES = (256, 512)
# A larger shift of a pair makes its model blur (pixels).
NOTABLE_SHIFT = 0.5
# Standard errors that a notable shift exceeds: noise moves the median of a few blocks by a pixel.
SHIFT_EVIDENCE = 3.0
# Of more unregistered pairs, every second, third ... one is looked at.
MOST_LOOKED_AT = 100


@dataclass(frozen=True)
class PairAlignment:
    """Alignment of all pairs.

    Parameters
    ----------
    objections, notes
        Sentences, if most pairs are not aligned, or some.
    unregistered
        Number of pairs to register first; 0 if there is no objection.
    is_aligned
        True if every pair is well registered, or has two images of one grid that are aligned.
    """

    objections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unregistered: int = 0
    is_aligned: bool = False


def refuse_shifted(
    samples: Sequence[Sample], pairs: Mapping[int, ImagePair]
) -> Generator[Progress, None, tuple[str, ...]]:
    """Return notes on single pairs, as `find_alignment` finds them.

    Raises
    ------
    ValueError
        If most pairs are not aligned.
    """
    found = yield from find_alignment(samples, pairs)
    if found.objections:
        raise ValueError(" ".join(found.objections))
    return found.notes


def find_alignment(
    samples: Sequence[Sample], pairs: Mapping[int, ImagePair]
) -> Generator[Progress, None, PairAlignment]:
    """Return the alignment of all pairs. Yields before each that is looked at.

    Parameters
    ----------
    samples
        Samples of all pairs: their sources lie on the grids of the targets.
    pairs
        Pairs by their number.
    """
    plain = [number for number, pair in pairs.items() if pair.registration is None]
    looked_at = plain[:: -(-len(plain) // MOST_LOOKED_AT) or 1]
    first = {sample.pair: sample for sample in reversed(samples)}
    shifted: dict[int, float] = {}
    unclear: list[int] = []
    for done, number in enumerate(looked_at):
        yield Progress("comparing", done + 1, len(looked_at), unit="pair")
        shift = shift_between(*_planes(first[number]))
        if shift is None:
            unclear.append(number)
        elif shift > NOTABLE_SHIFT:
            shifted[number] = shift
    # Noise, or another contrast, hides the field of two images of one grid.
    other_grid = [number for number in plain if not _is_on_one_grid(pairs[number])]
    strangers = [number for number in unclear if number in other_grid]
    registered = len(pairs) - len(plain)
    total = len(looked_at) + registered
    are_most = 2 * (len(shifted) + len(strangers)) > total
    sentences = []
    if shifted:
        far = max(shifted.values())
        sentences.append(
            f"{_of(len(shifted), total)} shifted, by up to {far:.{0 if far >= 10 else 1}f} px, and "
            f"not registered: register {_them(shifted, pairs, are_most)} first."
        )
    if strangers:
        sentences.append(
            f"{_of(len(strangers), total)} not registered, and no common field was found in source "
            f"and target: register {_them(strangers, pairs, are_most)} first."
        )
    notes = [] if are_most else sentences
    if rest := [number for number in unclear if number not in strangers]:
        notes = [
            *notes,
            f"It is not clear that source and target fit each other in {_named(rest, pairs)}: "
            "have a look.",
        ]
    is_registered = all(
        pair.accepted or pair.registration.verdict.is_usable
        for pair in pairs.values()
        if pair.registration is not None
    )
    return PairAlignment(
        objections=tuple(sentences) if are_most else (),
        notes=tuple(notes),
        unregistered=len(plain) if are_most and sentences else 0,
        is_aligned=is_registered and not (shifted or unclear or other_grid),
    )


def _is_on_one_grid(pair: ImagePair) -> bool:
    source, target = pair.source, pair.target
    return (source.plane_shape, source.pixel_size[-2:]) == (
        target.plane_shape,
        target.pixel_size[-2:],
    )


def _planes(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle planes; of a projection, the brightest pixels of its stack."""
    source, target = sample.source, sample.target
    if sample.projects:
        return source.max(axis=0), target[0]
    if target.ndim == 3:
        return source[0], target[0]
    middle = target.shape[1] // 2
    return source[0, middle], target[0, middle]


def _of(some: int, total: int) -> str:
    if total == 1:
        return "The pair is"
    return f"{some} of {total} pairs {'is' if some == 1 else 'are'}"


def _them(numbers: Collection[int], pairs: Mapping[int, ImagePair], are_most: bool) -> str:
    if not are_most:
        return _named(numbers, pairs)
    return "it" if len(numbers) == 1 else "them"


def _named(numbers: Collection[int], pairs: Mapping[int, ImagePair]) -> str:
    return names_in_words([pairs[number].name for number in numbers])


def shift_between(source: np.ndarray, target: np.ndarray) -> float | None:
    """Return the shift between two planes on one grid, in pixels.

    None means that no common field is found, or that noise hides where it lies.
    """
    for side in SIDES:
        details = detail(_middle(source, side)), detail(_middle(target, side))
        shift = _shift(details)
        if shift is not None or max(source.shape) <= side:
            return shift
    return None


def _shift(details: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Search for blocks near their places, then near those that phase correlation finds."""
    near = match_blocks(details, np.eye(3))
    if near.is_convincing:
        return _certain_length(near, np.zeros(2))
    moved = _phase_shift(*details)
    far = match_blocks(details, transforms.translation(moved))
    if far.is_convincing:
        return _certain_length(far, moved)
    if near.is_suggestive and _length(near, np.zeros(2)) <= NOTABLE_SHIFT:
        return _length(near, np.zeros(2))  # aligned, and noisy
    return None


def _certain_length(found: BlockMatches, moved: np.ndarray) -> float | None:
    """Return the length of the common shift; None if it is notable, but chance may explain it.

    The standard error of a median of n values is about sqrt(pi / 2) times that of their mean; it
    is averaged over both coordinates.
    """
    variance = found.displacements.var(axis=0, ddof=1).mean() / found.consistent
    length, error = _length(found, moved), np.sqrt(np.pi / 2 * variance)
    return length if length <= NOTABLE_SHIFT or length > SHIFT_EVIDENCE * error else None


def _length(found: BlockMatches, moved: np.ndarray) -> float:
    return float(np.linalg.norm(moved + np.median(found.displacements, axis=0)))


def _middle(plane: np.ndarray, side: int) -> np.ndarray:
    sides = [min(n, side) for n in plane.shape]
    starts = [(n - own) // 2 for n, own in zip(plane.shape, sides, strict=True)]
    region = tuple(slice(a, a + n) for a, n in zip(starts, sides, strict=True))
    return np.ascontiguousarray(plane[region], dtype=np.float32)


def _phase_shift(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the whole-pixel shift from source to target at the peak of the phase correlation.

    r = F^-1 [F(target) conj(F(source)) / |...|]; padded, so that no shift wraps around.
    """
    size = [fft.next_fast_len(2 * n, real=True) for n in target.shape]
    cross = fft.rfft2(target, size) * np.conj(fft.rfft2(source, size))
    surface = fft.irfft2(cross / (np.abs(cross) + 1e-9 * np.abs(cross).max()), size)
    peak = np.array(np.unravel_index(int(np.argmax(surface)), surface.shape))
    return np.where(peak >= np.array(source.shape), peak - size, peak).astype(float)
