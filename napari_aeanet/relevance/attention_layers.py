"""Which attentions a model has, told from its description alone: no torch here."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.networks import NetworkConfig, ProjectionConfig, UNetConfig


@dataclass(frozen=True)
class AttentionLayer:
    """One attention of a network.

    Parameters
    ----------
    number
        Counted from 1 in the order in which the network passes them.
    stride
        Pixels of the model's grid per pixel of its relevance maps, in the plane.
    references
        How many abstract pixels it has.
    heads
        How many heads.
    """

    number: int
    stride: int
    references: int
    heads: int

    @property
    def words(self) -> str:
        """For a menu: "1: a value for every 4th pixel"."""
        every = "every pixel" if self.stride == 1 else f"every {_ordinal(self.stride)} pixel"
        return f"{self.number}: a value for {every}"


def attention_layers(config: NetworkConfig) -> tuple[AttentionLayer, ...]:
    """All attentions of a network, in the order in which it passes them."""
    found: list[tuple[int, int, int]] = []
    if isinstance(config, ProjectionConfig):
        if config.attention:
            found = [(stride, config.references, config.heads) for stride in (16, 4, 1)]
        config = config.image
    if isinstance(config, UNetConfig):
        found += [(stride, config.references, config.heads) for stride in _strides(config)]
    return tuple(AttentionLayer(number, *layer) for number, layer in enumerate(found, start=1))


def with_abstract_pixels(config: NetworkConfig) -> tuple[AttentionLayer, ...]:
    """Those that have abstract pixels, and so relevance maps."""
    return tuple(layer for layer in attention_layers(config) if layer.references)


def _strides(config: UNetConfig) -> list[int]:
    """Of the query maps: those of an up-sampling attention lie on the finer grid."""
    levels = range(1, config.levels)
    down = [2**k for k in levels] if config.down.startswith("attention") else []
    bottom = [2 ** (config.levels - 1)] if config.bottom == "attention" else []
    up = [2 ** (k - 1) for k in reversed(levels)] if config.up.startswith("attention") else []
    return down + bottom + up


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
