"""Attention of one place: exactly what the network sums up, wherever the tiles end."""

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network

from napari_aeanet import attention_map
from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import Model, save_model
from napari_aeanet.networks.attention import apply_context, gather_context, split_heads
from napari_aeanet.networks.blocks import Convolution, TransposedConvolution
from napari_aeanet.relevance import attend, relevance_maps
from napari_aeanet.relevance.attend import attention_events
from napari_aeanet.relevance.settings import RelevanceSettings


class DoubleModel(Model):
    """A model whose network computes in float64."""

    def network(self):
        return super().network().double()


def double(network, **card):
    model = model_of(network, **card)
    return DoubleModel(model.card, model.weights)


def kept(image, model, at, **settings):
    *_, last = attention_events(image, model, at, RelevanceSettings(**settings))
    return last


def output_before_the_projection(network, x, layer, at):
    """Heads and values of one attention of the whole image, and its output at a query pixel."""
    contexts = []
    with torch.no_grad():
        for _ in range(layer - 1):
            contexts.append(network.attend(x, contexts).gather())
        pending = network.attend(x, contexts)
        attention, features = pending.attention, pending.features
        values = attention.v(features)
        y = apply_context(
            pending.query(),
            gather_context(attention.k(features), values, attention.heads),
            attention.reference_context(),
            queries_per_key=attention.queries_per_key,
        )
        own = attention.references
        rows = (
            torch.zeros(0, values.shape[1], dtype=torch.float64)
            if own is None
            else own @ attention.v.weight.flatten(1).T + attention.v.bias
        )
    heads = attention.heads
    by_head = split_heads(values, heads)[0].numpy()  # (heads, c, places)
    of_references = rows.numpy().reshape(len(rows), heads, values.shape[1] // heads)
    return y[(0, slice(None), *at)].numpy().reshape(heads, -1), by_head, of_references


CASES = [
    ("aeanet-2d", (48, 64), 1, 16),
    ("gvtnet-2d", (48, 64), 1, 16),
    ("aeanet-3d", (4, 24, 32), 1, 8),
    ("aeanet-3d", (4, 24, 32), 3, 8),  # queries on a finer grid than the keys
    ("aeanet-3d-fast", (4, 24, 32), 3, 16),
    ("aeanet-projection", (2, 32, 64), 2, 32),
    ("aeanet-projection", (2, 32, 64), 4, 32),
]


@pytest.mark.parametrize(("name", "shape", "layer", "tile"), CASES)
def test_attention_times_values_is_the_output_of_the_attention(name, shape, layer, tile):
    network = small_network(name, features=2).double()
    image = Image(float_noise(shape), network.input_axes)
    model = double(network)
    place = tuple(0.4 * n for n in shape)
    found = kept(image, model, place, layer=layer, head=2, tile=tile)
    source = found.source
    x = torch.from_numpy(source.read(tuple(slice(0, n) for n in source.shape))).double()
    wanted, values, of_references = output_before_the_projection(
        network, x[None, None], layer, found.query_place(place)
    )
    one = found.at(place)
    of_image = values[1] @ one.values.ravel()
    total = one.factor * (of_image + one.relevance @ of_references[:, 1])
    assert np.abs(total - wanted[1]).max() <= 1e-11 * np.abs(wanted).max()


def test_the_attentions_of_the_heads_add_up_and_are_signed():
    image, model = Image(float_noise((20, 24)), "YX"), model_of(small_network("gvtnet-2d"))
    both, first, second = (kept(image, model, (3, 9), head=h).at((3, 9)).values for h in (0, 1, 2))
    np.testing.assert_allclose(first + second, both, atol=1e-6 * np.abs(both).max())
    assert both.min() < 0 < both.max()


def test_the_abstract_pixels_at_a_place_are_those_of_the_relevance_maps():
    network = small_network("aeanet-2d", features=2)
    model, image = model_of(network), Image(float_noise((40, 52)), "YX")
    found = attention_map(image, model, (11, 30))
    maps = relevance_maps(image, model)
    place = kept(image, model, (11, 30)).query_place((11, 30))
    np.testing.assert_allclose(found.relevance, maps.maps[(slice(None), *place)], rtol=1e-4)
    assert (found.axes, found.scale, found.translate) == (maps.axes, maps.scale, maps.translate)


def averaging(name):
    """A network whose kernels all average, so that keys answer most to bright pixels."""
    network = small_network(name, features=4)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Convolution | TransposedConvolution):
                module.weight.fill_(1 / module.weight[0].numel())
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
                module.weight.fill_(1)
                module.bias.zero_()
                module.running_mean.zero_()
                module.running_var.fill_(1)
    return network


