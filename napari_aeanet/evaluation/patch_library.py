"""Restoration from a library of patches: LB-NLM and SRSW.

The library holds patches of registered pairs: the source's patch x and the target's y at the same
position, both less the mean of x. A new patch, less its own mean m, becomes

    m + Σᵢ wᵢ yᵢ

over its nearest library patches; overlapping patches are averaged. The weights make the method:

- LB-NLM (paired library-based non-local means): wᵢ = exp(-dᵢ²/h²) / Σⱼ exp(-dⱼ²/h²), with dᵢ the
  distance to xᵢ.
- SRSW (sparse weights): the few wᵢ ≥ 0 that compose the patch best, see `sparse_weights`.

For speed, distances are measured along the library's principal components, and the library is
clustered, so that only the clusters nearest to a patch are searched. The width h, or the penalty of
SRSW, is the one that restores a held-out part of the library best.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from napari_aeanet.evaluation.sparse_weights import sparse_weights


class Weights(StrEnum):
    """Weights of the nearest patches."""

    SIMILARITY = "LB-NLM"
    SPARSE = "SRSW"


# Candidates for h, or the penalty, as shares of the median distance to the nearest neighbours.
WIDTHS = {
    Weights.SIMILARITY: (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8),
    Weights.SPARSE: (0.02, 0.05, 0.1, 0.2, 0.4, 0.8),
}
# Patches that are held out of the library to choose h.
HELD_OUT = 2000
ROUNDS = 12
# Rows of patches per step.
STRIP = 32
# Patches that are composed at once.
AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings:
    """Options of LB-NLM and SRSW.

    Parameters
    ----------
    weights
        Weights of the nearest patches, which make the method.
    patch
        Edge of a patch in pixels.
    stride
        Distance between restored patches in pixels.
    library
        Number of patches in the library.
    clusters, searched
        Clusters of the library, and the number of them that is searched for every patch.
    neighbours
        Number of nearest library patches that get weights.
    components
        Principal components along which distances are measured.
    seed
        Random seed for the choice of the library's patches.
    """

    weights: Weights = Weights.SIMILARITY
    patch: int = 7
    stride: int = 2
    library: int = 60_000
    clusters: int = 256
    searched: int = 2
    neighbours: int = 24
    components: int = 16
    seed: int = 0


DEFAULTS = NeighbourSettings()


@dataclass(frozen=True, eq=False)
class Library:
    """Patches by cluster.

    Parameters
    ----------
    basis
        Principal components of the source patches: (pixels, components).
    centres
        Centres of the clusters: (clusters, components).
    sources, targets
        Patches of each cluster: (n, components) and (n, pixels).
    width
        h, or the penalty of sparse weights, in the unit of the intensities.
    """

    settings: NeighbourSettings
    basis: np.ndarray
    centres: np.ndarray
    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    width: float


Pair = tuple[np.ndarray, np.ndarray]


def build_library(pairs: Sequence[Pair], settings: NeighbourSettings = DEFAULTS) -> Library:
    """Build the library from pairs (source, target) of planes on one grid.

    Raises
    ------
    ValueError
        If a source and its target differ in shape, or none is as large as a patch.
    """
    rng = np.random.default_rng(settings.seed)
    x, y = _drawn(pairs, settings, rng)
    means = x.mean(axis=1, keepdims=True)
    x, y = x - means, y - means
    aside = min(HELD_OUT, len(x) // 10)
    basis = _principal(x, settings.components)
    features = x @ basis
    centres, labels = _clustered(features[aside:], settings.clusters, rng)
    members = [np.flatnonzero(labels == label) for label in range(len(centres))]
    library = Library(
        settings=settings,
        basis=basis,
        centres=centres,
        sources=tuple(features[aside:][own] for own in members),
        targets=tuple(y[aside:][own] for own in members),
        width=1.0,
    )
    return _with_best_width(library, features[:aside], y[:aside])


def restore_by_neighbours(image: np.ndarray, library: Library) -> Generator[None, None, np.ndarray]:
    """Return the restored plane as float32; yield after each strip of `STRIP` rows of patches."""
    patch, stride = library.settings.patch, library.settings.stride
    # Padding lets the outermost pixels lie in as many patches as the others.
    rim = patch - 1
    # The last patch must end at or beyond the last pixel, for every stride.
    pads = [(rim, rim + -(n + 2 * rim - patch) % stride) for n in image.shape]
    padded = np.pad(image.astype(np.float32), pads, mode="symmetric")
    total, count = np.zeros_like(padded), np.zeros_like(padded)
    windows = sliding_window_view(padded, (patch, patch))[::stride, ::stride]
    rows, columns = windows.shape[:2]
    for top in range(0, rows, STRIP):
        strip = windows[top : top + STRIP]
        patches = _restored(strip.reshape(-1, patch * patch), library)
        blocks = patches.reshape(len(strip), columns, patch, patch)
        for i, j in np.ndindex(patch, patch):
            spread = (
                slice(top * stride + i, (top + len(strip) - 1) * stride + i + 1, stride),
                slice(j, (columns - 1) * stride + j + 1, stride),
            )
            total[spread] += blocks[:, :, i, j]
            count[spread] += 1
        yield
    inside = tuple(slice(rim, rim + n) for n in image.shape)
    return total[inside] / count[inside]


def _drawn(
    pairs: Sequence[Pair], settings: NeighbourSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw patches at random positions, in proportion to the sizes of the pairs: (n, pixels)."""
    patch = settings.patch
    for source, target in pairs:
        if source.shape != target.shape or source.ndim != 2:
            msg = (
                f"A library needs planes on one grid, got {source.shape} and {target.shape} "
                "pixels. Register the pairs first."
            )
            raise ValueError(msg)
    available = [np.prod(np.maximum(np.array(s.shape) - patch + 1, 0)) for s, _ in pairs]
    if sum(available) == 0:
        msg = f"No patch of {patch} × {patch} pixels fits into the pairs. Give larger images."
        raise ValueError(msg)
    sources: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    wanted = min(settings.library, sum(available))
    for (source, target), count in zip(pairs, available, strict=True):
        drawn = rng.choice(int(count), size=int(wanted * count / sum(available)), replace=False)
        for image, found in ((source, sources), (target, targets)):
            windows = sliding_window_view(image, (patch, patch))
            y, x = np.divmod(drawn, windows.shape[1])
            found.append(windows[y, x].reshape(len(drawn), -1).astype(np.float32))
    order = rng.permutation(sum(len(found) for found in sources))
    return np.concatenate(sources)[order], np.concatenate(targets)[order]


