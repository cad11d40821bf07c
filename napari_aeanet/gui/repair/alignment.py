"""Alignment of the sections in the Repair dock: two buttons, and the layer of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import button, label, make_column, row, set_text
from napari_aeanet.gui.repair.choices import ask_file
from napari_aeanet.gui.repair.worker import StackAligned, align, fits_in_memory, save_aligned
from napari_aeanet.gui.viewer.image_list import SOURCE_METADATA_KEY
from napari_aeanet.gui.viewer.layers import FILE, Frame
from napari_aeanet.stacks import AlignedStack, SectionState, StackAlignment

if TYPE_CHECKING:
    from napari import Viewer

# A title, and the work; None if the user closed the dialog that asks for a file.
Job = tuple[str, Callable[[], Iterator[Any]] | None]
NOT_MOVED = 0.5  # px and less
ALIGN = (
    "Shift and turn each section so that neighbours fit, and follow its deformation where that is "
    "proven: a new layer, the stack stays as it is"
)
SAVE = "Save the aligned stack, and the places of its sections beside it"


@dataclass(eq=False)
class AlignedLayer:
    """An aligned stack in the viewer, the file of its source, and that it was saved to."""

    layer: ImageLayer
    aligned: AlignedStack
    source: Path | None
    saved: Path | None


class AlignmentRow(QWidget):
    """Buttons to align the chosen stack, and to save a stack that was aligned here."""

    align_clicked = Signal()
    save_clicked = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._made: list[AlignedLayer] = []
        self._origin: tuple[Layer, Frame] | None = None  # the stack of the running job
        self._align = button("Align sections", "repair_align", ALIGN, self.align_clicked.emit)
        self._save = button("Save aligned …", "repair_save_aligned", SAVE, self.save_clicked.emit)
        self._line = label(role="hint", name="repair_alignment")
        make_column(self, row(self._align, self._save, stretch=0), self._line)

    def result_of(self, layer: Layer | None) -> AlignedLayer | None:
        """Return the alignment that a layer shows, while the layer is in the viewer."""
        self._made = [one for one in self._made if one.layer in self._viewer.layers]
        return next((one for one in self._made if one.layer is layer), None)

    def refresh(self, layer: Layer | None, busy: str) -> None:
        """Show what can be done with a stack; `busy` is why nothing can."""
        self.setVisible(layer is not None)
        found = self.result_of(layer)
        self._align.setVisible(found is None)
        self._save.setVisible(found is not None and found.saved is None)
        for one, tooltip in ((self._align, ALIGN), (self._save, SAVE)):
            one.setEnabled(not busy)
            one.setToolTip(busy or tooltip)
        set_text(self._line, "" if found is None else alignment_words(found))

    def job(self, parent: QWidget, stack: Layer, frame: Frame) -> Job:
        """Return the work that aligns a stack, in memory or into a file that is asked for."""
        image, out = frame.image, None
        if not fits_in_memory(image):
            out = ask_file(parent, f"{image.name} aligned", image.source, is_large=True)
            if out is None:
                return "", None
        self._origin = (stack, frame)
        return f"aligning {image.name}", partial(align, image, out)

    def saving_job(self, parent: QWidget, layer: Layer | None) -> Job:
        """Return the work that saves an aligned stack to a file that is asked for."""
        found = self.result_of(layer)
        if found is None:
            return "", None
        path = ask_file(parent, found.layer.name, found.source, is_large=False)
        if path is None:
            return "", None
        work = partial(save_aligned, found.aligned, found.source, path)
        return f"saving {found.layer.name}", work

    def add(self, event: StackAligned) -> ImageLayer:
        """Add the layer of an aligned stack in the place of its source."""
        assert self._origin is not None
        source, frame = self._origin
        image = event.aligned.image
        arguments = frame.place(image) | {
            "name": f"{frame.image.name} aligned",
            "axis_labels": list(image.axes.lower()),  # time points may be its sections
            "metadata": {SOURCE_METADATA_KEY: str(source.unique_id)},
        }
        if image.source is not None:
            arguments["metadata"][FILE] = str(image.source)
        layer = ImageLayer(event.pixels, **arguments)
        self._viewer.add_layer(layer)
        self._made.append(AlignedLayer(layer, event.aligned, frame.image.source, image.source))
        return layer

    def note_saved(self, aligned: AlignedStack, path: Path) -> None:
        """Remember where a stack was saved."""
        for one in self._made:
            if one.aligned is aligned:
                one.saved = path


def alignment_words(made: AlignedLayer) -> str:
    """Return "✓ Aligned: 29 of 30 sections, moved by up to 12 px. Not saved yet."."""
    alignment = made.aligned.alignment
    total = len(alignment.sections)
    matched = total - len(alignment.indices(SectionState.INTERPOLATED))
    farthest = farthest_move(alignment)
    moved = "none had to be moved" if farthest <= NOT_MOVED else f"moved by up to {farthest:.0f} px"
    where = "Not saved yet." if made.saved is None else f"Saved as {made.saved.name}."
    if not matched:
        return f"✗ Not aligned: no section matches another one. {where}"
    deformed = len(alignment.deformed())
    also = f", {deformed} deformed" if deformed else ""
    text = f"{matched} of {count(total, 'section')}, {moved}{also}. {where}"
    return f"{'✓' if matched == total else '!'} Aligned: {text}"


def farthest_move(alignment: StackAlignment) -> float:
    """Return the largest shift of a section's centre, in pixels."""
    return max((y**2 + x**2) ** 0.5 for y, x in (one.shift for one in alignment.sections))
