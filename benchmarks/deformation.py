"""Local drift: accuracy of the displacement, restraint without drift, other methods, real pairs.

    python benchmarks/deformation.py [--quick] [--only accuracy restraint others real time training]

Synthetic SEM pairs of two pixel sizes whose source drifts by a known displacement, smooth or by
rows. The error is the mean distance, over the target but for its border, between where a
registration takes a pixel and where it belongs, in target pixels. Real pairs are judged by the
source enlarged and matched in intensity, against the target. Prints every figure beside what is
accepted, and ends with 1 if any is missed.

The training (images 0 to 11 learn, 12 to 14 are judged with locally aligned truth) takes half an
hour, and runs only if it is named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from registration import BORDER, expect, missed, processor
from registration_scenes import DATA, FULL_SCALE, measured_pairs, with_noise
from scipy import ndimage
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

from napari_aeanet import ImagePair, TrainSettings, load_model, restore, train
from napari_aeanet.core.image import Image
from napari_aeanet.core.metrics import psnr
from napari_aeanet.models import Model
from napari_aeanet.registration import transforms
from napari_aeanet.registration.result import Registration
from napari_aeanet.registration.run import register
from napari_aeanet.registration.settings import Deform, RegistrationSettings
from napari_aeanet.registration.warping import crop_to_overlap, resample
from napari_aeanet.samples import SemSettings, paired_sem

SEED = 90
SIDE = 704
AMPLITUDES = (0.5, 1.0, 2.0, 4.0)
ACCEPTED_ERROR = {0.02: 0.10, 0.10: 0.15, 0.25: 0.35}  # at an amplitude of 2 pixels
ACCEPTED_GAIN, ACCEPTED_LOSS, ACCEPTED_RESIDUAL = 0.6, 0.02, 0.35
ACCEPTED_SECONDS = 3.0
RIGID = RegistrationSettings(deform=Deform.OFF)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the tries")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS)[:-1])
    parser.add_argument("--preset", default="aeanet-2d-fast", help="network of the training")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"machine: {processor()}, one thread; OpenCV {cv2.__version__}; seed {args.seed}")
    for name in args.only:
        print(f"\n{name}", flush=True)
        if name == "training":
            training(args.preset, 60 if args.quick else 600)
        else:
            SECTIONS[name](5 if args.quick else 1, args.seed)
    print("\nmissed: " + ("; ".join(missed) or "nothing"))
    sys.exit(bool(missed))


# --- pairs with a known displacement


@cache
def scenes(count: int, seed: int) -> list[np.ndarray]:
    """Return synthetic targets without noise."""
    settings = SemSettings(rotation=0.0, scale_error=0.0, shift=0.0, drift=0.0)
    made = paired_sem(count, seed, (SIDE, SIDE), settings)
    return [specimen.target.array.astype(np.float32) for specimen in made]


def displacement(amplitude: float, by_rows: bool, rng: np.random.Generator) -> np.ndarray:
    """Return u (2, side, side): waves of random phase, one and a half over the field."""
    phases = rng.uniform(0, 2 * np.pi, 2)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE * 2 * np.pi
    if by_rows:
        waves = [np.sin(1.5 * y + phases[0]), np.cos(1.5 * y + phases[1])]
    else:
        waves = [np.sin(x + y + phases[0]), np.cos(x - y + phases[1])]
    return amplitude * np.stack(waves)


def drifting_pair(
    target: np.ndarray, u: np.ndarray, noise: float, rng: np.random.Generator
) -> tuple[Image, Image]:
    """Return the pair; the source, half as fine, shows at p + u(p) what the target shows at p."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    v = -u
    for _ in range(8):
        places = [rows + v[0], columns + v[1]]
        v = -np.stack([ndimage.map_coordinates(one, places, order=1, mode="nearest") for one in u])
    moved = ndimage.map_coordinates(target, [rows + v[0], columns + v[1]], order=3, mode="reflect")
    coarse = moved.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
    source, target = (Image(with_noise(plane, noise, rng), "YX") for plane in (coarse, target))
    return source, target


def places_in_source(found: Registration) -> np.ndarray:
    """Return where the registration finds the target pixels, in the source's finer pixels."""
    at = np.arange(BORDER, SIDE - BORDER)
    points = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).astype(np.float64)
    if found.deformation is not None:
        points += np.stack(found.deformation.on_grid(at, at, (SIDE, SIDE)), axis=-1)
    inverse = transforms.enlargement(2) @ np.linalg.inv(found.matrix)
    return transforms.apply(inverse, points.reshape(-1, 2)).reshape(points.shape)


def error_of(places: np.ndarray, u: np.ndarray) -> float:
    """Return the mean distance of `places` from the true ones."""
    inner = slice(BORDER, SIDE - BORDER)
    true = np.stack(np.mgrid[inner, inner]) + u[:, inner, inner]
    return float(np.linalg.norm(places - np.moveaxis(true, 0, -1), axis=-1).mean())


