"""Build the network of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_aeanet.networks.config import NetworkConfig, ProjectionConfig, SuperResConfig

if TYPE_CHECKING:
    from napari_aeanet.networks.network import Network


def build(config: NetworkConfig) -> Network:
    """The network of a configuration, freshly initialised and in training mode."""
    if isinstance(config, ProjectionConfig):
        from napari_aeanet.networks.projection import ProjectionNetwork

        return ProjectionNetwork(config)
    if isinstance(config, SuperResConfig):
        from napari_aeanet.networks.superres import SuperResNetwork

        return SuperResNetwork(config)
    from napari_aeanet.networks.unet import UNet

    return UNet(config)


def parameter_count(config: NetworkConfig) -> int:
    """How many trainable numbers the network has, without making room for them."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in build(config).parameters())
