"""A fluorescence volume of tissue at three noise levels, with its clean truth.

Cells with bright membranes and dimmer nuclei fill the volume below a curved surface. The resolution
of the microscope is worse along Z, and the signal decreases with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.samples.camera import SENSITIVE, Camera
from napari_aeanet.samples.cells import Tessellation, grid, jittered_lattice, tessellate
from napari_aeanet.samples.textures import smooth_field, streams

# Slices drawn for each slice of the result.
SLICES = 2
# Half-thickness of a membrane, labels included, in µm.
MEMBRANE = 0.2


@dataclass(frozen=True, kw_only=True)
class FluorescenceSettings:
    """Properties of the tissue and the microscope.

    Parameters
    ----------
    voxel_size
        Z, Y, X in µm.
    cell_size
        Distance between cells, in µm.
    resolution
        Standard deviation of the point spread function along Z and in the plane, in µm.
    photons
        Photons of a bright membrane voxel, for each noise level from low noise to high.
    attenuation
        Depth of a decrease of the signal to 1/e, in µm.
    camera
        Camera model.
    """

    voxel_size: tuple[float, float, float] = (0.8, 0.25, 0.25)
    cell_size: float = 9.0
    resolution: tuple[float, float] = (0.8, 0.25)
    photons: tuple[float, ...] = (100.0, 25.0, 6.0)
    attenuation: float = 60.0
    camera: Camera = SENSITIVE


@dataclass(frozen=True, eq=False, kw_only=True)
class FluorescenceSpecimen:
    """One volume, clean and at several noise levels.

    Attributes
    ----------
    truth
        The volume without noise, in photons of the first exposure, float32.
    noisy
        From low noise to high, uint16: grey level = offset + gain * exposure * truth on average.
    exposures
        Exposure of each noisy volume relative to the first.
    """

    truth: Image
    noisy: tuple[Image, ...]
    exposures: tuple[float, ...]


def fluorescence_volume(
    seed: int = 0,
    shape: tuple[int, int, int] = (32, 192, 192),
    settings: FluorescenceSettings | None = None,
) -> FluorescenceSpecimen:
    """Return tissue of `shape` (Z, Y, X) at every noise level of the settings."""
    settings = settings or FluorescenceSettings()
    scene_rng, *noise_rngs = streams(seed, 0, 1 + len(settings.photons))
    truth = settings.photons[0] * _tissue(shape, settings, scene_rng)
    exposures = tuple(p / settings.photons[0] for p in settings.photons)
    noisy = tuple(
        _volume(settings.camera.expose(truth * e, rng), settings, f"cells {photons:g} photons")
        for photons, e, rng in zip(settings.photons, exposures, noise_rngs, strict=True)
    )
    return FluorescenceSpecimen(
        truth=_volume(truth, settings, "cells truth"), noisy=noisy, exposures=exposures
    )


def _tissue(
    shape: tuple[int, int, int], settings: FluorescenceSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the brightness in the microscope, about 1 on a bright membrane."""
    size = settings.cell_size
    # Membranes are thinner than the slices: drawn on finer slices, they show no steps.
    fine = (SLICES * shape[0], *shape[1:])
    voxel = (settings.voxel_size[0] / SLICES, *settings.voxel_size[1:])

    def smooth(length: float) -> np.ndarray:
        return smooth_field(fine, [length / v for v in voxel], rng)

    z, y, x = grid(fine, voxel)
    # Bent coordinates bend the cell walls.
    bent = [c + 0.12 * size * smooth(0.5 * size) for c in (z, y, x)]
    seeds = jittered_lattice((0, 0, 0), (z.max(), y.max(), x.max()), size, 0.3, rng)
    cells = tessellate(bent, seeds, 1.3 * size)

    depth = z - _surface(z, y, x) - 0.5 * smooth_field(fine[1:], 0.9 * size / voxel[1], rng)
    light = 0.9 * cells.membrane(MEMBRANE) * (1 + 0.25 * smooth(2.0))
    light += _nuclei(cells, size, rng) * (1 + 0.3 * smooth(0.5)) + 0.05
    light *= depth > 0
    light += 0.5 * np.exp(-(depth**2) / (2 * MEMBRANE**2))  # the outer wall
    light *= np.exp(-np.maximum(depth, 0) / settings.attenuation)
    return _imaged(light, voxel, settings.resolution)


def _surface(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return Z of the tissue surface: a quarter below the top, deeper towards the corners."""
    radius2 = sum(((c - c.mean()) / (c.max() + 1e-6)) ** 2 for c in (y, x))
    return z.max() * (0.25 + 1.2 * radius2)


def _nuclei(cells: Tessellation, size: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a nucleus around every seed, of its own size and brightness."""
    count = int(cells.owner.max()) + 1
    radius = (size * rng.uniform(0.24, 0.32, count)).astype(np.float32)[cells.owner]
    bright = rng.uniform(0.15, 0.5, count).astype(np.float32)[cells.owner]
    return bright / (1 + np.exp((cells.nearest - radius) / 0.15))


def _imaged(
    light: np.ndarray, voxel: tuple[float, float, float], resolution: tuple[float, float]
) -> np.ndarray:
    """Apply the point spread function, and a faint haze of distant light."""
    axial, lateral = resolution
    blur = [r / v for r, v in zip((axial, lateral, lateral), voxel, strict=True)]
    sharp = ndimage.gaussian_filter(light, blur)[SLICES // 2 :: SLICES]
    coarse = light[:: 2 * SLICES, ::4, ::4]
    haze = ndimage.gaussian_filter(
        coarse, [2.5 / (v * k) for v, k in zip(voxel, (2 * SLICES, 4, 4), strict=True)]
    )
    haze = ndimage.zoom(
        haze, [n / k for n, k in zip(sharp.shape, coarse.shape, strict=True)], order=1
    )
    return np.maximum(sharp + 0.2 * haze, 0) + np.float32(0.01)


def _volume(pixels: np.ndarray, settings: FluorescenceSettings, name: str) -> Image:
    return Image(pixels, "ZYX", pixel_size=settings.voxel_size, unit="µm", name=name)
