"""Speed and memory of prediction, beside the accepted figures.

    python benchmarks/prediction.py [--only exact patches memory volume projection] [--quick]

Times are CPU seconds at one thread (and wall time), the alternatives taking turns. Memory is the
peak of a process of its own, libraries included. Ends with 1 if something accepted is missed.
Weights are random: they do not change how long anything takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The allocator keeps its memory: otherwise page faults are most of the cost of a large whole image,
# and tiles would look better than they are.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "99999999999"}
ACCEPTED_EXACT, STRETCH_EXACT, ACCEPTED_PATCHES = 1.6, 1.2, 1.05
ACCEPTED_MEMORY = {4096: 1.2e9, 8192: 2e9}
ACCEPTED_GROWTH = 1.2
ACCEPTED_VOLUME = 8e9
ROUNDS = 3

missed: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small images, nothing is judged")
    parser.add_argument("--measure", nargs=2, metavar=("PRESET", "SHAPE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(*args.measure)
        return
    if "MALLOC_MMAP_MAX_" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)
    import torch

    torch.set_num_threads(1)
    print(f"machine: {processor()}, one thread; torch {torch.__version__}")
    for name in args.only:
        print(f"\n{name}: {SECTIONS[name].__doc__.splitlines()[0]}")
        SECTIONS[name](args.quick)
    if missed and not args.quick:
        sys.exit("missed: " + "; ".join(missed))


def exact(quick: bool) -> None:
    """Compare exact tiles with one pass over the whole image.

    Tiles that wait for the context need memory; without it they begin anew for the second pass.
    """
    from napari_aeanet.restoration.exact import Contexts, predicted
    from napari_aeanet.restoration.symmetries import DihedralTransform, TransformedSource
    from napari_aeanet.restoration.tile_runner import TileRunner

    edge = 512 if quick else 2048
    network, source = example("aeanet-2d", (edge, edge))
    region = tuple(slice(0, n) for n in source.shape)

    def in_tiles(tile: int, *, waits: bool) -> Callable[[], None]:
        def run() -> None:
            tiles = cut(source, network, tile)
            view = TransformedSource(source, DihedralTransform())
            kept = [(view.transform, one) for one in tiles] if waits else []
            runner = TileRunner(network, device(), kept)
            contexts = Contexts([view], tiles, None)
            for _ in contexts.gather(runner, network.contexts):
                pass
            for _ in predicted(runner, contexts, tiles):
                pass

        return run

    found = taking_turns(
        {
            "whole image": lambda: TileRunner(network, device()).predict_alone(source, region),
            "tiles of 384, all wait": in_tiles(384, waits=True),
            "tiles of 384, none waits": in_tiles(384, waits=False),
            "tiles of 256, none waits": in_tiles(256, waits=False),
        },
        2 if quick else ROUNDS,
    )
    print_times(found, edge * edge)
    ratio = found["tiles of 384, all wait"][0] / found["whole image"][0]
    judge(ratio <= ACCEPTED_EXACT, f"exact / whole {ratio:.2f}, accepted {ACCEPTED_EXACT}")
    print(f"  (stretch {STRETCH_EXACT}: {'reached' if ratio <= STRETCH_EXACT else 'not reached'})")


def patches(quick: bool) -> None:
    """Compare patch-wise restoration with a bare loop over the same patches."""
    import numpy as np
    import torch

    from napari_aeanet.core.image import Image
    from napari_aeanet.core.tiles import patches as lay_patches
    from napari_aeanet.networks import channels_last
    from napari_aeanet.restoration.run import restore_events
    from napari_aeanet.restoration.settings import Output, RestoreSettings, Use

    edge = 512 if quick else 1408
    network, source = example("aeanet-2d", (edge, edge))
    image = Image(source.image.array, "YX")
    model = model_of(network)
    settings = RestoreSettings(use=Use.PATCHES, output=Output.FLOAT32)
    places = lay_patches((edge, edge), (256, 256), (32, 32))
    bare = channels_last(model.network())
    values = image.array

    def loop() -> None:
        result = np.zeros_like(values)
        with torch.inference_mode():
            for place in places:
                y = bare(torch.from_numpy(values[place.outer].copy())[None, None])
                result[place.inner] = y[0, 0].numpy()[place.inside]

    alternatives = {
        "bare loop": loop,
        "restore": lambda: [None for _ in restore_events(image, model, settings)],
    }
    try:
        from monai.inferers import sliding_window_inference
    except ImportError:
        print("  (MONAI is not installed: not compared)")
    else:

        def monai() -> None:
            with torch.inference_mode():
                x = torch.from_numpy(values)[None, None]
                sliding_window_inference(x, (256, 256), 1, bare, overlap=0.25)

        alternatives["MONAI, overlap of 64"] = monai
    found = taking_turns(alternatives, 2 if quick else ROUNDS)
    print_times(found, edge * edge)
    ratio = found["restore"][0] / found["bare loop"][0]
    judge(ratio <= ACCEPTED_PATCHES, f"restore / loop {ratio:.2f}, accepted {ACCEPTED_PATCHES}")


def memory(quick: bool) -> None:
    """Measure the peak memory of exact restoration from zarr to zarr, in a process of its own."""
    edges = (512, 1024) if quick else tuple(ACCEPTED_MEMORY)
    peaks = {}
    for edge in edges:
        peaks[edge] = in_a_process("aeanet-2d", (edge, edge))["peak"]
        if edge in ACCEPTED_MEMORY:
            limit = ACCEPTED_MEMORY[edge]
            judge(peaks[edge] <= limit, f"{edge} px: {peaks[edge] / 1e9:.2f} GB of {limit / 1e9}")
    growth = peaks[edges[1]] / peaks[edges[0]]
    judge(growth <= ACCEPTED_GROWTH, f"growth {growth:.2f}, accepted {ACCEPTED_GROWTH}")


def volume(quick: bool) -> None:
    """A large stack through aeanet-3d, exactly."""
    found = in_a_process("aeanet-3d", (16, 64, 64) if quick else (95, 1024, 1024))
    peak = found["peak"]
    judge(peak <= ACCEPTED_VOLUME, f"{peak / 1e9:.2f} GB of {ACCEPTED_VOLUME / 1e9}")


def projection(quick: bool) -> None:
    """A large stack through aeanet-projection, exactly."""
    in_a_process("aeanet-projection", (10, 128, 128) if quick else (50, 1024, 1024))


SECTIONS = {
    "exact": exact,
    "patches": patches,
    "memory": memory,
    "volume": volume,
    "projection": projection,
}


def in_a_process(preset: str, shape: tuple[int, ...]) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", preset, "x".join(map(str, shape))]
    environment = {k: v for k, v in os.environ.items() if k not in ALLOCATOR}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {preset}, {' x '.join(map(str, shape))}: {found['wall']:.0f} s, "
        f"{found['cpu']:.0f} CPU s, {found['peak'] / 1e9:.2f} GB, {found['tiles']:.0f} tiles of "
        f"{found['edges']}"
    )
    return found


def measure(preset: str, shape: str) -> None:
    """Restore noise of this shape from zarr to zarr and print time and memory."""
    import numpy as np
    import torch
    import zarr

    from napari_aeanet.core.image import Image
    from napari_aeanet.restoration.run import restore_events
    from napari_aeanet.restoration.settings import RestoreSettings, TileDone

    torch.set_num_threads(1)
    sizes = tuple(int(n) for n in shape.split("x"))
    network, _ = example(preset, (16,) * len(sizes))
    model = model_of(network)
    del network
    with tempfile.TemporaryDirectory() as folder:
        chunks = (1,) * (len(sizes) - 2) + tuple(min(n, 1024) for n in sizes[-2:])
        array = zarr.create_array(
            Path(folder) / "in.zarr", shape=sizes, chunks=chunks, dtype=np.uint8
        )
        for start in range(0, sizes[-2], 1024):
            rows = np.s_[..., start : start + 1024, :]
            rng = np.random.default_rng(start)
            array[rows] = rng.integers(0, 256, array[rows].shape, dtype=np.uint8)
        image = Image(array, network_axes(len(sizes)))
        tiles, edges = 0, ()
        settings = RestoreSettings(memory=0.6 if len(sizes) == 2 else 5.0)
        cpu, wall = time.process_time(), time.perf_counter()
        for event in restore_events(image, model, settings, out=Path(folder) / "out.ome.zarr"):
            if isinstance(event, TileDone):
                tiles += 1
                edges = max(edges, event.block.shape)
        took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    print(json.dumps(took | {"peak": peak_memory(), "tiles": tiles, "edges": edges}))


# --- shared by the sections


def example(preset: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the published network of a preset, and noise as its input."""
    import numpy as np
    import torch

    from napari_aeanet import networks
    from napari_aeanet.core.image import Image
    from napari_aeanet.core.intensity import Scaling
    from napari_aeanet.models.presets import all_presets
    from napari_aeanet.restoration.network_input import NetworkInput

    torch.manual_seed(0)
    config = next(p.config for p in all_presets() if p.name == preset)
    network = networks.build(config).eval()
    values = np.random.default_rng(0).random(shape, np.float32)
    source = NetworkInput(
        image=Image(values, network.input_axes),
        place=(slice(None),) * len(shape),
        axes=network.input_axes,
        measure=lambda: Scaling(0.0, 1.0),
        factors=(1.0,) * len(shape),
        grid=network.grid,
    )
    return network, source


