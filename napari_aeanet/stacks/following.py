"""Follow the deformation of sections: what of the motion between neighbours belongs to a section.

The motion f_k between the sections k and k + 1 of a chain is made of the difference of their
deformations u, of the course c_k of what runs obliquely through the tissue, and of a rest:

    f_k = u_{k+1} - u_k + c_k + rest.

A deformed section lies off from both of its neighbours in the same way, while a course goes on
from section to section, and must not be made upright. Both are taken for random: u of each section
with the variance `strength`, c with the variance `course` and the correlation exp(-|k - l| / 3),
the rest with variance 1 (more in pairs that move farther than others, as by damage). With D the
differences along the chain, the motions have the covariance

    K = strength D Dᵀ + course C + 1,      u = strength Dᵀ K⁻¹ f,

and a motion is predicted from those of all other pairs as f_k - (K⁻¹ f)_k / (K⁻¹)_kk. Smoothness,
strength and course are those that predict best; the less the strength, the closer u is held to
zero. Deformations are used only if motions are predicted better than by the best course without
any, by more than chance explains, and for a section only if its own pairs are so too.

A single deformed section among others says little about the strength in a chain. So a section
whose two motions, alone, predict each other is free: it has a high strength of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_aeanet.registration import (
    LARGEST_STRAIN,
    Deformation,
    largest_strain,
    spline_basis,
)

#: Strengths of deformations and of the course that are tried, and how far the course reaches.
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
COURSES, REACH = (0.0, 0.1, 0.3, 1.0, 3.0), 3.0
#: Places along either axis where motions are compared, and patches of them that count as one.
PLACES, PATCHES = 12, 4
#: Fewest sections of a chain; its least evidence, in standard errors (of patches, which are not
#: independent: real stacks that were not warped reached 3.5); least RMS displacement of a section,
#: in pixels.
FEWEST, LEAST_EVIDENCE, LEAST_DISPLACEMENT = 4, 4.0, 0.1
#: Strength of a single section that is free, and its least evidence, in standard errors.
FREE, LEAST_OF_FREE = 100.0, 3.0
#: Share of the largest strain that a deformation is reduced to where it exceeds it.
ALLOWED = 0.999
#: Long chains are divided: so many sections at a time, with so many more on either side.
WINDOW, MARGIN = 200, 30

#: Coefficients of the motion between two sections, (smoothness, rows, columns, 2).
Motions = Mapping[tuple[int, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Motions predicted from all others: K⁻¹, what is left of each, and how well patches fit."""

    precision: np.ndarray
    left: np.ndarray
    fit: np.ndarray

    @property
    def score(self) -> float:
        return float(self.fit.mean())


def follow_sections(
    count: int, shape: tuple[int, int], motions: Motions
) -> list[Deformation | None]:
    """Return the deformation of each of `count` sections; None where nothing proves one."""
    found: list[Deformation | None] = [None] * count
    for chain in _chains(motions):
        sections = [chain[0][0], *(last for _, last in chain)]
        if len(sections) < FEWEST:
            continue
        for start in range(0, len(sections), WINDOW):
            first = max(0, start - MARGIN)
            pairs = chain[first : start + WINDOW + MARGIN]
            followed = _follow(np.stack([motions[pair] for pair in pairs]), shape)
            for index, one in zip(sections[first:], followed, strict=False):
                if index in sections[start : start + WINDOW]:
                    found[index] = one
    return found


def _chains(motions: Motions) -> list[list[tuple[int, int]]]:
    """Return pairs of which each begins with the section that ended the one before."""
    chains: list[list[tuple[int, int]]] = []
    for pair in sorted(motions):
        if chains and chains[-1][-1][1] == pair[0]:
            chains[-1].append(pair)
        else:
            chains.append([pair])
    return chains


