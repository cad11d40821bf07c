"""Benchmark every device of this computer, part by part."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from napari_aeanet import __version__
from napari_aeanet.benchmark.accuracy import exactness, network_accuracy, precision
from napari_aeanet.benchmark.restoring_speed import restoring_speed
from napari_aeanet.benchmark.settings import (
    ALL,
    LIMIT_EXACT,
    LIMIT_OUTPUT,
    BenchmarkEvent,
    BenchmarkReport,
    BenchmarkSettings,
    DeviceMeasured,
    Measured,
    Measurement,
    Part,
)
from napari_aeanet.benchmark.short_memory import short_memory
from napari_aeanet.benchmark.training_speed import training_speed
from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
)
from napari_aeanet.models import all_presets, baselines, presets
from napari_aeanet.networks import DeviceInfo, choose_device, describe_device, devices

DEFAULTS = BenchmarkSettings()
# Limits of the parts that are checks: a check that cannot be made has failed.
LIMITS = {Part.NETWORKS: LIMIT_OUTPUT, Part.EXACT: LIMIT_EXACT, Part.SHORT_MEMORY: LIMIT_EXACT}
# Of the time of a device, the networks may take this share; the rest is for the other parts.
NETWORKS_SHARE = 0.5


def benchmark(
    settings: BenchmarkSettings = DEFAULTS, *, progress: ProgressOption = False
) -> BenchmarkReport:
    """Return accuracy, exactness and speed of the devices of this computer.

    Parameters
    ----------
    settings
        What to measure; the default is everything, in less than ten minutes.
    progress
        True for a progress bar in the terminal, or a function that is called with each `Progress`.
    """
    return result_of(BenchmarkReport, benchmark_events(settings), progress)


def benchmark_events(settings: BenchmarkSettings = DEFAULTS) -> Iterator[BenchmarkEvent]:
    """Return a generator that measures: figures as they come, and all at last.

    Close the generator to stop.

    Raises
    ------
    ValueError
        If there is no such device or network.
    """
    check_type("settings", settings, BenchmarkSettings)
    known = [presets.preset(name) for name in settings.presets]
    names = tuple(one.name for one in known or (*all_presets(), *baselines()))
    return _measured(settings, names, _devices(settings.device))


def _devices(name: str) -> list[DeviceInfo]:
    """Return the device of this name, or the first of every kind."""
    if name != ALL:
        return [describe_device(choose_device(name))]
    kinds: dict[str, DeviceInfo] = {}
    for info in devices():
        kinds.setdefault(info.name.partition(":")[0], info)
    return list(kinds.values())


@dataclass(frozen=True, eq=False)
class _Step:
    """A part of the work on one device."""

    part: Part
    title: str
    run: Callable[[], Iterable[Measurement | None]]


def _measured(
    settings: BenchmarkSettings, names: tuple[str, ...], infos: list[DeviceInfo]
) -> Iterator[BenchmarkEvent]:
    began, share = perf_counter(), settings.minutes * 60 / len(infos)
    measurements: list[Measurement] = []
    total = len(infos) * (len(names) + len(Part) - 1)
    counter, progress = StepCounter("measuring", total), Progress("measuring", 0, total)
    for number, info in enumerate(infos):
        start, deadline = began + number * share, began + (number + 1) * share
        for step in _steps(settings, names, torch.device(info.name), deadline):
            progress = replace(progress, what=f"measuring {info.title}: {step.title}")
            yield Progressed(progress)
            late = start + NETWORKS_SHARE * share if step.part is Part.NETWORKS else deadline
            for found in _in_words(step, info.name, late):
                if found is None:
                    yield Progressed(progress)
                    continue
                measurements.append(found)
                yield Measured(found, progress)
            progress = replace(counter.step(), what=progress.what, seconds_left=None)
    yield BenchmarkReport(
        measurements=tuple(measurements),
        devices=tuple(_sizes(settings, info) for info in infos),
        versions=_versions(),
        seconds=perf_counter() - began,
        progress=counter.finish(),
    )


def _steps(
    settings: BenchmarkSettings, names: tuple[str, ...], device: torch.device, deadline: float
) -> Iterator[_Step]:
    kind = device.type
    for name in names:
        yield _Step(Part.NETWORKS, name, partial(network_accuracy, device, name))
    patch, batch = settings.patch_on(kind), settings.batch_on(kind)
    speed = partial(training_speed, device, patch, batch, settings.seconds_on(kind))
    restoring = partial(restoring_speed, device, settings.edges_on(kind), deadline)
    yield _Step(Part.EXACT, "exact tiles", partial(exactness, device))
    yield _Step(Part.PRECISION, "precision", partial(precision, device))
    yield _Step(Part.SHORT_MEMORY, "too little memory", partial(short_memory, device))
    yield _Step(Part.TRAINING, "training", speed)
    yield _Step(Part.RESTORING, "restoring", restoring)


def _in_words(step: _Step, device: str, deadline: float) -> Iterator[Measurement | None]:
    """Yield the figures of a part; one that ends with an error is a figure without a value."""
    if perf_counter() > deadline:
        yield Measurement(
            device=device,
            part=step.part,
            name=step.title,
            value=None,
            limit=LIMITS.get(step.part),
            note="left out: no time was left",
            is_left_out=True,
        )
        return
    try:
        yield from step.run()
    except (RuntimeError, MemoryError, ValueError, OSError, subprocess.SubprocessError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        yield Measurement(
            device=device,
            part=step.part,
            name=step.title,
            value=None,
            limit=LIMITS.get(step.part),
            note=f"could not be measured: {reason}",
        )


def _sizes(settings: BenchmarkSettings, info: DeviceInfo) -> DeviceMeasured:
    kind = info.name.partition(":")[0]
    return DeviceMeasured(
        name=info.name,
        title=info.title,
        patch=settings.patch_on(kind),
        batch=settings.batch_on(kind),
        edges=settings.edges_on(kind),
    )


def _versions() -> dict[str, str]:
    return {
        "napari-aeanet": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
        "system": platform.platform(terse=True),
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
