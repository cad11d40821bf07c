"""Finding damaged slices: damage made by rule on real stacks, and synthetic stacks.

    python benchmarks/damage.py [STACK ...] [--count 10] [--seed 100] [--synthetic 8]

STACK is a file (z, y, x) of undamaged serial sections, each an image of electron microscopy. Each
kind of damage is made `--count` times, each time in one random slice of the stack and of random
size; then in several slices at once, two of them next to each other. Counts what is found and what
is proposed besides, and the slices of the stack as it is that are proposed. Prints every figure
beside what is accepted, and ends with 1 if any is missed.

The limits of the search were chosen with seeds 0 to 99; report with others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from registration import expect, missed, processor
from scipy import ndimage

from napari_aeanet.io import read_image
from napari_aeanet.repair import DamageFound, find_damage
from napari_aeanet.samples import serial_sections
from napari_aeanet.samples.textures import smooth_field

SEED = 100
ACCEPTED_GROSS, ACCEPTED_FINE, ACCEPTED_FALSE, ACCEPTED_SECONDS = 0.95, 0.7, 1, 0.3
Rng = np.random.Generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stacks", nargs="*", type=Path, help="stacks of good sections")
    parser.add_argument("--count", type=int, default=10, help="tries of each kind of damage")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--synthetic", type=int, default=8, help="number of synthetic stacks")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"machine: {processor()}, one thread; OpenCV {cv2.__version__}; seed {args.seed}")
    for path in args.stacks:
        on_real_stack(path, args.count, args.seed)
    on_synthetic_stacks(args.synthetic, args.seed)
    print("\nmissed: " + ("; ".join(missed) or "nothing"))
    sys.exit(bool(missed))


# --- damage by rule: a slice with values 0 to 255 as float32 -> the damaged slice


def dark_band(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken a band across the slice, 6 to 20 % of its side wide."""
    side = min(section.shape)
    distance = np.abs(across(section.shape, rng, 0.3)) - side * rng.uniform(0.03, 0.1)
    inside = np.clip(0.5 - distance / (0.01 * side), 0, 1)
    return section * (1 - inside * rng.uniform(0.4, 0.75))


