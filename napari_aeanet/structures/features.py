"""Features that structures are read from: activated maps at the bottom of a network, and filters.

The bottom of AEANet and GVTNet is an attention, that of a U-Net a residual block. Both begin with
relu6(bn(x)), which depends on the encoder alone, and so on pixels nearby.

Places of structures are at most `SPACING` pixels apart. Where those of the bottom are farther apart
(fast networks), activated maps are interpolated between them::

    bottom        0       1       2
    structures  0   1   2   3   4   5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter
from torch import nn

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import extent, within
from napari_aeanet.models import Model, ModelCard
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
    per_axis,
)
from napari_aeanet.restoration import TileRunner, at_stride
from napari_aeanet.structures.filters import HasPixels, filtered

SPACING = 4  # px
# Features are averaged over a square of the bottom's places that reaches so far from its centre:
# 5 x 5, or 3 x 3 where they are interpolated.
RIM, INTERPOLATED_RIM = 2, 1


class Encoder(Network):
    """The steps of a network before its bottom, which stands there as a pending attention.

    So it is run over tiles as any network up to its first attention. Of that attention only the
    activated input is used.

    Attributes
    ----------
    bottom, places
        Position of the features at the bottom, and of the places of structures.
    factor
        Places of structures per place of the bottom, along both axes.
    rim
        Features are averaged over so many places of the bottom on all sides, along both axes.
    """

    def __init__(self, network: UNet, spacing: int) -> None:
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
        self.bottom = network.grids_at([network.grid[-1]])[0]
        stride = tuple(min(s, spacing or s) for s in self.bottom.stride)
        self.factor = tuple(b // s for b, s in zip(self.bottom.stride, stride, strict=True))
        self.rim = tuple(RIM if f == 1 else INTERPOLATED_RIM for f in self.factor)
        middle = zip(self.bottom.centre, self.bottom.stride, stride, strict=True)
        self.places = AttentionGrid(stride, tuple(c - (b - s) / 2 for c, b, s in middle))

    def program(self) -> list[Step]:
        return list(self._steps)

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return (self.bottom,)


def encoder_of(network: Network, card: ModelCard) -> Encoder:
    """Return the encoder of a model.

    Raises
    ------
    ValueError
        If structures are not known for this kind of network, or its places cannot be divided as
        the card says.
    """
    bottom = getattr(network, "bottom", None)
    if not isinstance(network, UNet) or not isinstance(bottom, AttentionBlock | ResidualBlock):
        what = "this kind of network has no features to read structures from"
    elif network.config.dims != 2:
        what = "structures are known for images, not for stacks"
    elif network.config.down.startswith("attention"):
        what = "structures need an encoder without attention"
    elif not _divides(card.structure_spacing, network.config):
        what = f"structures every {card.structure_spacing} pixels do not suit its network"
    else:
        encoder = Encoder(network, card.structure_spacing)
        return encoder.to(next(network.parameters()).dtype).eval()
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


def at_fitted_spacing(model: Model) -> Model:
    """Return the model with the spacing of places at which structures are fitted.

    Kinds that it was taught keep the places that they were taught at.
    """
    config, spacing = model.card.config, model.card.structure_spacing
    if not model.card.taught:
        is_divided = isinstance(config, UNetConfig) and _divides(SPACING, config)
        spacing = SPACING if is_divided else 0
    return replace(model, card=replace(model.card, structure_spacing=spacing))


def _divides(spacing: int, config: UNetConfig) -> bool:
    """Return True if places of the bottom can be divided into places of this spacing."""
    strides = per_axis(config.stride_at(config.levels - 1), config.dims)
    return spacing == 0 or (spacing > 0 and all(s <= spacing or s % spacing == 0 for s in strides))


def features_of(
    runner: TileRunner, source: HasPixels, inner: Region, encoder: Encoder
) -> np.ndarray:
    """Return the features at the places of a region: (channels + 6 filters, y, x).

    Averaged activated features first, then the filters of the input. Equal to those of the whole
    image.
    """
    stride = encoder.bottom.stride
    # Where places are interpolated, the outermost lie between those of the region and the next.
    axes = zip(encoder.rim, encoder.factor, stride, strict=True)
    margins = [(rim + (f > 1)) * s for rim, f, s in axes]
    wide = tuple(
        slice(max(0, s.start - margin), min(n, s.stop + margin))
        for s, n, margin in zip(inner, source.shape, margins, strict=True)
    )
    frame = at_stride(wide, stride)
    parts = runner.at_attention(source, wide, [], _activated)
    activated = np.empty((encoder.channels, *extent(frame)), parts[0][1].dtype)
    for region, values in parts:
        activated[(slice(None), *within(at_stride(region, stride), frame))] = values
    averaged = uniform_filter(activated, (1, *(2 * r + 1 for r in encoder.rim)), mode="nearest")
    stride = encoder.places.stride
    kept = within(at_stride(inner, stride), at_stride(wide, stride))
    features = _interpolated(averaged, encoder.factor)[(slice(None), *kept)]
    filters = filtered(source, inner, stride, encoder.places.centre)
    return np.concatenate((features, filters.astype(features.dtype)))


def _interpolated(maps: np.ndarray, factor: Sequence[int]) -> np.ndarray:
    """Return maps (features, y, x) with `factor` times the places, linear between them.

    Beyond the outermost places they are constant.
    """
    if all(one == 1 for one in factor):
        return maps
    x = torch.from_numpy(maps)[None]
    size = [n * f for n, f in zip(maps.shape[1:], factor, strict=True)]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)[0].numpy()


def _activated(pending: PendingAttention) -> np.ndarray:
    return pending.interior_features()[0].cpu().numpy()


def _activation(bottom: object) -> Activation:
    """Return the layer relu6(bn(x)) with which a bottom begins."""
    assert isinstance(bottom, AttentionBlock | ResidualBlock)
    return bottom.act if isinstance(bottom, AttentionBlock) else bottom.act1
