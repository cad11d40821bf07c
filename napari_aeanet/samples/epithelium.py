"""A curved epithelium in a noisy volume, with its 2D projection and height map.

The outlines of the cells lie on one curved surface; above it lies a faint layer of large cells,
below it the outlines fade into haze. So neither the brightest nor the mean voxel of a column gives
the projection: the surface has to be found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.samples.camera import SENSITIVE, Camera
from napari_aeanet.samples.cells import jittered_lattice, tessellate
from napari_aeanet.samples.textures import smooth_field, streams


@dataclass(frozen=True, kw_only=True)
class EpitheliumSettings:
    """Properties of the tissue and the microscope.

    Parameters
    ----------
    voxel_size
        Z, Y, X in µm.
    cell_size
        Distance between cells, in µm.
    relief
        Standard deviation of the surface's height, in slices.
    resolution
        Standard deviation of the point spread function along Z and in the plane, in µm.
    photons
        Photons of a bright outline.
    camera
        Camera model.
    """

    voxel_size: tuple[float, float, float] = (0.75, 0.25, 0.25)
    cell_size: float = 5.0
    relief: float = 2.5
    resolution: tuple[float, float] = (1.1, 0.28)
    photons: float = 8.0
    camera: Camera = SENSITIVE


@dataclass(frozen=True, eq=False, kw_only=True)
class EpitheliumSpecimen:
    """A noisy volume with its true projection and surface.

    Attributes
    ----------
    volume
        The noisy volume, uint16.
    clean
        The same without noise, in photons, float32.
    projection
        The light at the surface (2D, photons, float32): `clean` read at `height`.
    height
        Position of the surface (2D, in slices counted from 0, float32).
    """

    volume: Image
    clean: Image
    projection: Image
    height: Image


def epithelium_volume(
    seed: int = 0,
    shape: tuple[int, int, int] = (30, 192, 192),
    settings: EpitheliumSettings | None = None,
) -> EpitheliumSpecimen:
    """Return an epithelium filling a volume of `shape` (Z, Y, X)."""
    settings = settings or EpitheliumSettings()
    scene_rng, noise_rng = streams(seed, 0, 2)
    height = _height(shape, settings, scene_rng)
    layers = _layers(shape[1:], settings, scene_rng)
    slices = np.arange(shape[0], dtype=np.float32)[:, None, None]
    clean = settings.photons * _light(slices, height, layers, settings)
    projection = settings.photons * _light(height, height, layers, settings)
    volume = settings.camera.expose(clean, noise_rng)

    def image(pixels: np.ndarray, name: str) -> Image:
        axes = "ZYX"[-pixels.ndim :]
        size = settings.voxel_size[-pixels.ndim :]
        return Image(pixels, axes, pixel_size=size, unit="µm", name=f"epithelium {name}")

    return EpitheliumSpecimen(
        volume=image(volume, "volume"),
        clean=image(clean, "truth"),
        projection=image(projection, "projection"),
        height=image(height, "height"),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Layers:
    """Brightness (2D) on, above and around the surface."""

    outlines: np.ndarray
    haze: np.ndarray
    cover: np.ndarray
    cover_height: np.ndarray


def _height(
    shape: tuple[int, int, int], settings: EpitheliumSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the slice of the surface: a tilted, gently folded sheet below the middle."""
    extent = np.array(shape[1:])
    fold = smooth_field(shape[1:], extent.min() / 6, rng)
    fold = (fold - fold.mean()) / fold.std()
    y, x = np.ogrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    tilt = rng.uniform(-1, 1, 2)
    relief = settings.relief * (fold + tilt[0] * y + tilt[1] * x)
    # Leave space above for the cover and below for the haze, whatever the relief.
    low, high = 0.35 * shape[0], 0.8 * shape[0]
    return np.clip(0.58 * shape[0] + relief, low, high).astype(np.float32)


def _layers(
    shape: tuple[int, int], settings: EpitheliumSettings, rng: np.random.Generator
) -> _Layers:
    """Draw the outlines of the epithelium and of the larger cells that cover it."""
    pixel = settings.voxel_size[1]
    blur = settings.resolution[1] / pixel

    def outlines(size: float) -> np.ndarray:
        y, x = (c.astype(np.float32) for c in np.ogrid[: shape[0], : shape[1]])
        bend = [0.15 * size * smooth_field(shape, 0.5 * size, rng) for _ in range(2)]
        seeds = jittered_lattice((0, 0), shape, size, 0.36, rng)
        cells = tessellate([y + bend[0], x + bend[1]], seeds, 1.6 * size)
        line = cells.membrane(0.25 / pixel) * np.exp(0.3 * smooth_field(shape, 0.15 * size, rng))
        return ndimage.gaussian_filter(line, blur)

    size = settings.cell_size / pixel
    surface = outlines(size)
    spots = np.maximum(smooth_field(shape, 1.2 * blur, rng) - 2.6, 0)
    surface = surface / np.percentile(surface, 99.5) + 0.25 * spots + 0.02
    cover = outlines(3.5 * size)
    return _Layers(
        outlines=surface.astype(np.float32),
        haze=ndimage.gaussian_filter(surface, 4 * blur).astype(np.float32),
        cover=(0.8 * cover / cover.max()).astype(np.float32),
        cover_height=(2.0 * smooth_field(shape, 3 * size, rng)),
    )


def _light(
    z: np.ndarray, height: np.ndarray, layers: _Layers, settings: EpitheliumSettings
) -> np.ndarray:
    """Return the brightness at slice `z` (broadcast), about 1 on a bright outline.

    The outlines spread by the axial resolution, and fade slowly below the surface.
    """
    sigma = settings.resolution[0] / settings.voxel_size[0]
    above = z - height
    focus = np.exp(-(above**2) / (2 * sigma**2))
    below = 0.15 * np.exp(-np.maximum(above, 0) / 4) / (1 + np.exp(-above / (0.5 * sigma)))
    haze = 0.25 * np.exp(-(above**2) / (2 * (3.5 * sigma) ** 2))
    cover = np.exp(-((above + 6 * sigma + layers.cover_height) ** 2) / (2 * sigma**2))
    return (
        (focus + below) * layers.outlines
        + haze * layers.haze
        + cover * layers.cover
        + np.float32(0.03)
    ).astype(np.float32)
