"""Configuration of the convolutional super-resolution networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from napari_aeanet.networks.config_base import (
    ConfigBase,
    require,
    require_above_floor,
    require_positive,
    require_same_channels,
    require_within_limits,
)

Architecture = Literal["vdsr", "edsr", "rcan"]


@dataclass(frozen=True, kw_only=True)
class SuperResConfig(ConfigBase):
    """A convolutional super-resolution network, to compare with; two-dimensional.

    Parameters
    ----------
    architecture
        "vdsr" (plain, on the target grid), "edsr" (residual blocks at half of the resolution) or
        "rcan" (groups of residual blocks with channel attention, at half of the resolution).
    in_channels, out_channels
        Channels of the images before and after.
    features
        Channels of the body.
    blocks
        VDSR: convolutions between the first and the last. EDSR: residual blocks. RCAN: residual
        blocks of each group.
    groups, reduction
        RCAN: residual groups, and the factor by which channel attention reduces the channels.
    residual_scale
        EDSR: factor on every residual.
    sigma, sigma_start, offset, zero_output
        As in `UNetConfig`.
    """

    kind: ClassVar[str] = "superres"

    architecture: Architecture = "edsr"
    in_channels: int = 1
    out_channels: int = 1
    features: int = 64
    blocks: int = 16
    groups: int = 1
    reduction: int = 16
    residual_scale: float = 1.0
    sigma: bool = False
    sigma_start: float | None = None
    offset: bool = False
    zero_output: bool = False

    def __post_init__(self) -> None:
        require(
            self.architecture in ("vdsr", "edsr", "rcan"),
            f"architecture must be vdsr, edsr or rcan, got {self.architecture!r}.",
        )
        require_positive(
            self, "in_channels", "out_channels", "features", "blocks", "groups", "reduction"
        )
        require_within_limits(self)
        require_above_floor(self.sigma_start)
        require(
            self.architecture != "rcan" or self.features % self.reduction == 0,
            f"features ({self.features}) must be a multiple of reduction ({self.reduction}).",
        )
        require_same_channels(self)

    @property
    def stride(self) -> int:
        """Target pixels per pixel of the body, along each axis."""
        return 1 if self.architecture == "vdsr" else 2
