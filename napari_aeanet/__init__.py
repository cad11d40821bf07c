"""napari-aeanet: restore microscopy images with augmented equivariant attention networks.

The public functions are loaded when they are first used, so that importing the package costs
nothing (napari asks every plugin at its start).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC = {
    "Image": "napari_aeanet.core.image",
    "read_image": "napari_aeanet.io.files",
    "read_images": "napari_aeanet.io.files",
    "write_image": "napari_aeanet.io.files",
    "ImagePair": "napari_aeanet.pairs.pair",
    "pairs_from_folders": "napari_aeanet.pairs.sources",
    "load_pairs": "napari_aeanet.pairs.pair_list",
    "save_pairs": "napari_aeanet.pairs.pair_list",
    "RegistrationSettings": "napari_aeanet.registration.plane",
    "Registration": "napari_aeanet.registration.result",
    "register": "napari_aeanet.registration.run",
    "register_all_events": "napari_aeanet.pairs.run",
    "TrainSettings": "napari_aeanet.training.settings",
    "train_events": "napari_aeanet.training.run",
    "resume_events": "napari_aeanet.training.run",
    "RestoreSettings": "napari_aeanet.restoration.settings",
    "restore_events": "napari_aeanet.restoration.run",
    "relevance_events": "napari_aeanet.relevance.run",
    "EvaluateSettings": "napari_aeanet.evaluation.run",
    "evaluate_events": "napari_aeanet.evaluation.run",
    "Model": "napari_aeanet.models.model_file",
    "load_model": "napari_aeanet.models.model_file",
    "save_model": "napari_aeanet.models.model_file",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
