"""Options of the operators: level by level, described in a file, trained like all others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from helpers import blurred_pairs, predict_in_tiles, random_image, random_network

from napari_aeanet import networks
from napari_aeanet.cli import main
from napari_aeanet.exchange.source import plain_network
from napari_aeanet.io import write_image
from napari_aeanet.models import load_model, presets
from napari_aeanet.networks import ProjectionConfig, UNetConfig
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.blocks import Convolution, ResidualBlock, TransposedConvolution
from napari_aeanet.training import TrainSettings, check_training

MIXED = UNetConfig(
    features=4,
    downs=("convolution", "attention_v2"),
    ups=("attention_v1", "transposed"),
    bottom="both",
    references=3,
    offset=True,
)
PLANES = ProjectionConfig(
    projection_features=4,
    weighting="probability",
    image=UNetConfig(features=4, up="attention_v2", batch_norm=False, offset=True),
)

LEARNED = UNetConfig(features=4, query="learned")


def test_every_level_has_the_operator_it_was_given():
    network = networks.build(MIXED)
    downs = [level.down for level in network.encoder][1:]
    assert [type(down) for down in downs] == [Convolution, AttentionBlock]
    ups = [level.up for level in network.decoder]  # the finest first
    assert [type(up) for up in ups] == [AttentionBlock, TransposedConvolution]
    assert isinstance(network.bottom, AttentionBlock)
    assert isinstance(network.behind, ResidualBlock)
    assert [layer.stride for layer in MIXED.attention_layers()] == [4, 4, 1]


@pytest.mark.parametrize("down", ["convolution", "residual", "attention_v1", "attention_v2"])
@pytest.mark.parametrize("up", ["transposed", "attention_v1", "attention_v2"])
def test_the_same_operator_at_all_levels_is_that_of_the_short_form(down, up):
    short = UNetConfig(features=4, down=down, up=up)
    long = replace(short, down="residual", up="transposed", downs=(down,) * 2, ups=(up,) * 2)
    assert networks.weight_shapes(long) == networks.weight_shapes(short)
    assert long.attention_layers() == short.attention_layers()


@torch.no_grad()
def test_tiles_equal_the_whole_image():
    network = random_network(MIXED)
    x = random_image(38, 45)
    tiled = predict_in_tiles(network, x, 16)
    torch.testing.assert_close(tiled, network(x), rtol=0, atol=1e-11)


@torch.no_grad()
def test_attention_with_a_learned_query_is_the_same_everywhere_whatever_the_places_of_pixels():
    """Theorem 1: so such an attention says nothing of a place."""
    network = random_network(LEARNED)
    x = random_image(8, 12).expand(-1, 16, -1, -1)
    query = network.bottom.attention.q
    assert query.row.shape == (1, 16)
    attention = network.bottom.attention
    activated = network.bottom.act(x)
    y = attention.attend(query(activated), attention.gather(activated))
    torch.testing.assert_close(y, y[..., :1, :1].expand_as(y), rtol=0, atol=1e-12)
    moved = activated.flatten(2)[..., torch.randperm(96)].unflatten(2, (8, 12))
    other = attention.attend(query(moved), attention.gather(moved))
    torch.testing.assert_close(other, y, rtol=0, atol=1e-12)
    # naive: one row against all keys
    k, v = (part(activated).flatten(2)[0] for part in (attention.k, attention.v))
    rows = query.row.reshape(2, 8)
    heads = [rows[i] / 8**0.5 @ k[i * 8 : i * 8 + 8] @ v[i * 8 : i * 8 + 8].T for i in range(2)]
    naive = attention.out(torch.cat(heads)[None, :, None, None] / 96)
    torch.testing.assert_close(y[..., :1, :1], naive, rtol=0, atol=1e-12)


@torch.no_grad()
def test_tiles_of_a_learned_query_equal_the_whole_image():
    network = random_network(LEARNED)
    x = random_image(38, 45)
    torch.testing.assert_close(predict_in_tiles(network, x, 16), network(x), rtol=0, atol=1e-12)


def test_a_learned_query_is_trained():
    network = random_network(LEARNED).train()
    network(random_image(16, 16)).square().mean().backward()
    assert network.bottom.attention.q.row.grad.abs().min() > 0


@torch.no_grad()
def test_a_projection_by_probability_of_equal_planes_is_that_plane():
    network = random_network(PLANES)
    plane = random_image(32, 48)
    volume = plane[:, :, None].expand(-1, -1, 5, -1, -1)
    torch.testing.assert_close(network(volume), network.image(plane), rtol=0, atol=1e-10)
    other = random_network(replace(PLANES, weighting="mean"))
    assert (other(volume) - network(volume)).abs().max() > 1e-3
    tiled = predict_in_tiles(network, random_image(4, 32, 64), 16)
    whole = torch.cat(list(network.outputs(random_image(4, 32, 64)).values()), dim=1)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downs": ("convolution",)}, "downs names one operator for each of the 2 changes of size"),
        ({"ups": ("transposed",) * 3}, "got 3"),
        ({"normalisation": "softmax", "references": 4}, "softmax attention"),
        ({"query": "learned", "references": 4}, "a learned query .* Choose query='pixels', or"),
        ({"query": "learned", "batch_aware": True}, "without references and batch-aware training"),
        ({"query": "learned", "bottom": "block"}, "or bottom='attention'"),
        ({"references": 4, "divisor": "queries"}, "Choose divisor='keys', or references=0"),
        ({"downs": ("pooling", "convolution")}, "downs"),
        ({"depth": 3}, "Unknown settings of a unet network: depth"),
        ({"kind": "resnet"}, "Unknown kind of network 'resnet'"),
    ],
)
def test_a_file_that_describes_no_network_is_refused_with_its_name(options, message, tmp_path):
    path = tmp_path / "my.json"
    path.write_text(json.dumps({"kind": "unet"} | options))
    with pytest.raises(ValueError, match=message) as refused:
        networks.read_config(path)
    assert str(refused.value).startswith(str(path))


def test_a_file_without_a_description_is_refused(tmp_path):
    for text in ("[1]", "no JSON"):
        (tmp_path / "my.json").write_text(text)
        with pytest.raises(ValueError, match=r"my\.json"):
            networks.read_config(tmp_path / "my.json")


def test_a_printed_network_is_changed_and_trained(tmp_path, capsys):
    assert main(["presets", "aeanet-2d", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert networks.config_from_json(printed) == presets.preset("aeanet-2d").config
    path = tmp_path / "my.json"
    path.write_text(json.dumps(printed | {"features": 4, "references": 3, "bottom": "both"}))
    for pair in blurred_pairs(1):
        for side, image in (("noisy", pair.source), ("clean", pair.target)):
            (tmp_path / side).mkdir()
            write_image(image, tmp_path / side / "a.ome.tif")
    folders = [str(tmp_path / side) for side in ("noisy", "clean")]
    words = ["train", *folders, "-o", str(tmp_path / "run"), "--network", str(path)]
    assert main([*words, "--steps", "2", "--patch", "16", "--batch", "2"]) == 0
    assert "my.json (" in capsys.readouterr().out
    card = load_model(tmp_path / "run" / "best.aeanet").card
    assert card.config == networks.read_config(path)
    path.write_text(json.dumps(printed | {"dims": 3}))
    found = check_training(blurred_pairs(1), TrainSettings(network=str(path)))
    assert "needs pairs of stacks" in found.obstacles[0]


def test_one_preset_is_described_alone(capsys):
    assert main(["presets", "care-3d"]) == 0
    assert capsys.readouterr().out.startswith("care-3d ")
    assert main(["presets", "unknown"]) == 2


@pytest.mark.parametrize("config", [MIXED, PLANES, LEARNED])
def test_what_cannot_be_exported_is_said(config):
    with pytest.raises(ValueError, match="cannot be exported"):
        plain_network(config)
