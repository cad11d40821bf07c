"""Models from bioimage.io packages that this program wrote, also after training elsewhere."""

from __future__ import annotations

import io
import zipfile
from math import prod
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.exchange.package import CARD, STATISTICS, WEIGHTS
from napari_aeanet.models import CARD_DOCUMENT, Model, ModelCard
from napari_aeanet.networks import weight_shapes

KIND, REMEDY = "bioimage.io package", "get the file again"
LARGEST_CARD = 64 * 2**20
# Bytes of a weight at most, and of the rest of a file of weights.
BYTES_PER_WEIGHT, REST = 8, 16 * 2**20


def import_package(path: str | Path) -> Model:
    """Return the model in a bioimage.io package that `export_model` wrote.

    The weights are read as a state dict of PyTorch (tensors only), so that those of a training
    elsewhere are taken too. No code of the package is run.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is damaged, or a package of another program.
    """
    path = as_path("path", path)
    with in_one_sentence(path, KIND, REMEDY):
        return _read(path)


def _read(path: Path) -> Model:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if not {CARD, WEIGHTS} <= set(sizes):
            msg = f"{path.name}: not a package of napari-aeanet (no {CARD} with {WEIGHTS} in it)."
            raise ValueError(msg)
        if sizes[CARD] > LARGEST_CARD:
            raise ValueError(f"{path.name}: not opened, since {CARD} is too large.")
        card: ModelCard = CARD_DOCUMENT.load(archive.read(CARD), path.name)
        try:
            shapes = weight_shapes(card.config)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error
        most = BYTES_PER_WEIGHT * sum(map(prod, shapes.values())) + REST
        if sizes[WEIGHTS] > most or sizes.get(STATISTICS, 0) > LARGEST_CARD:
            raise ValueError(f"{path.name}: not opened, since its weights are too large.")
        weights = _weights(archive.read(WEIGHTS), path)
        statistics = {}
        if STATISTICS in sizes:
            from safetensors.numpy import load

            statistics = load(archive.read(STATISTICS))
    model = Model(card, weights, statistics, path)
    model.network()  # raises an error unless the weights fit
    return model


def _weights(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict."""
    import torch

    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise ValueError(f"{path.name}: {WEIGHTS} holds something else than weights.")
    found = {
        name: (value.float() if value.is_floating_point() else value).numpy()
        for name, value in state.items()
    }
    for name, values in found.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{path.name}: '{name}' holds numbers that are not finite.")
    return found
