"""Configuration of U-Net, GVTNet and AEANet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Literal, Self

from napari_aeanet.networks.config_base import (
    FLOAT_BYTES,
    QUICK_MOMENTUM,
    ConfigBase,
    require,
    require_above_floor,
    require_positive,
    require_references_by_keys,
    require_same_channels,
    require_within_limits,
)

Block = Literal["preactivation", "plain"]
Down = Literal["convolution", "residual", "attention_v1", "attention_v2"]
Bottom = Literal["attention", "block", "both", "none"]
Up = Literal["transposed", "attention_v1", "attention_v2"]
Skip = Literal["concatenate", "add"]
Divisor = Literal["keys", "queries"]
AttentionNormalisation = Literal["linear", "softmax"]
BottomQuery = Literal["pixels", "learned"]


@dataclass(frozen=True, kw_only=True)
class UNetConfig(ConfigBase):
    """A U-shaped network: U-Net, GVTNet or AEANet.

    Parameters
    ----------
    dims
        Spatial dimensions: 2 (YX) or 3 (ZYX).
    in_channels, out_channels
        Channels of the images before and after.
    features
        Channels of the first level; each deeper level has twice as many.
    unshuffle
        Edge of the blocks of pixels that become channels before the first level and pixels again
        after the output; one number, 2 for 2 × 2, or one for each axis, (1, 2, 2). All levels are
        coarser by this factor: with 2, the arithmetic of a two-dimensional network falls to a
        quarter. 1: as published.
    levels
        Resolutions, with the first; the image is padded to a multiple of
        unshuffle · 2^(levels - 1).
    encoder_blocks, decoder_blocks
        Convolution blocks per level, the finest level first. The last entry of the encoder is
        the number of blocks of the deepest level *before* the bottom block.
    block
        "preactivation": residual block, bn - relu6 - conv - bn - relu6 - conv plus a shortcut.
        "plain": twice conv - bn - relu, convolutions with bias.
    down, down_kernel
        "convolution" (stride 2), "residual" (block with stride 2), or a down-sampling attention.
    downs, ups
        The same for every level by itself, the finest first; empty: `down` and `up` everywhere.
    bottom
        "attention", "block" for one more convolution block, "both" for the block behind the
        attention, or "none".
    up, up_kernel
        "transposed" convolution (stride 2) or an up-sampling attention. The residual of version 2
        of an attention is its query, that of version 1 a separate convolution.
    skip
        Operation that joins a map of the encoder to the decoder: "concatenate" (behind the
        up-sampled map) or "add".
    heads, references
        Heads and learned reference rows (abstract pixels) of every attention; with 0 references
        it is self-attention.
    batch_aware
        In training, the first half of a batch attends to all images of that half at once.
    divisor
        Divisor of an attention that changes the size: the number of "keys" (with the references,
        as in AEANet) or of "queries" (as in the published GVTNet networks). At the same size both
        are equal.
    normalisation
        "linear" divides by the number of keys; "softmax" is the dense form, for comparison only:
        it has no context that tiles could share.
    query
        Queries of the bottom attention: of its "pixels", or one "learned" for all of them, the
        negative example of the AEANet paper (Eq. 3).
    batch_norm, batch_norm_momentum
        Batch normalisation, and the share of a new batch in its running statistics.
    out_kernel, out_bias
        Width of the output convolution, and presence of its bias.
    sigma
        Add a second head for the per-pixel uncertainty.
    sigma_start
        Initial sigma of every pixel, from a head with a bias. None: as published, without a bias
        and with random weights, about 0.7.
    offset
        The network predicts the difference to its input.
    zero_output
        Start with an output convolution of zeros; with `offset` the untrained network is the
        identity.
    """

    kind: ClassVar[str] = "unet"

    dims: int = 2
    in_channels: int = 1
    out_channels: int = 1
    features: int = 32
    unshuffle: int | tuple[int, ...] = 1
    levels: int = 3
    encoder_blocks: tuple[int, ...] = (1, 1, 0)
    decoder_blocks: tuple[int, ...] = (1, 1)
    block: Block = "preactivation"
    down: Down = "convolution"
    down_kernel: int = 3
    downs: tuple[Down, ...] = ()
    bottom: Bottom = "attention"
    up: Up = "transposed"
    up_kernel: int = 4
    ups: tuple[Up, ...] = ()
    skip: Skip = "concatenate"
    heads: int = 2
    references: int = 0
    batch_aware: bool = False
    divisor: Divisor = "keys"
    normalisation: AttentionNormalisation = "linear"
    query: BottomQuery = "pixels"
    batch_norm: bool = True
    batch_norm_momentum: float = 0.003
    out_kernel: int = 1
    out_bias: bool = False
    sigma: bool = False
    sigma_start: float | None = None
    offset: bool = False
    zero_output: bool = False

    def __post_init__(self) -> None:
        require(self.dims in (1, 2, 3), f"dims must be 1, 2 or 3, got {self.dims}.")
        require_positive(self, "in_channels", "out_channels", "features", "levels", "heads")
        require(
            len(self.blocks_of_pixels) == self.dims and min(self.blocks_of_pixels) > 0,
            f"unshuffle is a number of at least 1, or one for each of the {self.dims} axes, got "
            f"{self.unshuffle}.",
        )
        # Images are turned by a quarter, in training and in restoring.
        require(
            len(set(self.blocks_of_pixels[-2:])) == 1,
            f"unshuffle must be the same along Y and X, got {self.unshuffle}.",
        )
        require_positive(self, "down_kernel", "up_kernel", "out_kernel")
        require_within_limits(self)
        require(
            len(self.encoder_blocks) == self.levels and len(self.decoder_blocks) == self.levels - 1,
            f"{self.levels} levels need {self.levels} encoder_blocks and {self.levels - 1} "
            f"decoder_blocks, got {self.encoder_blocks} and {self.decoder_blocks}.",
        )
        for name in ("downs", "ups"):
            own = getattr(self, name)
            require(
                len(own) in (0, self.levels - 1),
                f"{name} names one operator for each of the {self.levels - 1} changes of size, "
                f"the finest first, or none; got {len(own)}.",
            )
            require(
                not own or self.block != "plain",
                f"{name}: a network of plain blocks has convolutions at all levels.",
            )
        require_above_floor(self.sigma_start)
        require(
            self.block != "plain" or min(self.encoder_blocks + self.decoder_blocks) > 0,
            "a network of plain blocks changes its channels in them, so every level needs one, got "
            f"{self.encoder_blocks} and {self.decoder_blocks}.",
        )
        require(
            self.skip == "add" or min(self.decoder_blocks, default=1) > 0,
            "after concatenating, a block halves the channels again, so every decoder level needs "
            f"one, got {self.decoder_blocks}.",
        )
        require(
            self.features % self.heads == 0,
            f"features ({self.features}) must be a multiple of heads ({self.heads}).",
        )
        require_same_channels(self)
        require_references_by_keys(self.divisor, self.references)
        require(
            self.normalisation == "linear" or (self.references == 0 and not self.batch_aware),
            "softmax attention is available for self-attention only, since shared references and "
            "batch-aware training need the sums of linear attention. Choose "
            "normalisation='linear', or references=0 and batch_aware=False.",
        )
        own = self.query == "learned" and self.bottom in ("attention", "both")
        require(
            self.query == "pixels" or (own and self.references == 0 and not self.batch_aware),
            "a learned query takes the place of the pixels' in the bottom attention, without "
            "references and batch-aware training. Choose query='pixels', or bottom='attention', "
            "references=0 and batch_aware=False.",
        )

    def quick(self, *, residual: bool = True) -> Self:
        return replace(super().quick(residual=residual), batch_norm_momentum=QUICK_MOMENTUM)

    def _attentions(self) -> list[tuple[int, int, int]]:
        # The query maps of an up-sampling attention lie on the finer grid.
        levels = range(1, self.levels)
        strides = [2**k for k in levels if self.down_at(k).startswith("attention")]
        strides += [2 ** (self.levels - 1)] if self.bottom in ("attention", "both") else []
        strides += [2 ** (k - 1) for k in levels[::-1] if self.up_at(k).startswith("attention")]
        first = self.blocks_of_pixels[-1]
        return [(first * stride, self.references, self.heads) for stride in strides]

    @property
    def blocks_of_pixels(self) -> tuple[int, ...]:
        """Edges of the blocks of pixels that become channels, along each axis."""
        own = self.unshuffle
        return (own,) * self.dims if isinstance(own, int) else own

    def stride_at(self, k: int) -> int | tuple[int, ...]:
        """Return the pixels of the image per pixel of level k: one number, or one per axis."""
        strides = tuple(edge * 2**k for edge in self.blocks_of_pixels)
        return strides if len(set(strides)) > 1 else strides[0]

    def down_at(self, k: int) -> Down:
        """Return the operator between level k - 1 and level k."""
        return self.downs[k - 1] if self.downs else self.down

    def up_at(self, k: int) -> Up:
        """Return the operator between level k and level k - 1."""
        return self.ups[k - 1] if self.ups else self.up

    def tile_bytes(self, shape: Sequence[int]) -> float:
        # Besides the maps: pixels as channels, before and after.
        images = 2 * FLOAT_BYTES * prod(shape) if max(self.blocks_of_pixels) > 1 else 0
        return super().tile_bytes(self._first_level(shape)) + images

    def suspended_bytes(self, shape: Sequence[int]) -> float:
        image = FLOAT_BYTES * prod(shape) if max(self.blocks_of_pixels) > 1 else 0
        return super().suspended_bytes(self._first_level(shape)) + image

    def _first_level(self, shape: Sequence[int]) -> list[int]:
        """Return the shape of the maps of the first level."""
        return [-(-n // edge) for n, edge in zip(shape, self.blocks_of_pixels, strict=True)]
