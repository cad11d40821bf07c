"""Share of the time in which a device computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter, process_time

import torch

from napari_aeanet.benchmark.devices import wait_for


def busy_share(device: torch.device, run: Callable[[], object]) -> float | None:
    """Run something, and return the share of its time in which the device computed.

    On a CPU: CPU time over wall time and threads. On CUDA: the time in which a kernel or a copy
    ran, by torch's profiler. None where it cannot be measured.
    """
    if device.type == "cpu":
        cpu, wall = process_time(), perf_counter()
        run()
        return (process_time() - cpu) / (perf_counter() - wall) / torch.get_num_threads()
    if device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    wait_for(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        wall = perf_counter()
        run()
        wait_for(device)
        wall = perf_counter() - wall
    cuda = torch.autograd.DeviceType.CUDA
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if event.device_type == cuda and not getattr(event, "is_user_annotation", False)
    ]
    return covered(spans) / 1e6 / wall if spans else None


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    length, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length