def _follow(motions: np.ndarray, shape: tuple[int, int]) -> list[Deformation | None]:
    """Return the deformations along a chain of motions, (pairs, smoothness, rows, columns, 2)."""
    count = len(motions) + 1
    told = [_over_field(motions[:, n], shape) for n in range(motions.shape[1])]
    free = _free_sections(told[0])
    tried = {
        (n, strength, course): _predict(one, told[0], np.where(free, FREE, strength), course, free)
        for n, one in enumerate(told)
        for strength in (0.0, *STRENGTHS)
        for course in COURSES
    }
    rigid, (key, best) = (
        max(
            (item for item in tried.items() if bool(item[0][1]) is is_deformed),
            key=lambda item: item[1].score,
        )
        for is_deformed in (False, True)
    )
    gains = best.fit - rigid[1].fit
    if _evidence(gains) < LEAST_EVIDENCE:
        key, best = rigid
    strengths = np.where(free, FREE, key[1])[:, None, None, None]
    weighted = np.tensordot(best.precision, motions[:, key[0]], 1)
    none = np.zeros_like(weighted[:1])
    deformed = strengths * (np.concatenate([none, weighted]) - np.concatenate([weighted, none]))
    without = _predict(told[rigid[0][0]], told[0], np.zeros(count), rigid[0][2], free)
    squares = [(one.left**2).sum(axis=-1).mean(axis=(1, 2)) for one in (without, best)]
    found: list[Deformation | None] = []
    for index, coefficients in enumerate(deformed):
        own = slice(max(0, index - 1), index + 1)
        before, after = (float(np.sqrt(one[own].mean())) for one in squares)
        size = np.sqrt((_over_field(coefficients[None], shape) ** 2).sum(axis=-1).mean())
        proven = free[index] or (best is not rigid[1] and gains[own].sum() > 0)
        if not proven or after >= before or size < LEAST_DISPLACEMENT:
            found.append(None)
            continue
        share = min(1.0, ALLOWED * LARGEST_STRAIN / max(largest_strain(coefficients), 1e-9))
        found.append(Deformation(coefficients=share * coefficients, before=before, after=after))
    return found


def _free_sections(told: np.ndarray) -> np.ndarray:
    """Return for each section whether the two motions beside it predict each other, alone."""
    before, after = (_patches((one**2).sum(axis=-1)) for one in (told[:-1], told[1:]))
    rest = _patches(((told[:-1] + told[1:]) ** 2).sum(axis=-1))
    middle = max(float(np.median((told**2).sum(axis=-1))), 1e-12)
    gains = np.log1p(before / middle) + np.log1p(after / middle) - 2 * np.log1p(rest / middle)
    free = np.array([_evidence(one) >= LEAST_OF_FREE for one in gains])
    return np.concatenate([[False], free, [False]])


def _over_field(coefficients: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return displacements at places over the field, in pixels, (n, PLACES, PLACES, 2)."""
    at = (np.arange(PLACES) + 0.5) / PLACES
    down, along = (spline_basis(at, one) for one in coefficients.shape[1:3])
    return np.einsum("yj,njkc,xk->nyxc", down, coefficients, along) * shape


def _predict(
    told: np.ndarray, target: np.ndarray, strengths: np.ndarray, course: float, free: np.ndarray
) -> _Prediction:
    """Predict `target`, the motion of each pair, from the motions of all other pairs."""
    count = len(told)
    sizes = (target**2).sum(axis=-1).mean(axis=(1, 2))
    for index in np.flatnonzero(free):  # what both of its pairs share is no damage
        shared = ((target[index - 1] + target[index]) ** 2).sum(axis=-1).mean() / 2
        sizes[index - 1 : index + 1] = np.minimum(sizes[index - 1 : index + 1], shared)
    middle = max(float(np.median(sizes)), 1e-12)
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    between = np.diff(np.eye(count + 1), axis=0)
    covariance = (between * strengths) @ between.T + course * np.exp(-apart / REACH)
    covariance[np.diag_indices(count)] += 1 + sizes / (9 * middle)
    precision = np.linalg.inv(covariance)
    rest = np.tensordot(precision / np.diag(precision)[:, None], told, 1)
    left = target - (told - rest)
    fit = -np.log1p(_patches((left**2).sum(axis=-1)) / middle)
    return _Prediction(precision, left, fit)


def _patches(values: np.ndarray) -> np.ndarray:
    """Return the means over patches, (n, PATCHES²)."""
    side = PLACES // PATCHES
    parts = values.reshape(len(values), PATCHES, side, PATCHES, side)
    return parts.mean(axis=(2, 4)).reshape(len(values), -1)


def _evidence(gains: np.ndarray) -> float:
    """Return the sum of gains, in its standard errors if there were none on average."""
    return float(gains.sum() / np.sqrt((gains**2).sum() + 1e-30))
