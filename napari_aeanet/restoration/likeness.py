"""Compare an image with those that a model was trained on, on a few crops of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import with_halo_shape
from napari_aeanet.models import FeatureDistance
from napari_aeanet.networks import Network, PendingAttention
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.preparation import PreparedRun
from napari_aeanet.restoration.tile_runner import TileRunner

# Crops are as large as the patches of a quick training, whose features they are compared with.
EDGE, DEPTH = 96, 16
MOST_CROPS = 5
# Pixels of all crops with their margins, as a share of those to be restored. They pass through
# less than half of the network, so that the time grows by less than half of this.
SHARE = 0.08
# Distance from the training, in units that 1 % of training pixels exceed. For a model of SEM images
# trained in 300 steps, 14 images of the same kind outside its training lie at 0.50 to 0.75, other
# kinds of electron microscopy at 3.0 to 3.4, fluorescence at 3.5 to 7.4 (thick tissue at 1.3, which
# is missed), and images at 1/16 of their brightness at 3.5.
LIMIT = 1.5


def unlike_training(prepared: PreparedRun, runner: TileRunner) -> str:
    """Return a sentence if an image is unlike the training of its model; else an empty text."""
    network = prepared.network
    known = FeatureDistance.of(prepared.model.statistics) if network.contexts else None
    if known is None or network.untileable_reason:
        return ""
    found = []
    for source, region in _crops(prepared.inputs, network):
        parts = runner.at_attention(source, region, [], _features)
        found += [float(np.median(known.distance(values))) for _, values in parts]
    distance = float(np.median(found))
    if not distance > LIMIT:
        return ""
    return (
        f"{prepared.image.name} is unlike the images that the model was trained on (distance "
        f"{distance:.1f}, where theirs is rarely above 1): check its intensity range and pixel "
        "size, and that the model is for such images."
    )


def _features(pending: PendingAttention) -> np.ndarray:
    return pending.interior_features()[0].cpu().numpy()


def _crops(
    inputs: Sequence[NetworkInput], network: Network
) -> Iterator[tuple[NetworkInput, Region]]:
    """Yield crops spread over the inputs, and along a diagonal of each."""
    shape, grid = inputs[0].shape, network.grid
    size = _crop_shape(shape, network)
    outer = prod(with_halo_shape(size, network.halo(0), shape))
    count = int(np.clip(SHARE * prod(shape) * len(inputs) / outer, 1, MOST_CROPS))
    for number in range(count):
        place = (2 * number + 1) / (2 * count)
        region = []
        for n, edge, step in zip(shape, size, grid, strict=True):
            start = int(place * (n - edge)) // step * step
            region.append(slice(start, start + edge))
        yield inputs[int(place * len(inputs))], tuple(region)


def _crop_shape(shape: Sequence[int], network: Network) -> tuple[int, ...]:
    """Return the shape of a crop; axes that are never cut are taken as a whole."""
    tiled = network.tiled_axes
    wanted = (DEPTH, EDGE, EDGE)[-tiled:]
    cut = (
        min(n, -(-edge // step) * step)
        for n, edge, step in zip(shape[-tiled:], wanted, network.grid[-tiled:], strict=True)
    )
    return (*shape[:-tiled], *cut)
