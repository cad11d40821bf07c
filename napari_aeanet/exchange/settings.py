"""Options and events of an export. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed


class Target(StrEnum):
    """Formats of exported models."""

    BIOIMAGEIO = "bioimageio"  # a bioimage.io package, with its description and test images
    ONNX = "onnx"  # the network alone, for onnxruntime and others
    TORCHSCRIPT = "torchscript"  # the network alone, for programs with PyTorch


ENDINGS = {Target.BIOIMAGEIO: ".zip", Target.ONNX: ".onnx", Target.TORCHSCRIPT: ".pt"}


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Options of `export_model`.

    Parameters
    ----------
    to
        Format of the file.
    image
        Image for the test and the cover of a bioimage.io package, on the pixel size of the model;
        without one, a synthetic texture.
    author
        Names of the authors of a bioimage.io package.
    license
        License of a bioimage.io package, by its SPDX name (CC-BY-4.0).
    onnx
        Add ONNX weights to a bioimage.io package.
    python
        Python with bioimageio.core, which tests a bioimage.io package; this one by default.
    """

    to: Target = Target.BIOIMAGEIO
    image: Path | None = None
    author: tuple[str, ...] = ()
    license: str = ""
    onnx: bool = True
    python: Path | None = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Exported:
    """The last event of an export.

    Parameters
    ----------
    path
        The file.
    differences
        Largest difference from this program's result, for each form of the weights, as a share of
        the largest value.
    notices
        Remarks for the user.
    """

    path: Path
    progress: Progress
    differences: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


ExportEvent = Progressed | Exported
