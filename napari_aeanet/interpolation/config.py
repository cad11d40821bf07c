"""Configurations of the networks that interpolate a section from its two neighbours. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from napari_aeanet.core.arguments import check_options

#: Limits far above any network that fits into memory; they refuse damaged files.
MOST_CHANNELS, MOST_LAYERS, MOST_LEVELS, WIDEST_KERNEL = 512, 64, 6, 101
#: Pixels of the image per pixel of the smallest sub-map: maps are padded to a multiple of this.
GRID = 32


class Extractor(StrEnum):
    """Network that computes the features of the two neighbours.

    A siamese one computes each half from its own order of the neighbours, with the same weights.
    """

    SIAMESE_DENSE = "siamese dense blocks"
    DENSE = "dense blocks"
    SIAMESE_UNET = "siamese U-Net"
    UNET = "U-Net"


class WarpLayer(StrEnum):
    """Layer between the features and the two warped sections."""

    SPARSE = "sparse attention"  # three attentions
    INTERLACED = "one-level interlaced attention"  # two attentions
    DENSE = "dense attention"
    KERNELS = "kernel estimation"


class Projections(StrEnum):
    """Form of the projections of an attention."""

    SOLVED = "solved"  # v has all channels; fits the published counts
    TEXT = "text"  # v has half of the channels, and a projection leads back


@dataclass(frozen=True, kw_only=True)
class SsanConfig:
    """The siamese sparse attention network (SSAN).

    Parameters
    ----------
    channels
        Channels of the features.
    extractor, layer, projections
        Parts of the network; the defaults are as published.
    blocks, convolutions, growth
        Dense blocks, convolutions in each, and channels that each convolution adds. They are not
        published. The default fits into the memory of a workstation.
    residual
        Add the neighbour to each warped section, and start with convolutions of zeros: the
        untrained network is the mean of the neighbours. False: as published.
    kernel
        Taps of the estimated kernels along each axis.
    """

    kind: Literal["ssan"] = "ssan"
    channels: int = 64
    extractor: Extractor = Extractor.SIAMESE_DENSE
    layer: WarpLayer = WarpLayer.SPARSE
    projections: Projections = Projections.SOLVED
    blocks: int = 6
    convolutions: int = 4
    growth: int = 32
    residual: bool = False
    kernel: int = 25

    def __post_init__(self) -> None:
        check_options(self)
        _check_range(self, MOST_CHANNELS, "growth")
        _check_range(self, MOST_LAYERS, "blocks", "convolutions")
        _check_range(self, WIDEST_KERNEL, "kernel")
        if not 8 <= self.channels <= MOST_CHANNELS or self.channels % 8:
            raise ValueError(
                f"channels must be a multiple of 8 up to {MOST_CHANNELS}, got {self.channels}."
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")

    @classmethod
    def small(cls) -> SsanConfig:
        """Return the network for a training of minutes (.106 M parameters)."""
        return cls(channels=32, blocks=3, convolutions=3, growth=16, residual=True)


@dataclass(frozen=True, kw_only=True)
class GuidedConfig:
    """A U-Net guided by optical flow.

    Parameters
    ----------
    features, levels
        Channels of the first level, and resolutions.
    unshuffle
        Edge of the blocks of pixels that become channels before the first level.
    """

    kind: Literal["guided"] = "guided"
    features: int = 32
    levels: int = 4
    unshuffle: int = 2

    def __post_init__(self) -> None:
        check_options(self)
        _check_range(self, MOST_CHANNELS, "features")
        _check_range(self, MOST_LEVELS, "levels")
        _check_range(self, 8, "unshuffle")
        if self.features % 2:
            raise ValueError(f"features must be even, got {self.features}.")


InterpolationConfig = SsanConfig | GuidedConfig


def _check_range(config: object, most: int, *names: str) -> None:
    for name in names:
        if not 1 <= (value := getattr(config, name)) <= most:
            raise ValueError(f"{name} must be from 1 to {most}, got {value}.")
