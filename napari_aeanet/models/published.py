"""The checkpoints that the papers' authors published (TensorFlow), as networks of this package.

A checkpoint holds named variables and no description. So the network is recognised: dimensions,
base features and references are read off the variables' shapes, and of the presets made to these
measures the one whose every parameter and buffer has its variable, and the reverse, is it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_aeanet.models.model_file import Model, ModelCard
from napari_aeanet.models.presets import all_presets, preset, published_normalisation
from napari_aeanet.models.tensorflow_checkpoint import open_checkpoint
from napari_aeanet.networks import (
    Network,
    NetworkConfig,
    build,
    config_to_json,
)

Shapes = Mapping[str, tuple[int, ...]]

# Low and high magnification of the published super-resolution pairs are 1 : 2.
PUBLISHED_RATIO = 2.0

# Not part of the network: Adam's moments and powers, the step counter.
_OPTIMISER = re.compile(r"(.*/Adam(_1)?|(.*/)?beta[12]_power|global_step)$")

# Published names, from the front, as names of modules here.
_MODULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^first_convolution/", "first/"),
    (r"^encoding_block_(\d+)/", lambda m: f"encoder/{int(m[1]) - 1}/"),
    (r"^decoding_block_(\d+)/", lambda m: f"decoder/{int(m[1]) - 1}/"),
    (r"^bottom_block/block_0/", "bottom/"),
    (r"^(batch_normalization|batch_norm_output)/", "output/act/norm/"),
    (r"^(out_conv|output_convolution)/", "output/conv/"),
    (r"^out_sigma_conv/", "output/sigma/"),
    (r"^projection/Conv_down_0/", "shrink/0/"),
    (r"^projection/Conv_down_1/", "shrink/1/layer/"),
    (r"^projection/Bottom_0/", "bottom/"),
    (r"^projection/Conv_bottom_0/", "side/layer/"),
    (r"^projection/Upsample_(\d)/", r"up/\1/"),
    (r"^projection/Conv_up_(\d)/", r"mix/\1/layer/"),
    (r"^projection/Conv_final/", "weigh/layer/"),
    (r"/downsampling/convolution/", "/down/"),
    (r"/downsampling/", "/down/"),
    (r"/upsampling/transposed_convolution/", "/up/"),
    (r"/upsampling/", "/up/"),
    (r"/res_(\d+)/", r"/blocks/\1/"),
    (r"/batch_norm_([12])/", r"/act\1/norm/"),
    (r"/batch_norm/", "/act/norm/"),
    (r"/convolution_([12])/", r"/conv\1/"),
    (r"/projection_shortcut/", "/shortcut/"),
    (r"/(q|k|v|out)_transform/", r"/\1/"),
    (r"/nl_library$", "/references"),
    (r"/kernel$", "/weight"),
    (r"/gamma$", "/weight"),
    (r"/beta$", "/bias"),
    (r"/moving_mean$", "/running_mean"),
    (r"/moving_variance$", "/running_var"),
)


def load_network(prefix: Path | str) -> tuple[Network, str]:
    """The network of a published checkpoint, and the name of the preset it is.

    Parameters
    ----------
    prefix
        The checkpoint's name without its endings, or the path of its ``.index`` or a data file.

    Returns
    -------
    network
        In eval mode, with the checkpoint's weights and statistics.
    preset
        The name in the catalogue. What shapes cannot tell (how it was trained) is the preset's.

    Raises
    ------
    FileNotFoundError
        If the index or a data file is missing.
    ValueError
        If it is no checkpoint, is cut short, or holds none of the known networks.
    """
    checkpoint = open_checkpoint(prefix)
    values = {
        variable: checkpoint.read(variable)
        for variable in checkpoint.variables
        if not _OPTIMISER.match(variable)
    }
    shapes = {variable: array.shape for variable, array in values.items()}
    name, network = _recognise(shapes, str(checkpoint.prefix))
    state = network.state_dict()
    for variable, parameter in map_variables(values).items():
        if not np.isfinite(values[variable]).all():
            msg = f"{checkpoint.prefix}: '{variable}' holds numbers that are not finite."
            raise ValueError(msg)
        state[parameter] = torch.from_numpy(arrange(variable, values[variable]))
    network.load_state_dict(state)
    return network.eval(), name


def import_model(prefix: Path | str) -> Model:
    """A published checkpoint as a model of this program, ready to restore or to be saved.

    Checkpoints do not say the pixel size they were trained at, so it stays unknown. Networks for
    super-resolution expect an image of half the magnification, as in the papers.
    """
    network, name = load_network(prefix)
    known = preset(name)
    axes = len(network.input_axes)
    enlarged = known.task == "super-resolution"
    card = ModelCard(
        name=f"{known.title} ({_without_ending(prefix).name})",
        preset=name,
        network=config_to_json(network.config),
        ratio=(PUBLISHED_RATIO if enlarged else 1.0,) * axes,
        pixel_size=(None,) * len(network.output_axes),
        normalisation=published_normalisation(name),
        note="published checkpoint",
        provenance={"imported from": _without_ending(prefix).name},
    )
    weights = {key: value.numpy() for key, value in network.state_dict().items()}
    return Model(card, weights)


def _without_ending(prefix: Path | str) -> Path:
    return Path(re.sub(r"\.(index|data-\d+-of-\d+)$", "", str(prefix)))


def map_variables(variables: Iterable[str]) -> dict[str, str]:
    """For each published variable the name of the parameter or buffer here."""
    variables = list(variables)
    projecting = any(name.startswith("projection/") for name in variables)
    return {name: _parameter_name(name, projecting) for name in variables}


def expected_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Parameters and buffers that a checkpoint must fill (not torch's own batch counters)."""
    state = network.state_dict()
    return {
        name: tuple(value.shape)
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


def arrange(variable: str, values: np.ndarray) -> np.ndarray:
    """A variable's values in the order of axes used here.

    Published kernels are (spatial..., in, out) and, transposed, (spatial..., out, in); torch has
    (out, in, spatial...) and (in, out, spatial...): for both, the last two axes go to the front,
    exchanged. Published references have an image axis of length 1 in front.
    """
    if variable.endswith("/kernel"):
        return np.ascontiguousarray(np.moveaxis(values, (-1, -2), (0, 1)))
    return values[0] if variable.endswith("/nl_library") else values


def _arranged_shape(variable: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of `arrange`'s result."""
    if variable.endswith("/kernel"):
        return (*shape[:-3:-1], *shape[:-2])
    return shape[1:] if variable.endswith("/nl_library") else shape


def _parameter_name(variable: str, projecting: bool) -> str:
    inside = projecting and not variable.startswith("projection/")
    for pattern, replacement in _MODULES:
        variable = re.sub(pattern, replacement, variable)
    return ("image." if inside else "") + variable.replace("/", ".")


def _recognise(shapes: Shapes, where: str) -> tuple[str, Network]:
    found = {
        name: _arranged_shape(variable, shapes[variable])
        for variable, name in map_variables(shapes).items()
    }
    for known in all_presets():
        config = _to_measure(known.config, shapes)
        if config is None:
            continue
        with torch.device("meta"):
            expected = expected_shapes(build(config))
        if expected == found:
            return known.name, build(config)
    msg = (
        f"{where} holds none of the known networks (it has {len(shapes)} variables, such as "
        f"'{min(shapes, default='none')}'). Published checkpoints of AEANet and GVTNet can be read."
    )
    raise ValueError(msg)


def _to_measure(config: NetworkConfig, shapes: Shapes) -> NetworkConfig | None:
    """The preset made to the checkpoint's measures; None where it cannot be."""
    measures = _measures(shapes)
    projecting = shapes.get("projection/Conv_down_0/kernel")
    if (
        measures is None
        or (config.references > 0) != (measures["references"] > 0)
        or config.is_projection != (projecting is not None)
        or len(config.output_axes) != measures["dims"]
    ):
        return None
    own: dict[str, Any] = {}
    if projecting is not None:
        own = {"projection_features": projecting[-1], "references": measures["references"]}
    try:
        return replace(config, **own).with_changes(**measures)
    except ValueError:  # measures that make no network
        return None


def _measures(shapes: Shapes) -> dict[str, Any] | None:
    """What the shapes say about any network, whatever its preset."""
    first = shapes.get("first_convolution/kernel", ())
    last = shapes.get("out_conv/kernel") or shapes.get("output_convolution/kernel") or ()
    if len(first) < 3 or len(last) < 3:
        return None
    libraries = [s for name, s in shapes.items() if name.endswith("/nl_library") and len(s) == 3]
    return {
        "dims": len(first) - 2,
        "in_channels": first[-2],
        "out_channels": last[-1],
        "features": first[-1],
        "references": libraries[0][1] if libraries else 0,
        "sigma": "out_sigma_conv/kernel" in shapes,
    }
