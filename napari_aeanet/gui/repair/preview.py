"""Preview of one repaired slice: a layer in the place of the slice, and pictures in the dock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from napari_aeanet.gui.common.widgets import (
    button,
    icon_size,
    label,
    make_column,
    named,
    set_text,
)
from napari_aeanet.gui.repair.worker import PreviewMade, make_preview
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import Frame
from napari_aeanet.gui.viewer.overlay import add_quietly
from napari_aeanet.repair import PlannedSlice, RepairSettings

if TYPE_CHECKING:
    from napari import Viewer

BEFORE, DAMAGED, REPAIRED, AFTER = range(4)
PADDING, SPACE = 7, 3  # px around a picture, and between two


class Preview(QWidget):
    """Four pictures: the slice before, the slice as it is, the repaired one, the slice after.

    A click on one shows it in the viewer. The repaired one is a layer over its slice only.

    Parameters
    ----------
    jump
        Function that shows a slice of the stack in the viewer.
    in_background
        Function that calls another one in a thread.
    """

    requested = Signal()

    def __init__(
        self, viewer: Viewer, jump: Callable[[int], None], in_background: Callable[..., None]
    ) -> None:
        super().__init__()
        self._viewer, self._jump, self._in_background = viewer, jump, in_background
        self._slices = (0, 0, 0, 0)
        self._number = 0  # of the latest request
        self._title = ""
        self.layer: ImageLayer | None = None
        self.button = button("Preview", "repair_preview", "", self.requested.emit)
        self.line = label(role="hint", name="repair_preview_line")
        self.pictures = [_picture(name) for name in ("before", "as_it_is", "repaired", "after")]
        for number, picture in enumerate(self.pictures):
            picture.clicked.connect(lambda _checked, number=number: self.look_at(number))
        self.strip = QWidget()
        layout = QHBoxLayout(self.strip)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        for picture in self.pictures:
            layout.addWidget(picture, 1)
        make_column(self, self.strip, self.line)
        self.end()

    def refresh(self, index: int | None, planned: PlannedSlice | None, busy: str) -> None:
        """Enable the button for the chosen slice, or say why it cannot be previewed."""
        self.button.setText("Preview" if index is None else f"Preview {index}")
        reason = busy
        if index is None:
            reason = "Choose a slice in the list first."
        elif planned is None:
            reason = f"Tick slice {index} first."
        elif planned.refusal:
            reason = f"Slice {index} cannot be repaired: {planned.refusal}."
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason or f"Show slice {index} repaired; nothing is changed")

    def start(
        self, planned: PlannedSlice, slices: frozenset[int], settings: RepairSettings, frame: Frame
    ) -> None:
        """Make one slice in the background and show it over its stack."""
        assert planned.before is not None and planned.after is not None
        self.end()
        self._slices = (planned.before, planned.index, planned.index, planned.after)
        self._title = "A preview by optical flow" if settings.method.learns else "A preview"
        set_text(self.line, f"Making slice {planned.index} …")
        self.show()
        self._in_background(
            f"previewing slice {planned.index}",
            make_preview,
            frame.image,
            planned.index,
            slices,
            settings,
            frame.contrast_limits,
            then=partial(self._show, self._number, frame),
        )

    def end(self) -> None:
        """Remove the layer and the pictures; what is still being made is not shown."""
        self._number += 1
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None
        self.strip.hide()
        self.hide()

    def _show(self, number: int, frame: Frame, made: PreviewMade | str) -> None:
        if number != self._number:
            return
        if isinstance(made, str):
            set_text(self.line, f"✗ {made}", "bad")
            return
        before, index, _, after = self._slices
        captions = (f"{before}", f"{index} now", f"{index} new", f"{after}")
        tips = (
            f"Show slice {before}, which it is made from",
            f"Show slice {index} as it is",
            f"Show slice {index} repaired",
            f"Show slice {after}, which it is made from",
        )
        for picture, caption, tip, pixels in zip(
            self.pictures, captions, tips, made.thumbnails, strict=True
        ):
            picture.setText(caption)
            picture.setToolTip(tip)
            picture.setAccessibleName(tip)
            picture.setIcon(QIcon(_pixmap(pixels)))
        self.layer = ImageLayer(
            made.planned.repaired[None],
            **_place(index, frame),
            name=f"{frame.image.name} {index} preview",
            contrast_limits=frame.contrast_limits,
            colormap=frame.colormap,
            metadata={PLUGIN_METADATA_KEY: "preview"},
        )
        add_quietly(self._viewer, self.layer)
        set_text(self.line, f"{self._title}, nothing is changed. Key B compares before and after.")
        self.strip.show()
        self._fit()
        self.look_at(REPAIRED)

    def look_at(self, number: int) -> None:
        """Show one of the four in the viewer."""
        if self.layer is not None:
            self.layer.visible = number != DAMAGED
        self._jump(self._slices[number])
        self.mark(self._slices[number])

    def toggle(self) -> None:
        """Show the repaired slice, or the slice as it is if that is shown already."""
        if self.layer is not None:
            self.look_at(DAMAGED if self.layer.visible else REPAIRED)

    def mark(self, shown: int | None) -> None:
        """Mark the picture of the slice in view."""
        is_repaired = self.layer is not None and self.layer.visible
        for number, picture in enumerate(self.pictures):
            is_shown = self._slices[number] == shown
            if number in (DAMAGED, REPAIRED):
                is_shown = is_shown and is_repaired is (number == REPAIRED)
            picture.setChecked(is_shown)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Make the pictures as wide as the dock allows."""
        edge = (self.width() - 3 * SPACE) // 4 - 2 * PADDING
        for picture in self.pictures:
            picture.setIconSize(icon_size(edge))


def _place(index: int, frame: Frame) -> dict[str, Any]:
    """Return the layer arguments of one slice of a stack."""
    image = frame.image
    steps = [size or 1.0 for size in image.pixel_size]
    first = [image.origin[0] + index * steps[0], *image.origin[1:]]
    return frame.place_grid(image.axes, steps, first)


def _picture(name: str) -> QToolButton:
    made = QToolButton()
    named(made, f"repair_show_{name}", f"Show the slice {name.replace('_', ' ')}")
    made.setProperty("role", "picture")
    made.setCheckable(True)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return made


def _pixmap(pixels: np.ndarray) -> QPixmap:
    """Return the pixmap of an 8-bit grey image."""
    height, width = pixels.shape
    content = pixels.tobytes()  # named: QImage does not copy it
    return QPixmap.fromImage(QImage(content, width, height, width, QImage.Format.Format_Grayscale8))
