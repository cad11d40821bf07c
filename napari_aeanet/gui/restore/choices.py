"""Choices of the Restore dock: context, number type and destination of the results."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QSpinBox, QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.preferences import device, output_folder
from napari_aeanet.gui.common.widgets import (
    Collapsible,
    button,
    chooser,
    form,
    label,
    make_column,
    named,
    row,
    short,
)
from napari_aeanet.gui.restore.intensity_choice import IntensityChoice
from napari_aeanet.gui.restore.worker import free_path
from napari_aeanet.gui.restore.workers import WorkersChoice
from napari_aeanet.gui.viewer.image_list import ImageList
from napari_aeanet.io import stem
from napari_aeanet.models import ModelCard
from napari_aeanet.restoration import STREAMED, Output, RestoreSettings, Use

PATCH_SIZES = ("64", "128", "256", "512", "1024")
DEVICES = ("auto", "cpu", "cuda", "mps")
ENDING = ".ome.tif"
# Settings with controls of their own, or answered elsewhere in the dock.
SHOWN = (
    "use",
    "patch_size",
    "patch_depth",
    "margin",
    "output",
    "resample",
    "force",
    "height",
    "range",
    "compression",
)


class SaveLocation(StrEnum):
    """Destination of a result besides the viewer."""

    NOT = "no, only show it"
    BESIDE = "beside the image"
    ASK = "in a folder I choose …"
    STREAM = "as OME-Zarr in a folder I choose …"


class RestoreChoices(QWidget):
    """The choices, with rarely needed ones under More settings.

    Attributes
    ----------
    changed
        Emitted when the result or its cost changes.
    place_changed
        Emitted when the destination changes.
    """

    changed = Signal()
    place_changed = Signal()

    def __init__(self, compare: Callable[[], None]) -> None:
        super().__init__()
        self.use = chooser(
            "restore_use",
            "Whole image: exact, in tiles. Patches: each patch by itself, as in the papers",
        )
        self.use.addItems([str(use) for use in Use])
        self.use.currentIndexChanged.connect(self._show_patch_choices)
        self.compare = button(
            "Compare sizes on this view",
            "restore_compare",
            "Restore the visible part in patches of several sizes and as a whole, and show the "
            "results side by side, to see if the patch size matters for this image",
            compare,
        )
        self.patch_size = chooser("restore_patch_size", "Edge of a patch in pixels of the result")
        self.patch_size.addItems(PATCH_SIZES)
        self.patch_size.setCurrentText(str(RestoreSettings().patch_size))
        self.depth_box = _whole_number(
            "restore_patch_depth", "Planes of a patch; 0 takes all planes at once", 0
        )
        self.depth_box.setSpecialValueText("all")
        self.margin = _whole_number(
            "restore_margin",
            "Rim of every patch that is discarded, in pixels",
            RestoreSettings().margin,
        )
        self.planes = QWidget()
        self.planes.setLayout(row(short("planes"), self.depth_box))
        self.patches = QWidget()
        sizes = row(self.patch_size, short("margin"), self.margin, stretch=0)
        make_column(self.patches, sizes, self.planes)
        self.intensities = IntensityChoice()
        self.output = chooser("restore_output", "Number type of the result")
        self.output.addItems([str(output) for output in Output])
        self.height_box = QCheckBox("Also the height map")
        named(
            self.height_box,
            "restore_height",
            "Add a second layer with the plane of the stack that each pixel was taken from",
        )
        self.save = chooser(
            "restore_save",
            "Also save the result as a calibrated OME-TIFF. OME-Zarr is for large results: it is "
            "written during the restoration and never held in memory",
        )
        self.save.addItems([str(save) for save in SaveLocation])
        self.save.setCurrentText(SaveLocation.BESIDE)
        self.save.currentIndexChanged.connect(lambda _: self.place_changed.emit())
        self._form = form(
            ("Use", self.use),
            ("Patches", self.patches),
            ("", self.compare),
            ("Intensity", self.intensities),
            ("Output", self.output),
            ("", self.height_box),
            ("Save", self.save),
        )
        self.more = SettingsForm(
            RestoreSettings(device=device()),
            hidden=SHOWN,
            choices={"device": DEVICES},
            automatic=("tile", "memory"),
        )
        self.estimate_line = label(role="hint", name="restore_estimate")
        self.workers = WorkersChoice()
        self.workers.changed.connect(self.place_changed.emit)
        rarely = QWidget()
        make_column(rarely, self.more.native, self.workers)
        more = Collapsible("More settings", "restore_more", rarely)
        make_column(self, self._form, more, self.estimate_line, spacing=-1)
        self.estimate_line.hide()
        for box in (self.use, self.patch_size, self.output):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.intensities.changed.connect(self.changed.emit)
        self.height_box.toggled.connect(lambda _: self.changed.emit())
        for number in (self.margin, self.depth_box):
            number.valueChanged.connect(lambda _: self.changed.emit())
        self._show_patch_choices()
        self.show_height(False)

    def settings(self, **answers: Any) -> RestoreSettings:
        """Return the settings, with `answers` about the pixel size."""
        return self.more.value(
            use=Use(self.use.currentText()),
            patch_size=int(self.patch_size.currentText()),
            patch_depth=self.depth_box.value(),
            margin=self.margin.value(),
            output=Output(self.output.currentText()),
            range=self.intensities.value,
            height=self._gives_height and self.height_box.isChecked(),
            **answers,
        )

    def show_planes(self, has_planes: bool) -> None:
        """Offer the depth of patches for images with planes."""
        self.planes.setVisible(has_planes)

    def show_intensities(
        self, card: ModelCard | None, images: ImageList, in_background: Callable[..., None]
    ) -> None:
        """Show the range of the ticked images, if the model needs one."""
        ticked = images.ticked
        self.intensities.show_for(card, ticked, [*map(images.revision, ticked)], in_background)
        self._form.setRowVisible(self.intensities, self.intensities.is_needed)

    def show_height(self, gives_height: bool) -> None:
        """Offer the height map if the model computes one."""
        self._gives_height = gives_height
        self._form.setRowVisible(self.height_box, gives_height)

    def problem(self, images: int) -> str:
        """Return why so many images cannot be restored as chosen; empty if they can."""
        is_streamed = self.save.currentText() == SaveLocation.STREAM
        return self.intensities.problem or self.workers.problem(images, is_streamed=is_streamed)

    @property
    def asks_for_folder(self) -> bool:
        """True if the user chooses the folder of the results at every start."""
        return self.save.currentText() in (SaveLocation.ASK, SaveLocation.STREAM)

    @property
    def keeps_in_memory_only(self) -> bool:
        return self.save.currentText() == SaveLocation.NOT

    def ask_folder(self) -> Path | None:
        chosen = QFileDialog.getExistingDirectory(self, "Save results in", str(output_folder()))
        return Path(chosen) if chosen else None

    def target(self, image: Image, folder: Path | None) -> Path | None:
        """Return a new file for a result: beside its image, or else in the output folder."""
        if self.keeps_in_memory_only:
            return None
        beside = output_folder() if image.source is None else image.source.parent
        ending = STREAMED if self.save.currentText() == SaveLocation.STREAM else ENDING
        return free_path(folder or beside, f"{stem(image.name)}-restored", ending)

    def _show_patch_choices(self, _index: int = 0) -> None:
        self._form.setRowVisible(self.patches, self.use.currentText() == Use.PATCHES)


def _whole_number(name: str, tooltip: str, value: int) -> QSpinBox:
    made = QSpinBox()
    named(made, name, tooltip)
    made.setRange(0, 512)
    made.setValue(value)
    made.setFixedWidth(92)
    return made
