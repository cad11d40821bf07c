"""Relevance maps: the right numbers, in the right place, for images of any size."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Scaling
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import save_model
from napari_aeanet.models.published import load_network
from napari_aeanet.networks.blocks import Convolution
from napari_aeanet.relevance.export import centred_planes, region_rows
from napari_aeanet.relevance.mosaic import make_mosaic
from napari_aeanet.relevance.run import relevance_events
from napari_aeanet.relevance.settings import RelevanceMaps, RelevanceSettings
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.tile_runner import TileRunner

VECTORS = Path(__file__).parents[1] / "reference" / "vectors"


def maps_of(image, model, **settings):
    *_, last = relevance_events(image, model, RelevanceSettings(**settings))
    assert isinstance(last, RelevanceMaps)
    return last


def test_the_published_queries_and_keys_are_reproduced():
    network, _ = load_network(VECTORS / "aeanet.ckpt")
    runner = TileRunner(network, torch.device("cpu"))
    with np.load(VECTORS / "aeanet_io.npz") as arrays:
        inputs, queries, keys = arrays["input"], arrays["q"], arrays["k"]
    for image, query in zip(inputs, queries, strict=True):
        source = NetworkInput(
            image=Image(image[..., 0], "YX"),
            place=(slice(None), slice(None)),
            axes="YX",
            measure=lambda: Scaling(0.0, 1.0),
            factors=(1.0, 1.0),
            grid=network.grid,
        )
        region = tuple(slice(0, n) for n in source.shape)
        found = runner.relevance(source, region, [], slice(None))
        # The 64 references are the last keys: (1, keys, c) and (y, x, c) to (64, y, x).
        expected = np.einsum("rc,yxc->ryx", keys[0, 0, -64:], query)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "shape", "layer", "tile"),
    [
        ("aeanet-2d", (150, 201), 1, 64),
        ("aeanet-3d", (7, 30, 37), 1, 20),
        ("aeanet-3d", (7, 30, 37), 3, 20),
        ("aeanet-3d-fast", (9, 30, 75), 1, 40),
        ("aeanet-3d-fast", (9, 30, 75), 3, 40),
        ("aeanet-projection", (4, 60, 139), 2, 80),
        ("aeanet-projection", (4, 60, 139), 5, 80),
    ],
)
def test_tiles_give_the_maps_of_the_whole_image(name, shape, layer, tile):
    network = small_network(name, features=2)
    model = model_of(network)
    image = Image(float_noise(shape), network.input_axes)
    whole = maps_of(image, model, layer=layer, tile=1024).maps
    tiled = maps_of(image, model, layer=layer, tile=tile).maps
    assert whole.shape[0] == 5
    assert np.abs(tiled - whole).max() <= 1e-5 * np.abs(whole).max()


def test_the_heads_add_up():
    model = model_of(small_network("aeanet-2d"))
    image = Image(float_noise((40, 50)), "YX")
    both = maps_of(image, model).maps
    first, second = (maps_of(image, model, head=head).maps for head in (1, 2))
    np.testing.assert_allclose(first + second, both, atol=1e-6 * np.abs(both).max())
    assert np.abs(first - second).max() > 1e-3 * np.abs(both).max()


# --- positions


def spotter(ratio, pixel_size, unit):
    """A model whose only strong abstract pixel answers to bright spots.

    Every kernel averages, so that an attention pixel answers most to a spot in the very middle of
    its receptive field, whatever the program assumes that middle to be.
    """
    network = small_network("aeanet-2d", features=4)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Convolution):
                module.weight.fill_(1 / module.weight[0].numel())
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1)
                module.bias.zero_()
                module.running_mean.zero_()
                module.running_var.fill_(1)
        references = network.bottom.attention.references
        references.zero_()
        references[2] = 1
    return model_of(network, ratio=ratio, pixel_size=pixel_size, unit=unit)


def image_with_spot(shape, pixel_size, origin, spot, unit="nm"):
    """A dark image with one round bright spot centred at the world position `spot`."""
    world = np.meshgrid(
        *(o + s * np.arange(n) for n, s, o in zip(shape, pixel_size, origin, strict=True)),
        indexing="ij",
    )
    distance = sum(
        ((w - c) / (3 * s)) ** 2 for w, c, s in zip(world, spot, pixel_size, strict=True)
    )
    return Image(np.exp(-distance / 2), "YX", pixel_size, unit, origin)


@pytest.mark.parametrize(
    ("shape", "pixel_size", "origin", "ratio"),
    [
        ((128, 160), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0)),
        ((101, 131), (5.0, 5.0), (1000.0, -300.0), (1.0, 1.0)),
        ((102, 131), (8.0, 20.0), (-50.0, 70.0), (1.0, 1.0)),
        ((63, 77), (10.0, 10.0), (30.0, 40.0), (2.0, 2.0)),
    ],
)
@pytest.mark.parametrize("where", [(0.5, 0.5), (0.31, 0.64), (0.72, 0.27), (0.4, 0.83)])
def test_a_map_peaks_where_its_pattern_lies(shape, pixel_size, origin, ratio, where):
    spot = tuple(o + s * n * f for n, s, o, f in zip(shape, pixel_size, origin, where, strict=True))
    image = image_with_spot(shape, pixel_size, origin, spot)
    grid = tuple(s / r for s, r in zip(pixel_size, ratio, strict=True))
    found = maps_of(image, spotter(ratio, grid, "nm"), tile=64)
    assert found.scale == tuple(4 * s for s in grid)
    strongest = found.maps[2]
    peak = np.unravel_index(strongest.argmax(), strongest.shape)
    place = [t + s * i for t, s, i in zip(found.translate, found.scale, peak, strict=True)]
    for there, wanted, step in zip(place, spot, found.scale, strict=True):
        assert abs(there - wanted) <= 0.5 * step + 1e-6


def test_without_a_pixel_size_maps_lie_in_pixels_of_the_image():
    model = model_of(small_network("aeanet-2d", features=2), ratio=(2.0, 2.0))
    found = maps_of(Image(float_noise((20, 24)), "YX"), model)
    assert found.scale == (2.0, 2.0)
    # Query 0 is centred on model pixel 3, the middle of image pixel 1's second half.
    assert found.translate == (1.25, 1.25)
    assert found.as_image().pixel_size == (None, None)


# --- axes


def test_other_axes_are_looped_over():
    model = model_of(small_network("aeanet-2d", features=2))
    values = float_noise((3, 20, 24))
    values[:, 0, :2] = 0, 1  # the same scaling for all
    image = Image(values, "ZYX", (2.0, 1.0, 1.0), "µm", (5.0, 0.0, 0.0))
    found = maps_of(image, model)
    assert found.maps.shape == (5, 3, 5, 6)
    assert (found.axes, found.scale, found.translate[0]) == ("ZYX", (2.0, 4.0, 4.0), 5.0)
    alone = maps_of(Image(values[1], "YX"), model)
    np.testing.assert_allclose(found.maps[:, 1], alone.maps, atol=1e-6)
    stack = found.as_image()
    assert (stack.axes, stack.shape, stack.pixel_size) == ("CZYX", (5, 3, 5, 6), (2.0, 4.0, 4.0))


def test_maps_of_several_channels_follow_each_other_in_the_exported_stack():
    model = model_of(small_network("aeanet-2d", features=2))
    found = maps_of(Image(float_noise((2, 20, 24)), "CYX"), model)
    stack = found.as_image()
    assert (stack.axes, stack.shape) == ("CYX", (10, 5, 6))
    np.testing.assert_array_equal(stack.array[5 + 3], found.maps[3, 1])


# --- wrong arguments


def test_a_model_without_abstract_pixels_is_refused():
    for name in ("unet-2d", "gvtnet-2d"):
        with pytest.raises(ValueError, match="no abstract pixels"):
            list(
                relevance_events(
                    Image(float_noise((20, 24)), "YX"), model_of(small_network(name, features=2))
                )
            )


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"layer": 2}, "1 attention layers, got layer 2"),
        ({"layer": 0}, "got layer 0"),
        ({"head": 3}, "2 heads, got head 3"),
    ],
)
def test_layers_and_heads_that_are_not_there_are_refused(settings, complaint):
    model = model_of(small_network("aeanet-2d", features=2))
    with pytest.raises(ValueError, match=complaint):
        list(
            relevance_events(
                Image(float_noise((20, 24)), "YX"), model, RelevanceSettings(**settings)
            )
        )


def test_names_of_abstract_pixels_come_with_their_maps():
    model = model_of(small_network("aeanet-2d", features=2), pixel_names={"3": "particle edge"})
    assert maps_of(Image(float_noise((20, 24)), "YX"), model).names == {3: "particle edge"}


# --- figures, tables, the command


def seen(tmp_path, count=2):
    names = [f"S{number}" for number in range(count)]
    for number, name in enumerate(names):
        values = (255 * float_noise((24 + 4 * number, 28), seed=number)).astype(np.uint8)
        write_image(Image(values, "YX", (5.0, 5.0), "nm", name=name), tmp_path / f"{name}.tif")
    model = model_of(small_network("aeanet-2d", features=2), pixel_size=(5.0, 5.0), unit="nm")
    save_model(model, tmp_path / "m.aeanet")
    return [str(tmp_path / f"{name}.tif") for name in names], ["-m", str(tmp_path / "m.aeanet")]


@pytest.mark.parametrize(
    ("ending", "first"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<")]
)
def test_the_command_writes_stacks_a_table_a_change_and_a_figure(tmp_path, ending, first):
    images, model = seen(tmp_path)
    figure = tmp_path / f"figure.{ending}"
    more = ["--table", "--change", "--pixels", "2", "4", "--figure", str(figure)]
    assert main(["relevance", *images, *model, *more]) == 0
    assert figure.read_bytes().startswith(first)
    stack = read_image(tmp_path / "S1-relevance.ome.tif")
    assert (stack.shape, stack.pixel_size) == ((5, 7, 7), (20.0, 20.0))
    rows = list(csv.DictReader((tmp_path / "S0-relevance.csv").read_text().splitlines()))
    assert [row["abstract pixel"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert all(float(row["influence"]) > 0 for row in rows)
    change = read_image(tmp_path / "S0-change.ome.tif")
    assert change.shape == (24, 28)
    assert np.abs(change.read()).max() > 0


def test_abstract_pixels_that_are_not_there_are_refused_by_the_command(tmp_path, capsys):
    images, model = seen(tmp_path, 1)
    words = ["relevance", *images, *model, "--figure", str(tmp_path / "f.png"), "--pixels", "9"]
    assert main(words) == 2
    assert "1 to 5" in capsys.readouterr().err


def test_regions_list_their_most_distinct_maps_first():
    maps = np.zeros((3, 10, 10), np.float32)
    maps[1, :5] = 2
    maps[1, 5:] = -2
    maps[2] = 50
    labels = np.zeros((10, 10), int)
    labels[:4, :4], labels[6:, 6:] = 1, 7
    rows = region_rows(maps, labels, {1: "upper half"})
    assert [(row.region, row.pixel) for row in rows[::3]] == [(1, 1), (7, 1)]
    first = rows[0]
    assert (first.name, first.places, first.mean, first.share_for) == ("upper half", 16, 2.0, 1.0)


def test_compared_maps_keep_the_differences_between_images(tmp_path):
    model = model_of(small_network("aeanet-2d", features=2))
    shown = [maps_of(Image(float_noise((24, 28), seed=s), "YX"), model) for s in range(2)]
    planes = centred_planes(shown, [3, 1])
    assert np.concatenate([p.reshape(2, -1) for p in planes], 1).mean(1) == pytest.approx(
        0, abs=1e-5
    )
    before = shown[0].maps[3].mean() - shown[1].maps[3].mean()
    assert planes[0][0].mean() - planes[1][0].mean() == pytest.approx(before, abs=1e-5)
    made = make_mosaic(shown, [3, 1])
    assert made.grey.shape == tuple(4 * n for n in made.heat.shape)
    np.testing.assert_array_equal(made.heat[:6, :7], planes[0][0])
