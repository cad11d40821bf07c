"""Paired scanning electron micrographs of nanoparticle clusters, with their true registration.

The overview (source, LR) and the close-up (target, HR) scan the *same* scene, each with its own
beam, dose and disturbances. Coordinates are pixel centres, (y, x, 1): ``target = matrix @ source``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.samples.sem_scene import DARK, render_scene
from napari_aeanet.samples.textures import blurred, local_mean, smooth_field, streams

# Margin of the rendered scene around both fields, beyond the range of all filters and warps.
MARGIN = 24
# The mask of the clusters covers dense particles: it includes gaps of this size (pixels), but no
# single particles.
CLUSTER_GAPS = 19


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Parameters of one scan.

    Parameters
    ----------
    beam
        Standard deviation of the beam, in nm.
    dose
        Electrons counted per grey level: shot noise has variance (grey level - dark) / dose.
    jitter
        Standard deviation of the horizontal misplacement of a scan line, in pixels.
    flicker
        Standard deviation of the brightness of a scan line, in grey levels.
    """

    beam: float
    dose: float
    jitter: float = 0.12
    flicker: float = 0.4


@dataclass(frozen=True, kw_only=True)
class SemSettings:
    """Parameters of the pairs, and the disagreement of the two scans of one specimen.

    Parameters
    ----------
    pixel_size
        Pixel size of the target, in nm.
    magnification
        Nominal pixel size of the source over that of the target.
    rotation, scale_error, shift
        Largest rotation (degrees), relative error of the magnification, and displacement of the
        field's centre (as a fraction of the target's field).
    drift
        Root mean square of the slow drift of the source scan over the target's field, in target
        pixels. It has no linear part there: the matrix remains the best global transform.
    gain, offset
        Largest deviation of the source's contrast (relative) and brightness (grey levels).
    source, target
        The two scans.
    """

    pixel_size: float = 5.0
    magnification: float = 2.0
    rotation: float = 2.5
    scale_error: float = 0.015
    shift: float = 0.04
    drift: float = 0.2
    gain: float = 0.12
    offset: float = 6.0
    source: Scan = Scan(beam=8.5, dose=0.8, jitter=0.1, flicker=0.7)
    target: Scan = Scan(beam=4.0, dose=20.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class SemSpecimen:
    """One specimen imaged twice, and the truth.

    Attributes
    ----------
    source, target
        The overview and the close-up, uint8, with nominal origins (common centre of both fields),
        as a microscope reports them.
    truth
        The target without noise and scan disturbances, float32.
    matrix
        True transform, source pixel to target pixel, (3, 3).
    clusters
        Mask of the particle clusters in the target, bool.
    """

    source: Image
    target: Image
    truth: Image
    matrix: np.ndarray
    clusters: np.ndarray


def paired_sem(
    count: int = 22,
    seed: int = 0,
    shape: tuple[int, int] = (944, 1280),
    settings: SemSettings | None = None,
) -> list[SemSpecimen]:
    """Return `count` specimens, source and target of `shape` pixels each.

    Specimen i depends on `seed` and i alone, so a longer list begins with the shorter one.
    """
    settings = settings or SemSettings()
    return [sem_specimen(index, seed, shape, settings) for index in range(count)]


def sem_specimen(
    index: int, seed: int, shape: tuple[int, int], settings: SemSettings
) -> SemSpecimen:
    """Return specimen `index` of `seed`: one scene, scanned twice."""
    scene_rng, place_rng, source_rng, target_rng = streams(seed, index, 4)
    matrix = random_transform(shape, settings, place_rng)
    corner, size = _scene_box(matrix, shape)
    scene, covered = render_scene(size, (np.array(shape) - 1) / 2 - corner, scene_rng)

    target_beam = settings.target.beam / settings.pixel_size
    field = tuple(slice(-c, -c + n) for c, n in zip(corner, shape, strict=True))
    truth = blurred(scene[field], target_beam)
    clusters = local_mean(covered[field].astype(np.float32), CLUSTER_GAPS) > 0.5
    jitter = target_rng.normal(0, settings.target.jitter, shape[0])
    target = _sample(scene[field], np.eye(3), target_beam, shape, jitter)
    target = _expose(target, settings.target, target_rng)

    to_scene = matrix.copy()
    to_scene[:2, 2] -= corner
    jitter = source_rng.normal(0, settings.source.jitter, shape[0])
    drift = _drift(matrix, shape, settings.drift, place_rng)
    source_beam = settings.source.beam / settings.pixel_size
    source = _sample(scene, to_scene, source_beam, shape, jitter, drift)
    gain = 1 + place_rng.uniform(-1, 1) * settings.gain
    offset = place_rng.uniform(-1, 1) * settings.offset
    source = _expose(DARK + gain * (source - DARK) + offset, settings.source, source_rng)

    coarse = settings.pixel_size * settings.magnification
    name = f"specimen {index + 1}"
    return SemSpecimen(
        source=_image(source, coarse, settings, f"{name} LR"),
        target=_image(target, settings.pixel_size, settings, f"{name} HR"),
        truth=_image(truth, settings.pixel_size, settings, f"{name} truth"),
        matrix=matrix,
        clusters=clusters,
    )


def random_transform(
    shape: tuple[int, int], settings: SemSettings, rng: np.random.Generator
) -> np.ndarray:
    """Draw a similarity, source pixel to target pixel, within the limits of `settings`."""
    angle = np.deg2rad(rng.uniform(-1, 1) * settings.rotation)
    scale = settings.magnification * (1 + rng.uniform(-1, 1) * settings.scale_error)
    shift = rng.uniform(-1, 1, 2) * settings.shift * np.array(shape)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = scale * turn
    centre = (np.array(shape) - 1) / 2
    matrix[:2, 2] = centre + shift - matrix[:2, :2] @ centre
    return matrix


def _scene_box(matrix: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Return first target pixel (may be negative) and size of a scene with both fields."""
    height, width = shape
    corners = np.array([[0, 0, 1], [0, width, 1], [height, 0, 1], [height, width, 1]])
    points = np.concatenate([corners @ matrix[:2].T, corners[:, :2]])
    first = np.floor(points.min(axis=0)).astype(int) - MARGIN
    last = np.ceil(points.max(axis=0)).astype(int) + MARGIN
    rows, columns = last - first
    return first, (int(rows), int(columns))


def _drift(
    matrix: np.ndarray, shape: tuple[int, int], rms: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the displacement (y, x) of every source row, in target pixels: (2, rows).

    The stage creeps while the beam scans from top to bottom, so drift is a function of the row.
    Its mean and trend over the rows of the target's field are removed: they would be part of the
    global transform.
    """
    rows = np.arange(shape[0])
    corners = np.array([[y, x, 1] for y in (0, shape[0] - 1) for x in (0, shape[1] - 1)])
    visible = (np.linalg.inv(matrix) @ corners.T)[0]
    shared = (rows >= visible.min()) & (rows <= visible.max())
    drift = np.empty((2, len(rows)))
    for axis in range(2):
        creep = smooth_field((len(rows),), len(rows) / 12, rng)
        creep -= np.polyval(np.polyfit(rows[shared], creep[shared], 1), rows)
        drift[axis] = creep * rms / creep[shared].std()
    return drift


def _sample(
    scene: np.ndarray,
    to_scene: np.ndarray,
    beam: float,
    shape: tuple[int, int],
    jitter: np.ndarray,
    drift: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Sample the scene without noise at the true positions of the beam, line by line.

    `beam` and `drift` are in scene pixels, `jitter` (one value per line) in pixels of the scan.
    Sampling without spline prefilter blurs as a cubic B-spline does (variance 1/3): the Gaussian
    provides the rest of the beam.
    """
    blurry = blurred(scene, np.sqrt(max(beam**2 - 1 / 3, 0)))
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    columns += jitter[:, None].astype(np.float32)
    where = np.stack([y * rows + x * columns + c for y, x, c in to_scene[:2].astype(np.float32)])
    where += np.broadcast_to(drift, (2, shape[0]))[:, :, None].astype(np.float32)
    return ndimage.map_coordinates(blurry, where, order=3, mode="nearest", prefilter=False)


def _expose(signal: np.ndarray, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Count electrons, add the flicker of the lines, digitise to 8 bit."""
    # Dozens of electrons a pixel and more: Poisson noise is normal, with variance = mean.
    electrons = np.maximum(signal - DARK, 0) * scan.dose
    noise = np.sqrt(electrons) / scan.dose * rng.standard_normal(signal.shape, dtype=np.float32)
    # The detector is slower than the beam: its noise is correlated along the line.
    noise = ndimage.correlate1d(noise, (0.15, 0.7, 0.15), axis=1)
    flicker = rng.normal(0, scan.flicker, (len(signal), 1))
    return np.clip(np.rint(signal + noise + flicker), 0, 255).astype(np.uint8)


def _image(pixels: np.ndarray, pixel_size: float, settings: SemSettings, name: str) -> Image:
    """Return an image at its nominal place: all fields share the centre of the target's."""
    finer = settings.pixel_size - pixel_size
    return Image(
        pixels,
        "YX",
        pixel_size=(pixel_size, pixel_size),
        unit="nm",
        origin=tuple(finer * (n - 1) / 2 for n in pixels.shape),
        name=name,
    )
