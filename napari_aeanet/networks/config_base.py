"""Common parts of all network configurations: derived properties, memory model, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

SIGMA_FLOOR = 1e-3
"""Added to every sigma, so that the probabilistic losses stay finite."""
MOST_SIGMA = 1e3
# Far above any network that an image was restored with.
LIMITS = (
    dict.fromkeys(("in_channels", "out_channels", "features", "projection_features"), 2048)
    | dict.fromkeys(("encoder_blocks", "decoder_blocks", "blocks", "groups", "convolutions"), 256)
    | dict.fromkeys(("down_kernel", "up_kernel", "out_kernel", "kernel"), 31)
    | {
        "levels": 8,
        "projection_poolings": 7,
        "unshuffle": 8,
        "references": 2**16,
        "batch_norm_momentum": 1,
        "residual_scale": 1000,
    }
)
QUICK_MOMENTUM = 0.05
"""Batch-norm momentum; the published 0.003 keeps half of the initial values for 200 steps."""
QUICK_SIGMA = 0.05
"""A typical error of restored images in the range of 0 to 1."""
FLOAT_BYTES = 4
# Measured on the CPU: the maps alive at one time never exceed about seven full-resolution maps of
# a network (650 to 960 bytes a pixel for 32 features), whatever its depth.
MAPS_AT_ONCE = 8


@dataclass(frozen=True)
class AttentionLayer:
    """One attention of a network.

    Parameters
    ----------
    number
        Position in the order of computation, from 1.
    stride
        Pixels of the model's grid per pixel of its relevance maps, in the plane.
    references
        Number of abstract pixels.
    heads
        Number of heads.
    """

    number: int
    stride: int
    references: int
    heads: int

    @property
    def words(self) -> str:
        """Text for a menu: "1: a value for every 4th pixel"."""
        ordinal = {2: "2nd ", 3: "3rd "}.get(self.stride, f"{self.stride}th ")
        return f"{self.number}: a value for every {'' if self.stride == 1 else ordinal}pixel"


class ConfigBase:
    """Properties and methods of every configuration.

    The defaults describe a network without attention and batch normalisation, whose output has
    the axes of its input.
    """

    @property
    def features(self) -> int:
        raise NotImplementedError

    @property
    def dims(self) -> int:
        return 2

    @property
    def levels(self) -> int:
        return 1

    @property
    def references(self) -> int:
        return 0

    @property
    def batch_aware(self) -> bool:
        return False

    @property
    def batch_norm(self) -> bool:
        return False

    @property
    def input_axes(self) -> str:
        """The spatial axes of the input, "YX" or "ZYX"."""
        return "ZYX"[-self.dims :]

    @property
    def output_axes(self) -> str:
        """The spatial axes of the output, "YX" or "ZYX"."""
        return self.input_axes

    @property
    def is_projection(self) -> bool:
        """True if the output has fewer axes than the input."""
        return self.input_axes != self.output_axes

    @property
    def has_attention(self) -> bool:
        """True if there is at least one attention."""
        return bool(self.attention_layers())

    def attention_layers(self) -> tuple[AttentionLayer, ...]:
        """Return all attentions in the order of computation."""
        layers = enumerate(self._attentions(), start=1)
        return tuple(AttentionLayer(number, *layer) for number, layer in layers)

    def abstract_pixel_layers(self) -> tuple[AttentionLayer, ...]:
        """Return the attentions with abstract pixels, and thus with relevance maps."""
        return tuple(layer for layer in self.attention_layers() if layer.references)

    def _attentions(self) -> list[tuple[int, int, int]]:
        """Return stride, references and heads of each attention."""
        return []

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with changes in the part that restores images."""
        return replace(self, **changes)  # type: ignore[type-var]

    def with_sigma(self, sigma: bool) -> Self:
        """Return a copy with or without the head for the per-pixel uncertainty."""
        return self.with_changes(sigma=sigma)

    def quick(self, *, residual: bool = True) -> Self:
        """Return a copy for a training of minutes instead of days.

        With `residual`, the untrained network is the identity, learns what to add to its input,
        and begins with a sigma as small as errors are. Batch normalisation follows faster.
        """
        changes = {"offset": True, "zero_output": True, "sigma_start": QUICK_SIGMA}
        return self.with_changes(**changes) if residual else self

    def tile_bytes(self, shape: Sequence[int]) -> float:
        """Return the peak memory of a tile of this shape, halo included."""
        return FLOAT_BYTES * prod(shape) * self.features * MAPS_AT_ONCE

    def suspended_bytes(self, shape: Sequence[int]) -> float:
        """Return the memory of a tile suspended at an attention: its skips and its map."""
        pixels = [prod(n / 2**k for n in shape) for k in range(self.levels)]
        maps = [self.features * 2**k * count for k, count in enumerate(pixels)]
        # The deepest map counts twice: it is a skip, and it attends.
        return FLOAT_BYTES * (prod(shape) + sum(maps) + maps[-1])


def require(condition: bool, message: str) -> None:
    """Raise a ValueError unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_positive(config: Any, *names: str) -> None:
    """Raise a ValueError unless all these settings are at least 1."""
    for name in names:
        value = getattr(config, name)
        require(value >= 1, f"{name} must be at least 1, got {value}.")


def require_within_limits(config: Any) -> None:
    """Raise a ValueError if one of the settings in `LIMITS`, or an item of it, is out of range.

    A damaged file could otherwise describe a network that takes hours, or all memory, to build.
    """
    for name, most in LIMITS.items():
        value = getattr(config, name, 0)
        numbers = value if isinstance(value, tuple) else (value,)
        require(
            all(0 <= number <= most for number in numbers),
            f"{name} must be from 0 to {most}, got {value}.",
        )


def require_above_floor(sigma_start: float | None) -> None:
    """Raise a ValueError if a sigma cannot start at this value."""
    require(
        sigma_start is None or SIGMA_FLOOR < sigma_start < MOST_SIGMA,
        f"sigma_start must be from {SIGMA_FLOOR:g} to {MOST_SIGMA:g}, got {sigma_start}.",
    )


def require_same_channels(config: Any) -> None:
    """Raise a ValueError unless an offset has the channels of the input."""
    require(
        not config.offset or config.in_channels == config.out_channels,
        "offset adds the input to the output, so both need the same number of channels, got "
        f"{config.in_channels} and {config.out_channels}.",
    )


def require_references_by_keys(divisor: str, references: int) -> None:
    """Raise a ValueError if references are used with another divisor."""
    require(
        divisor == "keys" or references == 0,
        "shared references are keys: with them attention divides by the number of keys. Choose "
        "divisor='keys', or references=0.",
    )
