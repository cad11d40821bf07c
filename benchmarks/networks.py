"""Memory and time of a whole-image prediction, and the cost of tiles beside it.

    python benchmarks/networks.py [--preset aeanet-2d] [--sizes 512 2048] [--threads 1]

Every size runs in a process of its own, so that its peak memory is its own; times are CPU seconds
a megapixel, the best of some repeats. Accepted are, for aeanet-2d: less than 6 GB at 2048 × 2048
with the default allocator, and at most 1.3 times the time per pixel of 512 × 512.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

LARGEST_GB = 6.0
SLOWEST_RATIO = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="aeanet-2d")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.preset, args.one, args.threads)))
        return
    print(f"{'pixels':>12} {'peak GB':>9} {'CPU s/MP':>9}")
    found = {}
    for size in args.sizes:
        found[size] = in_own_process(args.preset, size, args.threads)
        print(f"{size:>5} x {size:<5}{found[size]['gb']:>8.2f} {found[size]['seconds']:>9.2f}")
    small, large = found[min(found)], found[max(found)]
    ratio = large["seconds"] / small["seconds"]
    print(f"time per pixel, largest / smallest: {ratio:.2f} (accepted: {SLOWEST_RATIO})")
    print(f"peak memory of the largest: {large['gb']:.2f} GB (accepted: {LARGEST_GB})")
    if args.preset == "aeanet-2d" and (large["gb"] > LARGEST_GB or ratio > SLOWEST_RATIO):
        sys.exit(1)


def in_own_process(preset: str, size: int, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--preset", preset, "--one", str(size)]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measure(preset: str, size: int, threads: int) -> dict[str, float]:
    """Return the peak memory of the process and the CPU seconds a megapixel of the fastest pass."""
    import torch

    from napari_aeanet.models import presets
    from napari_aeanet.networks import build

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build(presets.preset(preset).config).eval()
    x = torch.rand(1, 1, size, size)
    times = []
    with torch.inference_mode():
        network(x[..., :64, :64])  # the first call prepares the kernels
        for _ in range(max(2, 1024**2 // size**2)):
            start = time.process_time()
            network(x)
            times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"gb": peak, "seconds": min(times) / (size / 1000) ** 2}


if __name__ == "__main__":
    main()
