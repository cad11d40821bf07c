"""`python -m napari_aeanet.doctor.probe NAME`: one part of a check, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any


def torch_build() -> dict[str, Any]:
    """Return the build of PyTorch, and the cards that it can compute on."""
    import warnings

    import torch

    trouble = ""
    devices = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    if usable:
        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        try:
            torch.ones(8, device="cuda").sum().item()
        except RuntimeError as error:  # no code for this card in the build
            trouble = str(error).strip().splitlines()[0]
    elif caught:
        trouble = str(caught[0].message).strip().splitlines()[0]
    mps = torch.backends.mps
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda or "",
        "devices": devices,
        "trouble": trouble,
        "mps": "" if not mps.is_built() else "usable" if mps.is_available() else "unusable",
        "threads": torch.get_num_threads(),
    }


def qt_binding() -> dict[str, Any]:
    """Return the Qt binding that napari would use."""
    # By name, since only the docks may import it.
    qtpy = import_module("qtpy")
    import_module("qtpy.QtWidgets")  # the part that needs system libraries
    return {"binding": qtpy.API_NAME, "version": qtpy.QT_VERSION}


def self_test(device: str) -> dict[str, Any]:
    """Return the result of the self-test."""
    from napari_aeanet.doctor.self_test import run_self_test

    return asdict(run_self_test(device))


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "torch": torch_build,
    "qt": qt_binding,
    "self-test": self_test,
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps(PROBES[name](*arguments)) + "\n")
