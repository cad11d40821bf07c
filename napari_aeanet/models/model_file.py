"""A trained model on disk: one `*.aeanet` file that can be read without running code from it.

The file is a zip archive whose entries are stored uncompressed (so that no entry can be larger
than the file itself):

    model.json            the card: what the model is, was trained on and how it is to be used
    weights.safetensors   parameters and buffers of the network
    statistics.safetensors  (optional) statistics of the training features
    checksums.json        SHA-256 of every other entry

Nothing here needs torch except `Model.network`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.intensity import Normalisation, NormalisationKind

if TYPE_CHECKING:
    from napari_aeanet.networks import Network

SUFFIX = ".aeanet"
FORMAT = 1
CARD, WEIGHTS, STATISTICS, CHECKSUMS = (
    "model.json",
    "weights.safetensors",
    "statistics.safetensors",
    "checksums.json",
)
# Far above any card; keeps a hostile file from filling the memory with JSON.
LARGEST_CARD = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known about a model.

    Parameters
    ----------
    name
        A short name for menus.
    preset
        The catalogue's name of the network and recipe.
    network
        The network's configuration, as JSON.
    ratio
        How many pixels of the model's grid go into one source pixel, per spatial axis.
    pixel_size, unit
        Pixel size of the *target* grid it was trained at (None where unknown).
    normalisation
        How source intensities are brought to the network's range.
    context
        Field over which the attention context is gathered: pixels, or None for the whole image.
    context_gains
        Gain in dB for each field that was tried ("256", "512", "whole"), on kept-out data.
    gain
        Better than the input by: {"psnr": dB, "ssim": ...} on kept-out data; empty if unknown.
    note
        A remark that belongs beside the name ("for the samples only").
    pixel_names
        Names that the user gave to abstract pixels, by their number.
    provenance
        Pairs, split, settings, versions, seed, device, curves.
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
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """A card with the weights that belong to it."""

    card: ModelCard
    weights: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    path: Path | None = None

    def network(self) -> Network:
        """The network in evaluation mode, in float32 on the CPU."""
        import torch

        from napari_aeanet import networks

        network = networks.build(networks.config_from_json(dict(self.card.network)))
        state = {}
        for name, array in self.weights.items():
            # torch cannot wrap read-only memory; copying makes the weights the network's own.
            tensor = torch.from_numpy(np.array(array))
            state[name] = tensor.float() if tensor.is_floating_point() else tensor
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            msg = f"{self._where}: its weights do not fit its network description ({error})."
            raise ValueError(msg) from error
        return network.eval()

    @property
    def _where(self) -> str:
        return self.path.name if self.path else self.card.name


def save_model(model: Model, path: Path, *, half: bool = False) -> None:
    """Write a bundle, whole or not at all. `half` stores the weights in 16 bit."""
    from safetensors.numpy import save

    weights = {
        name: np.ascontiguousarray(_halved(array) if half else array)
        for name, array in model.weights.items()
    }
    entries = {CARD: _card_to_json(model.card), WEIGHTS: save(weights)}
    if model.statistics:
        entries[STATISTICS] = save(
            {k: np.ascontiguousarray(v) for k, v in model.statistics.items()}
        )
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()}
    entries[CHECKSUMS] = json.dumps(sums, indent=1).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in entries.items():
            # A fixed date: the same model gives the same file.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)


def load_model(path: Path) -> Model:
    """Read a bundle; a file that is damaged, foreign or too new is refused with the reason."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    entries = _read_entries(path, wanted=(CARD, WEIGHTS, STATISTICS))
    card = _card_from_json(entries[CARD], path)
    try:
        weights = load(entries[WEIGHTS])
        statistics = load(entries[STATISTICS]) if STATISTICS in entries else {}
    except SafetensorError as error:
        msg = f"{path.name}: the weights are damaged ({error}). Get the file again."
        raise ValueError(msg) from error
    return Model(card, weights, statistics, path)


def read_card(path: Path) -> ModelCard:
    """Only the card: cheap, for lists and choosers."""
    path = Path(path)
    return _card_from_json(_read_entries(path, wanted=(CARD,))[CARD], path)


def rename_pixel(path: Path, pixel: int, name: str) -> ModelCard:
    """Give abstract pixel `pixel` a name, kept in the bundle; an empty name takes it away."""
    model = load_model(path)
    names = {k: v for k, v in model.card.pixel_names.items() if k != str(pixel)}
    if name.strip():
        names[str(pixel)] = name.strip()
    card = replace(model.card, pixel_names=names)
    save_model(replace(model, card=card), path)
    return card


def _read_entries(path: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model file.")
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_foreign(archive, path)
            names = [n for n in (*wanted, CHECKSUMS) if n in archive.namelist()]
            entries = {name: archive.read(name) for name in names}
        sums = json.loads(entries.pop(CHECKSUMS))
    except (zipfile.BadZipFile, json.JSONDecodeError, EOFError) as error:
        msg = f"{path.name}: not a model file, or cut short ({error}). Get the file again."
        raise ValueError(msg) from error
    for name, data in entries.items():
        if hashlib.sha256(data).hexdigest() != sums.get(name):
            raise ValueError(f"{path.name}: {name} is damaged (checksum). Get the file again.")
    return entries


def _refuse_foreign(archive: zipfile.ZipFile, path: Path) -> None:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    known = {CARD, WEIGHTS, STATISTICS, CHECKSUMS}
    if not {CARD, WEIGHTS, CHECKSUMS} <= set(names):
        raise ValueError(f"{path.name}: not a napari-aeanet model (no {CARD} with weights in it).")
    if set(names) - known or len(names) != len(set(names)):
        msg = f"{path.name}: holds entries that no model has; it is not opened."
        raise ValueError(msg)
    for info in infos:
        too_large = info.filename in (CARD, CHECKSUMS) and info.file_size > LARGEST_CARD
        if info.compress_type != zipfile.ZIP_STORED or too_large:
            msg = f"{path.name}: {info.filename} is packed in a way that no model is; not opened."
            raise ValueError(msg)


def _card_to_json(card: ModelCard) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(card)}, indent=1, allow_nan=False).encode()


def _card_from_json(data: bytes, path: Path) -> ModelCard:
    try:
        values = json.loads(data)
        version = int(values.pop("format"))
        if version > FORMAT:
            msg = (
                f"{path.name}: written by a newer napari-aeanet (format {version}, this one reads "
                f"up to {FORMAT}). Update napari-aeanet."
            )
            raise ValueError(msg)
        normalisation = values.pop("normalisation")
        kind = NormalisationKind(normalisation.pop("kind"))
        for name in ("ratio", "pixel_size"):
            values[name] = tuple(values[name])
        known = {f.name for f in fields(ModelCard)}
        return ModelCard(
            normalisation=Normalisation(kind=kind, **normalisation),
            **{k: v for k, v in values.items() if k in known},
        )
    except (KeyError, TypeError, json.JSONDecodeError, AttributeError) as error:
        msg = f"{path.name}: its description cannot be read ({error}). Get the file again."
        raise ValueError(msg) from error


def _halved(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16) if array.dtype == np.float32 else array
