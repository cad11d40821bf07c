"""The networks in PyTorch alone give the numbers of ours, for every preset."""

import subprocess
import sys

import pytest
import torch
from helpers import miniature, random_image, random_network

from napari_aeanet.exchange.source import architecture_of, plain_network
from napari_aeanet.models import ablations, all_presets, baselines
from napari_aeanet.networks import UNetConfig

SMALL = {preset.name: miniature(preset.config) for preset in (*all_presets(), *ablations())}
SMALL |= {preset.name: preset.config for preset in baselines() if preset.name.endswith("small")}
SMALL["softmax"] = UNetConfig(features=8, normalisation="softmax")
SMALL["one axis"] = UNetConfig(features=8, dims=1, sigma=True)
SMALL["volumes in blocks"] = UNetConfig(features=8, dims=3, unshuffle=2)
SMALL["down by attention"] = UNetConfig(features=8, down="attention_v1", up="attention_v1")
SIZES = {1: (48,), 2: (32, 48), 3: (16, 16, 32)}


def outputs_of(network: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    found = network(x)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("name", SMALL)
def test_a_plain_network_gives_the_numbers_of_ours(name):
    network = random_network(SMALL[name])
    plain = plain_network(SMALL[name]).double()
    plain.load_state_dict(network.state_dict())
    x = random_image(*SIZES[len(network.grid)])
    with torch.no_grad():
        expected = list(network.outputs(x).values())
        found = outputs_of(plain.eval(), x)
    assert len(found) == len(expected)
    for ours, theirs in zip(expected, found, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-projection", "edsr-2d-small"])
def test_the_source_of_an_architecture_needs_torch_alone(name, tmp_path):
    source, callable_name, options = architecture_of(SMALL[name])
    (tmp_path / "architecture.py").write_text(source)
    program = (
        f"import sys, architecture; architecture.{callable_name}(**{options!r}); "
        "print([m for m in sys.modules if m.startswith('napari')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
