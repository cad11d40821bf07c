"""Slider for the number of places over which maps are averaged."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSlider, QWidget

from napari_aeanet.gui.common.widgets import named, present, row, short
from napari_aeanet.relevance import WIDEST


class AverageSlider(QWidget):
    """Slider from 1 × 1 to 15 × 15 places; `changed` is emitted with the edge."""

    changed = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._slider = QSlider(Qt.Orientation.Horizontal)
        named(
            self._slider,
            name,
            "Average the maps over so many places: calmer, and less sharp. A place is a pixel of "
            "a map",
        )
        self._slider.setRange(0, WIDEST // 2)
        self._text = short("15 × 15")
        self._text.setMinimumWidth(self._text.sizeHint().width())
        self.setLayout(row(self._slider, self._text, stretch=0))
        present(self.layout()).setContentsMargins(0, 0, 0, 0)
        self._slider.valueChanged.connect(self._on_changed)
        self._show()

    @property
    def places(self) -> int:
        """Edge of the square of places."""
        return 2 * self._slider.value() + 1

    def set_places(self, places: int) -> None:
        self._slider.setValue(places // 2)

    def _on_changed(self, _value: int) -> None:
        self._show()
        self.changed.emit(self.places)

    def _show(self) -> None:
        self._text.setText(f"{self.places} × {self.places}")
