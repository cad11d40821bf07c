"""Alignment of serial sections: shifts, turns and smooth warps that are applied to real stacks.

    python benchmarks/stacks.py [--seeds 4 5] [--amplitudes 0 2 4 8] [--only real blank ...]

The middle 416 x 416 pixels of two stacks of neural tissue are recorded again: shifted (standard
deviation 8 px), turned (1.5 degrees) and warped (Gaussian fields of a given RMS length, about two
bumps along either axis). Places and deformations are compared with those found without: the median
distance, relative between neighbours, over the middle. Figures are also given against the recorded
geometry alone, without what was followed in it. Prints every figure beside what is accepted, and
ends with 1 if any is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from registration import expect, missed, processor
from scipy import ndimage

from napari_aeanet import AlignSettings, align_stack
from napari_aeanet.io import read_image
from napari_aeanet.registration import Deform, transforms
from napari_aeanet.stacks import StackAlignment

SHARED = Path(__file__).parents[2] / "shared" / "data"
STACKS = {
    "isbi": SHARED / "em_stack_isbi2012" / "volume.tif",
    "vnc": SHARED / "em_stack_vnc" / "volume_crop.tif",
}
SIDE, MARGIN, BUMPS = 416, 48, 2.0
SHIFT, TURN, BLANK, FIBRE = 8.0, 1.5, 9, 20
ACCEPTED_RESIDUAL, ACCEPTED_FIBRE, ACCEPTED_SECONDS = 0.5, 1.0, 0.5
ACCEPTED_HARM = 0.5
RIGID = AlignSettings(deform=Deform.OFF)


@dataclass(frozen=True, eq=False)
class Recording:
    """Sections recorded at random places, with random warps of the RMS length `amplitude`."""

    places: list[np.ndarray]
    warps: list[np.ndarray]

    @classmethod
    def random(
        cls, count: int, seed: int, amplitude: float, shift: float = SHIFT, turn: float = TURN
    ) -> Recording:
        rng = np.random.default_rng(seed)
        centre = transforms.centre((SIDE, SIDE))
        places = [
            transforms.similarity(1, rng.normal(0, turn), centre + rng.normal(0, shift, 2))
            @ transforms.translation(-centre)
            for _ in range(count)
        ]
        return cls(places, [_warp(rng, amplitude) for _ in range(count)])

    def original(self, index: int, points: np.ndarray) -> np.ndarray:
        """Return where in the original section, 512 pixels wide, points of a recorded one lie."""
        at = transforms.apply(np.linalg.inv(self.places[index]), points) + MARGIN
        moved = [
            ndimage.map_coordinates(axis, at.T, order=3, mode="nearest")
            for axis in self.warps[index]
        ]
        return at + np.stack(moved, axis=1)

    def record(self, stack: np.ndarray) -> np.ndarray:
        pixels = np.stack(np.mgrid[:SIDE, :SIDE], axis=-1).reshape(-1, 2).astype(np.float64)
        taken = [
            ndimage.map_coordinates(section, self.original(n, pixels).T, order=3, mode="reflect")
            for n, section in enumerate(stack.astype(np.float32))
        ]
        return np.clip(np.rint(taken), 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE)


def _warp(rng: np.random.Generator, amplitude: float) -> np.ndarray:
    side = SIDE + 2 * MARGIN
    # Zeros of Gaussian noise of this blur s lie pi sqrt(2) s apart.
    blur = SIDE / (np.pi * np.sqrt(2) * BUMPS)
    field = ndimage.gaussian_filter(rng.standard_normal((2, side, side)), (0, blur, blur))
    return field * amplitude / np.sqrt((field**2).sum(axis=0).mean())


def middle() -> np.ndarray:
    at = np.linspace(0.15, 0.85, 20) * SIDE
    return np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)


def to_section(found: StackAlignment, index: int, points: np.ndarray) -> np.ndarray:
    place = found.sections[index]
    if place.deformation is not None:
        points = points + place.deformation.at(points, found.shape)
    return transforms.apply(place.array(), points)


def to_aligned(found: StackAlignment, index: int, points: np.ndarray) -> np.ndarray:
    place = found.sections[index]
    at = transforms.apply(np.linalg.inv(place.array()), points)
    return at if place.deformation is None else place.deformation.undo(at, found.shape)


def residual(
    reference: StackAlignment,
    found: StackAlignment,
    recording: Recording,
    kept: list[int] | None = None,
) -> tuple[float, float]:
    """Return the median distance relative between neighbours, and its 90th percentile."""
    indices = kept or list(range(len(found.sections)))
    at = [
        to_aligned(reference, n, recording.original(n, to_section(found, n, middle())) - MARGIN)
        for n in indices
    ]
    off = np.linalg.norm(np.diff(at, axis=0), axis=-1)
    return float(np.median(off)), float(np.quantile(off, 0.9))


def rigid(found: StackAlignment) -> StackAlignment:
    return replace(found, sections=tuple(replace(one, deformation=None) for one in found.sections))


def real(args: argparse.Namespace) -> None:
    """Residuals of applied motions, and CPU time."""
    print("  stack  seed  warp    shifted and turned   followed (90 %)   to recorded   sections")
    for name in args.stacks:
        stack = read_image(STACKS[name]).read()
        reference = align_stack(stack[:, MARGIN:-MARGIN, MARGIN:-MARGIN]).alignment
        print(f"  {name}, as recorded: {len(reference.deformed())} of {len(stack)} follow")
        for seed in args.seeds:
            for amplitude in args.amplitudes:
                recording = Recording.random(len(stack), seed, amplitude)
                found = align_stack(recording.record(stack)).alignment
                plain = residual(rigid(reference), rigid(found), recording)
                followed = residual(reference, found, recording)
                recorded = residual(rigid(reference), found, recording)
                ok = ""
                if amplitude <= 2:
                    what = f"{name}, seed {seed}, warp {amplitude:g}"
                    ok = expect(followed[0] <= ACCEPTED_RESIDUAL, what)
                print(
                    f"  {name:5}  {seed:4d}  {amplitude:4.1f}  {plain[0]:19.2f}"
                    f"  {followed[0]:9.2f} ({followed[1]:.2f})  {recorded[0]:12.2f}"
                    f"   {len(found.deformed())}/{len(stack)}  {ok}",
                    flush=True,
                )


def blank(args: argparse.Namespace) -> None:
    """One blank section: how far the others lie from where they lie without it."""
    for name in args.stacks:
        stack = read_image(STACKS[name]).read()
        for seed in args.seeds:
            for amplitude in args.amplitudes:
                recording = Recording.random(len(stack), seed, amplitude)
                pixels = recording.record(stack)
                whole = align_stack(pixels).alignment
                pixels[BLANK] = 200
                found = align_stack(pixels).alignment
                at = [
                    to_aligned(whole, n, to_section(found, n, middle())) - middle()
                    for n in range(len(stack))
                    if n != BLANK
                ]
                steps = np.linalg.norm(np.diff(at, axis=0), axis=-1)
                across = float(np.median(steps[BLANK - 1]))
                others = float(np.median(np.delete(steps, BLANK - 1, axis=0)))
                ok = expect(others <= ACCEPTED_HARM, f"{name}, seed {seed}, blank {amplitude:g}")
                print(
                    f"  {name} seed {seed} warp {amplitude:g}: neighbours moved by {others:.2f} px,"
                    f" those beside it by {across:.2f} px  {ok}",
                    flush=True,
                )


def single(args: argparse.Namespace) -> None:
    """One section that is warped, by the largest amplitude, among others that are not."""
    for name in args.stacks:
        stack = read_image(STACKS[name]).read()
        reference = align_stack(stack[:, MARGIN:-MARGIN, MARGIN:-MARGIN]).alignment
        for seed in args.seeds:
            recording = Recording.random(len(stack), seed, max(args.amplitudes))
            for index, warp in enumerate(recording.warps):
                warp *= index == BLANK
            found = align_stack(recording.record(stack)).alignment
            three = [BLANK - 1, BLANK, BLANK + 1]
            plain = residual(rigid(reference), rigid(found), recording, three)
            followed = residual(reference, found, recording, three)
            print(
                f"  {name} seed {seed} warp {max(args.amplitudes):g} of section {BLANK}:"
                f" {plain[0]:.2f} px from its neighbours, followed {followed[0]:.2f} px;"
                f" sections that follow: {found.deformed()}",
                flush=True,
            )


def texture(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return sections, 512 pixels wide, of which 15 % are new in each."""
    side = SIDE + 2 * MARGIN
    fresh = ndimage.gaussian_filter(rng.standard_normal((count, side, side)), (0, 5, 5))
    sections = [fresh[0]]
    for one in fresh[1:]:
        sections.append(np.sqrt(0.85) * sections[-1] + np.sqrt(0.15) * one)
    stack = np.array(sections)
    return 120 + 35 * stack / stack.std()