def model_of(network: Any) -> Any:
    from napari_aeanet import networks
    from napari_aeanet.models.model_file import Model, ModelCard

    axes = len(network.grid)
    card = ModelCard(
        name="benchmark",
        preset="",
        network=networks.config_to_json(network.config),
        ratio=(1.0,) * axes,
        pixel_size=(None,) * axes,
    )
    return Model(card, {name: value.numpy() for name, value in network.state_dict().items()})


def network_axes(count: int) -> str:
    return "ZYX"[-count:]


def cut(source: Any, network: Any, tile: int) -> Any:
    from napari_aeanet.core.tiles import partition

    return partition(source.shape, (tile,) * len(source.shape), network.grid)


def device() -> Any:
    import torch

    return torch.device("cpu")


def taking_turns(
    alternatives: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return the smallest CPU and wall seconds of each, after a warm-up run."""
    best = {name: (float("inf"), float("inf")) for name in alternatives}
    for number in range(rounds + 1):
        for name, run in alternatives.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            took = time.process_time() - cpu, time.perf_counter() - wall
            if number:
                best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
    return best


def print_times(found: dict[str, tuple[float, float]], pixels: int) -> None:
    first = next(iter(found.values()))[0]
    for name, (cpu, wall) in found.items():
        speed = pixels / cpu / 1e6
        print(
            f"  {name:26} {cpu:7.2f} CPU s {wall:7.2f} s {speed:6.2f} MP/CPU s {cpu / first:5.2f}"
        )


def judge(accepted: bool, text: str) -> None:
    print(f"  {text}: {'accepted' if accepted else 'MISSED'}")
    if not accepted:
        missed.append(text)


def peak_memory() -> float:
    """Return the peak memory of this process in bytes (getrusage would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) * 1024


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().split("model name\t: ")[1:] if info.exists() else []
    return names[0].splitlines()[0] if names else platform.processor()


if __name__ == "__main__":
    main()
