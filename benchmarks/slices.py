"""Interpolated slices without training: quality on real stacks, time, memory, and a killed repair.

    python benchmarks/slices.py [--isbi FILE] [--vnc FILE] [--only quality memory]

Quality: inner slices of two stacks of neural tissue are hidden and interpolated from their
neighbours, which are aligned to them; slices 23 to 28 of the one and 15 to 18 of the other, on
which nothing was chosen. Beside the flow: the nearest slice, the mean of the aligned neighbours,
and the flow blurred, which raises PSNR without more knowledge. Memory: a stack of 100 slices of
2048 x 2048 pixels in OME-Zarr is repaired; the same again after a kill in the middle.
Prints every figure beside what is accepted, and ends with 1 if any is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from registration import expect, missed, processor

from napari_aeanet.core.image import Image
from napari_aeanet.interpolation import (
    HiddenSection,
    SectionScores,
    blurred,
    hide_section,
    interpolate_section,
    with_texture,
)
from napari_aeanet.io import create_omezarr, read_image, write_chunk

SHARED = Path(__file__).parents[2] / "shared" / "data"
ISBI, VNC = SHARED / "em_stack_isbi2012" / "volume.tif", SHARED / "em_stack_vnc" / "volume_crop.tif"
HIDDEN = {"isbi": range(23, 29), "vnc": range(15, 19)}
FIELDS = ("psnr", "ssim", "error", "agreement", "sharpness")
#: Least gains over the mean of the aligned neighbours.
ACCEPTED_AGREEMENT, ACCEPTED_SSIM, ACCEPTED_PSNR = 0.05, 0.02, -0.2
ACCEPTED_SHARPNESS, ACCEPTED_TEXTURE = 0.75, 0.85
ACCEPTED_BYTES = 2e9
SLICES, SIDE, DAMAGED = 100, 2048, (7, 40, 41, 88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isbi", type=Path, default=ISBI)
    parser.add_argument("--vnc", type=Path, default=VNC)
    parts = ["quality", "memory"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"machine: {processor()}, one thread; OpenCV {cv2.__version__}")
    if "quality" in args.only:
        for name, path in (("isbi", args.isbi), ("vnc", args.vnc)):
            quality(name, path)
    if "memory" in args.only:
        memory()
    sys.exit(1 if missed else 0)


def quality(name: str, path: Path) -> None:
    """Print the scores of every method on the hidden slices of one stack."""
    stack = read_image(path).read().astype(np.float32)
    scores: dict[str, list[SectionScores]] = {}
    seconds = []
    for index in HIDDEN[name]:
        hidden = hide_section(*(stack[z] for z in (index, index - 1, index + 1)))
        if hidden is None:
            print(f"{name} slice {index}: its neighbours do not match it")
            continue
        for method, section in methods(hidden).items():
            scores.setdefault(method, []).append(hidden.score(section, 255))
        started = time.process_time()
        interpolate_section(stack[index - 1], stack[index + 1])
        seconds.append(time.process_time() - started)
    print(f"\n{name}, {len(seconds)} slices, {np.median(seconds):.2f} CPU s a slice")
    print(f"{'':20}" + "".join(f"{field:>11}" for field in FIELDS))
    means = {
        method: {field: float(np.mean([getattr(one, field) for one in found])) for field in FIELDS}
        for method, found in scores.items()
    }
    for method, found in means.items():
        print(f"{method:20}" + "".join(f"{found[field]:11.3f}" for field in FIELDS))
    flow, textured, mean = (means[one] for one in ("flow", "flow, texture", "mean"))
    gain = {field: flow[field] - mean[field] for field in FIELDS}
    judge(f"{name}: agreement over the mean", gain["agreement"], ACCEPTED_AGREEMENT, least=True)
    judge(f"{name}: SSIM over the mean", gain["ssim"], ACCEPTED_SSIM, least=True)
    judge(f"{name}: PSNR over the mean, dB", gain["psnr"], ACCEPTED_PSNR, least=True)
    judge(f"{name}: sharpness", flow["sharpness"], ACCEPTED_SHARPNESS, least=True)
    judge(f"{name}: sharpness with texture", textured["sharpness"], ACCEPTED_TEXTURE, least=True)
    over = textured["agreement"] - mean["agreement"]
    judge(f"{name}: agreement with texture over the mean", over, ACCEPTED_AGREEMENT, least=True)


def judge(what: str, value: float, accepted: float, *, least: bool = False) -> None:
    """Print a figure beside the one that is accepted."""
    met = value >= accepted if least else value <= accepted
    bound = "at least" if least else "at most"
    print(f"{what}: {value:.4g} ({bound} {accepted:.4g}: {expect(met, what)})")


def methods(hidden: HiddenSection) -> dict[str, np.ndarray]:
    """Return the hidden section by every method."""
    flow = hidden.neighbours.blended()
    return {
        "nearest": hidden.neighbours.aligned_before,
        "mean": hidden.neighbours.mean(),
        "flow": flow,
        "flow, blurred": blurred(flow),
        "flow, texture": with_texture(flow, hidden.neighbours),
    }


def memory() -> None:
    """Repair a large stack, and once more after a kill; compare the bytes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "stack.ome.zarr"
        make_stack(source)
        results = [Path(folder) / f"{name}.ome.zarr" for name in ("plain", "killed")]
        started = time.monotonic()
        peak = repaired(source, results[0])
        print(f"\n{SLICES} slices of {SIDE} x {SIDE}: {time.monotonic() - started:.0f} s")
        killed = repaired(source, results[1], stop_at=results[1].parent)
        print(f"killed: exit {killed}, left {sorted(p.name for p in Path(folder).iterdir())}")
        repaired(source, results[1])
        judge("peak of memory, bytes", peak, ACCEPTED_BYTES)
        judge("files that differ after the kill", differing(*results), 0)
        left = [p.name for p in Path(folder).iterdir() if p.name.startswith(".")]
        judge("leftovers after the next run", len(left), 0)


