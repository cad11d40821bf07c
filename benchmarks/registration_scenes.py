"""Pairs with a known transform, from real electron micrographs and from the synthetic SEM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.samples import SemSettings, paired_sem

DATA = Path(__file__).parents[1].parent / "shared" / "data"
SCENE = 1024  # pixels of a scene: a slice of 512 pixels, twice enlarged
TARGET = 704  # pixels of the high-resolution field that is cut from it
FULL_SCALE = 255.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """A noise-free pair and the true transform, source pixel to target pixel."""

    source: np.ndarray
    target: np.ndarray
    matrix: np.ndarray
    name: str

    def noisy(self, noise: float, rng: np.random.Generator) -> tuple[Image, Image]:
        """Both images with Gaussian noise of `noise` times the full scale, as 8 bit."""
        return tuple(
            Image(with_noise(values, noise, rng), "YX", name=self.name)
            for values in (self.source, self.target)
        )


def with_noise(values: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    noise_values = rng.normal(0, noise * FULL_SCALE, values.shape)
    return np.clip(np.rint(values + noise_values), 0, FULL_SCALE).astype(np.uint8)


def corner_error(found: np.ndarray, pair: Pair) -> float:
    """Return the mean distance of the target corners from their true places, in target pixels."""
    corners = transforms.corners(pair.target.shape)
    back = transforms.apply(np.linalg.inv(found), corners)
    return float(np.linalg.norm(transforms.apply(pair.matrix, back) - corners, axis=1).mean())


@cache
def slices() -> list[np.ndarray]:
    """Serial-section TEM of two specimens, alternating, three sections apart."""
    first = tifffile.imread(DATA / "em_stack_isbi2012" / "volume.tif")[::3]
    second = tifffile.imread(DATA / "em_stack_vnc" / "volume_crop.tif")[::2]
    return [plane for planes in zip(first, second, strict=True) for plane in planes]


def real_pair(
    number: int,
    seed: int,
    *,
    ratio: float = 2.0,
    scale_error: float = 0.03,
    rotation: float = 5.0,
    size: int = TARGET,
) -> Pair:
    """A window anywhere in a scene as target, and the whole scene at low resolution as source.

    Each source pixel is the mean over its area of the scene. Around the scene it is mirrored, so
    the source holds misleading detail there, none of which the target shows.
    """
    rng = np.random.default_rng([seed, number])
    planes = slices()
    scene = ndimage.zoom(
        planes[number % len(planes)].astype(np.float32), 2, order=3, grid_mode=True, mode="nearest"
    )
    corner = rng.integers(0, SCENE - size + 1, 2)
    scale = ratio * (1 + rng.uniform(-1, 1) * scale_error)
    turn = transforms.similarity(scale, rng.uniform(-1, 1) * rotation)
    side = round(SCENE / ratio)
    middle = (SCENE - 1) / 2 + rng.uniform(-6, 6, 2)
    to_scene = transforms.translation(middle) @ turn @ transforms.translation([-(side - 1) / 2] * 2)
    return Pair(
        source=_area_sampled(scene, to_scene, side, 2 * int(np.ceil(scale))),
        target=scene[corner[0] : corner[0] + size, corner[1] : corner[1] + size],
        matrix=transforms.translation(-corner) @ to_scene,
        name=f"TEM {number}",
    )


def _area_sampled(scene: np.ndarray, to_scene: np.ndarray, side: int, finer: int) -> np.ndarray:
    """side x side pixels, each the mean of finer x finer samples of its area."""
    matrix = to_scene @ transforms.enlargement(1 / finer)
    y, x = np.mgrid[: side * finer, : side * finer]
    places = [row[0] * y + row[1] * x + row[2] for row in matrix[:2]]
    samples = ndimage.map_coordinates(
        ndimage.spline_filter(scene, 3, output=np.float32, mode="reflect"),
        places,
        order=3,
        mode="reflect",
        prefilter=False,
        output=np.float32,
    )
    return samples.reshape(side, finer, side, finer).mean(axis=(1, 3))


@cache
def synthetic_pairs(count: int, seed: int) -> Sequence[Pair]:
    """Synthetic SEM pairs without slow drift, the close-up anywhere in the overview."""
    settings = SemSettings(rotation=5.0, scale_error=0.03, shift=0.4, drift=0.0)
    return [
        Pair(
            source=specimen.source.array.astype(np.float32),
            target=specimen.target.array.astype(np.float32),
            matrix=specimen.matrix,
            name=specimen.target.name,
        )
        for specimen in paired_sem(count, seed, (TARGET, TARGET), settings)
    ]


def measured_pairs() -> tuple[list[tuple[Image, Image]], np.ndarray]:
    """Real SEM pairs at two settings, and independent estimates (the rows of their table)."""
    folder = DATA / "sem_pairs_wzl"
    stacks = [tifffile.imread(folder / name) for name in ("lr.tif", "hr.tif")]
    table = np.loadtxt(folder / "registration.csv", delimiter=",", ndmin=2)
    pairs = [
        (Image(source, "YX", name=f"SEM {i}"), Image(target, "YX", name=f"SEM {i}"))
        for i, (source, target) in enumerate(zip(*stacks, strict=True))
    ]
    return pairs, table
