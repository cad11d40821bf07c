"""Place all sections of a stack by least squares over the matches between neighbours.

A section i is shifted by u_i and turned by an angle a_i about its centre: the point p of the
aligned stack, relative to the centre, lies at R(a_i) (p + u_i) in it. A match between i and j with
angle a_ij, which moves the centre by m_ij, tells

    a_j - a_i = a_ij        u_j - u_i = R(a_j)^-1 m_ij.

First the angles, then the shifts are solved, both linear. A match counts with its correlation,
divided by the distance of its sections; matches that contradict the others lose their weight
(Cauchy). Two weak terms keep straight structures straight:

- The errors of matches add up along a stack like a random walk, and bend what is straight. So
  every section is drawn to its recorded place, by the variance of the errors of the matches
  divided by the variance of the places found without this. Where sections lie scattered about
  their recorded places this removes the slow bending, and nothing else; a stack that drifted far
  while it was recorded is hardly held back, as its variance is large. A stack that was aligned
  before stays as it is.
- Sections without a match are drawn to their neighbours, with a weight that yields to any match:
  their place is interpolated. So are the parts on either side of a break placed.

The mean shift and the mean angle are removed, so that the stack stays in its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from napari_aeanet.registration import transforms
from napari_aeanet.stacks.sections import LOWEST_CORRELATION, SectionMatch
from napari_aeanet.stacks.settings import Row, SectionPlace, SectionState, StackAlignment

#: Matches between sections (first, second), by their indices.
Matches = Mapping[tuple[int, int], SectionMatch]
#: Weight of the terms that interpolate, beside about 1 for a match.
INTERPOLATION = 1e-5
#: Weight of the recorded places while none is known, which makes the solution unique.
NEGLIGIBLE = 1e-9
#: Rounds in which contradicting matches lose their weight, and the lowest weight of a match that
#: still counts as evidence.
ROUNDS, COUNTED = 12, 0.1
#: Lowest correlation of a match that connects parts of a stack where nothing better does.
LOWEST_WEAK_CORRELATION = 0.15
#: Smallest error of a match that is assumed, in pixels.
SMALLEST_ERROR = 0.1


@dataclass(frozen=True, eq=False)
class _Links:
    """The matches as arrays: sections, turns (radians), shifts of the centre and weights."""

    first: np.ndarray
    second: np.ndarray
    turns: np.ndarray
    shifts: np.ndarray
    weights: np.ndarray


def place_sections(count: int, shape: tuple[int, int], matches: Matches) -> StackAlignment:
    """Return the places of `count` sections of `shape` from the matches found between them."""
    chosen, bridges = _chosen(count, matches)
    links = _links(shape, chosen)
    radius = np.hypot(*shape) / 4
    turns, certain = _solve(count, links, links.turns[:, None], radius)
    turns = turns[:, 0]
    told = np.einsum("nji,nj->ni", _rotations(turns[links.second]), links.shifts)
    shifts, certain_shifts = _solve(count, links, told)
    used = np.minimum(certain, certain_shifts) >= COUNTED
    off_turns = turns[links.second] - turns[links.first] - links.turns
    off_shifts = shifts[links.second] - shifts[links.first] - told
    errors = np.hypot(np.linalg.norm(off_shifts, axis=1), radius * off_turns)
    pairs = np.stack([links.first, links.second], axis=1)[used]
    group = _groups(count, pairs)
    sections = []
    for index in range(count):
        own = (links.first == index) | (links.second == index)
        correlation = max(
            [m.correlation for pair, m in matches.items() if index in pair], default=0
        )
        state = SectionState.ALIGNED
        if not (own & used).any():
            state = SectionState.INTERPOLATED
        elif _begins(index, group, pairs):
            state = SectionState.BREAK
        elif index in bridges:
            state = SectionState.UNSURE
        error = float(np.median(errors[own & used])) if (own & used).any() else None
        sections.append(
            SectionPlace(
                state=state,
                matrix=_matrix(shape, turns[index], shifts[index]),
                shift=(float(-shifts[index, 0]), float(-shifts[index, 1])),
                turn=float(-np.rad2deg(turns[index])),
                correlation=float(correlation),
                error=error,
            )
        )
    return StackAlignment(shape=shape, sections=tuple(sections))


def _links(shape: tuple[int, int], matches: Matches) -> _Links:
    found = {pair: m for pair, m in matches.items() if m.matrix is not None}
    pairs = np.array(list(found), dtype=np.int64).reshape(-1, 2)
    matrices = np.array([m.matrix for m in found.values()], dtype=np.float64).reshape(-1, 3, 3)
    centre = transforms.centre(shape)
    turns = np.array([np.deg2rad(transforms.rotation_of(m)) for m in matrices])
    moved = np.array([transforms.apply(m, centre[None])[0] - centre for m in matrices])
    correlations = np.array([m.correlation for m in found.values()])
    return _Links(
        first=pairs[:, 0],
        second=pairs[:, 1],
        turns=turns.reshape(-1),
        shifts=moved.reshape(-1, 2),
        weights=correlations.reshape(-1) / np.maximum(1, pairs[:, 1] - pairs[:, 0]),
    )


def _rotations(turns: np.ndarray) -> np.ndarray:
    """Return R(turn) on (y, x), shape (n, 2, 2)."""
    c, s = np.cos(turns), np.sin(turns)
    return np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)


def _solve(
    count: int, links: _Links, told: np.ndarray, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Solve x_second - x_first = told, (links, components), robustly for the sections.

    Returns x, (sections, components), and how far each match agrees with the others, from 0 to 1.
    `scale` is the length of a unit in pixels.
    """
    certain = np.ones(len(told))
    if not len(told):
        return np.zeros((count, told.shape[1])), certain
    # Not held, a match that alone connects two parts contradicts nothing and keeps its weight.
    for _ in range(ROUNDS):
        places = _least_squares(count, links, told, certain, 0.0)
        off = np.linalg.norm(places[links.second] - places[links.first] - told, axis=1)
        off *= scale * links.weights
        error = max(SMALLEST_ERROR, 1.5 * float(np.median(off)))
        certain = 1 / (1 + (off / (3 * error)) ** 2)
    places -= places.mean(axis=0)
    spread = scale * float(np.sqrt((places**2).mean()))
    places = _least_squares(count, links, told, certain, (error / max(spread, error)) ** 2)
    places -= places.mean(axis=0)
    return places, certain


