"""A transmitted-light volume of cultured cells with the fluorescence of their nuclei.

The cells are transparent: they shift the phase of the light. Out of focus, a phase shift becomes
contrast, dark or bright by the side of the focus; the transmitted light shows nothing else. The
fluorescence is that of a DNA stain at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.samples.camera import ORDINARY, SENSITIVE, Camera
from napari_aeanet.samples.cells import grid, jittered_lattice, tessellate
from napari_aeanet.samples.textures import smooth_field, soft_step, streams

# Padding around the plane in pixels, since the computed diffraction wraps around.
BORDER = 24


@dataclass(frozen=True, kw_only=True)
class LabelFreeSettings:
    """Properties of the cells and the two microscopes.

    Parameters
    ----------
    voxel_size
        Z, Y, X in µm.
    cell_size
        Distance between cells, in µm.
    wavelength
        Wavelength of the transmitted light in the medium, in µm.
    condenser
        Numerical aperture of the illumination over the refractive index: a wide cone blurs
        out-of-focus detail.
    resolution
        Standard deviation of the fluorescence point spread function along Z and in the plane, µm.
    light, photons
        Photons of the transmitted light, and of a bright nucleus.
    light_camera, photon_camera
        The cameras of the two.
    """

    voxel_size: tuple[float, float, float] = (0.5, 0.29, 0.29)
    cell_size: float = 13.0
    wavelength: float = 0.42
    condenser: float = 0.25
    resolution: tuple[float, float] = (0.7, 0.25)
    light: float = 4000.0
    photons: float = 60.0
    light_camera: Camera = ORDINARY
    photon_camera: Camera = SENSITIVE


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelFreeSpecimen:
    """Two images of the same cells.

    Attributes
    ----------
    transmitted
        The transmitted-light image, uint16.
    fluorescence
        The stained nuclei as recorded, uint16.
    truth
        The stained nuclei without noise, in photons, float32.
    """

    transmitted: Image
    fluorescence: Image
    truth: Image


def label_free_volume(
    seed: int = 0,
    shape: tuple[int, int, int] = (32, 192, 192),
    settings: LabelFreeSettings | None = None,
) -> LabelFreeSpecimen:
    """Return a layer of cells in a volume of `shape` (Z, Y, X), imaged both ways."""
    settings = settings or LabelFreeSettings()
    scene_rng, light_rng, photon_rng = streams(seed, 0, 3)
    phase, dna = _culture(shape, settings, scene_rng)
    intensity = 1 + transmitted_contrast(phase, settings)
    intensity *= 1 + 0.03 * smooth_field(shape[1:], shape[1] / 3, scene_rng)  # uneven lamp
    axial, lateral = settings.resolution
    blur = [r / v for r, v in zip((axial, lateral, lateral), settings.voxel_size, strict=True)]
    truth = settings.photons * ndimage.gaussian_filter(dna + np.float32(0.03), blur)

    def image(pixels: np.ndarray, name: str) -> Image:
        return Image(pixels, "ZYX", pixel_size=settings.voxel_size, unit="µm", name=name)

    photons = settings.light * np.maximum(intensity, 0)
    return LabelFreeSpecimen(
        transmitted=image(settings.light_camera.expose(photons, light_rng), "transmitted light"),
        fluorescence=image(settings.photon_camera.expose(truth, photon_rng), "nuclei"),
        truth=image(truth, "nuclei truth"),
    )


def transmitted_contrast(phase: np.ndarray, settings: LabelFreeSettings) -> np.ndarray:
    """Return the contrast of a weak phase volume in partially coherent light, per focused slice.

    A slice at distance d from the focus contributes its phase times, at spatial frequency f,
    2 sin(pi wavelength d f^2) exp(-(pi condenser d f)^2 / 2): nothing in focus, a halo beyond.
    """
    dz, dy, dx = settings.voxel_size
    depth = len(phase)
    # Reflect the plane at its borders; above and below is medium, which shifts no phase.
    phase = np.pad(phase, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)), mode="reflect")
    height, width = phase.shape[1:]
    f2 = (
        fft.fftfreq(height, dy)[:, None].astype(np.float32) ** 2
        + fft.rfftfreq(width, dx).astype(np.float32) ** 2
    )
    distance = np.float32(dz) * fft.ifftshift(np.arange(-depth, depth, dtype=np.float32))
    distance = distance[:, None, None]
    transfer = 2 * np.sin(np.pi * settings.wavelength * distance * f2)
    transfer *= np.exp(-0.5 * (np.pi * settings.condenser * distance) ** 2 * f2)
    spectrum = fft.fft(fft.rfft2(phase), 2 * depth, axis=0) * fft.fft(transfer, axis=0)
    contrast = fft.irfft2(fft.ifft(spectrum, axis=0)[:depth], s=(height, width))
    return contrast[:, BORDER:-BORDER, BORDER:-BORDER]


def _culture(
    shape: tuple[int, int, int], settings: LabelFreeSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return phase shift (radians per slice) and DNA (0 to about 1) of adherent cells."""
    voxel, size = settings.voxel_size, settings.cell_size

    def smooth(length: float) -> np.ndarray:
        return smooth_field(shape, [length / v for v in voxel], rng)

    z, y, x = grid(shape, voxel)
    plane = shape[1:]
    bend = [0.15 * size * smooth_field(plane, 0.4 * size / voxel[1], rng) for _ in range(2)]
    seeds = jittered_lattice((0, 0), (y.max(), x.max()), size, 0.3, rng)
    cells = tessellate([y[0] + bend[0], x[0] + bend[1]], seeds, 1.5 * size)

    # Flatter at the rim than over the nucleus; all on one cover slip.
    slip = 0.22 * z.max()
    thickness = 3.2 + 5.3 * (1 - np.exp(-cells.gap / 5.0))
    inside = soft_step(z - slip, 0.3) * soft_step(slip + thickness - z, 0.3)
    nuclei, nucleoli = _nuclei(z, y, x, seeds, slip, rng)
    cytoplasm = inside * np.clip(1 - 1.2 * nuclei, 0, 1)
    envelope = np.exp(-(((nuclei - 0.35) / 0.2) ** 2))
    granules = np.maximum(smooth(0.35) - 1.8, 0)
    dna = nuclei * (1 - 0.7 * nucleoli) * (1 + 0.2 * smooth(0.6))
    organelles = 1 + 0.3 * smooth(0.5) + 1.2 * granules
    density = cytoplasm * organelles + 0.75 * nuclei + 0.5 * envelope + 1.6 * nucleoli * nuclei
    return (0.1 * density).astype(np.float32), np.maximum(dna, 0).astype(np.float32)