def make_stack(path: Path) -> None:
    """Write sections that change slowly: a drifting mixture of two textures."""
    rng = np.random.default_rng(1)
    textures = [cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 6)
                for _ in range(2)]  # fmt: skip
    image = Image(np.empty((SLICES, SIDE, SIDE), np.uint8), "ZYX", pixel_size=(50, 4, 4), unit="nm")
    levels = create_omezarr(image, path)
    for z in range(SLICES):
        angle = 0.08 * z
        mixed = np.cos(angle) * textures[0] + np.sin(angle) * textures[1]
        section = np.clip(130 + 900 * mixed, 0, 255).astype(np.uint8)
        for y in range(0, SIDE, 1024):
            for x in range(0, SIDE, 1024):
                at = (slice(z, z + 1), slice(y, y + 1024), slice(x, x + 1024))
                write_chunk(levels, at, section[None, *at[1:]])


def repaired(source: Path, out: Path, stop_at: Path | None = None) -> int:
    """Repair in a process of its own; return its peak of memory in bytes, or its code if killed."""
    words = [sys.executable, "-m", "napari_aeanet", "repair", str(source), "-o", str(out), "-q"]
    process = subprocess.Popen([*words, "--slices", *map(str, DAMAGED)])
    if stop_at is not None:
        while process.poll() is None and not any(
            len(list(folder.glob("0/c/*"))) > SLICES // 2
            for folder in stop_at.glob(".*")
            if folder.is_dir()
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        return process.wait()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the repair ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * 1024


def differing(first: Path, second: Path) -> int:
    """Return the number of files that differ between two folders."""
    digests = [
        {p.relative_to(folder): hashlib.sha256(p.read_bytes()).digest()
         for p in folder.rglob("*") if p.is_file()}
        for folder in (first, second)
    ]  # fmt: skip
    return len(set(digests[0].items()) ^ set(digests[1].items()))


if __name__ == "__main__":
    main()
