"""Tiles give what the whole image gives, for every network that tiles can serve."""

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Scaling
from napari_aeanet.core.tiles import partition
from napari_aeanet.restoration import RestoreSettings, prepare
from napari_aeanet.restoration.exact import Contexts, predicted
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.symmetries import IDENTITY, TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner, joined

# One of every kind; that each preset can be tiled at all is tested with the networks.
SHAPES = {
    "aeanet-2d": (118, 146),
    "unet-2d": (118, 146),
    "aeanet-3d": (7, 30, 37),
    "aeanet-3d-fast": (7, 30, 75),
    "aeanet-projection": (4, 60, 139),
}
EDGES = {
    "aeanet-2d": 64,
    "unet-2d": 64,
    "aeanet-3d": 20,
    "aeanet-3d-fast": 40,
    "aeanet-projection": 80,
}
NAMES = list(SHAPES)


def input_of(values, network):
    image = Image(values, network.input_axes)
    place = (slice(None),) * values.ndim
    return NetworkInput(
        image=image,
        place=place,
        axes=network.input_axes,
        measure=lambda: Scaling(0.0, 1.0),
        factors=(1.0,) * values.ndim,
        grid=network.grid,
    )


def whole_outputs(network, values):
    """All outputs of one pass over the whole image, stacked."""
    x = torch.from_numpy(values)[None, None].to(next(network.parameters()).dtype)
    with torch.inference_mode():
        return torch.cat(list(network.outputs(x).values()), dim=1)[0].numpy()


def tiled_outputs(network, values, edge, kept=slice(0)):
    """All outputs of exact prediction in tiles, cut to the image; those of `kept` are suspended."""
    source = input_of(values, network)
    uncut = len(source.shape) - network.tiled_axes
    edges = (*source.shape[:uncut], *(edge,) * network.tiled_axes)
    tiles = partition(source.shape, edges, network.grid)
    contexts = Contexts([TransformedSource(source)], tiles, None)
    suspended = [(IDENTITY[0], tile) for tile in tiles[kept]]
    runner = TileRunner(network, torch.device("cpu"), suspended)
    assert len(list(contexts.gather(runner, network.contexts))) == network.contexts * len(tiles)
    axes = len(network.output_axes)
    parts = [(part.region[-axes:], part.values) for part in predicted(runner, contexts, tiles)]
    padded = joined(parts, tuple(slice(0, n) for n in source.shape[-axes:]))
    inside = (slice(before, -after or None) for before, after in source.padding[-axes:])
    return padded[(slice(None), *inside)]


@pytest.mark.parametrize("name", NAMES)
def test_tiles_equal_the_whole_image_in_float64(name):
    network = small_network(name, features=2).double()
    values = float_noise(SHAPES[name])
    found = tiled_outputs(network, values, EDGES[name])
    assert np.abs(found - whole_outputs(network, values))[0].max() < 1e-11


@pytest.mark.parametrize("name", NAMES)
def test_tiles_suspended_at_an_attention_are_the_same_as_those_computed_again(name):
    network = small_network(name, features=2).double()
    values = float_noise(SHAPES[name])
    again = tiled_outputs(network, values, EDGES[name])
    some_suspended = tiled_outputs(network, values, EDGES[name], slice(2))
    all_suspended = tiled_outputs(network, values, EDGES[name], slice(None))
    assert np.abs(some_suspended - again)[0].max() < 1e-11
    assert np.abs(all_suspended - again)[0].max() < 1e-11


def test_the_edge_of_the_tiles_does_not_matter():
    network = small_network("aeanet-2d", features=2).double()
    values = float_noise((300, 410))
    expected = whole_outputs(network, values)
    for edge in (64, 96, 128):
        assert np.abs(tiled_outputs(network, values, edge) - expected).max() < 1e-11


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_as_near_to_the_truth_in_float32_as_the_whole_image_is(name):
    """Nearer, mostly: tiles add up their contexts in float64."""
    network = small_network(name)
    values = float_noise(SHAPES[name])
    whole = whole_outputs(network, values)[0]
    tiled = tiled_outputs(network, values, EDGES[name])[0]
    truth = whole_outputs(network.double(), values)[0]
    allowed = 2 * np.abs(whole - truth).max() + 1e-5 * truth.std()
    assert np.abs(tiled - truth).max() < allowed


@pytest.mark.parametrize("name", NAMES)
def test_a_halo_one_grid_step_too_small_is_noticed(name, monkeypatch):
    network = small_network(name, features=2).double()
    values = float_noise(SHAPES[name])
    expected = whole_outputs(network, values)
    enough = network.halo

    def too_small(known):
        return tuple(max(0, n - step) for n, step in zip(enough(known), network.grid, strict=True))

    monkeypatch.setattr(network, "halo", too_small)
    found = tiled_outputs(network, values, EDGES[name])
    assert np.abs(found - expected)[0].max() > 1e-9


def test_a_network_sees_the_context_of_the_whole_image():
    """Without this, the tests above would pass for a network that ignores its context."""
    network = small_network("aeanet-2d", features=2).double()
    values = float_noise((128, 128))
    whole = whole_outputs(network, values)
    part = whole_outputs(network, values[:64, :64])
    assert np.abs(whole[0, :16, :16] - part[0, :16, :16]).max() > 1e-6


def test_a_tile_is_the_same_whatever_was_run_before():
    # Else a resumed run and several workers would give another result than one run.
    values = float_noise((192, 320)).astype(np.float32)
    settings = RestoreSettings(tile=64, context="whole", device="cpu", memory=0.005)
    model = model_of(small_network("aeanet-2d", features=8))
    run = prepare(Image(values, "YX"), model, settings)
    view = run.views(run.inputs[0])[0]

    def sums(tiles):
        runner = run.runner()
        return {str(tile): runner.gather(view, tile, []).sum for tile in tiles}

    forwards, backwards = sums(run.layout.tiles), sums(run.layout.tiles[::-1])
    assert len(forwards) > 4
    assert all(torch.equal(forwards[name], backwards[name]) for name in forwards)
