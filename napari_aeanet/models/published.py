"""Published TensorFlow checkpoints of AEANet and GVTNet, as networks of this package.

A checkpoint holds named variables and no description, so the network is recognised. The shapes of
the variables give dimensions, base features and references. The result is the first preset of this
size whose parameters and buffers correspond one to one to the variables.
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
from napari_aeanet.models.tensorflow_checkpoint import open_checkpoint, without_ending
from napari_aeanet.networks import (
    Network,
    NetworkConfig,
    build,
    config_to_json,
)

Shapes = Mapping[str, tuple[int, ...]]

# Low and high magnification of the published super-resolution pairs are 1 : 2.
PUBLISHED_RATIO = 2.0

# Variables beside the network: Adam's moments and powers, the step counter.
_OPTIMISER = re.compile(r"(.*/Adam(_1)?|(.*/)?beta[12]_power|global_step)$")

# Substitutions, in this order, from published names to names of modules here.
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
    """Return the network of a published checkpoint, and the name of its preset.

    Parameters
    ----------
    prefix
        The checkpoint's name without its endings, or the path of its ``.index`` or a data file.

    Returns
    -------
    network
        The network in eval mode, with the weights and statistics of the checkpoint.
    preset
        Name of the preset. All that shapes do not show, such as the training, is that of the
        preset.

    Raises
    ------
    FileNotFoundError
        If the index or a data file is missing.
    ValueError
        If it is not a checkpoint, is truncated, or holds none of the known networks.
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
    """Return a published checkpoint as a model, ready to restore or to be saved.

    The pixel size of the training is not in the checkpoint and stays unknown. Networks for
    super-resolution expect an image of half the magnification, as in the papers.
    """
    network, name = load_network(prefix)
    published, file_name = preset(name), without_ending(Path(prefix)).name
    ratio = PUBLISHED_RATIO if published.task == "super-resolution" else 1.0
    card = ModelCard(
        name=f"{published.title} ({file_name})",
        preset=name,
        network=config_to_json(network.config),
        ratio=(ratio,) * len(network.input_axes),
        pixel_size=(None,) * len(network.output_axes),
        normalisation=published_normalisation(name),
        note="published checkpoint",
        provenance={"imported from": file_name},
    )
    weights = {key: value.numpy() for key, value in network.state_dict().items()}
    return Model(card, weights)


def map_variables(variables: Iterable[str]) -> dict[str, str]:
    """Return for each published variable the name of the parameter or buffer here."""
    variables = list(variables)
    has_image = any(name.startswith("projection/") for name in variables)
    return {name: _parameter_name(name, has_image) for name in variables}


def expected_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters and buffers except torch's batch counters."""
    return {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def arrange(variable: str, values: np.ndarray) -> np.ndarray:
    """Return a variable's values in the order of axes used here.

    Published kernels are (spatial..., in, out) and, transposed, (spatial..., out, in); torch has
    (out, in, spatial...) and (in, out, spatial...). For both, the last two axes move to the front
    in reverse order. Published references have an image axis of length 1 in front.
    """
    if variable.endswith("/kernel"):
        return np.ascontiguousarray(np.moveaxis(values, (-1, -2), (0, 1)))
    return values[0] if variable.endswith("/nl_library") else values


def _arranged_shape(variable: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the result of `arrange`."""
    if variable.endswith("/kernel"):
        return (*shape[:-3:-1], *shape[:-2])
    return shape[1:] if variable.endswith("/nl_library") else shape


def _parameter_name(variable: str, has_image: bool) -> str:
    prefix = "image." if has_image and not variable.startswith("projection/") else ""
    for pattern, replacement in _MODULES:
        variable = re.sub(pattern, replacement, variable)
    return prefix + variable.replace("/", ".")


def _recognise(shapes: Shapes, where: str) -> tuple[str, Network]:
    """Return the name of the preset, and its network with new weights."""
    found = {
        name: _arranged_shape(variable, shapes[variable])
        for variable, name in map_variables(shapes).items()
    }
    for candidate in all_presets():
        config = _resized(candidate.config, shapes)
        if config is None:
            continue
        with torch.device("meta"):
            expected = expected_shapes(build(config))
        if expected == found:
            return candidate.name, build(config)
    msg = (
        f"{where} holds none of the known networks (it has {len(shapes)} variables, such as "
        f"'{min(shapes, default='none')}'). Published checkpoints of AEANet and GVTNet can be read."
    )
    raise ValueError(msg)


def _resized(config: NetworkConfig, shapes: Shapes) -> NetworkConfig | None:
    """Return the configuration with the sizes of the checkpoint, or None if they do not fit."""
    sizes = _sizes(shapes)
    projecting = shapes.get("projection/Conv_down_0/kernel")
    if (
        sizes is None
        or (config.references > 0) != (sizes["references"] > 0)
        or config.is_projection != (projecting is not None)
        or len(config.output_axes) != sizes["dims"]
    ):
        return None
    own: dict[str, Any] = {}
    if projecting is not None:
        own = {"projection_features": projecting[-1], "references": sizes["references"]}
    try:
        return replace(config, **own).with_changes(**sizes)
    except ValueError:  # sizes that make no network
        return None


def _sizes(shapes: Shapes) -> dict[str, Any] | None:
    """Return the settings that the shapes determine, whatever the preset."""
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
