"""Devices that compute: choice, memory, precision."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

PROBE = "from napari_aeanet.networks.device import _print_devices; _print_devices()"
# Importing torch and starting a GPU takes seconds on a busy machine, not minutes.
PROBE_SECONDS = 120.0
LINUX = sys.platform == "linux"


@dataclass(frozen=True)
class DeviceInfo:
    """A device that can compute.

    Parameters
    ----------
    name
        Identifier in settings: "cpu", "cuda:0", "mps".
    title
        Name for people.
    memory, free
        Total and free bytes.
    """

    name: str
    title: str
    memory: int
    free: int


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device of this name; "auto" is a GPU if there is one.

    Raises
    ------
    ValueError
        If this machine has no such device.
    """
    import torch

    known = [info.name for info in devices()]
    if name == "auto":
        return torch.device(known[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in known:
        msg = f"This machine has no device '{name}'; it has {', '.join(known)}. Choose 'auto'."
        raise ValueError(msg)
    return torch.device(wanted)


def devices() -> list[DeviceInfo]:
    """Return all devices of this machine, that of "auto" first. Imports torch."""
    import torch

    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, memory = torch.cuda.mem_get_info(index)
            title = torch.cuda.get_device_name(index)
            found.append(DeviceInfo(f"cuda:{index}", title, memory, free))
    main = psutil.virtual_memory()
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU", main.total, main.available))
    cores = torch.get_num_threads()
    title = f"CPU, {cores} core{'s' if cores > 1 else ''}"
    return [*found, DeviceInfo("cpu", title, main.total, main.available)]


def probe_devices() -> list[DeviceInfo]:
    """Return `devices` by way of another process, so that torch is not imported in this one.

    Raises
    ------
    RuntimeError
        If the other process fails, with the last line of its output.
    """
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"The devices of this machine were not found within {error.timeout:g} s."
        raise RuntimeError(msg) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"The devices of this machine could not be found: {last}")
    return [DeviceInfo(**values) for values in json.loads(done.stdout.splitlines()[-1])]


def describe_device(device: torch.device) -> DeviceInfo:
    """Return the name and memory of a torch device."""
    name = "cuda:0" if str(device) == "cuda" else str(device)
    return next(info for info in devices() if info.name == name)


def mixed_precision(device: torch.device, allowed: bool = True) -> AbstractContextManager[None]:
    """Return a context manager for bfloat16 on recent CUDA devices, for float32 elsewhere.

    If it is not `allowed`, for float32 everywhere, without the shorter TF32 of convolutions.
    bfloat16 is ten times slower on CPUs without the instructions, and missing on older Apple GPUs.
    Attention contexts are float32 everywhere (see `gather_context`).
    """
    import torch

    if device.type == "cuda" and not allowed:
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        )
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def release_memory(device: torch.device) -> None:
    """Return unused memory, of the caches of a GPU or the C library, to the system."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif trim := getattr(ctypes.CDLL(None), "malloc_trim", None) if LINUX else None:
        trim(0)


def _print_devices() -> None:
    sys.stdout.write(json.dumps([asdict(info) for info in devices()]) + "\n")
