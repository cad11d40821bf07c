"""Choices of the Repair dock: the stack, the method, and where the result is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QWidget

from napari_aeanet.gui.common.forms import SettingsForm, descriptions
from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.widgets import (
    Collapsible,
    button,
    chooser,
    form,
    label,
    make_column,
    named,
    row,
    set_text,
)
from napari_aeanet.gui.repair.text import stack_text, why_no_stack
from napari_aeanet.gui.viewer.files import ask_for_files
from napari_aeanet.gui.viewer.image_list import is_input
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.io import stem
from napari_aeanet.repair import DamageSettings, RepairMethod, RepairSettings
from napari_aeanet.repair.settings import METHOD_NAMES

if TYPE_CHECKING:
    from napari import Viewer

# Endings of files that hold which slices were made, by the entry of the file dialog.
ENDINGS = {"OME-TIFF (*.ome.tif)": ".ome.tif", "OME-Zarr (*.ome.zarr)": ".ome.zarr"}
MEANT = {".tif", ".tiff", ".zarr", ".ome"}  # typed instead of an ending of these

TITLES = {
    RepairMethod.FLOW: "Optical flow, no training",
    RepairMethod.LEARNT: "Learn from this stack",
    RepairMethod.SSAN: "Learn from this stack: SSAN",
}
SHORTEST = 0.1  # minutes of a learning


class StackChoice(QWidget):
    """The stack: an open layer, or one of a file."""

    files_chosen = Signal(list)  # paths

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.box = LayerChooser(
            viewer.layers,
            "repair_stack",
            "The stack of sections to repair",
            placeholder="none open",
        )
        open_file = button(
            "Open …", "repair_open", "Open a stack from a file, with its pixel size", self._open
        )
        self.sample = button(
            "Open a sample",
            "repair_sample",
            "Open synthetic serial sections, some of them damaged",
            self._open_sample,
        )
        self.line = label(role="hint", name="repair_stack_line")
        self._is_guess = True
        chosen = QWidget()
        make_column(chosen, row(self.box, open_file, stretch=0))
        make_column(self, form(("Stack", chosen)), self.line, row(self.sample, stretch=0))
        self.box.activated.connect(lambda _index: self.keep())

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer until the dock is closed."""
        listen(self._viewer.layers.events.inserted, self._guess)
        self.box.follow(listen)
        self._guess()

    @property
    def layer(self) -> Layer | None:
        return self.box.chosen

    @property
    def reason(self) -> str:
        """Reason why there is nothing to repair; empty if there is."""
        return why_no_stack(self.layer)

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer, until the user chooses another one."""
        self.keep()
        self.box.choose(layer)

    def keep(self) -> None:
        """Choose no other layer by itself any more."""
        self._is_guess = False

    def describe(self) -> None:
        """Describe the chosen stack."""
        layer = self.layer
        self.sample.setVisible(layer is None)
        is_stack = layer is not None and not self.reason
        set_text(self.line, stack_text(layer_to_image(layer)) if layer and is_stack else "")

    def _guess(self, _event: Any = None) -> None:
        """Choose the topmost visible stack unless the user chose a layer."""
        if self._is_guess:
            self.box.refill()  # the new layer may not be listed yet
            offered = [one for one in reversed(self._viewer.layers) if is_input(one)]
            stacks = [one for one in offered if not why_no_stack(one)]
            shown = [one for one in stacks if one.visible]
            self.box.choose(next(iter([*shown, *stacks]), None))

    def _open(self) -> None:
        if paths := ask_for_files():
            self.files_chosen.emit(paths)

    def _open_sample(self) -> None:
        layers = self._viewer.open_sample("napari-aeanet", "serial_sections")
        self.choose(layers[0])


class RepairChoices(QWidget):
    """The method, and settings that few change."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        helped = descriptions(RepairSettings)
        self.method = chooser("repair_method", helped["method"])
        for number, method in enumerate(RepairMethod):
            self.method.addItem(TITLES.get(method, METHOD_NAMES[method]), method)
            self.method.setItemData(number, METHOD_NAMES[method], Qt.ItemDataRole.ToolTipRole)
        self.texture = QCheckBox("Match texture of the neighbours")
        named(self.texture, "repair_texture", helped["texture"])
        self.learning = SettingsForm(RepairSettings(), hidden=("method", "texture", "checks"))
        self.more = SettingsForm(RepairSettings(), hidden=("method", "texture", "minutes"))
        self.finding = SettingsForm(DamageSettings())
        inner = QWidget()
        make_column(inner, self.finding.native, self.more.native)
        more = Collapsible("More settings", "repair_more", inner)
        self.quality = label(name="repair_quality")
        self.quality.hide()
        top = form(("Method", self.method))
        make_column(self, top, self.learning.native, self.texture, self.quality, more)
        self._show_learning()
        self.method.currentIndexChanged.connect(self._show_learning)
        self.method.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.learning.on_change(self.changed.emit)
        self.texture.toggled.connect(lambda _: self.changed.emit())
        self.more.on_change(self.changed.emit)

    @property
    def chosen(self) -> RepairMethod:
        # PySide6 gives the text of an enumeration back.
        return RepairMethod(self.method.currentData())

    @property
    def settings(self) -> RepairSettings:
        return self.more.value(
            method=self.chosen,
            texture=self.texture.isChecked(),
            minutes=max(self.learning.value().minutes, SHORTEST),
        )

    def _show_learning(self, _index: int = 0) -> None:
        self.learning.native.setVisible(self.chosen.learns)

    @property
    def damage_settings(self) -> DamageSettings:
        return self.finding.value()


def ask_file(parent: QWidget, name: str, source: Path | None, *, is_large: bool) -> Path | None:
    """Ask where to save a stack; None if the dialog is closed.

    Parameters
    ----------
    name
        Name of the stack.
    source
        File of the stack that it was made from: its folder is offered.
    is_large
        True for a stack that can be written to OME-Zarr only.
    """
    folder = output_folder() if source is None else source.parent
    kinds = list(ENDINGS)[1 if is_large else 0 :]
    chosen, kind = QFileDialog.getSaveFileName(
        parent,
        "Save the stack",
        str(folder / f"{name.replace(' ', '-')}{ENDINGS[kinds[0]]}"),
        ";;".join(kinds),
    )
    if not chosen:
        return None
    path = Path(chosen)
    if path.name.lower().endswith((*map(ENDINGS.get, kinds), ".ome.tiff")):  # type: ignore[arg-type]
        return path
    base = stem(path) if path.suffix.lower() in MEANT else path.name
    return path.with_name(f"{base}{ENDINGS.get(kind, ENDINGS[kinds[0]])}")
