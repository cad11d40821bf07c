"""Build the network of a configuration."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_aeanet.networks.config import NetworkConfig

if TYPE_CHECKING:
    from napari_aeanet.networks.network import Network

# Input margin assumed for networks that cannot be tiled; no preset has a wider one.
WIDEST_MARGIN = 64
# Module and class or function by kind of configuration; imported when built, since the modules
# import torch.
_NETWORKS = {
    "unet": ("unet", "UNet"),
    "projection": ("projection", "ProjectionNetwork"),
    "care": ("care", "care_network"),
    "superres": ("superres", "SuperResNetwork"),
}


def build(config: NetworkConfig) -> Network:
    """Return the network of a configuration, freshly initialised and in training mode."""
    module, name = _NETWORKS[config.kind]
    return getattr(import_module(f"napari_aeanet.networks.{module}"), name)(config)


def parameter_count(config: NetworkConfig) -> int:
    """Return the number of trainable parameters, without allocating them."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in build(config).parameters())


def margin_and_multiple(config: NetworkConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return input margin and required multiple of the network, per axis of its output."""
    import torch

    with torch.device("meta"):
        network = build(config).eval()
    axes = len(network.output_axes)
    if network.untileable_reason is not None:
        return (WIDEST_MARGIN,) * axes, network.grid[-axes:]
    halos = [network.halo(known)[-axes:] for known in range(network.contexts + 1)]
    return tuple(map(max, zip(*halos, strict=True))), network.grid[-axes:]


def weight_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters and buffers by name, without allocating them."""
    import torch

    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build(config).state_dict().items()}