def _principal(x: np.ndarray, components: int) -> np.ndarray:
    _, vectors = np.linalg.eigh(x.T @ x)
    return np.ascontiguousarray(vectors[:, ::-1][:, :components], np.float32)


def _clustered(
    features: np.ndarray, clusters: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of at most so many clusters (k-means), and the cluster of each row."""
    from scipy.cluster.vq import kmeans2

    first = rng.choice(len(features), size=min(clusters, len(features)), replace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # empty clusters, which are dropped below
        centres, labels = kmeans2(features, features[first], iter=ROUNDS, minit="matrix")
    used, labels = np.unique(labels, return_inverse=True)
    return centres[used], labels


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return |aᵢ - bⱼ|² as |aᵢ|² - 2 aᵢ·bⱼ + |bⱼ|²: (rows of a, rows of b)."""
    squares = a @ (-2 * b.T)
    squares += np.sum(a * a, axis=1)[:, None]
    squares += np.sum(b * b, axis=1)
    return np.maximum(squares, 0, out=squares)


def _with_best_width(library: Library, features: np.ndarray, targets: np.ndarray) -> Library:
    if not len(features):
        return library
    # Small clusters have fewer neighbours.
    nearest = np.concatenate([d.ravel() for _, d, _, _ in _nearest(features, library)])
    scale = float(np.sqrt(np.median(nearest))) or 1.0

    def error(width: float) -> float:
        return float(np.mean((_averaged(features, library, width) - targets) ** 2))

    shares = WIDTHS[library.settings.weights]
    return replace(library, width=min((scale * share for share in shares), key=error))


def _restored(patches: np.ndarray, library: Library) -> np.ndarray:
    means = patches.mean(axis=1, keepdims=True)
    return means + _averaged((patches - means) @ library.basis, library, library.width)


def _averaged(features: np.ndarray, library: Library, width: float) -> np.ndarray:
    """Return Σ wᵢ yᵢ for every row of features: (rows, pixels)."""
    if library.settings.weights is Weights.SPARSE:
        starts = range(0, len(features), AT_ONCE)
        return np.concatenate(
            [_composed(features[i : i + AT_ONCE], library, width) for i in starts]
        )
    restored = np.empty((len(features), library.settings.patch**2), np.float32)
    for rows, distances, _, targets in _nearest(features, library):
        # Less the smallest distance: otherwise all weights of an outlier would underflow to zero.
        weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / width**2)
        weights /= weights.sum(axis=1, keepdims=True)
        restored[rows] = np.matmul(weights[:, None, :], targets)[:, 0]
    return restored


def _composed(features: np.ndarray, library: Library, penalty: float) -> np.ndarray:
    """Return Σ wᵢ yᵢ with sparse weights; all rows at once, since groups are small."""
    available = sum(len(own) for own in library.sources)
    shape = (len(features), min(library.settings.neighbours, available))
    # Patches of zeros, where a group has fewer neighbours, get no weight.
    atoms = np.zeros((*shape, features.shape[1]), np.float32)
    values = np.zeros((*shape, library.settings.patch**2), np.float32)
    for rows, _, sources, targets in _nearest(features, library):
        atoms[rows, : sources.shape[1]], values[rows, : targets.shape[1]] = sources, targets
    weights = sparse_weights(features, atoms, penalty)
    return np.matmul(weights[:, None, :], values)[:, 0]


def _nearest(
    features: np.ndarray, library: Library
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Group the rows of features by their nearest clusters.

    Yield the rows of a group, the squared distances to their nearest library patches
    (rows, neighbours), and the features and the targets of these (rows, neighbours, ...).
    """
    searched = min(library.settings.searched, len(library.centres))
    to_centres = _distances(features, library.centres)
    own = np.sort(np.argpartition(to_centres, searched - 1, axis=1)[:, :searched], axis=1)
    code = own @ (len(library.centres) ** np.arange(searched))
    order = np.argsort(code, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        if not len(rows):
            continue
        clusters = own[rows[0]]
        sources = np.concatenate([library.sources[c] for c in clusters])
        targets = np.concatenate([library.targets[c] for c in clusters])
        distances = _distances(features[rows], sources)
        count = min(library.settings.neighbours, len(sources))
        if count < len(sources):
            chosen = np.argpartition(distances, count - 1, axis=1)[:, :count]
        else:
            chosen = np.broadcast_to(np.arange(count), distances.shape)
        nearest = np.take_along_axis(distances, chosen, axis=1)
        yield rows, nearest, sources[chosen], targets[chosen]
