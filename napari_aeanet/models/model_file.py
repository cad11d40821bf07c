"""Trained models on disk: `*.aeanet` files, read without running code from them.

A model file is a zip archive of uncompressed entries, so that no entry is larger than the file:

    model.json            the card: description, training and use of the model
    weights.safetensors   parameters and buffers of the network
    statistics.safetensors  (optional) statistics of the training features, kinds of structure
    checksums.json        SHA-256 of every other entry

Nothing here needs torch except `Model.network`.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.intensity import Normalisation
from napari_aeanet.core.intensity_range import EIGHT_BIT, TrainedRange
from napari_aeanet.core.schema import Document, parse_json
from napari_aeanet.models.builtin import find_model
from napari_aeanet.networks import NetworkConfig, config_from_json

if TYPE_CHECKING:
    from napari_aeanet.networks import Network

CARD, WEIGHTS, STATISTICS, CHECKSUMS = (
    "model.json",
    "weights.safetensors",
    "statistics.safetensors",
    "checksums.json",
)
# Far above any card; prevents a hostile file from filling the memory with JSON.
LARGEST_CARD = 64 * 2**20
# Pixels of the model's grid per source pixel; far above any training.
LARGEST_RATIO = 64
KIND, REMEDY = "model file", "get the file again"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Description of a model.

    Parameters
    ----------
    name
        Short name for menus.
    preset
        Name of the preset of network and recipe.
    network
        Configuration of the network, as JSON.
    ratio
        Pixels of the model's grid per source pixel, along each spatial axis.
    pixel_size, unit
        Pixel size of the *target* grid in training; None if unknown.
    normalisation
        Mapping of source intensities to the range of the network.
    context
        Field over which the attention context is gathered: pixels, or None for the whole image.
    context_gains
        Gain in dB for each tested field ("256", "512", "whole"), on kept-out data.
    gain
        Improvement over the input on kept-out data, {"psnr": dB, "ssim": ...}; empty if unknown.
    note
        Remark shown beside the name ("for the samples only").
    pixel_names
        Names given by the user to abstract pixels, by number.
    structures
        Number of kinds of structure in the file.
    structure_names
        Names given by the user to kinds of structure, by number.
    structure_spacing
        Largest distance of the places that have a kind of structure, in pixels of the model's grid;
        0 if they are the places of the network's bottom.
    taught
        Names of the kinds that the user taught the model.
    provenance
        Pairs, split, settings, versions, seed, device, curves.
    source_range, target_range
        Intensities that were mapped to 0 and 1 in the training by full scale; None if unknown, or
        with another normalisation.
    """

    name: str
    preset: str
    network: Mapping[str, Any]
    ratio: tuple[float, ...] = (1.0, 1.0)
    pixel_size: tuple[float | None, ...] = (None, None)
    unit: str | None = None
    normalisation: Normalisation = field(default_factory=Normalisation)
    context: int | None = None
    context_gains: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    pixel_names: Mapping[str, str] = field(default_factory=dict)
    structures: int = 0
    structure_names: Mapping[str, str] = field(default_factory=dict)
    structure_spacing: int = 0
    taught: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    source_range: TrainedRange | None = None
    target_range: TrainedRange | None = None

    def __post_init__(self) -> None:
        if not all(1 / LARGEST_RATIO <= one <= LARGEST_RATIO for one in self.ratio):
            msg = f"ratio must be from 1/{LARGEST_RATIO} to {LARGEST_RATIO}, got {self.ratio}."
            raise ValueError(msg)
        if not all(one is None or 0 < one < math.inf for one in self.pixel_size):
            raise ValueError(f"pixel_size must be positive, got {self.pixel_size}.")
        if self.context is not None and self.context < 1:
            raise ValueError(f"context must be at least 1 pixel, got {self.context}.")

    @property
    def trained_range(self) -> TrainedRange:
        """The range of the sources of the training; models that do not state it had 8 bits."""
        return self.source_range or EIGHT_BIT

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remark on a model that restores no better than its input, as far as that is known."""
        gain = self.gain.get("psnr", 1.0)
        if round(gain, 1) > 0:
            return ()
        is_worse = round(gain, 1) < 0
        than_input = (
            f"worse than its input by {-gain:.1f} dB" if is_worse else "no better than its input"
        )
        text = (
            f"In its training, the result of {self.name} was {than_input}: train another model "
            "before you rely on it."
        )
        return (text,)

    @property
    def config(self) -> NetworkConfig:
        """The configuration of the network."""
        return config_from_json(self.network)


CARD_DOCUMENT = Document(kind=ModelCard, title="napari-aeanet model", version=1)


@dataclass(frozen=True, eq=False)
class Model:
    """A card with its weights."""

    card: ModelCard
    weights: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    path: Path | None = None

    def network(self) -> Network:
        """Return the network in evaluation mode, in float32 on the CPU."""
        import torch

        from napari_aeanet.networks import build, weight_shapes

        if misfit := _misfit(weight_shapes(self.card.config), self.weights):
            where = self.path.name if self.path else self.card.name
            msg = f"{where}: its weights do not fit its network ({misfit}). Get the file again."
            raise ValueError(msg)
        network = build(self.card.config)
        state = {}
        for name, array in self.weights.items():
            # torch cannot wrap read-only memory, hence the copy.
            tensor = torch.from_numpy(np.array(array))
            state[name] = tensor.float() if tensor.is_floating_point() else tensor
        network.load_state_dict(state)
        return network.eval()


def _misfit(expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, np.ndarray]) -> str:
    """Return the first difference between the weights of a network and those there are."""
    for name, shape in expected.items():
        if name not in weights:
            return f"'{name}' is missing"
        # A single number is stored as an array of one.
        if weights[name].shape != shape and weights[name].shape != (shape or (1,)):
            return f"'{name}' has shape {weights[name].shape}, expected {shape}"
    return next((f"'{name}' is none of its" for name in weights if name not in expected), "")


def save_model(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write a model file, whole or not at all. `half` stores float32 weights in 16 bit.

    Those that are too large for 16 bit, such as variances of long trainings, stay as they are.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    from safetensors.numpy import save

    check_type("model", model, Model)
    path = as_path("path", path)
    weights = dict(model.weights)
    _check_finite(weights, path.name)
    if half:
        largest = np.finfo(np.float16).max
        weights = {
            name: array.astype(np.float16)
            if array.dtype == np.float32 and np.abs(array).max(initial=0) <= largest
            else array
            for name, array in weights.items()
        }
    entries = {CARD: CARD_DOCUMENT.dump(model.card)}
    for name, arrays in ((WEIGHTS, weights), (STATISTICS, model.statistics)):
        if arrays or name == WEIGHTS:
            entries[name] = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()}
    entries[CHECKSUMS] = json.dumps(sums, indent=1).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in entries.items():
            # With a fixed date, the same model gives the same file.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)


def load_model(path: str | Path) -> Model:
    """Read a model file; "demo" is the one that comes with the program, for the samples.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is damaged, not a model, or of a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = find_model(as_path("path", path))
    with in_one_sentence(path, KIND, REMEDY):
        entries = _read_entries(path, wanted=(CARD, WEIGHTS, STATISTICS))
        card = _card_in(entries, path)
        try:
            weights = load(entries[WEIGHTS])
            statistics = load(entries[STATISTICS]) if STATISTICS in entries else {}
        except SafetensorError as error:
            msg = f"{path.name}: the weights are damaged ({error}). Get the file again."
            raise ValueError(msg) from error
        _check_finite(weights | statistics, path.name)
    return Model(card, weights, statistics, path)


