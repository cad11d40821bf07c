"""Voronoi cells with membranes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Tessellation(NamedTuple):
    """Cell of each voxel, and its distance from the next cell."""

    owner: np.ndarray
    """Index of the nearest seed."""
    nearest: np.ndarray
    """Distance to it."""
    gap: np.ndarray
    """Distance to the second nearest seed less that to the nearest: 0 on a membrane, growing by
    about twice the distance from it."""

    def membrane(self, width: float) -> np.ndarray:
        """Return membranes of Gaussian profile: exp(-(gap / 2)^2 / (2 width^2))."""
        return np.exp(-(self.gap**2) / (8 * width**2))


def tessellate(coordinates: Sequence[np.ndarray], seeds: np.ndarray, radius: float) -> Tessellation:
    """Return the Voronoi cells of `seeds` (n, dimensions) at `coordinates`, one per dimension.

    The coordinates broadcast to the volume; bending them bends the membranes. They belong to its
    last axes: seeds of two dimensions in a volume of three make columns. `radius` is the range of
    a seed along every axis, which keeps the work proportional to the volume: about 1.3 times the
    distance between seeds is enough.
    """
    shape = np.broadcast_shapes(*(c.shape for c in coordinates))
    nearest = np.full(shape, 9 * radius**2, np.float32)
    second = nearest.copy()
    owner = np.zeros(shape, np.int32)
    columns = len(shape) - len(coordinates)
    lines = [_axis_line(c, columns + k) for k, c in enumerate(coordinates)]
    for index, seed in enumerate(seeds.astype(np.float32)):
        window = (slice(None),) * columns + _window(lines, seed, radius)
        square = np.zeros(nearest[window].shape, np.float32)
        for coordinate, place in zip(coordinates, seed, strict=True):
            square += np.square(_cut(coordinate, window) - place)
        first = nearest[window]  # a view
        np.minimum(second[window], np.maximum(first, square), out=second[window])
        np.copyto(owner[window], index, where=square < first)
        np.minimum(first, square, out=first)
    nearest, second = np.sqrt(nearest), np.sqrt(second)
    return Tessellation(owner, nearest, second - nearest)


def jittered_lattice(
    low: Sequence[float],
    high: Sequence[float],
    spacing: Sequence[float] | float,
    jitter: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fill a box with a staggered lattice of `spacing`, displaced by up to `jitter` of it."""
    spacings = np.broadcast_to(np.asarray(spacing, float), (len(low),))
    counts = [int(np.ceil((b - a) / s)) + 1 for a, b, s in zip(low, high, spacings, strict=True)]
    lattice: np.ndarray = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1)
    lattice = lattice.reshape(-1, len(low)).astype(np.float64)
    lattice[:, -1] += 0.5 * (lattice[:, -2] % 2)
    lattice += rng.uniform(-jitter, jitter, lattice.shape)
    return np.asarray(low) + lattice * spacings - 0.25 * spacings


def _axis_line(coordinate: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean coordinate of each plane across `axis`: bending is small against a cell."""
    others = tuple(k for k in range(coordinate.ndim) if k != axis)
    return coordinate.mean(axis=others)


def _window(lines: Sequence[np.ndarray], seed: np.ndarray, radius: float) -> tuple[slice, ...]:
    """Select the planes within `radius` of the seed along every axis."""
    window = []
    for line, s in zip(lines, seed, strict=True):
        inside = np.flatnonzero(np.abs(line - s) <= radius)
        window.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0))
    return tuple(window)


def _cut(array: np.ndarray, window: tuple[slice, ...]) -> np.ndarray:
    """Return the part of a broadcastable array in `window`."""
    return array[
        tuple(w if n > 1 else slice(None) for w, n in zip(window, array.shape, strict=True))
    ]


def grid(shape: Sequence[int], voxel: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Return the coordinates of a volume along each axis, float32, ready to broadcast."""
    lines = (np.arange(n, dtype=np.float32) * v for n, v in zip(shape, voxel, strict=True))
    return tuple(np.meshgrid(*lines, indexing="ij", sparse=True))