def _nuclei(
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    seeds: np.ndarray,
    slip: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw flat ellipsoids near the seeds with two or three nucleoli each; both 0 to 1."""
    shape = np.broadcast_shapes(z.shape, y.shape, x.shape)
    nuclei, nucleoli = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for seed in seeds:
        centre = np.array([slip + 3.6, *(seed + rng.normal(0, 0.8, 2))], np.float32)
        radii = np.array([2.6, 4.6, 4.6], np.float32) * rng.uniform(0.85, 1.15, 3)
        angle, bright = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
        spots = centre + rng.uniform(-0.45, 0.45, (rng.integers(2, 4), 3)) * radii
        rows = np.flatnonzero(np.abs(y[0, :, 0] - centre[1]) < 6.5)
        columns = np.flatnonzero(np.abs(x[0, 0] - centre[2]) < 6.5)
        if not len(rows) or not len(columns):
            continue
        window = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        wy, wx = y[:, window[1]], x[:, :, window[2]]
        u = np.cos(angle) * (wy - centre[1]) + np.sin(angle) * (wx - centre[2])
        v = np.cos(angle) * (wx - centre[2]) - np.sin(angle) * (wy - centre[1])
        square = sum((d / r) ** 2 for d, r in zip((z - centre[0], u, v), radii, strict=True))
        ellipsoid = bright * soft_step(1 - np.sqrt(square), 0.06)
        np.maximum(nuclei[window], ellipsoid, out=nuclei[window])
        for spot in spots:
            square = (z - spot[0]) ** 2 + (wy - spot[1]) ** 2 + (wx - spot[2]) ** 2
            np.maximum(nucleoli[window], np.exp(-square / (2 * 0.65**2)), out=nucleoli[window])
    return nuclei, nucleoli
