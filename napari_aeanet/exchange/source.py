"""The plain network of a configuration, and its source as one file without napari-aeanet."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from napari_aeanet.networks import NetworkConfig, UNetConfig, config_to_json

if TYPE_CHECKING:
    from torch import nn

# The class of each kind of network, and the modules that it is made of.
_CLASSES = {
    "unet": ("UNet", ("plain_layers", "plain_unet")),
    "projection": ("Projection", ("plain_layers", "plain_unet", "plain_projection")),
    "superres": ("SuperRes", ("plain_layers", "plain_superres")),
}
_HEAD = '''"""A network of napari-aeanet for whole images, in PyTorch alone.

The names of all parameters are those of napari-aeanet. Every axis of the input must be a multiple
of the grid of the network: reflect the image about its outermost pixels to reach it.

License: BSD-3-Clause, the napari-aeanet developers.
"""
'''


def _class_of(config: NetworkConfig) -> tuple[str, tuple[str, ...]]:
    """Return the class of a kind of network and its modules.

    Raises
    ------
    ValueError
        If networks of this kind have no plain form.
    """
    if config.kind not in _CLASSES:
        known = ", ".join(_CLASSES)
        msg = f"A network of the kind '{config.kind}' cannot be exported, only {known}."
        raise ValueError(msg)
    image = getattr(config, "image", config)
    by_probability = getattr(config, "weighting", "mean") != "mean"
    if by_probability or (
        isinstance(image, UNetConfig)
        and (image.downs or image.ups or image.bottom == "both" or image.query == "learned")
    ):
        msg = (
            "A network with operators of its own at each level, both kinds of bottom block, a "
            "learned query or a projection by probability cannot be exported."
        )
        raise ValueError(msg)
    return _CLASSES[config.kind]


def plain_network(config: NetworkConfig) -> nn.Module:
    """Return the network of a configuration for whole images, its weights zero.

    Its forward pass returns the prediction, or a tuple of it and the further outputs.
    """
    name, modules = _class_of(config)
    kind = getattr(import_module(f"napari_aeanet.exchange.{modules[-1]}"), name)
    return kind(config_to_json(config))


def architecture_of(config: NetworkConfig) -> tuple[str, str, dict[str, Any]]:
    """Return the source of a network, the class in it and the options of that class."""
    name, modules = _class_of(config)
    folder = files("napari_aeanet.exchange")
    imports: dict[str, None] = {}
    bodies = []
    for module in modules:
        text = folder.joinpath(f"{module}.py").read_text(encoding="utf-8")
        lines, last = text.splitlines(), 0
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                last = node.end_lineno or 0
                line = ast.unparse(node)
                if "napari_aeanet" not in line:
                    imports[line] = None
        bodies.append("\n".join(lines[last:]).strip("\n"))
    first = "from __future__ import annotations"
    others = [line for line in imports if line != first]
    parts = [_HEAD, first, "\n".join(others), "", "\n\n\n".join(bodies)]
    return "\n\n".join(parts) + "\n", name, {"config": config_to_json(config)}
