"""Floor of the time of a training step, from its operations and the bytes it moves.

Every operation takes at least flops / peak, and bytes / bandwidth if it reads its inputs and
writes its outputs once. The floor is the sum over all operations of the larger of the two. Peak
and bandwidth are measured: of a product of matrices, and of a copy. Kernels that fuse operations
may go below it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from napari_aeanet.benchmark.devices import has_bfloat16, wait_for

MATRIX = {"cuda": 8192, "mps": 2048, "cpu": 1024}
COPIED_BYTES = {"cuda": 2**30, "mps": 2**28, "cpu": 2**27}
REPEATS = 5


def peaks(device: torch.device) -> tuple[float, float]:
    """Return operations a second of a matrix product, in the type of training, and bytes a second.

    A copy reads and writes every byte.
    """
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    edge = MATRIX[device.type]
    matrix = torch.rand(edge, edge, device=device).to(dtype)
    product = torch.empty_like(matrix)
    seconds = fastest(device, lambda: torch.matmul(matrix, matrix, out=product))
    source = torch.zeros(COPIED_BYTES[device.type], dtype=torch.uint8, device=device)
    copied = torch.empty_like(source)
    return 2 * edge**3 / seconds, 2 * len(source) / fastest(device, lambda: copied.copy_(source))


def fastest(device: torch.device, run: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some runs, after a first one."""
    times = []
    for _ in range(REPEATS + 1):
        wait_for(device)
        began = perf_counter()
        run()
        wait_for(device)
        times.append(perf_counter() - began)
    return min(times[1:])


class Roofline(TorchDispatchMode):
    """Sum of the floors of all operations that run in the block, in seconds."""

    def __init__(self, operations_per_second: float, bytes_per_second: float) -> None:
        super().__init__()
        self.operations_per_second = operations_per_second
        self.bytes_per_second = bytes_per_second
        self.operations, self.bytes, self.seconds = 0, 0, 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.is_view or func.namespace != "aten":
            return result
        counted = flop_registry.get(func.overloadpacket)
        operations = counted(*args, **kwargs, out_val=result) if counted else 0
        moved = sum(
            tensor.numel() * tensor.element_size()
            for tensor in tree_leaves((args, kwargs, result))
            if isinstance(tensor, Tensor)
        )
        self.operations += operations
        self.bytes += moved
        self.seconds += max(operations / self.operations_per_second, moved / self.bytes_per_second)
        return result