# --- sections


def accuracy(fewer: int, seed: int) -> None:
    """Known displacements of every amplitude, form and noise."""
    count = max(2, 10 // fewer)
    print("  amplitude  form    noise   global   followed (largest)   used")
    for noise, accepted in ACCEPTED_ERROR.items():
        for by_rows in (False, True):
            for amplitude in AMPLITUDES:
                errors, rigid, used = [], [], 0
                for number, target in enumerate(scenes(count, seed)):
                    rng = np.random.default_rng([seed, number])
                    u = displacement(amplitude, by_rows, rng)
                    found = register(*drifting_pair(target, u, noise, rng))
                    errors.append(error_of(places_in_source(found), u))
                    rigid.append(error_of(places_in_source(found.without_deformation()), u))
                    used += found.deformation is not None
                form = "rows" if by_rows else "smooth"
                line = (
                    f"  {amplitude:9.1f}  {form:6}  {noise:5.2f}  {np.mean(rigid):7.3f}  "
                    f"{np.mean(errors):8.3f} ({max(errors):.3f})   {used:3d}/{count}"
                )
                if amplitude == 2:
                    what = f"{form} drift of 2 px at noise {noise:.2f}"
                    line += f"   {accepted:.2f} {expect(np.mean(errors) <= accepted, what)}"
                print(line, flush=True)


def restraint(fewer: int, seed: int) -> None:
    """Pairs without drift keep the global transform."""
    count = 34 // fewer
    for noise in ACCEPTED_ERROR:
        deformed = drifts = 0
        for number, target in enumerate(scenes(count, seed + 1)):
            rng = np.random.default_rng([seed, number, 1])
            found = register(*drifting_pair(target, np.zeros((2, SIDE, SIDE)), noise, rng))
            deformed += found.deformation is not None
            drifts += "drift" in found.reason
        ok = expect(not deformed, f"no drift at noise {noise:.2f}")
        print(f"  noise {noise:.2f}: {deformed} of {count} deformed, {drifts} called drift  {ok}")


def others(fewer: int, seed: int) -> None:
    """The same displacement by optical flow after the global transform."""
    count = max(2, 5 // fewer)
    for noise in (0.02, 0.10):
        errors: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        for number, target in enumerate(scenes(count, seed)):
            rng = np.random.default_rng([seed, number])
            u = displacement(2.0, False, rng)
            source, target = drifting_pair(target, u, noise, rng)
            start = time.process_time()
            rigid = register(source, target, RIGID)
            globally = time.process_time() - start
            start = time.process_time()
            found = register(source, target)
            errors.setdefault("ours", []).append(error_of(places_in_source(found), u))
            seconds.setdefault("ours", []).append(time.process_time() - start - globally)
            warped = resample(source, rigid, target).array.astype(np.float32)
            for name, flow in FLOWS.items():
                start = time.process_time()
                shift = flow(target.array.astype(np.float32), warped)
                seconds.setdefault(name, []).append(time.process_time() - start)
                inner = shift[:, BORDER : SIDE - BORDER, BORDER : SIDE - BORDER]
                places = places_in_source(rigid) + np.moveaxis(inner, 0, -1)
                errors.setdefault(name, []).append(error_of(places, u))
        for name, values in errors.items():
            print(
                f"  noise {noise:.2f}  {name:8} {np.mean(values):.3f} px ({max(values):.3f}), "
                f"{np.median(seconds[name]):.2f} CPU s",
                flush=True,
            )


def _dis(target: np.ndarray, warped: np.ndarray) -> np.ndarray:
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = flow.calc(*(np.clip(one, 0, 255).astype(np.uint8) for one in (target, warped)), None)
    return np.moveaxis(found[..., ::-1], -1, 0)


FLOWS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "DIS": _dis,
    "ILK": lambda a, b: optical_flow_ilk(a / FULL_SCALE, b / FULL_SCALE, radius=20),
    "TV-L1": lambda a, b: optical_flow_tvl1(a / FULL_SCALE, b / FULL_SCALE),
}


def real(fewer: int, seed: int) -> None:
    """Gain of the enlarged input, images 0 to 14 of the real SEM pairs."""
    if not DATA.exists():
        print(f"  skipped: the real images are not here ({DATA})")
        return
    gains, residuals = [], []
    for source, target in measured_pairs()[0][:15:fewer]:
        found = register(source, target)
        rigid = found.without_deformation()
        gains.append(_score(source, found, target) - _score(source, rigid, target))
        residuals.append(np.median(np.linalg.norm(found.remaining_vectors[:, 1], axis=1)))
        print(f"  {target.name}: {gains[-1]:+.3f} dB, residual {residuals[-1]:.2f} px", flush=True)
    middle = float(np.median(residuals))
    print(
        f"  mean {np.mean(gains):+.3f} dB {expect(np.mean(gains) >= ACCEPTED_GAIN, 'mean gain')}, "
        f"worst {min(gains):+.3f} {expect(min(gains) >= -ACCEPTED_LOSS, 'worst gain')}, "
        f"residual {middle:.2f} px {expect(middle <= ACCEPTED_RESIDUAL, 'residual')}"
    )


def _score(source: Image, registration: Registration, target: Image) -> float:
    """Return the PSNR of the source on the target's grid, matched in intensity."""
    moved, truth = (
        one.array.astype(np.float64)[BORDER:-BORDER, BORDER:-BORDER]
        for one in crop_to_overlap(source, registration, target)
    )
    slope, offset = np.polyfit(moved.ravel(), truth.ravel(), 1)
    return psnr(truth, slope * moved + offset, FULL_SCALE)


def training(preset: str, steps: int) -> None:
    """Train on pairs under the global transform, and on deformed ones; three seeds each."""
    if not DATA.exists():
        print(f"  skipped: the real images are not here ({DATA})")
        return
    pairs = measured_pairs()[0][:15]
    found = [register(source, target) for source, target in pairs]
    scores: dict[str, list[np.ndarray]] = {"rigid": [], "deformed": []}
    for seed in range(3):
        for name in scores:
            used = found if name == "deformed" else [one.without_deformation() for one in found]
            learn = [
                ImagePair(*crop_to_overlap(source, one, target), name=f"pair {number}")
                for number, ((source, target), one) in enumerate(
                    zip(pairs[:12], used[:12], strict=True)
                )
            ]
            with tempfile.TemporaryDirectory() as folder:
                settings = TrainSettings(preset=preset, steps=steps, seed=seed)
                model = load_model(train(learn, settings, Path(folder) / "run").bundle)
            judged = [
                _judged(model, *pair, one) for pair, one in zip(pairs[12:], found[12:], strict=True)
            ]
            scores[name].append(np.mean(judged, axis=0))
            gain, sharpness = scores[name][-1]
            print(f"  seed {seed}, {name:8}: {gain:+.3f} dB, sharpness {sharpness:.3f}", flush=True)
    for name, values in scores.items():
        gain, sharpness = np.mean(values, axis=0)
        spread = np.ptp([one[0] for one in values])
        print(f"  {name:8}: {gain:+.3f} dB (spread {spread:.3f}), sharpness {sharpness:.3f}")
    better = np.mean(scores["deformed"], axis=0)[0] >= np.mean(scores["rigid"], axis=0)[0]
    print(f"  deformed at least not worse: {expect(bool(better), 'training on deformed pairs')}")


def _judged(model: Model, source: Image, target: Image, found: Registration) -> tuple[float, float]:
    """Return gain over the input, and the power above half Nyquist relative to the truth's."""
    moved, truth = (one.array.astype(np.float64) for one in crop_to_overlap(source, found, target))
    inner = (slice(BORDER, -BORDER),) * 2
    restored = np.asarray(restore(moved.astype(np.float32), model), dtype=np.float64)
    matched = []
    for image in (moved, restored):
        slope, offset = np.polyfit(image[inner].ravel(), truth[inner].ravel(), 1)
        matched.append(slope * image[inner] + offset)
    gain = psnr(truth[inner], matched[1], FULL_SCALE) - psnr(truth[inner], matched[0], FULL_SCALE)
    return gain, _fine_power(matched[1]) / _fine_power(truth[inner])


def _fine_power(image: np.ndarray) -> float:
    """Return the power above half of the Nyquist frequency."""
    window = np.multiply.outer(*(np.hanning(n) for n in image.shape))
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
    y, x = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    return float(power[np.hypot(y, x) > 0.25].sum())


def seconds(fewer: int, seed: int) -> None:
    """CPU time beyond the global registration."""
    if not DATA.exists():
        print(f"  skipped: the real images are not here ({DATA})")
        return
    found = []
    for source, target in measured_pairs()[0][: max(2, 6 // fewer)]:
        times = []
        for settings in (RIGID, RegistrationSettings()):
            start = time.process_time()
            register(source, target, settings)
            times.append(time.process_time() - start)
        found.append(times[1] - times[0])
    ok = expect(np.median(found) <= ACCEPTED_SECONDS, "CPU time")
    print(f"  {np.median(found):.2f} CPU s (up to {max(found):.2f}) for 1280 x 768 px  {ok}")


SECTIONS: dict[str, Callable[..., None]] = {
    "accuracy": accuracy,
    "restraint": restraint,
    "others": others,
    "real": real,
    "time": seconds,
    "training": training,
}


if __name__ == "__main__":
    main()