def fibre(args: argparse.Namespace) -> None:
    """Straight oblique fibres through a synthetic stack; with warps they end where tissue does."""
    for seed in args.seeds:
        for amplitude in (0.0, 2.0):
            rng = np.random.default_rng(seed)
            sections = texture(FIBRE, rng)
            y, x = np.mgrid[: sections.shape[1], : sections.shape[2]]
            along = np.linspace(-1, 1, FIBRE)
            starts = np.array([[256, 256], [150, 350], [350, 170]])
            lines = starts[:, None] + along[:, None] * rng.uniform(-20, 20, (3, 1, 2))
            for line in lines:
                for section, (cy, cx) in zip(sections, line, strict=True):
                    section += 90 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18)
            recording = Recording.random(FIBRE, seed, amplitude, 4, 1)
            found = align_stack(recording.record(sections)).alignment
            pixels = np.stack(np.mgrid[:SIDE, :SIDE], axis=-1).reshape(-1, 2).astype(np.float64)
            bends = {}
            for name, one in (("followed", found), ("rigid", rigid(found))):
                worst, middles = 0.0, []
                for line in lines:
                    at = np.array([_seen(recording, one, n, pixels, line[n]) for n in range(FIBRE)])
                    fit = np.polynomial.polynomial.polyfit(along, at, 1)
                    straight = np.polynomial.polynomial.polyval(along, fit).T
                    off = np.linalg.norm(at - straight, axis=1)
                    worst = max(worst, float(off.max()))
                    middles.append(float(np.median(off)))
                bends[name] = worst, float(np.median(middles))
            ok = expect(bends["followed"][0] <= ACCEPTED_FIBRE, f"fibre {seed}, {amplitude:g}")
            print(
                f"  seed {seed}, warp {amplitude:g}: at most {bends['followed'][0]:.2f} px from a"
                f" straight line (median {bends['followed'][1]:.2f}), shifted and turned only"
                f" {bends['rigid'][0]:.2f} ({bends['rigid'][1]:.2f});"
                f" {len(found.deformed())} of {FIBRE} follow  {ok}",
                flush=True,
            )


