"""Configuration of the U-Net of CARE, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from napari_aeanet.networks.config_base import (
    FLOAT_BYTES,
    ConfigBase,
    require,
    require_above_floor,
    require_positive,
    require_same_channels,
    require_within_limits,
)

# Maps of the projecting part alive at one time; its other levels are a quarter, a 16th ...
PROJECTION_MAPS = 4


@dataclass(frozen=True, kw_only=True)
class CareConfig(ConfigBase):
    """The U-Net of CARE: max-pooling, plain up-sampling and ReLU, convolutions with bias.

    Parameters
    ----------
    dims
        Spatial dimensions of the input: 2 (YX) or 3 (ZYX).
    projects
        The input (ZYX) is first projected onto a surface in it, and the image is restored in two
        dimensions.
    in_channels, out_channels
        Channels of the images before and after.
    features
        Channels of the first level; each deeper level has twice as many.
    poolings
        Poolings of 2 pixels; the image is padded to a multiple of 2^poolings.
    convolutions
        Convolutions of each level, going down and going up.
    kernel
        Width of the convolutions that restore.
    projection_features, projection_poolings
        Channels of the projecting part at all levels, and its poolings in the plane.
    sigma, sigma_start, offset, zero_output
        As in `UNetConfig`.
    """

    kind: ClassVar[str] = "care"

    dims: int = 3
    projects: bool = False
    in_channels: int = 1
    out_channels: int = 1
    features: int = 32
    poolings: int = 2
    convolutions: int = 2
    kernel: int = 3
    projection_features: int = 8
    projection_poolings: int = 4
    sigma: bool = False
    sigma_start: float | None = None
    offset: bool = True
    zero_output: bool = False

    def __post_init__(self) -> None:
        require(self.dims in (2, 3), f"dims must be 2 or 3, got {self.dims}.")
        require(
            not self.projects or (self.dims == 3 and self.in_channels == 1),
            "a projection has three dimensions and one input channel, got "
            f"{self.dims} dimensions and {self.in_channels} channels.",
        )
        require_positive(
            self,
            *("in_channels", "out_channels", "features", "poolings", "convolutions"),
            *("projection_features", "projection_poolings"),
        )
        require(self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}.")
        require_within_limits(self)
        require_above_floor(self.sigma_start)
        require_same_channels(self)

    @property
    def levels(self) -> int:
        return self.poolings + 1

    @property
    def image_dims(self) -> int:
        """Spatial dimensions of the part that restores."""
        return 2 if self.projects else self.dims

    @property
    def output_axes(self) -> str:
        return "ZYX"[-self.image_dims :]

    def tile_bytes(self, shape: Sequence[int]) -> float:
        if not self.projects:
            return super().tile_bytes(shape)
        maps = self.projection_features * PROJECTION_MAPS
        return FLOAT_BYTES * prod(shape) * maps + super().tile_bytes(shape[1:])
