"""Serial sections of neural tissue in the transmission electron microscope, some damaged.

Neurites run through the sections, so that neighbouring sections resemble each other; vesicles and
the grain of the cytoplasm differ in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.samples.cells import Tessellation, jittered_lattice, tessellate
from napari_aeanet.samples.textures import band_field, smooth_field, soft_step, streams

# Kinds of damage, in the order of their assignment.
DAMAGES = ("fold", "contamination", "missing")
# Grey levels.
CYTOPLASM, MEMBRANE, RESIN = 165.0, 115.0, 205.0


@dataclass(frozen=True, kw_only=True)
class SectionSettings:
    """Properties of the tissue, the cutting and the microscope.

    Parameters
    ----------
    voxel_size
        Section thickness, Y, X in nm.
    neurite_size
        Distance between neurites, in pixels.
    meander
        Standard deviation of the lateral course of a neurite over many sections, in pixels.
    misalignment
        Standard deviation of the shift of a section, in pixels.
    noise
        Standard deviation of the noise, in grey levels.
    damaged
        Number of damaged sections; never two in a row, never the first or the last.
    """

    voxel_size: tuple[float, float, float] = (50.0, 4.0, 4.0)
    neurite_size: float = 34.0
    meander: float = 11.0
    misalignment: float = 0.4
    noise: float = 9.0
    damaged: int = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class SectionSpecimen:
    """A stack with damaged sections.

    Attributes
    ----------
    stack, truth
        The stack with and without the damage, uint8; they differ in the damaged sections alone.
    damaged
        Index of every damaged section, ascending, and the kind of damage.
    """

    stack: Image
    truth: Image
    damaged: dict[int, str]


def serial_sections(
    seed: int = 0,
    shape: tuple[int, int, int] = (20, 256, 256),
    settings: SectionSettings | None = None,
) -> SectionSpecimen:
    """Return a stack of `shape` (Z, Y, X)."""
    settings = settings or SectionSettings()
    tissue_rng, noise_rng, damage_rng = streams(seed, 0, 3)
    truth = _recorded(_tissue(shape, settings, tissue_rng), settings, noise_rng)
    damaged = _choose(shape[0], settings.damaged, damage_rng)
    stack = truth.copy()
    for index, kind in damaged.items():
        stack[index] = _DAMAGE[kind](truth[index].astype(np.float32), damage_rng)

    def image(pixels: np.ndarray, name: str) -> Image:
        return Image(pixels, "ZYX", pixel_size=settings.voxel_size, unit="nm", name=name)

    return SectionSpecimen(
        stack=image(stack, "sections"), truth=image(truth, "sections truth"), damaged=damaged
    )


def _tissue(
    shape: tuple[int, int, int], settings: SectionSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the grey levels without noise."""
    size = settings.neurite_size
    _, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    y, x = y.astype(np.float32), x.astype(np.float32)
    bent = [
        axis
        + settings.meander * smooth_field(shape, (6, 1.6 * size, 1.6 * size), rng)
        + 0.09 * size * smooth_field(shape, (3, 0.3 * size, 0.3 * size), rng)
        + rng.normal(0, settings.misalignment, (shape[0], 1, 1)).astype(np.float32)
        for axis in (y, x)
    ]
    seeds = jittered_lattice((0, 0), shape[1:], size, 0.45, rng)
    seeds = seeds[rng.random(len(seeds)) > 0.25]  # gaps make thick neurites beside thin ones
    cells = tessellate(bent, seeds, 1.6 * size)

    tone = rng.normal(0, 9, len(seeds)).astype(np.float32)[cells.owner]
    grey = CYTOPLASM + tone + _grain(shape, rng) + _vesicles(cells, rng)
    grey += _mitochondria(cells, bent, seeds, size, rng)
    edge = cells.membrane(1.3) * (1 + 0.25 * smooth_field(shape, (0.7, 6, 6), rng))
    dense = np.maximum(smooth_field(shape, (1.5, 9, 9), rng) - 1.6, 0) * cells.membrane(7)
    return grey - MEMBRANE * edge - 60 * dense


