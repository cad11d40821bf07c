"""The content of a bioimage.io package: description, documentation, test images, cover.

Format 0.5.12 of bioimage.io's model description, which bioimageio.core 0.11 reads.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import imagecodecs
import numpy as np
import torch
import yaml

import napari_aeanet
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import NormalisationKind, Scaling
from napari_aeanet.core.units import LONG_NAMES
from napari_aeanet.exchange.documentation import blockwise_loss, documentation
from napari_aeanet.exchange.settings import ExportSettings
from napari_aeanet.exchange.source import architecture_of
from napari_aeanet.models import CARD_DOCUMENT, Model
from napari_aeanet.networks import Network

FORMAT = "0.5.12"
CARD, WEIGHTS, STATISTICS = "napari_aeanet.json", "weights.pt", "statistics.safetensors"
DESCRIPTION = "rdf.yaml"
# Least steps of the grid of an axis.
LEAST = 2
# Added to a standard deviation or a range of percentiles, which must not be zero.
EPSILON = 1e-12
COVER_PIXELS = 256


def package_entries(
    model: Model,
    network: Network,
    settings: ExportSettings,
    weights: Mapping[str, bytes],
    tensors: Sequence[np.ndarray],
) -> dict[str, bytes]:
    """Return the files of a package by name.

    Parameters
    ----------
    weights
        The weights in their forms: "pytorch_state_dict" and, as far as they exist, "onnx" and
        "torchscript".
    tensors
        The test image (1, C, pixels...) and the outputs for it, in intensities.
    """
    source, name, options = architecture_of(network.config)
    outputs = ("prediction", *network.extras)
    entries = {
        f"{out}.npy": _npy(one) for out, one in zip(("input", *outputs), tensors, strict=True)
    }
    entries |= {
        "architecture.py": source.encode(),
        WEIGHTS: weights["pytorch_state_dict"],
        CARD: CARD_DOCUMENT.dump(model.card),
        "README.md": documentation(model.card, network).encode(),
        "cover.png": cover(tensors[0], tensors[1]),
    }
    entries |= {f"weights.{form}": weights[form] for form in ("onnx",) if form in weights}
    if model.statistics:
        from safetensors.numpy import save

        entries[STATISTICS] = save(
            {key: np.ascontiguousarray(value) for key, value in model.statistics.items()}
        )
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in entries.items()}

    def file(file_name: str) -> dict[str, str]:
        return {"source": file_name, "sha256": digests[file_name]}

    forms: dict[str, Any] = {
        "pytorch_state_dict": file(WEIGHTS)
        | {
            "architecture": file("architecture.py") | {"callable": name, "kwargs": options},
            "pytorch_version": torch.__version__.partition("+")[0],
        }
    }
    if "onnx" in weights:
        forms["onnx"] = file("weights.onnx") | {
            "opset_version": opset(weights["onnx"]),
            "parent": "pytorch_state_dict",
        }
    attached = [CARD, STATISTICS] if STATISTICS in entries else [CARD]
    described: dict[str, Any] = {
        "format_version": FORMAT,
        "type": "model",
        "name": legal_name(model.card.name),
        "description": f"{model.card.preset}, trained with napari-aeanet. "
        f"{blockwise_loss(network)}",
        "authors": [{"name": author} for author in settings.author],
        "covers": [file("cover.png")],
        "documentation": file("README.md"),
        "attachments": [file(one) for one in attached],
        "tags": ["restoration", "microscopy", "napari-aeanet", model.card.preset],
        "inputs": [
            {
                "id": "input",
                "axes": [*_first_axes(network.config.in_channels), *_space(model, network)],
                "test_tensor": file("input.npy"),
                "data": {"type": "float32"},
                "preprocessing": _preprocessing(model, network),
            }
        ],
        "outputs": [
            {
                "id": out,
                "axes": [
                    *_first_axes(tensor.shape[1]),
                    *_space(model, network, of_output=True),
                ],
                "test_tensor": file(f"{out}.npy"),
                "data": {"type": "float32"},
                "postprocessing": _postprocessing(model, out),
            }
            for out, tensor in zip(outputs, tensors[1:], strict=True)
        ],
        "weights": forms,
        "config": {
            "bioimageio": {"reproducibility_tolerance": _tolerances(tensors[1:])},
            "napari_aeanet": {"version": napari_aeanet.__version__, "card": CARD},
        },
    }
    if settings.license:
        described["license"] = settings.license
    entries[DESCRIPTION] = yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode()
    return entries


def fixed_scaling(model: Model) -> Scaling | None:
    """Return the scaling of a model that maps a fixed range; None if each image has its own."""
    if model.card.normalisation.kind == NormalisationKind.NONE:
        return Scaling(0.0, 1.0)
    if model.card.normalisation.kind != NormalisationKind.FULL_SCALE:
        return None
    span = model.card.trained_range
    return Scaling(span.low, (span.high - span.low) or 1.0)


def normalised(model: Model, image: np.ndarray) -> np.ndarray:
    """Return an image (1, C, pixels...) in the range of the network, as this program scales it."""
    fixed = fixed_scaling(model)
    if fixed is not None:
        return fixed.apply(image)
    axes = "ZYX"[-(image.ndim - 2) :]
    channels = [
        model.card.normalisation.measure(Image(channel, axes)).apply(channel)
        for channel in image[0]
    ]
    return np.stack(channels)[None]


def in_intensities(model: Model, output: str, values: np.ndarray) -> np.ndarray:
    """Return an output of the network in intensities; those of an image with its own stay."""
    fixed = fixed_scaling(model)
    if fixed is None or output == "height":
        return values
    scaled = values * np.float32(fixed.scale)
    return scaled + np.float32(fixed.offset) if output == "prediction" else scaled


def _preprocessing(model: Model, network: Network) -> list[dict[str, Any]]:
    axes = [name.lower() for name in network.input_axes]
    rule, fixed = model.card.normalisation, fixed_scaling(model)
    if fixed is not None:
        return _linear(1 / fixed.scale, -fixed.offset / fixed.scale)
    if rule.kind == NormalisationKind.PERCENTILE:
        options = {
            "axes": axes,
            "min_percentile": rule.low,
            "max_percentile": rule.high,
            "eps": EPSILON,
        }
        return [{"id": "scale_range", "kwargs": options}]
    return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": EPSILON}}]


def _postprocessing(model: Model, output: str) -> list[dict[str, Any]]:
    fixed = fixed_scaling(model)
    if fixed is None or output == "height":
        return []
    return _linear(fixed.scale, fixed.offset if output == "prediction" else 0.0)


def _linear(gain: float, offset: float) -> list[dict[str, Any]]:
    if (gain, offset) == (1.0, 0.0):
        return []  # the format allows no step that changes nothing
    return [{"id": "scale_linear", "kwargs": {"gain": float(gain), "offset": float(offset)}}]


def _tolerances(outputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Return how far the outputs may differ on other computers."""
    largest = max(float(np.abs(one).max()) for one in outputs)
    return [
        {
            "relative_tolerance": 1e-3,
            "absolute_tolerance": min(0.5, 1e-4 * max(1.0, largest)),
            "mismatched_elements_per_million": 1000,
        }
    ]


