"""Published checkpoints: every variable has its place, and predictions are the published ones."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_aeanet import models, networks
from napari_aeanet.models.model_file import load_model, save_model
from napari_aeanet.models.presets import preset
from napari_aeanet.models.published import (
    expected_shapes,
    import_model,
    load_network,
    map_variables,
)
from napari_aeanet.models.tensorflow_checkpoint import open_checkpoint

REFERENCE = Path(__file__).parents[1] / "reference"
VECTORS = REFERENCE / "vectors"
TOLERANCE = 1e-4
"""Of the largest absolute value, in float32."""

PUBLISHED = {
    "aeanet-2d-r16": "aeanet-2d",
    "aeanet-2d-r32": "aeanet-2d",
    "aeanet-2d-r64": "aeanet-2d",
    "gvtnet-3d-planaria": "gvtnet-3d",
    "gvtnet-3d-tribolium": "gvtnet-3d",
    "gvtnet-label-free-dna": "gvtnet-label-free",
    "gvtnet-projection-flywing": "gvtnet-projection",
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def channels_first(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy())


def assert_close(found: torch.Tensor, expected: np.ndarray | torch.Tensor) -> None:
    if isinstance(expected, np.ndarray):
        expected = channels_first(expected)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()


# A writer of checkpoints, for what the reference files do not show


def varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """One block of the table, without shared prefixes, and its uncompressed mark and checksum."""
    body = b"".join(
        b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return body + struct.pack("<II", 0, 1) + bytes(5)


def write_checkpoint(prefix: Path, variables: dict[str, np.ndarray]) -> Path:
    data = bytearray()
    entries = [(b"", field(1, 1))]
    for name in sorted(variables):
        values = np.asarray(variables[name])
        shape = b"".join(field(2, field(1, n)) for n in values.shape)
        dtype = {"float32": 1, "int64": 9}[values.dtype.name]
        place = field(4, len(data)) + field(5, values.nbytes)
        entries.append((name.encode(), field(1, dtype) + field(2, shape) + place))
        data += values.tobytes()
    table = block(entries)
    pointer = varint(0) + varint(len(table) - 5)
    index = block([(b"~", pointer)])
    handles = varint(0) * 2 + varint(len(table)) + varint(len(index) - 5)
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(prefix.name + ".index").write_bytes(table + index + footer)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    return prefix


def variables_of(name: str) -> dict[str, np.ndarray]:
    checkpoint = open_checkpoint(VECTORS / name)
    return {variable: checkpoint.read(variable) for variable in checkpoint.variables}


# Every variable has its place


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_variables_map_one_to_one_onto_parameters_and_buffers(name):
    listing = json.loads((REFERENCE / f"{name}.shapes.json").read_text())
    names = map_variables(listing["variables"])
    assert len(set(names.values())) == len(names)
    config = preset(PUBLISHED[name]).config
    if "aeanet" in name:
        rows = listing["variables"]["bottom_block/block_0/attention/nl_library"][1]
        config = networks.config_from_json(networks.config_to_json(config) | {"references": rows})
    with torch.device("meta"):
        expected = expected_shapes(networks.build(config))
    assert set(names.values()) == set(expected)
    for variable, parameter in names.items():
        assert sorted(n for n in listing["variables"][variable] if n > 1) == sorted(
            n for n in expected[parameter] if n > 1
        )
    assert networks.parameter_count(config) == listing["trainable_parameters"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_checkpoints_of_the_published_shapes_are_recognised(name, tmp_path):
    listing = json.loads((REFERENCE / f"{name}.shapes.json").read_text())
    generator = np.random.default_rng(0)
    variables = {
        variable: generator.random(shape, dtype=np.float32)
        for variable, shape in listing["variables"].items()
    }
    network, found = load_network(write_checkpoint(tmp_path / "model.ckpt", variables))
    assert found == PUBLISHED[name]
    kernel = variables["first_convolution/kernel"]  # spatial..., in, out
    first = (network.image if "projection" in name else network).first.weight
    assert np.array_equal(first[3, 0].numpy(), kernel[..., 0, 3])


# The published predictions


@pytest.fixture(scope="module")
def aeanet():
    return load_network(VECTORS / "aeanet.ckpt")[0]


def test_a_checkpoint_becomes_a_network_in_eval_mode_with_the_name_of_its_preset():
    found = {
        name: load_network(VECTORS / f"{name}.ckpt") for name in ("aeanet", "denoise", "projection")
    }
    assert {name: preset_name for name, (_, preset_name) in found.items()} == {
        "aeanet": "aeanet-2d",
        "denoise": "gvtnet-3d",
        "projection": "gvtnet-projection",
    }
    assert not any(network.training for network, _ in found.values())
    assert found["aeanet"][0].config.references == 64
    assert found["aeanet"][0].config.features == 8


def test_aeanet_predicts_as_published(aeanet):
    arrays = np.load(VECTORS / "aeanet_io.npz")
    assert_close(aeanet(channels_first(arrays["input"])), arrays["pred"])


def test_aeanet_queries_keys_and_relevance_are_as_published(aeanet):
    arrays = np.load(VECTORS / "aeanet_io.npz")
    pending = aeanet.attend(channels_first(arrays["input"]))
    query = pending.query()
    assert_close(query, arrays["q"])
    images = len(query)
    keys = torch.cat(
        (
            pending.keys().flatten(2).transpose(1, 2),
            pending.reference_keys().expand(images, -1, -1),
        ),
        dim=1,
    )
    published = torch.from_numpy(arrays["k"][:, 0])
    assert_close(keys, published)
    relevance = torch.einsum("nchw,rc->nrhw", query, pending.reference_keys())
    assert_close(
        relevance, torch.einsum("nhwc,rc->nrhw", torch.from_numpy(arrays["q"]), published[0, -64:])
    )


def test_aeanet_trains_as_published():
    arrays = np.load(VECTORS / "aeanet_train_io.npz")
    network, _ = load_network(VECTORS / "aeanet.ckpt")
    assert_close(network.train()(channels_first(arrays["input"])), arrays["pred"])


def test_denoising_predicts_image_and_sigma_as_published():
    arrays = np.load(VECTORS / "denoise_io.npz")
    network, _ = load_network(VECTORS / "denoise.ckpt")
    outputs = network.outputs(channels_first(arrays["input"]))
    assert_close(outputs["prediction"], arrays["pred"])
    assert_close(outputs["sigma"], arrays["sigma"])


def test_projection_predicts_the_projected_and_the_restored_image_as_published():
    arrays = np.load(VECTORS / "projection_io.npz")
    network, _ = load_network(VECTORS / "projection.ckpt")
    projected = []
    network.image.first.register_forward_pre_hook(lambda layer, x: projected.append(x[0]))
    prediction = network(channels_first(arrays["input"]))
    assert_close(projected[0], arrays["projected"])
    assert_close(prediction, arrays["pred"])


# What else checkpoints hold


def test_optimiser_state_is_skipped(tmp_path):
    variables = variables_of("aeanet.ckpt")
    kernel = variables["first_convolution/kernel"]
    optimiser = {
        "first_convolution/kernel/Adam": kernel,
        "first_convolution/kernel/Adam_1": kernel,
        "beta1_power": np.float32(0.9),
        "beta2_power": np.float32(0.999),
        "global_step": np.int64(120_000),
    }
    network, name = load_network(write_checkpoint(tmp_path / "m", variables | optimiser))
    assert name == "aeanet-2d"
    assert torch.equal(network.first.weight, load_network(VECTORS / "aeanet.ckpt")[0].first.weight)


def test_a_denoising_network_without_a_sigma_head_is_recognised(tmp_path):
    variables = variables_of("denoise.ckpt")
    del variables["out_sigma_conv/kernel"]
    network, name = load_network(write_checkpoint(tmp_path / "m", variables))
    assert name == "gvtnet-3d"
    assert network.extras == ()


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_any_file_of_a_checkpoint_names_it(ending):
    assert load_network(f"{VECTORS / 'aeanet.ckpt'}{ending}")[1] == "aeanet-2d"


# What can be wrong


@pytest.fixture
def copied(tmp_path) -> Path:
    for path in VECTORS.glob("aeanet.ckpt.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "aeanet.ckpt"


def test_a_missing_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.index"):
        load_network(tmp_path / "nothing")


def test_missing_data_are_named(copied):
    copied.with_name("aeanet.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"data-00000-of-00001 is missing"):
        load_network(copied)


def test_truncated_data_are_named(copied):
    path = copied.with_name("aeanet.ckpt.data-00000-of-00001")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"data-00000-of-00001 is truncated"):
        load_network(copied)


def test_a_file_that_is_no_checkpoint_is_named(copied):
    path = copied.with_name("aeanet.ckpt.index")
    for wrong in (b"", b"GIF89a", path.read_bytes()[:-20], bytes(4096)):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"aeanet\.ckpt\.index is not the index"):
            load_network(copied)


def test_a_damaged_index_never_ends_in_another_error(copied):
    path = copied.with_name("aeanet.ckpt.index")
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for at in generator.integers(0, len(whole) - 8, size=3):
            damaged[at] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            load_network(copied)
        except (ValueError, FileNotFoundError) as error:
            assert "aeanet.ckpt" in str(error)


def test_a_checkpoint_of_another_network_is_refused_with_what_it_holds(tmp_path):
    other = write_checkpoint(tmp_path / "other", {"dense/kernel": np.ones((3, 4), np.float32)})
    with pytest.raises(ValueError, match=r"none of the known networks.*dense/kernel"):
        load_network(other)


def test_a_checkpoint_with_one_variable_too_few_or_too_many_is_refused(tmp_path):
    variables = variables_of("aeanet.ckpt")
    more = variables | {"extra/kernel": np.ones((1, 1, 2, 2), np.float32)}
    fewer = {name: values for name, values in variables.items() if name != "out_conv/kernel"}
    for wrong in (more, fewer):
        with pytest.raises(ValueError, match="none of the known networks"):
            load_network(write_checkpoint(tmp_path / "wrong", wrong))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    variables = variables_of("aeanet.ckpt")
    variables["out_conv/kernel"][..., 0] = np.nan
    with pytest.raises(ValueError, match=r"out_conv/kernel.*not finite"):
        load_network(write_checkpoint(tmp_path / "m", variables))


@pytest.mark.parametrize("name", ["aeanet", "denoise", "projection"])
def test_an_imported_checkpoint_is_a_model_that_survives_its_file(name, tmp_path):
    model = import_model(VECTORS / f"{name}.ckpt.index")
    path = tmp_path / "model.aeanet"
    save_model(model, path)
    back = load_model(path)
    # JSON turns the tuples of the description into lists; it describes the same network.
    descriptions = [networks.config_from_json(dict(m.card.network)) for m in (back, model)]
    assert descriptions[0] == descriptions[1]
    assert replace(back.card, network={}) == replace(model.card, network={})
    network, preset_name = load_network(VECTORS / f"{name}.ckpt")
    assert back.card.preset == preset_name
    again = back.network()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    assert back.card.ratio == ((2.0, 2.0) if name == "aeanet" else (1.0, 1.0, 1.0))


def test_loading_is_public_and_returns_network_and_preset():
    network, name = models.load_network(VECTORS / "aeanet.ckpt")
    assert isinstance(network, networks.Network)
    assert not any(part.training for part in network.modules())
    assert name == "aeanet-2d"
    assert network.config.references == 64
