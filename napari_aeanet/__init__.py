"""napari-aeanet: restore microscopy images with augmented equivariant attention networks.

The public functions are loaded when they are first used, so that importing the package costs
nothing (napari asks every plugin at its start).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC = {
    "Image": "napari_aeanet.data.images",
    "read_image": "napari_aeanet.data.files",
    "read_images": "napari_aeanet.data.files",
    "write_image": "napari_aeanet.data.files",
    "ImagePair": "napari_aeanet.data.pairs",
    "pairs_from_folders": "napari_aeanet.data.pairs",
    "load_pairs": "napari_aeanet.data.pairs",
    "save_pairs": "napari_aeanet.data.pairs",
    "Registration": "napari_aeanet.data.registration",
    "RegistrationSettings": "napari_aeanet.data.registration",
    "register": "napari_aeanet.data.registration",
    "register_all": "napari_aeanet.data.registration",
    "TrainSettings": "napari_aeanet.engine.plan",
    "train": "napari_aeanet.engine.training",
    "resume": "napari_aeanet.engine.training",
    "RestoreSettings": "napari_aeanet.engine.restoration",
    "restore": "napari_aeanet.engine.prediction",
    "relevance": "napari_aeanet.engine.relevance",
    "EvaluateSettings": "napari_aeanet.engine.evaluation",
    "evaluate": "napari_aeanet.engine.evaluation",
    "Model": "napari_aeanet.engine.bundle",
    "load_model": "napari_aeanet.engine.bundle",
    "save_model": "napari_aeanet.engine.bundle",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