@pytest.mark.parametrize(("name", "layer"), [("gvtnet-2d", 1), ("aeanet-3d", 1), ("aeanet-3d", 2)])
def test_a_map_peaks_where_the_bright_spot_lies(name, layer):
    network = averaging(name)
    shape, spot = ((8,) * (len(network.grid) - 2) + (45, 51)), (4.2,) * (len(network.grid) - 2)
    spot = (*spot, 29.0, 14.0)
    distance = sum((g - c) ** 2 for g, c in zip(np.indices(shape), spot, strict=True))
    image = Image(np.exp(-distance / 18).astype(np.float32), network.input_axes)
    found = attention_map(
        image, model_of(network), (1,) * len(shape), RelevanceSettings(layer=layer)
    )
    peak = np.unravel_index(found.values.argmax(), found.values.shape)
    for index, step, first, wanted in zip(peak, found.scale, found.translate, spot, strict=True):
        assert abs(first + step * index - wanted) <= 0.5 * step + 0.5


def test_one_plane_of_a_stack_is_analysed_where_it_lies():
    model = model_of(small_network("aeanet-2d", features=2), pixel_size=(1.0, 1.0), unit="µm")
    values = float_noise((3, 20, 24))
    values[:, 0, :2] = 0, 1  # the same scaling for all
    image = Image(values, "ZYX", (2.0, 1.0, 1.0), "µm", (5.0, 0.0, 0.0))
    found = kept(image, model, (1, 7, 9))
    one = found.at((1, 7, 9))
    assert (one.axes, one.values.shape) == ("ZYX", (1, 5, 6))
    assert (one.scale, one.translate[0]) == ((2.0, 4.0, 4.0), 7.0)
    alone = attention_map(Image(values[1], "YX", (1.0, 1.0), "µm"), model, (7, 9))
    np.testing.assert_allclose(one.values[0], alone.values, atol=1e-6)
    stack = one.as_image()
    assert (stack.axes, stack.pixel_size, stack.unit) == ("ZYX", (2.0, 4.0, 4.0), "µm")
    assert stack.origin[0] == 7.0
    assert found.holds((1.2, 0, 0))
    assert not found.holds((2, 7, 9))
    with pytest.raises(ValueError, match="plane"):
        found.at((2, 7, 9))


def test_wrong_places_and_layers_are_refused_in_words():
    model = model_of(small_network("gvtnet-2d", features=2))
    image = Image(float_noise((20, 24)), "YX", name="S05")
    for at, words in (
        ((20, 3), "outside S05"),
        ((-1, 3), "outside S05"),
        ((3,), "Y X"),
        ((float("nan"), 3), "outside S05"),
    ):
        with pytest.raises(ValueError, match=words):
            attention_events(image, model, at)
    with pytest.raises(ValueError, match="1 attention layers, got layer 2"):
        attention_events(image, model, (3, 3), RelevanceSettings(layer=2))
    with pytest.raises(ValueError, match="no attention"):
        attention_events(image, model_of(small_network("unet-2d", features=2)), (3, 3))


def test_an_attention_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(attend, "free_memory", lambda: 1000.0)
    model = model_of(small_network("gvtnet-2d", features=2))
    with pytest.raises(ValueError, match="crop the image"):
        attention_events(Image(float_noise((20, 24)), "YX", name="S05"), model, (3, 3))


def test_the_command_writes_the_attention_of_a_place(tmp_path, capsys):
    values = (255 * float_noise((24, 28))).astype(np.uint8)
    write_image(Image(values, "YX", (5.0, 5.0), "nm"), tmp_path / "S0.tif")
    model = model_of(small_network("gvtnet-2d", features=2), pixel_size=(5.0, 5.0), unit="nm")
    save_model(model, tmp_path / "m.aeanet")
    words = ["relevance", str(tmp_path / "S0.tif"), "-m", str(tmp_path / "m.aeanet")]
    assert main([*words, "--at", "7", "9"]) == 0
    written = read_image(tmp_path / "S0-attention.ome.tif")
    assert (written.shape, written.pixel_size, written.unit) == ((6, 7), (20.0, 20.0), "nm")
    expected = attention_map(tmp_path / "S0.tif", model, (7, 9)).values
    np.testing.assert_allclose(written.read(), expected, rtol=1e-5)
    assert main([*words, "--at", "7", "90", "--overwrite"]) != 0
    assert "outside" in capsys.readouterr().err
    assert main([*words, "--at", "7", "9", "--table"]) == 2
    assert "--at" in capsys.readouterr().err