def blur(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Defocus: a standard deviation of 1.5 to 5 pixels."""
    return ndimage.gaussian_filter(section, rng.uniform(1.5, 5))


def missing(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Leave one grey level, or bare film."""
    if rng.random() < 0.5:
        return np.full_like(section, rng.choice([0.0, 128.0, 255.0]))
    return bare_film(section, rng)


def part_lost(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Lose 12 to 50 % of the slice on one side: bare film, black or white."""
    edge = across(section.shape, rng, 0) + 0.05 * min(section.shape) * smooth_field(
        section.shape, min(section.shape) / 10, rng
    )
    lost = edge > np.quantile(edge, 1 - rng.uniform(0.12, 0.5))
    film = bare_film(section, rng)
    return np.where(
        lost, [film, np.zeros_like(film), np.full_like(film, 255)][rng.integers(3)], section
    )


def contrast(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Change the contrast to 25 to 60 %, or to 170 to 250 %."""
    factor = rng.uniform(0.25, 0.6) if rng.random() < 0.7 else rng.uniform(1.7, 2.5)
    return section.mean() + factor * (section - section.mean())


def noise(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Add noise of 50 to 150 % of the contrast."""
    deviation = rng.uniform(0.5, 1.5) * section.std()
    return section + deviation * rng.standard_normal(section.shape)


def fold(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Fold along a crooked line, 35 to 100 % of the side long and 1.5 to 4 % wide."""
    height, width = section.shape
    side = min(section.shape)
    angle, place = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25, 2) * (height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - height / 2 - place[0], x - width / 2 - place[1]
    along, off = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    crooked = 0.02 * side * smooth_field((4 * side,), side / 5, rng)
    off = off + crooked[np.clip(np.rint(along + 2 * side), 0, 4 * side - 1).astype(int)]
    wide, long = side * rng.uniform(0.015, 0.04), side * rng.uniform(0.35, 1)
    band = np.exp(-((off / (wide / 2)) ** 4)) * np.clip((long / 2 - np.abs(along)) / wide, 0, 1)
    return section * (1 - band * rng.uniform(0.5, 0.85))


def dirt(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Put 1 to 6 irregular black grains of 4 to 12 % of the side across on the slice."""
    side = min(section.shape)
    y, x = np.mgrid[: section.shape[0], : section.shape[1]].astype(np.float32)
    rough = 1 + 0.25 * smooth_field(section.shape, side / 40, rng)
    for _ in range(rng.integers(1, 7)):
        place = rng.uniform(0.05, 0.95, 2) * section.shape
        radius = side * rng.uniform(0.02, 0.06)
        distance = np.hypot(y - place[0], x - place[1]) * rough - radius
        section = section * (1 - np.clip(0.5 - distance / 3, 0, 1) * rng.uniform(0.6, 0.95))
    return section


def across(shape: tuple[int, ...], rng: Rng, off: float) -> np.ndarray:
    """Return the distance from a line of random direction, near the centre by a share `off`."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    away = np.cos(angle) * (y - shape[0] / 2) + np.sin(angle) * (x - shape[1] / 2)
    return away + rng.uniform(-off, off) * min(shape)


def bare_film(section: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the film without tissue: bright, with little noise."""
    shade = 3 * smooth_field(section.shape, min(section.shape) / 4, rng)
    return rng.uniform(180, 235) + shade + 2.5 * rng.standard_normal(section.shape)


GROSS = (dark_band, blur, missing, part_lost, contrast, noise)
FINE = (fold, dirt)
Damage = Callable[[np.ndarray, Rng], np.ndarray]


def damaged(stack: np.ndarray, index: int, damage: Damage, rng: Rng) -> None:
    """Damage a slice of an 8-bit stack in place."""
    made = damage(stack[index].astype(np.float32), rng)
    stack[index] = np.clip(np.rint(made), 0, 255)


# --- what is found


def on_real_stack(path: Path, count: int, seed: int) -> None:
    stack = np.asarray(read_image(path).read())
    print(f"\n{path.name}: {' x '.join(map(str, stack.shape))}", flush=True)
    started = time.process_time()
    clean = find_damage(stack)
    seconds = (time.process_time() - started) / len(stack)
    check("CPU s a slice", seconds, seconds <= ACCEPTED_SECONDS, f"at most {ACCEPTED_SECONDS}")
    for one in clean.slices:
        print(f"  proposed as it is: slice {one.index} ({one.score:.1f}), {one.reason}")
    check("slices proposed as it is", len(clean.slices), not clean.slices, "none")
    rng = np.random.default_rng(seed)
    shares: dict[str, float] = {}
    most = 0
    for damage in (*GROSS, *FINE):
        found, words, others = 0, [], []
        for _ in range(count):
            changed, index = stack.copy(), int(rng.integers(len(stack)))
            damaged(changed, index, damage, rng)
            result = find_damage(changed)
            found += index in result.indices
            words += [one.kind for one in result.slices if one.index == index]
            others.append(len(besides(result, {index}, clean)))
        shares[damage.__name__] = found / count
        most = max(most, *others)
        kinds = ", ".join(f"{words.count(kind)} {kind}" for kind in sorted(set(words)))
        print(f"  {damage.__name__}: found {found} of {count}; proposed as {kinds}", flush=True)
    gross = float(np.mean([shares[one.__name__] for one in GROSS]))
    fine = float(np.mean([shares[one.__name__] for one in FINE]))
    check("gross damage found", gross, gross >= ACCEPTED_GROSS, f"at least {ACCEPTED_GROSS}")
    check("folds and dirt found", fine, fine >= ACCEPTED_FINE, f"at least {ACCEPTED_FINE}")
    check("most other slices proposed", most, most <= ACCEPTED_FALSE, f"at most {ACCEPTED_FALSE}")
    several(stack, clean, rng)


def several(stack: np.ndarray, clean: DamageFound, rng: Rng, tries: int = 5) -> None:
    """Damage four slices at once, two of them next to each other."""
    made = found = most = 0
    for _ in range(tries):
        changed = stack.copy()
        first = int(rng.integers(1, len(stack) - 9))
        indices = {first, first + 1, first + 4, first + 8}
        for index in indices:
            damaged(changed, index, GROSS[rng.integers(len(GROSS))], rng)
        result = find_damage(changed)
        made += len(indices)
        found += len(indices & set(result.indices))
        most = max(most, len(besides(result, indices, clean)))
    share = found / made
    check("gross damage found, four slices at once", share, share >= ACCEPTED_GROSS, f"{made} made")
    check("most other slices proposed then", most, most <= ACCEPTED_FALSE, "at most 1")


def check(what: str, value: float, good: bool, accepted: str) -> None:
    print(f"  {what}: {value:.3g} (accepted: {accepted}) {expect(good, what)}", flush=True)


def besides(result: DamageFound, made: set[int], clean: DamageFound) -> set[int]:
    """Return the proposed slices that are neither damaged by rule nor proposed in any case."""
    return set(result.indices) - made - set(clean.indices)


def on_synthetic_stacks(count: int, seed: int) -> None:
    print(f"\n{count} synthetic stacks of 20 x 256 x 256", flush=True)
    made = found = wrong = 0
    clean = 0
    for one in range(seed, seed + count):
        specimen = serial_sections(one)
        result = find_damage(specimen.stack)
        made += len(specimen.damaged)
        found += len(set(result.indices) & set(specimen.damaged))
        wrong += len(set(result.indices) - set(specimen.damaged))
        clean += len(find_damage(specimen.truth).slices)
    check("damaged slices not found", made - found, made == found, f"none of {made}")
    check("other slices proposed", wrong, wrong == 0, "none")
    check("slices proposed in the stacks without damage", clean, clean == 0, "none")


if __name__ == "__main__":
    main()
