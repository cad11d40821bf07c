"""Features that structures are read from: activated maps at the bottom of a network, and filters.

The bottom of AEANet and GVTNet is an attention, that of a U-Net a residual block. Both begin with
relu6(bn(x)), which depends on the encoder alone, and so on pixels nearby.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from torch import nn

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import extent, within
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import (
    Activation,
    Apply,
    AttentionBlock,
    AttentionGrid,
    Network,
    NetworkConfig,
    PendingAttention,
    ResidualBlock,
    Step,
    UNet,
    UNetConfig,
)
from napari_aeanet.restoration import TileRunner, at_stride
from napari_aeanet.structures.filters import HasPixels, filtered

# Features are averaged over a square of places that reaches so far from its centre: 5 x 5.
RIM = 2


class Encoder(Network):
    """The steps of a network before its bottom, which stands there as a pending attention.

    So it is run over tiles as any network up to its first attention. Of that attention only the
    activated input is used.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__(network.config)
        bottom, program = network.bottom, network.program()
        index = next(i for i, s in enumerate(program) if isinstance(s, Apply) and s.layer is bottom)
        before = [step for step in program[:index] if isinstance(step, Apply)]
        stride = program[index].stride
        self.channels = network.config.features * 2 ** (network.config.levels - 1)
        standing = AttentionBlock(network.config.dims, self.channels, self.channels, momentum=None)
        standing.act = _activation(bottom)
        self._steps = [*before, Apply(standing, stride)]
        # Registered, so that they follow to a device.
        self.layers = nn.ModuleList(step.layer for step in self._steps)
        self.grid, self.tiled_axes = network.grid, network.tiled_axes
        self.places = network.grids_at([network.grid[-1]])[0]

    def program(self) -> list[Step]:
        return list(self._steps)

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return (self.places,)


def encoder_of(network: Network, card: ModelCard) -> Encoder:
    """Return the encoder of a model.

    Raises
    ------
    ValueError
        If structures are not known for this kind of network.
    """
    bottom = getattr(network, "bottom", None)
    if not isinstance(network, UNet) or not isinstance(bottom, AttentionBlock | ResidualBlock):
        what = "this kind of network has no features to read structures from"
    elif network.config.dims != 2:
        what = "structures are known for images, not for stacks"
    elif network.config.down.startswith("attention"):
        what = "structures need an encoder without attention"
    else:
        return Encoder(network).to(next(network.parameters()).dtype).eval()
    raise ValueError(f"{card.name}: {what}. Choose another model.")


def suits(config: NetworkConfig) -> bool:
    """Return True if structures are known for a network of this configuration."""
    return (
        isinstance(config, UNetConfig)
        and config.dims == 2
        and config.block == "preactivation"
        and config.bottom != "none"
        and not config.down.startswith("attention")
    )


def features_of(
    runner: TileRunner, source: HasPixels, inner: Region, encoder: Encoder
) -> np.ndarray:
    """Return the features at the places of a region: (channels + 6 filters, y, x).

    Averaged activated features first, then the filters of the input. Equal to those of the whole
    image.
    """
    stride = encoder.places.stride
    wide = tuple(
        slice(max(0, s.start - RIM * f), min(n, s.stop + RIM * f))
        for s, n, f in zip(inner, source.shape, stride, strict=True)
    )
    frame = at_stride(wide, stride)
    parts = runner.at_attention(source, wide, [], _activated)
    activated = np.empty((encoder.channels, *extent(frame)), parts[0][1].dtype)
    for region, values in parts:
        activated[(slice(None), *within(at_stride(region, stride), frame))] = values
    width = 2 * RIM + 1
    averaged = uniform_filter(activated, (1, width, width), mode="nearest")
    kept = within(at_stride(inner, stride), frame)
    filters = filtered(source, inner, stride, encoder.places.centre)
    return np.concatenate((averaged[(slice(None), *kept)], filters.astype(averaged.dtype)))


def _activated(pending: PendingAttention) -> np.ndarray:
    return pending.interior_features()[0].cpu().numpy()


def _activation(bottom: object) -> Activation:
    """Return the layer relu6(bn(x)) with which a bottom begins."""
    assert isinstance(bottom, AttentionBlock | ResidualBlock)
    return bottom.act if isinstance(bottom, AttentionBlock) else bottom.act1
