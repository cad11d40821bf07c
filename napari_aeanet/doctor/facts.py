"""Gather facts about the computer without importing torch, Qt or napari here."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_aeanet import __version__
from napari_aeanet.doctor.settings import (
    CardFacts,
    ComputerFacts,
    Package,
    QtFacts,
    SelfTestFacts,
    TorchFacts,
)

PROGRAM = "napari-aeanet"
PROBE = "napari_aeanet.doctor.probe"
# Importing torch takes seconds on a busy machine, not minutes.
PROBE_SECONDS = 180.0
DRIVER_FILE = Path("/proc/driver/nvidia/version")


class ProbeError(Exception):
    """Last line of a probe that failed."""


def basic_facts() -> ComputerFacts:
    """Return what is known at once: Python, packages, card, memory, disk."""
    memory, free_memory = _memory()
    return ComputerFacts(
        program=__version__,
        python=platform.python_version(),
        python_path=sys.executable,
        python_required=_metadata("Requires-Python"),
        bits=64 if sys.maxsize > 2**32 else 32,
        system=platform.platform(terse=True),
        machine=platform.machine(),
        packages=required_packages(),
        card=_card(),
        memory=memory,
        free_memory=free_memory,
        free_disk=_free_disk(),
        cores=_cores(),
        thread_limit=os.environ.get("OMP_NUM_THREADS", ""),
        hidden_cards=os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"),
        opencv_with_qt=_installed("opencv-python") is not None,
    )


def torch_facts() -> TorchFacts:
    """Return the build of PyTorch and its devices.

    Raises
    ------
    ProbeError
        If PyTorch cannot be imported.
    """
    found = _probe("torch")
    return TorchFacts(**found | {"devices": tuple(found["devices"])})


def qt_facts() -> QtFacts:
    """Return the Qt binding.

    Raises
    ------
    ProbeError
        If there is none, or it cannot be loaded.
    """
    screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    )
    return QtFacts(screen=screen, **_probe("qt"))


def self_test_facts(device: str) -> SelfTestFacts:
    """Run the self-test on a device.

    Raises
    ------
    ProbeError
        If it fails.
    """
    return SelfTestFacts(**_probe("self-test", device))


def _probe(*words: str) -> dict[str, Any]:
    """Run a probe in a process of its own, which may crash, and return what it printed."""
    command = [sys.executable, "-m", PROBE, *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProbeError(f"no answer within {error.timeout:g} s") from error
    if done.returncode < 0:
        raise ProbeError(f"the process crashed (signal {-done.returncode})")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ProbeError(lines[-1].strip())
    return json.loads(done.stdout.splitlines()[-1])


def required_packages(only: str = "") -> tuple[Package, ...]:
    """Return the packages (or one) that the metadata of the installed program require.

    napari is always among all of them.
    """
    from packaging.requirements import Requirement

    found: dict[str, Package] = {}
    try:
        lines = metadata.requires(PROGRAM) or []
    except metadata.PackageNotFoundError:  # run from a folder, without installing
        lines = []
    for line in lines:
        required = Requirement(line)
        extra = _extra(line)
        if extra not in ("", "napari") or required.name in found or only not in ("", required.name):
            continue
        if required.marker and not required.marker.evaluate({"extra": extra}):
            continue
        lowest = [s.version for s in required.specifier if s.operator == ">="]
        found[required.name] = Package(
            name=required.name,
            version=_installed(required.name),
            lowest=lowest[0] if lowest else "",
            extra=extra,
        )
    napari = Package(name="napari", version=_installed("napari"), extra="napari")
    if not only:
        found.setdefault("napari", napari)
    return tuple(found.values())


def _extra(line: str) -> str:
    match = re.search(r"extra\s*==\s*['\"]([\w-]+)", line)
    return match[1] if match else ""


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _metadata(field: str) -> str:
    try:
        return metadata.metadata(PROGRAM)[field] or ""
    except metadata.PackageNotFoundError:
        return ""


def _card() -> CardFacts | None:
    """Return the NVIDIA cards as their driver reports them, with or without its program."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        try:
            text = _output(program)
            names = _output(program, "--query-gpu=name", "--format=csv,noheader")
        except (OSError, subprocess.SubprocessError):
            return CardFacts()
        return CardFacts(
            names=tuple(line.strip() for line in names.splitlines() if line.strip()),
            driver=_first(r"Driver Version:\s*([\d.]+)", text),
            cuda=_first(r"CUDA (?:UMD )?Version:\s*([\d.]+)", text),
        )
    try:
        text = DRIVER_FILE.read_text(encoding="utf-8")
    except OSError:
        return None
    return CardFacts(driver=_first(r"Module\s+([\d.]+)", text))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _memory() -> tuple[int | None, int | None]:
    try:
        import psutil
    except ImportError:  # reported as a missing package
        return None, None
    found = psutil.virtual_memory()
    return found.total, found.available


def _free_disk() -> dict[str, int]:
    found = {}
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            found[str(folder)] = shutil.disk_usage(folder).free
        except OSError:
            continue
    return found


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
