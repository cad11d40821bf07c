"""Small networks with random weights, and a plain tiler, for the tests of the networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from napari_aeanet import networks
from napari_aeanet.networks import NetworkConfig, ProjectionConfig
from napari_aeanet.networks.attention import Context
from napari_aeanet.networks.network import Network, grid_padding_of, pad_to_grid


def miniature(config: NetworkConfig, *, features: int = 8, references: int = 5) -> NetworkConfig:
    """The same network with few features (and few references, where it has any)."""
    if isinstance(config, ProjectionConfig):
        return replace(
            config,
            references=min(config.references, references),
            image=miniature(config.image, features=features, references=references),
        )
    return replace(config, features=features, references=min(config.references, references))


def randomise(network: torch.nn.Module, seed: int = 0) -> None:
    """Random weights, biases and statistics: fresh ones (zeros and ones) hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            value.copy_(0.5 + noise.abs())
        elif value.dim() == 1:  # biases; scales of a normalisation lie around one
            value.copy_(0.3 * noise + (name.endswith("norm.weight")))
        else:
            fan = value[0].numel()
            value.copy_(noise * (2 / fan) ** 0.5)


def random_network(config: NetworkConfig, seed: int = 0) -> Network:
    """In float64 and eval mode."""
    network = networks.build(config).double()
    randomise(network, seed)
    return network.eval()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    """(1, 1, *shape) in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 1, *shape), generator=generator, dtype=torch.float64)


def tiles(network: Network, size: tuple[int, ...], edge: int) -> Iterator[tuple[slice, ...]]:
    """Interiors of this edge that partition an image along the tiled axes."""
    uncut = len(size) - network.tiled_axes
    edges = (*size[:uncut], *[edge] * network.tiled_axes)
    starts = [range(0, n, e) for n, e in zip(size, edges, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(a, min(a + e, n)) for a, e, n in zip(corner, edges, size, strict=True))


def run_tile(
    network: Network,
    padded: Tensor,
    contexts: list[Context],
    inner: tuple[slice, ...],
    halo: tuple[int, ...],
) -> Context | Tensor:
    """`advance` on an interior with its halo, clipped where the image ends."""
    outer, local = [], []
    for s, h, n in zip(inner, halo, padded.shape[2:], strict=True):
        start, stop = max(s.start - h, 0), min(s.stop + h, n)
        outer.append(slice(start, stop))
        local.append(slice(s.start - start, s.stop - start))
    return network.advance(padded[(..., *outer)], contexts, tuple(local))


def predict_in_tiles(
    network: Network, x: Tensor, edge: int, shrink: dict[int, int] | None = None
) -> Tensor:
    """The stacked outputs for an image, by gathering passes and a predicting pass over tiles.

    `shrink` takes pixels off the halo of single passes, to show that they are needed.
    """
    padded = pad_to_grid(x, network.grid)
    size = tuple(padded.shape[2:])
    contexts: list[Context] = []
    axes = len(network.output_axes)
    for known in range(network.contexts + 1):
        less = (shrink or {}).get(known, 0)
        halo = tuple(h and h - less for h in network.halo(known))
        parts = [
            (inner, run_tile(network, padded, contexts, inner, halo))
            for inner in tiles(network, size, edge)
        ]
        if known < network.contexts:
            total = parts[0][1].on_host()
            for _, context in parts[1:]:
                total += context.on_host()
            contexts.append(total)
    out = padded.new_empty((1, parts[0][1].shape[1], *size[-axes:]))
    for inner, values in parts:
        out[(..., *inner[-axes:])] = values
    pads = grid_padding_of(x.shape[2:], network.grid)[-axes:]
    kept = [slice(b, b + n) for (b, _), n in zip(pads, x.shape[-axes:], strict=True)]
    return out[(..., *kept)]


def symmetrise(network: torch.nn.Module) -> None:
    """Make every two-dimensional kernel (or every plane of one) look the same from eight sides."""
    for value in network.state_dict().values():
        if value.dim() >= 4:
            turns = [torch.rot90(value, k, (-2, -1)) for k in range(4)]
            value.copy_(sum(turn + turn.flip(-1) for turn in turns) / 8)


def symmetries(x: Tensor) -> list[Tensor]:
    """The eight ways to turn and flip the last two axes."""
    turns = [torch.rot90(x, k, (-2, -1)) for k in range(4)]
    return [*turns, *(turn.flip(-1) for turn in turns)]


def make_transparent(network: torch.nn.Module) -> None:
    """All weights equal and positive, no biases: a map then shows where its pixels look."""
    for name, value in network.state_dict().items():
        if value.dim() > 1:
            value.fill_(1 / value[0].numel())
        elif name.endswith(("norm.weight", "running_var")):
            value.fill_(1)
        else:
            value.zero_()