def _seen(
    recording: Recording,
    found: StackAlignment,
    index: int,
    pixels: np.ndarray,
    place: np.ndarray,
) -> np.ndarray:
    """Return where in the aligned stack a place of the original section lies."""
    at = pixels[np.linalg.norm(recording.original(index, pixels) - place, axis=1).argmin()][None]
    for _ in range(20):
        at = at + place - recording.original(index, at)
    return to_aligned(found, index, at)[0]


def seconds(args: argparse.Namespace) -> None:
    """CPU time of 20 sections of 512 x 512 pixels, without writing."""
    stack = read_image(STACKS[args.stacks[0]]).read()[:20]
    used = {}
    for name, settings in (("off", RIGID), ("auto", AlignSettings())):
        start = time.process_time()
        align_stack(stack, settings)
        used[name] = (time.process_time() - start) / len(stack)
    ok = expect(used["auto"] <= ACCEPTED_SECONDS, "CPU time")
    print(f"  {used['auto']:.2f} CPU s a section, {used['off']:.2f} with --deform off  {ok}")


SECTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "real": real,
    "blank": blank,
    "single": single,
    "fibre": fibre,
    "seconds": seconds,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[4, 5])
    parser.add_argument("--amplitudes", nargs="+", type=float, default=[0.0, 2.0, 4.0, 8.0])
    parser.add_argument("--stacks", nargs="+", choices=STACKS, default=list(STACKS))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"machine: {processor()}, one thread; OpenCV {cv2.__version__}")
    for name in args.only:
        print(f"\n{name}", flush=True)
        if name != "fibre" and not all(STACKS[one].exists() for one in args.stacks):
            print(f"  skipped: the real stacks are not here ({SHARED})")
            continue
        SECTIONS[name](args)
    print("\nmissed: " + ("; ".join(missed) or "nothing"))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