def _check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Refuse weights with NaN or infinity, which would give an image without a number in it."""
    for name, values in arrays.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            msg = f"{where}: '{name}' holds numbers that are not finite. Get or train it again."
            raise ValueError(msg)


def read_card(path: Path) -> ModelCard:
    """Return the card alone, which is fast."""
    path = find_model(Path(path))
    with in_one_sentence(path, KIND, REMEDY):
        return _card_in(_read_entries(path, wanted=(CARD,)), path)


def _card_in(entries: Mapping[str, bytes], path: Path) -> ModelCard:
    """Return the card among the entries of a file; its network is one that can be built."""
    card = CARD_DOCUMENT.load(entries[CARD], path.name)
    try:
        assert card.config
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return card


def rename_pixel(path: Path, pixel: int, name: str) -> ModelCard:
    """Store a name of abstract pixel `pixel` in a model file; an empty name removes it."""
    model = load_model(path)
    names = _renamed(model.card.pixel_names, pixel, name)
    return _save_card(model, replace(model.card, pixel_names=names), path)


def rename_structure(path: Path, kind: int, name: str) -> ModelCard:
    """Store a name of structure `kind` in a model file; an empty name gives back the first one."""
    model = load_model(path)
    names = _renamed(model.card.structure_names, kind, name)
    return _save_card(model, replace(model.card, structure_names=names), path)


def _renamed(names: Mapping[str, str], number: int, name: str) -> dict[str, str]:
    others = {k: v for k, v in names.items() if k != str(number)}
    return others | ({str(number): name.strip()} if name.strip() else {})


def _save_card(model: Model, card: ModelCard, path: Path) -> ModelCard:
    save_model(replace(model, card=card), path)
    return card


def _read_entries(path: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_foreign(archive, path)
            names = [n for n in (*wanted, CHECKSUMS) if n in archive.namelist()]
            entries = {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, EOFError) as error:
        said = str(error)[:80]
        msg = f"{path.name}: not a model file, or truncated ({said}). Get the file again."
        raise ValueError(msg) from error
    sums = parse_json(entries.pop(CHECKSUMS), f"{path.name}: {CHECKSUMS}")
    for name, data in entries.items():
        if not isinstance(sums, dict) or hashlib.sha256(data).hexdigest() != sums.get(name):
            raise ValueError(f"{path.name}: {name} is damaged (checksum). Get the file again.")
    return entries


def _refuse_foreign(archive: zipfile.ZipFile, path: Path) -> None:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    known = {CARD, WEIGHTS, STATISTICS, CHECKSUMS}
    if not {CARD, WEIGHTS, CHECKSUMS} <= set(names):
        raise ValueError(f"{path.name}: not a napari-aeanet model (no {CARD} with weights in it).")
    if set(names) - known or len(names) != len(set(names)):
        msg = f"{path.name}: not opened, since it has entries that no model file has."
        raise ValueError(msg)
    for info in infos:
        too_large = info.filename in (CARD, CHECKSUMS) and info.file_size > LARGEST_CARD
        if info.compress_type != zipfile.ZIP_STORED or too_large:
            msg = f"{path.name}: not opened, since {info.filename} is compressed or too large."
            raise ValueError(msg)
