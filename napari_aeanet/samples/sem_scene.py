"""Scene of the electron micrographs: round particles in clusters on a nanoporous host.

The scene is a height map rendered with the contrast of secondary electrons. Lengths and heights
are in pixels of the close-up. Both materials span the same range of grey: clusters differ from
the host in texture, not in brightness.
"""

from __future__ import annotations

import numpy as np

from napari_aeanet.samples.textures import (
    band_field,
    blurred,
    local_mean,
    rough_field,
    smooth_field,
)

CLUSTER_PITCH = 400.0
CLUSTER_RADIUS = (75.0, 150.0)
PARTICLE_RADIUS = (10.0, 13.5)
# Mean brightness of the particles above that of the host, in standard deviations of the host.
CLUSTER_CONTRAST = 0.25
# Grey level of the detector without electrons.
DARK = 10.0


def render_scene(
    shape: tuple[int, int], centre: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return grey levels without noise or blur (float32), and a mask of the particles.

    One cluster always lies near `centre`.
    """
    ground = 8 * smooth_field(shape, 130, rng)
    host = ground + _porous_film(shape, rng)
    radius = rng.uniform(*PARTICLE_RADIUS)
    height = host.copy()
    for y, x in _cluster_centres(shape, centre, rng):
        particles = _pile(rng.uniform(*CLUSTER_RADIUS), radius, rng)
        particles[:, :2] += y, x
        _stamp(height, particles, ground)
    covered = height > host
    signal = _secondary_electrons(height, rng)
    signal *= np.where(covered, _particle_yield(signal, covered), np.float32(1))
    return _operator_levels(signal, rng), covered


def _porous_film(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return heights of a phase-separated film with ridges and pits on two scales."""
    wavelength = rng.uniform(34, 48)
    level = rng.uniform(-0.5, 0.3)
    ripples = band_field(shape, wavelength, rng, 0.35)
    ripples += 0.55 * band_field(shape, wavelength / 2, rng, 0.3)
    depth = rng.uniform(5.0, 6.5) * (1 + 0.3 * np.tanh(smooth_field(shape, 90, rng)))
    return depth * np.tanh(1.5 * (ripples - level)) + 0.6 * rough_field(shape, 60, rng)


def _cluster_centres(
    shape: tuple[int, int], centre: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return a jittered lattice around `centre`; a seventh of it, never the centre, is empty."""
    half = int(np.ceil(max(shape) / CLUSTER_PITCH))
    lattice = np.moveaxis(np.mgrid[-half : half + 1, -half : half + 1], 0, -1).reshape(-1, 2)
    kept = (rng.random(len(lattice)) > 1 / 7) | ~lattice.any(axis=1)
    centres = centre + CLUSTER_PITCH * (lattice + rng.uniform(-0.3, 0.3, lattice.shape))
    margin = 1.5 * CLUSTER_RADIUS[1]
    inside = ((centres > -margin) & (centres < np.array(shape) + margin)).all(axis=1)
    return centres[kept & inside]


def _pile(size: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return the particles of a cluster around (0, 0): y, x, height of the centre, radius.

    Three layers of loosely hexagonal packing within a lobed outline, each sparser than the one
    below it and centred on its gaps.
    """
    pitch = 1.75 * radius
    half = int(1.5 * size / pitch) + 2
    row, column = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1)
    sites = pitch * np.stack([0.87 * row, column + 0.5 * (row % 2)], -1)
    phases = rng.uniform(0, 2 * np.pi, 3)
    layers = []
    for level, (extent, vacancies) in enumerate(((1.0, 0.04), (0.78, 0.25), (0.5, 0.4))):
        hollow = pitch * np.array([0.58 * (level % 2), 0.5 * level])
        place = sites + hollow + rng.normal(0, 0.22 * radius, sites.shape)
        angle = np.arctan2(place[:, 0], place[:, 1])
        lobes = 1 + sum(
            a * np.sin(k * angle + phase)
            for k, a, phase in zip((2, 3, 5), (0.22, 0.13, 0.07), phases, strict=True)
        )
        distance = np.hypot(*place.T) + rng.normal(0, 0.6 * radius, len(place))
        kept = (distance < extent * size * lobes) & (rng.random(len(place)) > vacancies)
        n = np.count_nonzero(kept)
        z = 3 + 1.1 * radius * level + rng.normal(0, 0.2 * radius, n)
        layers.append(np.column_stack([place[kept], z, radius * rng.lognormal(0, 0.13, n)]))
    return np.concatenate(layers)


def _stamp(height: np.ndarray, particles: np.ndarray, ground: np.ndarray) -> None:
    """Raise `height` to the upper half of every sphere on the `ground`."""
    corner = np.floor(particles[:, :2]).astype(int)
    within = ((corner >= 0) & (corner < height.shape)).all(axis=1)
    particles, corner = particles[within].astype(np.float32), corner[within]
    if not len(particles):
        return
    py, px, pz, radius = (p[:, None, None] for p in particles.T)
    offsets = np.arange(-np.ceil(radius.max()), np.ceil(radius.max()) + 2, dtype=int)
    y = corner[:, :1, None] + offsets[:, None]  # (n, window, 1)
    x = corner[:, 1:, None] + offsets  # (n, 1, window)
    dy, dx = y.astype(np.float32) - py, x.astype(np.float32) - px
    cap = radius**2 - dy**2 - dx**2  # (n, window, window)
    hit = (cap > 0) & (y >= 0) & (y < height.shape[0]) & (x >= 0) & (x < height.shape[1])
    base = pz + ground[corner[:, 0], corner[:, 1]][:, None, None]
    surface = np.broadcast_to(base, cap.shape)[hit] + np.sqrt(cap[hit])
    pixels = np.broadcast_to(y * height.shape[1] + x, cap.shape)[hit]
    np.maximum.at(height.reshape(-1), pixels, surface)


def _secondary_electrons(height: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Render a height map: tilt, edges, shadowing in pits, and a detector on one side.

    (min(1 / cos tilt, 2.6) + edge) * exp(-depth below the surroundings / 7) * (1 + side).
    """
    gy, gx = np.gradient(height)
    secant = np.sqrt(1 + gy**2 + gx**2)
    signal = np.minimum(secant, 2.6)
    signal += 0.2 * np.maximum(height - blurred(height, 2.2), 0)
    signal *= np.exp(np.minimum(height - local_mean(height, 19), 0) / 7)
    signal *= 1 + (0.13 * gx - 0.1 * gy) / secant
    signal *= 1 + 0.05 * smooth_field(height.shape, 250, rng)  # charging
    return signal


def _particle_yield(signal: np.ndarray, covered: np.ndarray) -> float:
    """Return the yield that makes particles on average a little brighter than the host."""
    host = signal[~covered]
    return (host.mean() + CLUSTER_CONTRAST * host.std()) / signal.mean(where=covered)


def _operator_levels(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set brightness and contrast as an operator does: the full range without clipping."""
    mean, spread = rng.uniform(72, 96), rng.uniform(22, 28)
    return np.maximum(mean + spread * (signal - signal.mean()) / signal.std(), DARK)
