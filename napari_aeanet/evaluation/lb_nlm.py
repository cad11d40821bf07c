"""Paired library-based non-local means (LB-NLM): restoration by looking patches up, no network.

A library holds patches of registered pairs: the source's patch x and the target's y at the same
place, both less the mean of x. A new patch, less its own mean m, becomes

    m + Σᵢ wᵢ yᵢ / Σᵢ wᵢ,    wᵢ = exp(-dᵢ²/h²),

over its nearest library patches, dᵢ the distance to xᵢ; overlapping patches are averaged. Two
things make it quick: distances are measured along the library's principal components, and the
library is clustered, so that only the clusters nearest to a patch are searched. The width h is
the one that restores best some patches that were kept aside.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Shares of the median distance to the nearest neighbours that are tried as h.
WIDTHS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
# Of the library's patches, this many are kept aside to choose h by.
KEPT_ASIDE = 2000
ROUNDS = 12
# Patches are looked up this many rows at a time.
STRIP = 32


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings:
    """How patches are cut and looked up.

    Parameters
    ----------
    patch
        Edge of a patch in pixels.
    stride
        From one patch that is restored to the next.
    library
        Patches in the library.
    clusters, searched
        Clusters of the library, and how many of them are searched for every patch.
    neighbours
        How many of the nearest library patches make a restored one.
    components
        Principal components along which distances are measured.
    seed
        Of the choice of the library's patches.
    """

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
        Of the clusters: (clusters, components).
    sources, targets
        For each cluster its patches: (n, components) and (n, pixels).
    width
        h, in the unit of the intensities.
    """

    settings: NeighbourSettings
    basis: np.ndarray
    centres: np.ndarray
    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    width: float


Pair = tuple[np.ndarray, np.ndarray]