def _grain(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the texture of the cytoplasm: fine grain per section, coarser persistent clouds."""
    fine = smooth_field(shape, (0.01, 0.9, 0.9), rng)
    coarse = smooth_field(shape, (1.0, 5, 5), rng)
    return 17 * fine + 7 * coarse


def _vesicles(cells: Tessellation, rng: np.random.Generator) -> np.ndarray:
    """Draw vesicles: rings of some 40 nm, numerous in some neurites, each in one section."""
    shape = cells.owner.shape
    field = np.zeros(shape, np.float32)
    filled = rng.random(int(cells.owner.max()) + 1) < 0.45
    places = rng.integers(0, shape, (int(np.prod(shape) / 150), 3))
    at = tuple(places.T)
    for z, y, x in places[filled[cells.owner[at]] & (cells.gap[at] > 11)]:
        rows = slice(max(y - 8, 0), y + 9)
        columns = slice(max(x - 8, 0), x + 9)
        dy = np.arange(shape[1], dtype=np.float32)[rows, None] - y
        dx = np.arange(shape[2], dtype=np.float32)[columns] - x
        ring = np.hypot(dy, dx) - 4.2
        field[z, rows, columns] -= 55 * np.exp(-(ring**2) / 2.4)
    return np.maximum(field, -60)


def _mitochondria(
    cells: Tessellation,
    coordinates: list[np.ndarray],
    seeds: np.ndarray,
    size: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw dark ovals with cristae around some seeds, through several sections."""
    field = np.zeros(cells.owner.shape, np.float32)
    boxes = ndimage.find_objects(cells.owner + 1, max_label=len(seeds))
    for index in np.flatnonzero(rng.random(len(seeds)) < 0.3):
        if (box := boxes[index]) is None:
            continue
        angle = rng.uniform(0, np.pi)
        y, x = (c[box] - s for c, s in zip(coordinates, seeds[index], strict=True))
        u = np.cos(angle) * y + np.sin(angle) * x
        v = np.cos(angle) * x - np.sin(angle) * y
        section = np.arange(len(field), dtype=np.float32)[box[0], None, None]
        middle, long, short = rng.uniform((0, 0.4, 0.25), (len(field), 0.75, 0.38))
        distance = np.sqrt((u / long) ** 2 + (v / short) ** 2) / size
        distance = np.hypot(distance, (section - middle) / rng.uniform(6, 14))
        inside = soft_step(1 - distance, 0.12)
        wall = np.exp(-(((distance - 1) * short * size) ** 2) / 4)
        cristae = soft_step(np.sin(2 * np.pi * u / 6.5 + 1.5 * np.sin(v / 4)), 0.6)
        own = (cells.owner[box] == index) & (cells.gap[box] > 4)
        field[box] -= own * (inside * (40 + 40 * cristae) + 45 * wall)
    return field


def _recorded(
    tissue: np.ndarray, settings: SectionSettings, rng: np.random.Generator
) -> np.ndarray:
    """Record the sections: blur, brightness of each section, noise, 8 bit."""
    sections = ndimage.gaussian_filter(tissue, (0, 0.7, 0.7))
    brightness = rng.normal(0, 4, (len(tissue), 1, 1)).astype(np.float32)
    contrast = rng.normal(1, 0.06, (len(tissue), 1, 1)).astype(np.float32)
    noise = ndimage.gaussian_filter(
        rng.standard_normal(tissue.shape, dtype=np.float32), (0, 0.6, 0.6)
    )
    noise *= settings.noise / noise.std()
    grey = CYTOPLASM + contrast * (sections - CYTOPLASM) + brightness + noise
    return _digitised(grey)


def _digitised(grey: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _choose(sections: int, count: int, rng: np.random.Generator) -> dict[int, str]:
    """Choose `count` sections, not adjacent and not at an end, with their kinds of damage."""
    free = sections - 1 - count  # each damaged section is followed by an undamaged one
    if not 0 <= count <= free:
        msg = f"{sections} sections hold at most {(sections - 1) // 2} damaged ones, got {count}."
        raise ValueError(msg)
    picks = np.sort(rng.choice(free, count, replace=False)) + np.arange(count) + 1
    return {int(index): DAMAGES[k % len(DAMAGES)] for k, index in enumerate(picks)}


def _fold(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fold the section along a crooked band: it is doubled there, and shifted beyond."""
    height, width = section.shape
    angle = rng.uniform(-0.5, 0.5)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    crooked = 0.03 * height * smooth_field((width,), width / 6, rng)
    position = (y - height * rng.uniform(0.35, 0.65)) + np.tan(angle) * (x - width / 2) + crooked
    fold = height * rng.uniform(0.04, 0.07)
    inside = np.clip((position + fold) / fold, 0, 1)
    moved = ndimage.map_coordinates(
        section, [y - 1.6 * fold * (inside - 0.5), x], order=1, mode="reflect"
    )
    doubled = np.exp(-(((position + fold / 2) / (0.6 * fold)) ** 4))
    return _digitised(moved * (1 - 0.7 * doubled))


def _contamination(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add stain precipitate and dirt: black grains and a dark film with a sharp edge."""
    film = smooth_field(section.shape, 0.12 * min(section.shape), rng)
    threshold = np.quantile(film, 0.72)
    covered = soft_step(film - threshold, 0.04)
    grains = band_field(section.shape, 16, rng, 0.5) + 0.8 * film
    black = soft_step(grains - np.quantile(grains, 0.94), 0.15)
    return _digitised((section * (1 - 0.45 * covered)) * (1 - 0.85 * black))


def _missing(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return bare film in the place of a lost section."""
    shade = 3 * smooth_field(section.shape, 60, rng) + 2.5 * rng.standard_normal(section.shape)
    return _digitised(RESIN + shade)


_DAMAGE = {"fold": _fold, "contamination": _contamination, "missing": _missing}
