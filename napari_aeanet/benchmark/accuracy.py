"""Compare a device with the CPU in float64, tiles with the whole image, few digits with many."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from napari_aeanet.benchmark.devices import has_bfloat16, tensor_float_32
from napari_aeanet.benchmark.examples import SEED, noise, random_model, random_network
from napari_aeanet.benchmark.settings import (
    LIMIT_EXACT,
    LIMIT_GRADIENT,
    LIMIT_OUTPUT,
    Measurement,
    Part,
)
from napari_aeanet.models import Model, presets
from napari_aeanet.networks import Network, NetworkConfig, mixed_precision
from napari_aeanet.restoration import Output, RestoreSettings, restore

# Two images, since the attention of AEANet and normalisation need more than one.
BATCH, SHAPES = 2, {2: (48, 48), 3: (16, 32, 32)}
# Names of presets, shapes of images, edges of tiles. Neither is a multiple of the other.
EXACT = (
    ("aeanet-2d", (250, 182), 64),
    ("aeanet-3d", (9, 70, 61), 32),
    ("aeanet-projection", (7, 90, 75), 48),
)
# The outputs of a network that are no plane numbers.
CONTINUOUS = ("prediction", "sigma")
Way = Callable[[], AbstractContextManager[None]]


def network_accuracy(device: torch.device, preset: str) -> Iterator[Measurement]:
    """Yield the errors of a network's output and gradient, relative to the CPU in float64."""
    config = presets.preset(preset).config
    network = random_network(config)
    exact = copy.deepcopy(network).double()
    shape = SHAPES[len(config.input_axes)]
    x = torch.rand(BATCH, 1, *shape, generator=torch.Generator().manual_seed(SEED))
    with tensor_float_32(allowed=False):
        found = output_and_gradient(network.to(device), x.to(device))
    wanted = output_and_gradient(exact, x.double())
    limits = {"output": LIMIT_OUTPUT, "gradient": LIMIT_GRADIENT}
    for (name, limit), ours, theirs in zip(limits.items(), found, wanted, strict=True):
        error = relative_error(ours, theirs)
        yield Measurement(
            device=str(device),
            part=Part.NETWORKS,
            name=f"{preset}, {name}",
            value=error,
            limit=limit,
        )


def output_and_gradient(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return all outputs in training mode, and the gradient of their sum with random weights."""
    outputs = network.train().outputs(x)
    chosen = [outputs[name] for name in CONTINUOUS if name in outputs]
    generator = torch.Generator().manual_seed(SEED)
    weights = [torch.randn(y.shape, generator=generator, dtype=torch.float64) for y in chosen]
    loss = torch.zeros((), dtype=x.dtype, device=x.device)
    for y, w in zip(chosen, weights, strict=True):
        loss = loss + (y * w.to(y.dtype).to(y.device)).sum()
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return on_host(chosen), on_host(gradients)


def on_host(tensors: list[Tensor]) -> Tensor:
    """Return all values of some tensors in float64 on the host."""
    return torch.cat([tensor.detach().cpu().double().flatten() for tensor in tensors])


def relative_error(values: Tensor, truth: Tensor) -> float:
    """Return ‖values − truth‖ / ‖truth‖; infinite if a value is not finite."""
    error = float((values - truth).norm() / truth.norm())
    return error if math.isfinite(error) else math.inf


def exactness(device: torch.device) -> Iterator[Measurement]:
    """Yield the largest difference of exact tiles from one pass, as a share of the range."""
    for name, shape, tile in EXACT:
        config = presets.preset(name).config
        model = random_model(name, config)
        with tensor_float_32(allowed=False):
            difference = tiles_against_whole(model, shape, tile, device)
        size = " × ".join(map(str, shape))
        yield Measurement(
            device=str(device),
            part=Part.EXACT,
            name=f"{name}, {size} in tiles of {tile}",
            value=difference,
            limit=LIMIT_EXACT,
        )


def tiles_against_whole(
    model: Model, shape: tuple[int, ...], tile: int, device: torch.device
) -> float:
    """Return the largest difference of an image restored in tiles, as a share of its range."""
    image = noise(shape)
    settings = RestoreSettings(output=Output.FLOAT32, tile=tile, device=str(device))
    tiled = torch.from_numpy(restore(image, model, settings).read()) / 255
    x = torch.from_numpy(image.read()).float()[None, None] / 255
    with torch.inference_mode():
        whole = model.network().to(device)(x.to(device))[0, 0].cpu()
    difference = float((tiled - whole).abs().max() / (whole.max() - whole.min()))
    return difference if math.isfinite(difference) else math.inf


def precision(device: torch.device) -> Iterator[Measurement]:
    """Yield the signal-to-noise ratio in dB of the fewer digits that a device computes with."""
    config = presets.preset("aeanet-2d").config
    ways: dict[str, Way] = {}
    if device.type == "cuda":
        ways["TensorFloat-32, as restored"] = lambda: tensor_float_32(allowed=True)
    if has_bfloat16(device):
        ways["bfloat16, as trained"] = lambda: mixed_precision(device)
    for name, way in ways.items():
        yield Measurement(
            device=str(device),
            part=Part.PRECISION,
            name=name,
            value=digits_in_decibels(config, device, way),
            unit="dB",
            note="signal to noise",
        )
    if not ways:
        yield Measurement(
            device=str(device),
            part=Part.PRECISION,
            name="bfloat16",
            value=None,
            note="not used on this device: everything is computed in float32",
        )


def digits_in_decibels(config: NetworkConfig, device: torch.device, way: Way) -> float:
    """Return 10 log10(variance of the result in float32 / mean squared error)."""
    network = random_model("", config).network().to(device)
    x = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(SEED)).to(device)
    with torch.inference_mode():
        with tensor_float_32(allowed=False):
            exact = network(x).float()
        with tensor_float_32(allowed=False), way():
            fewer = network(x).float()
    return float(10 * torch.log10(exact.var() / (exact - fewer).square().mean()))