def build_library(pairs: Sequence[Pair], settings: NeighbourSettings = DEFAULTS) -> Library:
    """The library of pairs (source, target) of planes on one grid.

    Raises
    ------
    ValueError
        If a source and its target differ in shape, or none is as large as a patch.
    """
    rng = np.random.default_rng(settings.seed)
    x, y = _drawn(pairs, settings, rng)
    means = x.mean(axis=1, keepdims=True)
    x, y = x - means, y - means
    aside = min(KEPT_ASIDE, len(x) // 10)
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


def restore_by_neighbours(
    image: np.ndarray, library: Library
) -> Generator[float, None, np.ndarray]:
    """The plane, restored, as float32; yields the share that is done, strip by strip."""
    patch, stride = library.settings.patch, library.settings.stride
    # As many pixels are added that every pixel lies in several patches, the outermost too.
    rim = patch - 1
    # The last patch ends at or beyond the last pixel, whatever the stride.
    pads = [(rim, rim + -(n + 2 * rim - patch) % stride) for n in image.shape]
    padded = np.pad(image.astype(np.float32), pads, mode="symmetric")
    total, count = np.zeros_like(padded), np.zeros_like(padded)
    windows = sliding_window_view(padded, (patch, patch))[::stride, ::stride]
    rows, columns = windows.shape[:2]
    for top in range(0, rows, STRIP):
        strip = windows[top : top + STRIP]
        patches = _looked_up(strip.reshape(-1, patch * patch), library)
        blocks = patches.reshape(len(strip), columns, patch, patch)
        for i, j in np.ndindex(patch, patch):
            spread = (
                slice(top * stride + i, (top + len(strip) - 1) * stride + i + 1, stride),
                slice(j, (columns - 1) * stride + j + 1, stride),
            )
            total[spread] += blocks[:, :, i, j]
            count[spread] += 1
        yield min(1.0, (top + STRIP) / rows)
    inside = tuple(slice(rim, rim + n) for n in image.shape)
    return total[inside] / count[inside]


def _drawn(
    pairs: Sequence[Pair], settings: NeighbourSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Patches at random places, of each pair as many as its size gives it; (n, pixels) each."""
    patch = settings.patch
    for source, target in pairs:
        if source.shape != target.shape or source.ndim != 2:
            msg = (
                f"A library is made of planes on one grid, got {source.shape} and {target.shape} "
                "pixels. Register the pairs first."
            )
            raise ValueError(msg)
    rooms = [np.prod(np.maximum(np.array(s.shape) - patch + 1, 0)) for s, _ in pairs]
    if sum(rooms) == 0:
        msg = f"No patch of {patch} × {patch} pixels fits into the pairs. Give larger images."
        raise ValueError(msg)
    sources: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    wanted = min(settings.library, sum(rooms))
    for (source, target), room in zip(pairs, rooms, strict=True):
        places = rng.choice(int(room), size=int(wanted * room / sum(rooms)), replace=False)
        for image, found in ((source, sources), (target, targets)):
            windows = sliding_window_view(image, (patch, patch))
            y, x = np.divmod(places, windows.shape[1])
            found.append(windows[y, x].reshape(len(places), -1).astype(np.float32))
    order = rng.permutation(sum(len(found) for found in sources))
    return np.concatenate(sources)[order], np.concatenate(targets)[order]


def _principal(x: np.ndarray, components: int) -> np.ndarray:
    _, vectors = np.linalg.eigh(x.T @ x)
    return np.ascontiguousarray(vectors[:, ::-1][:, :components], np.float32)


def _clustered(
    features: np.ndarray, clusters: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of at most so many clusters, and the cluster of each row, by Lloyd's algorithm."""
    first = rng.choice(len(features), size=min(clusters, len(features)), replace=False)
    centres = features[first]
    for _ in range(ROUNDS):
        labels = _distances(features, centres).argmin(axis=1)
        counts = np.bincount(labels, minlength=len(centres))
        sums = np.stack(
            [np.bincount(labels, column, minlength=len(centres)) for column in features.T], axis=1
        )
        # A cluster that lost all its members goes.
        centres = (sums[counts > 0] / counts[counts > 0, None]).astype(np.float32)
    return centres, _distances(features, centres).argmin(axis=1)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|aᵢ - bⱼ|² as |aᵢ|² - 2 aᵢ·bⱼ + |bⱼ|²: (rows of a, rows of b)."""
    squares = a @ (-2 * b.T)
    squares += np.sum(a * a, axis=1)[:, None]
    squares += np.sum(b * b, axis=1)
    return np.maximum(squares, 0, out=squares)


def _with_best_width(library: Library, features: np.ndarray, targets: np.ndarray) -> Library:
    if not len(features):
        return library
    nearest = np.concatenate([d for _, d, _ in _nearest(features, library)])
    scale = float(np.sqrt(np.median(nearest))) or 1.0
    tried = []
    for share in WIDTHS:
        restored = _averaged(features, library, scale * share)
        tried.append((float(np.mean((restored - targets) ** 2)), scale * share))
    return Library(**{**vars(library), "width": min(tried)[1]})


def _looked_up(patches: np.ndarray, library: Library) -> np.ndarray:
    means = patches.mean(axis=1, keepdims=True)
    return means + _averaged((patches - means) @ library.basis, library, library.width)


def _averaged(features: np.ndarray, library: Library, width: float) -> np.ndarray:
    """Σ wᵢ yᵢ / Σ wᵢ for every row of features: (rows, pixels)."""
    restored = np.empty((len(features), library.settings.patch**2), np.float32)
    for rows, distances, targets in _nearest(features, library):
        # Less the smallest distance: all weights of a lonely patch would be zero otherwise.
        weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / width**2)
        weights /= weights.sum(axis=1, keepdims=True)
        restored[rows] = np.matmul(weights[:, None, :], targets)[:, 0]
    return restored


def _nearest(
    features: np.ndarray, library: Library
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows that share their nearest clusters, squared distances to their nearest library patches
    (rows, neighbours), and the targets of these (rows, neighbours, pixels)."""
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
        yield rows, np.take_along_axis(distances, chosen, axis=1), targets[chosen]
