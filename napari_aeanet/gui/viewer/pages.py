"""Pages of a file that do not say what they are: images of their own, or planes of one volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QMessageBox

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.text import TIMES, count
from napari_aeanet.io import could_be_stack

FEWEST_PAGES = 3  # two are a pair, or two channels, rather than a volume


def are_unnamed_planes(images: Sequence[Image]) -> bool:
    """Return True for pages of a TIFF file that could be planes of one volume."""
    return len(images) >= FEWEST_PAGES and could_be_stack(images)


def ask_if_planes(images: Sequence[Image], files: int = 1) -> bool:
    """Ask if pages are planes of one volume; the answer holds for this number of files."""
    height, width = images[0].plane_shape
    pages = len(images)
    name = Path(images[0].source or images[0].name).name
    also = f" The answer is taken for all {count(files, 'file')}." if files > 1 else ""
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "AEANet: what are these pages?",
        f"{name} has {pages} pages of {height} {TIMES} {width} and does not say what they are."
        f"{also}",
    )
    separate = box.addButton(f"{pages} images", QMessageBox.ButtonRole.RejectRole)
    planes = box.addButton("Planes of one volume", QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(separate)
    box.setEscapeButton(separate)
    box.exec()
    return box.clickedButton() is planes