def _least_squares(
    count: int, links: _Links, told: np.ndarray, certain: np.ndarray, held: float
) -> np.ndarray:
    """Solve the weighted equations, with the weak terms of the module's docstring."""
    weights = np.concatenate([certain * links.weights**2, np.full(count - 1, INTERPOLATION)])
    before = np.arange(count - 1)
    first = np.concatenate([links.first, before])
    second = np.concatenate([links.second, before + 1])
    rows = np.arange(len(first))
    ones = np.ones(len(first))
    differences = sparse.csr_matrix(
        (np.concatenate([ones, -ones]), (np.tile(rows, 2), np.concatenate([second, first]))),
        shape=(len(first), count),
    )
    right = np.concatenate([told, np.zeros((count - 1, told.shape[1]))])
    weighted = differences.T.multiply(weights)
    hold = np.full(count, NEGLIGIBLE)
    hold[np.union1d(links.first, links.second)] += held  # those without a match are interpolated
    normal = weighted @ differences + sparse.diags(hold)
    return linalg.spsolve(normal.tocsc(), weighted @ right).reshape(count, -1)


def _chosen(count: int, matches: Matches) -> tuple[dict[tuple[int, int], SectionMatch], list[int]]:
    """Return the convincing matches, with the best weak one wherever none connects two parts.

    Also the section where the second part of each of these weak ones begins. A section
    that has only weak matches belongs to no part.
    """
    found = {pair: match for pair, match in matches.items() if match.matrix is not None}
    chosen = {pair: m for pair, m in found.items() if m.correlation >= LOWEST_CORRELATION}
    matched = {index for pair in chosen for index in pair}
    weak = [pair for pair in found if pair not in chosen and matched.issuperset(pair)]
    bridges = []
    for first, second in sorted(weak, key=lambda pair: _weight(pair, found[pair]), reverse=True):
        group = _groups(count, np.array([*chosen]))
        if group[first] != group[second]:
            chosen[first, second] = found[first, second]
            part = [i for i in matched if group[i] == group[second] and i > first]
            bridges.append(min(part))
    return chosen, bridges


def _weight(pair: tuple[int, int], match: SectionMatch) -> float:
    return match.correlation / (pair[1] - pair[0])


def _groups(count: int, pairs: np.ndarray) -> np.ndarray:
    """Return a number for every section; those connected by pairs have the same."""
    pairs = pairs.reshape(-1, 2)
    graph = sparse.coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    return sparse.csgraph.connected_components(graph, directed=False)[1]


def _begins(index: int, group: np.ndarray, pairs: np.ndarray) -> bool:
    """Return True for the first section of a part that no match connects to one before it."""
    before = np.unique(pairs[pairs < index])
    return len(before) > 0 and not (group[before] == group[index]).any()


def _matrix(shape: tuple[int, int], turn: float, shift: np.ndarray) -> tuple[Row, Row, Row]:
    centre = transforms.centre(shape)
    turned = transforms.similarity(1.0, float(np.rad2deg(turn)), centre.tolist())
    first, second, third = (turned @ transforms.translation(shift - centre)).tolist()
    return (tuple(first), tuple(second), tuple(third))
