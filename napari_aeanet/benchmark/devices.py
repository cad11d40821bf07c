"""Wait for devices, and tell their number of digits and their memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from napari_aeanet.networks import release_memory


def wait_for(device: torch.device) -> None:
    """Wait until the device has done everything that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def tensor_float_32(*, allowed: bool) -> Iterator[None]:
    """Forbid or allow convolutions in TensorFloat-32 (10 binary digits) on CUDA."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def memory_in_use(device: torch.device) -> int:
    """Return the bytes that this process holds on a device, caches included."""
    gc.collect()
    if device.type == "cuda":
        wait_for(device)
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    release_memory(device)
    return psutil.Process().memory_info().rss


def has_bfloat16(device: torch.device) -> bool:
    """Return True for devices on which this program trains in bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
