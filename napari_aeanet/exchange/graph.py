"""A model as a graph of fixed operations, ONNX or TorchScript, for images of any size."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_aeanet.exchange.source import plain_network
from napari_aeanet.networks import HEIGHT, Network

# Steps of the grid, and the least pixels, of the images with which a graph is compared.
SIZES = (0, 1, 3)
LEAST_PIXELS = 16
# Largest difference from this program's result, as a share of its largest value.
TOLERANCE = 1e-4
# Largest share of the pixels in which a height may differ: where two planes contribute alike,
# rounding decides.
MOST_OTHER_HEIGHTS = 1e-3
ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
AXIS_NAMES = ("z", "y", "x")
Function = Callable[[np.ndarray], Sequence[np.ndarray]]


def needed(name: str) -> ModuleType:
    """Return a library of the extra; raise a ValueError that tells how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        msg = f'ONNX needs the package {name}: pip install "napari-aeanet[onnx]".'
        raise ValueError(msg) from error


def whole_image_network(network: Network) -> nn.Module:
    """Return the network in PyTorch alone, with the weights of `network`."""
    plain = plain_network(network.config)
    plain.load_state_dict(network.state_dict())
    return plain.eval().requires_grad_(False)


def example(network: Network, more: int = 0) -> np.ndarray:
    """Return an image (1, C, pixels...) of noise, larger by `more` steps along the last axis."""
    shape = [max(2 * grid, LEAST_PIXELS // grid * grid) for grid in network.grid]
    shape = [
        n + grid * (more + k) for k, (n, grid) in enumerate(zip(shape, network.grid, strict=True))
    ]
    rng = np.random.default_rng(more)
    return rng.random((1, network.config.in_channels, *shape), np.float32)


def own_outputs(network: Network, x: np.ndarray) -> list[np.ndarray]:
    """Return the prediction of this program's network and its further outputs."""
    with torch.no_grad():
        return [part.numpy() for part in network.outputs(torch.from_numpy(x)).values()]


def of_module(module: nn.Module) -> Function:
    """Return a module as a function of arrays."""

    def function(x: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            found = module(torch.from_numpy(x))
        return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]

    return function


def onnx_graph(plain: nn.Module, network: Network) -> bytes:
    """Return the network as ONNX, for one image of any size on the grid."""
    names = AXIS_NAMES[-len(network.grid) :]
    axes: dict[int, Any] = {0: torch.export.Dim.STATIC, 1: torch.export.Dim.STATIC}
    for axis, (name, grid) in enumerate(zip(names, network.grid, strict=True), start=2):
        size = torch.export.Dim(name, min=2)
        axes[axis] = grid * size if grid > 1 else size
    with _quiet():
        program = torch.onnx.export(
            plain,
            (torch.from_numpy(example(network)),),
            dynamo=True,
            dynamic_shapes=(axes,),
            input_names=["input"],
            output_names=["prediction", *network.extras],
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


def of_onnx(content: bytes) -> Function:
    """Return an ONNX graph as a function of arrays, by onnxruntime on the CPU."""
    session = needed("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input": x})


def torchscript_graph(plain: nn.Module, network: Network) -> bytes:
    """Return the network as TorchScript, for one image of any size on the grid."""
    buffer = io.BytesIO()
    with _quiet():
        torch.jit.save(torch.jit.trace(plain, torch.from_numpy(example(network))), buffer)
    return buffer.getvalue()


def of_torchscript(content: bytes) -> Function:
    """Return a TorchScript graph as a function of arrays."""
    with _quiet():
        return of_module(torch.jit.load(io.BytesIO(content), map_location="cpu"))


def compare(form: str, function: Function, network: Network) -> float:
    """Return the largest difference from this program's network, at three sizes of an image."""
    worst = 0.0
    for more in SIZES:
        x = example(network, more)
        worst = max(worst, difference(form, function(x), own_outputs(network, x), network))
    return worst


def difference(
    form: str, found: Sequence[np.ndarray], expected: Sequence[np.ndarray], network: Network
) -> float:
    """Return the largest difference of any output, as a share of its largest value.

    Raises
    ------
    ValueError
        If this form of the weights gives another result than the network.
    """
    worst = 0.0
    names = ("prediction", *network.extras)
    for name, a, b in zip(names, found, expected, strict=True):
        if a.shape != b.shape:
            worst = np.inf
        elif name != HEIGHT:
            worst = max(worst, float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)))
        elif (a != b).mean() > MOST_OTHER_HEIGHTS:
            worst = np.inf
    if not worst <= TOLERANCE:
        msg = (
            f"The model was not exported: as {form} its result differs by {worst:.2g} of the "
            f"largest value from that of this program, and at most {TOLERANCE:g} is allowed."
        )
        raise ValueError(msg)
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters of PyTorch from telling about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def state_bytes(module: nn.Module) -> bytes:
    """Return the weights of a module as PyTorch stores them."""
    state: dict[str, Tensor] = {
        name: value.detach().contiguous().clone() for name, value in module.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