def _first_axes(channels: int) -> list[dict[str, Any]]:
    names = [f"channel{k}" for k in range(channels)]
    return [{"type": "batch", "size": 1}, {"type": "channel", "channel_names": names}]


def _space(model: Model, network: Network, *, of_output: bool = False) -> list[dict[str, Any]]:
    """Return the spatial axes with their sizes and, where it is known, the pixel size."""
    sizes = dict(zip(network.input_axes[::-1], model.card.pixel_size[::-1], strict=False))
    unit = LONG_NAMES.get(model.card.unit or "")
    found = []
    for axis in network.output_axes if of_output else network.input_axes:
        grid = network.grid[network.input_axes.index(axis)]
        described: dict[str, Any] = {"type": "space", "id": axis.lower()}
        if of_output:
            described["size"] = {"tensor_id": "input", "axis_id": axis.lower()}
        else:
            described["size"] = {"min": LEAST * grid, "step": grid}
        if unit is not None and (size := sizes.get(axis)) is not None:
            described |= {"scale": float(size), "unit": unit}
        found.append(described)
    return found


def cover(before: np.ndarray, after: np.ndarray) -> bytes:
    """Return a PNG of the middle plane before and, beside it, after."""
    planes = [
        one[0, 0, one.shape[2] // 2] if one.ndim == 5 else one[0, 0] for one in (before, after)
    ]
    side = min(COVER_PIXELS, *planes[0].shape)
    shown = []
    for plane in planes:
        low, high = np.percentile(plane, (0.5, 99.5))
        grey = np.clip((plane[:side, :side] - low) / max(high - low, 1e-30), 0, 1) * 255
        index = np.arange(COVER_PIXELS) * side // COVER_PIXELS
        shown.append(grey[np.ix_(index, index)].astype(np.uint8))
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(np.hstack(shown))))


def legal_name(name: str) -> str:
    """Return a name of letters, digits and few other characters, as the format wants it."""
    plain = re.sub(r"[^A-Za-z0-9_+\- ()]+", " ", name).strip()[:100]
    return plain if len(plain) >= 5 else f"napari-aeanet {plain}".strip()


def opset(content: bytes) -> int:
    """Return the version of the operators of an ONNX graph."""
    import onnx

    found = onnx.load_model_from_string(content).opset_import
    return next(one.version for one in found if one.domain in ("", "ai.onnx"))


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
    return buffer.getvalue()
