"""Registrations as OME-Zarr scenes: error of a round trip, and the conformance cases of RFC-5.

    python benchmarks/scenes.py [--python PYTHON] [--seeds 6]

Random affines with deformations close to the largest strain are written and read again; the error
is the largest distance, over 2,000 points, from the place in the source, in target pixels. PYTHON
is one of version 3.12 with the package `ome-zarr-transformations-conformance`, whose runner judges
`load_scene` on every case of its own. A case that is refused in one sentence is not supported;
ends with 1 if a case gives wrong places or an error that is no such sentence.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np

from napari_aeanet.registration import (
    Deformation,
    Registration,
    Verdict,
    largest_strain,
    transforms,
)
from napari_aeanet.transform_files import load_scene, save_scene

SHAPES = ((120, 160), (1024, 1024), (2048, 1500))
CELLS = ((1, 1), (4, 6), (16, 16), (60, 4))
STRAIN = 0.29
NOT_SUPPORTED = "not supported"


def made(shape: tuple[int, int], cells: tuple[int, int], seed: int) -> Registration:
    random = np.random.default_rng(seed)
    grid = random.normal(size=(cells[0] + 3, cells[1] + 3, 2))
    grid *= STRAIN / largest_strain(grid)
    turn = transforms.similarity(random.uniform(0.5, 4), random.uniform(-180, 180))
    return Registration(
        matrix=transforms.translation(random.uniform(-50, 50, 2)) @ turn,
        kind=transforms.TransformKind.SIMILARITY,
        source_shape=shape,
        target_shape=shape,
        verdict=Verdict.GOOD,
        reason="made for a benchmark",
        deformation=Deformation(coefficients=grid, before=1.0, after=1.0),
    )


def on_target(found: Registration, points: np.ndarray) -> np.ndarray:
    """Return the displaced points, before the matrix leads them to the source."""
    assert found.deformation is not None
    return points + found.deformation.at(points, found.target_shape)


def round_trips(seeds: int) -> None:
    print("target        cells    largest error  refused  save   load")
    for shape in SHAPES:
        points = np.random.default_rng(1).uniform((0, 0), np.array(shape) - 1, (2000, 2))
        for cells in CELLS:
            errors, saved, loaded, refused = [], 0.0, 0.0, 0
            for seed in range(seeds):
                first = made(shape, cells, seed)
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    save_scene(first, Path(folder) / "a.zarr")
                    middle = time.perf_counter()
                    try:
                        second = load_scene(Path(folder) / "a.zarr", shape, shape)
                    except ValueError:
                        refused += 1
                        continue
                saved += middle - start
                loaded += time.perf_counter() - middle
                way = first.matrix @ np.linalg.inv(second.matrix)
                apart = transforms.apply(way, on_target(second, points)) - on_target(first, points)
                errors.append(np.linalg.norm(apart, axis=1).max())
            done = max(1, len(errors))
            print(
                f"{shape[0]:4} x {shape[1]:4}  {cells[0]:2} x {cells[1]:2}  "
                f"{max(errors, default=np.nan):10.4f} px  {refused:2} of {seeds}  "
                f"{saved / done:4.2f} s {loaded / done:5.2f} s"
            )


def answer(path: str, start: str, end: str, points: str) -> int:
    """Lead points from one coordinate system to another, for the runner of the cases."""
    try:
        found = load_scene(path, (64, 64), (64, 64), source=end, target=start)
    except ValueError as error:
        print(json.dumps({"message": str(error)}))
        return 1
    places = transforms.apply(np.linalg.inv(found.matrix), np.array(json.loads(points)))
    print(json.dumps({"coordinates": places.tolist()}))
    return 0


def conformance(python: Path) -> int:
    """Print a table of the cases; return how many give wrong places or no sentence."""
    find = "import importlib.util as u; print(*u.find_spec('cases').submodule_search_locations)"
    cases = Path(subprocess.check_output([python, "-c", find], text=True).strip())
    program = [sys.executable, __file__, "--answer"]
    command = [python, "-m", "transformation_conformance", "-B", "-X", cases, "--", *program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    totals: Counter[str] = Counter()
    print("\ncase                       result")
    for line in done.stdout.splitlines():
        name, result = line.split("\t")
        if result == "error":
            result = refusal(cases / f"{name}.ome.zarr")
        totals[result.partition(":")[0]] += 1
        print(f"{name:26} {result}")
    print(", ".join(f"{count} {result}" for result, count in totals.items()))
    return totals["fail"] + totals["error"]


def refusal(case: Path) -> str:
    """Return the sentence that refuses a case; "error" if there is none."""
    names = tomllib.loads((case / "conformance.toml").read_text())
    try:
        source, target = names["target"]["name"], names["source"]["name"]
        load_scene(case, (64, 64), (64, 64), source=source, target=target)
    except ValueError as error:
        return f"{NOT_SUPPORTED}: {str(error).removeprefix(str(case))[2:]}"
    return "error"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", type=Path, help="Python 3.12 with the conformance cases")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--answer", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        return answer(*options.answer)
    round_trips(options.seeds)
    return 1 if options.python and conformance(options.python) else 0


if __name__ == "__main__":
    raise SystemExit(main())
