"""Configurations of networks: frozen dataclasses without torch, stored as JSON.

A configuration holds all that `napari_aeanet.networks.build` needs; weights are stored apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar, Literal, Self

from napari_aeanet.networks.config_base import (
    FLOAT_BYTES,
    ConfigBase,
    require,
    require_positive,
    require_references_by_keys,
    require_within_limits,
)
from napari_aeanet.networks.config_care import CareConfig
from napari_aeanet.networks.config_superres import SuperResConfig
from napari_aeanet.networks.config_unet import Divisor, UNetConfig

Weighting = Literal["mean", "probability"]

# Maps of a projecting part alive at one time: few features, but more maps beside the volume.
PROJECTION_MAPS_AT_ONCE = 6


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig(ConfigBase):
    """A surface projection from Z×Y×X to Y×X, followed by a two-dimensional network.

    Parameters
    ----------
    projection_features
        Channels of the projecting part.
    attention
        Use attention for the bottom and the up-samplings of the projecting part, instead of a
        residual block and transposed convolutions.
    heads, references, divisor
        As in `UNetConfig`, for the projecting part.
    weighting
        Use of the weights of the voxels: "mean" over Z of weight times volume, as the published
        code has it, or the sum weighted by the "probability" softmax_z(weight), as the papers say.
    image
        Two-dimensional network that restores the projected image.
    """

    kind: ClassVar[str] = "projection"

    projection_features: int = 8
    attention: bool = True
    heads: int = 2
    references: int = 0
    divisor: Divisor = "keys"
    weighting: Weighting = "mean"
    image: UNetConfig = field(
        default_factory=lambda: UNetConfig(up="attention_v2", batch_norm=False, offset=True)
    )

    def __post_init__(self) -> None:
        require_positive(self, "projection_features", "heads")
        require_within_limits(self)
        require(
            self.projection_features % self.heads == 0,
            f"projection_features ({self.projection_features}) must be a multiple of heads "
            f"({self.heads}).",
        )
        require_references_by_keys(self.divisor, self.references)
        require(
            self.image.dims == 2 and self.image.in_channels == 1,
            "a projection is restored by a two-dimensional network with one input channel, got "
            f"{self.image.dims} dimensions and {self.image.in_channels} channels.",
        )
        require(
            self.image.normalisation == "linear",
            "a projection network has linear attention only.",
        )

    @property
    def dims(self) -> int:
        return 3

    @property
    def in_channels(self) -> int:
        return 1

    @property
    def output_axes(self) -> str:
        return self.image.output_axes

    # All other properties are those of the two-dimensional network.

    @property
    def out_channels(self) -> int:
        return self.image.out_channels

    @property
    def features(self) -> int:
        return self.image.features

    @property
    def levels(self) -> int:
        return self.image.levels

    @property
    def batch_aware(self) -> bool:
        return self.image.batch_aware

    @property
    def batch_norm(self) -> bool:
        return self.image.batch_norm

    @property
    def sigma(self) -> bool:
        return self.image.sigma

    @property
    def offset(self) -> bool:
        return self.image.offset

    def with_changes(self, **changes: Any) -> Self:
        return replace(self, image=replace(self.image, **changes))

    def quick(self, *, residual: bool = True) -> Self:
        return replace(self, image=self.image.quick(residual=residual))

    def tile_bytes(self, shape: Sequence[int]) -> float:
        maps = self.projection_features * PROJECTION_MAPS_AT_ONCE
        return FLOAT_BYTES * prod(shape) * maps + self.image.tile_bytes(shape[1:])

    def suspended_bytes(self, shape: Sequence[int]) -> float:
        # The volume, and maps of the projecting part that are at most half as large together.
        return FLOAT_BYTES * 1.5 * prod(shape) + self.image.suspended_bytes(shape[1:])

    def _attentions(self) -> list[tuple[int, int, int]]:
        strides = (16, 4, 1) if self.attention else ()
        own = [(stride, self.references, self.heads) for stride in strides]
        return own + self.image._attentions()


NetworkConfig = UNetConfig | ProjectionConfig | SuperResConfig | CareConfig
