"""Gallery of relevance maps, controls of the chosen map, and scores at the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLineEdit, QSlider, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.dock import SPACING
from napari_aeanet.gui.common.widgets import button, chooser, form, label, make_column, named, row
from napari_aeanet.gui.relevance.gallery import Gallery, Order, Thumbnail
from napari_aeanet.gui.relevance.score_bars import Score, ScoreBars
from napari_aeanet.gui.relevance.sections import set_reason
from napari_aeanet.gui.relevance.worker import MapsReady
from napari_aeanet.gui.viewer.colour_bar import ColourBar
from napari_aeanet.gui.viewer.overlay import SIGNED
from napari_aeanet.relevance import by_score

OPACITY = 70  # percent
AT_CURSOR = "Move over the image to see what is relevant there; click to sort by it."


class RelevanceView(QWidget):
    """Thumbnails of all maps, controls of the chosen one, and bars of the scores at the cursor.

    Parameters
    ----------
    pin, export
        Called by the buttons of the same name.

    Attributes
    ----------
    picked
        Emitted with the number of an abstract pixel whose map is to be shown.
    current
        Number of the abstract pixel whose map is shown.
    influence
        Influence of every abstract pixel, once it is measured.
    """

    picked = Signal(int)

    def __init__(self, pin: Callable[[], None], export: Callable[[], None]) -> None:
        super().__init__()
        self.current: int | None = None
        self._ready: MapsReady | None = None
        self._clicked: tuple[int, ...] | None = None
        self.influence: np.ndarray | None = None
        layout = make_column(self, spacing=SPACING)
        self._add_gallery(layout)
        self._add_controls(layout)
        self.pin = button(
            "Pin", "relevance_pin", "Keep this map as a layer of its own and go on", pin
        )
        self.export = button(
            "Export…",
            "relevance_export",
            "Save a figure (PNG, SVG, PDF), all maps as a calibrated stack, or a table (CSV)",
            export,
        )
        layout.addLayout(row(self.pin, self.export))

    def _add_gallery(self, layout: QVBoxLayout) -> None:
        self.order = chooser("relevance_order", "Order of the maps")
        self.order.setMinimumContentsLength(12)
        for order in Order:
            self.order.addItem(str(order), order)
        self.order.currentIndexChanged.connect(lambda _index: self.fill())
        self.alike = QCheckBox("one of each kind")
        named(self.alike, "relevance_alike", "Show one of several similar maps (+n: n more)")
        self.alike.setChecked(True)
        self.alike.toggled.connect(lambda _on: self.fill())
        self.gallery = Gallery("relevance_gallery")
        self.gallery.picked.connect(self.picked)
        self.bars = ScoreBars("relevance_scores")
        self.bars.picked.connect(self.pick)
        self.bars.hide()
        layout.addLayout(row(label("Abstract pixels", "heading"), self.order, stretch=0))
        layout.addWidget(self.alike)
        layout.addWidget(self.gallery, 1)
        layout.addWidget(label(AT_CURSOR, "hint", "relevance_cursor"))
        layout.addWidget(self.bars)

    def _add_controls(self, layout: QVBoxLayout) -> None:
        self.name = QLineEdit()
        named(self.name, "relevance_name", "Name of this abstract pixel, saved in the model file")
        self.name.setPlaceholderText("name it, for instance “particle edge”")
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        named(self.opacity, "relevance_opacity", "Opacity of the map over the image")
        self.opacity.setRange(0, 100)
        self.opacity.setValue(OPACITY)
        self.legend = ColourBar("relevance_legend", "less relevant", "more relevant")
        self.zero = QCheckBox("colours from zero")
        named(
            self.zero,
            "relevance_zero",
            "Relevance is a signed number. Colours from the mean show the contrast between "
            "positions; colours from zero show whether the abstract pixel is for or against the "
            "whole image",
        )
        self.zero.toggled.connect(self._show_again)
        self.chosen = form(("Chosen", self.name), ("Opacity", self.opacity))
        layout.addLayout(self.chosen)
        layout.addWidget(self.legend)
        layout.addWidget(self.zero)

    def set_reason(self, reason: str) -> None:
        """Enable what needs maps, or disable it for a reason."""
        for widget in (self.export, self.name, self.pin, self.opacity):
            set_reason(widget, reason)

    # --- gallery

    def show_maps(self, ready: MapsReady) -> None:
        """Fill the gallery with the maps of another image and pick the first."""
        self._ready, self._clicked, self.influence = ready, None, None
        self.gallery.set_images(ready.thumbnails)
        self.bars.hide()
        self._set_order(Order.ALIKE)
        self.gallery.pick(0)

    def show_influence(self, influence: np.ndarray) -> None:
        """Sort the gallery by influence."""
        self.influence = influence
        self._set_order(Order.INFLUENCE)

    def sort_by(self, position: tuple[int, ...]) -> None:
        """Sort the gallery by the scores at a position of the maps."""
        self._clicked = position
        self.show_scores(position)
        self._set_order(Order.HERE)

    def _set_order(self, order: Order) -> None:
        with signals_blocked(self.order):
            self.order.setCurrentIndex(list(Order).index(order))
        self.fill()

    def fill(self) -> None:
        """Show the thumbnails in the chosen order."""
        if self._ready is None:
            return
        order = self.order.currentData()
        self.alike.setVisible(order is Order.ALIKE)
        if order is Order.ALIKE:
            self.gallery.fill(self._by_kind(self._ready))
        else:
            self.gallery.fill([self._thumbnail(n) for n in self._numbers(self._ready, order)])

    def _numbers(self, ready: MapsReady, order: Order) -> Sequence[int]:
        if order is Order.HERE and self._clicked is not None:
            return by_score(ready.statistics.scores_at(ready.maps.maps, self._clicked))
        if order is Order.INFLUENCE and self.influence is not None:
            return by_score(self.influence)
        return range(len(ready.maps.maps))

    def _by_kind(self, ready: MapsReady) -> list[Thumbnail]:
        thumbnails = []
        for group in ready.groups:
            first, *others = group.members
            with_name = [n for n in others if n in ready.maps.names]
            more = len(others) - len(with_name)
            if not self.alike.isChecked():
                thumbnails += [self._thumbnail(number) for number in group.members]
            else:
                kind = "blank ones" if group.is_blank else "more like it"
                thumbnails.append(self._thumbnail(first, more, kind))
                thumbnails += [self._thumbnail(number) for number in with_name]
        return thumbnails

    def _thumbnail(self, number: int, more: int = 0, kind: str = "") -> Thumbnail:
        name = self.name_of(number)
        tooltip = f"abstract pixel {number + 1}" + (f": {name}" if name != str(number + 1) else "")
        if not more:
            return Thumbnail(number, name, tooltip)
        return Thumbnail(number, f"{name} +{more}", f"{tooltip}, and {more} {kind}")

    def name_of(self, number: int) -> str:
        names = {} if self._ready is None else self._ready.maps.names
        return names.get(number, str(number + 1))

    def pick(self, number: int) -> None:
        """Act as if the thumbnail of an abstract pixel had been clicked, even a hidden one."""
        if number in self.gallery.numbers:
            self.gallery.pick(self.gallery.numbers.index(number))
        else:
            self.picked.emit(number)

    # --- chosen map

    def show_chosen(self, number: int) -> dict[str, Any]:
        """Show the number and name of the chosen map; return the arguments of its overlay.

        The colours are full at the same distance on either side of the map's mean, or of zero.
        """
        assert self._ready is not None
        middle, most = float(self._ready.statistics.mean[number]), float(self._ready.limits[number])
        if self.zero.isChecked():
            middle, most = 0.0, most + abs(middle)
        self.current = number
        self.legend.set_values(middle, most)
        caption = cast("Any", self.chosen.labelForField(self.name))
        caption.setText(f"No. {number + 1}")
        self.name.setText(self._ready.maps.names.get(number, ""))
        return {
            "colormap": SIGNED,
            "contrast_limits": (middle - most, middle + most),
            "opacity": self.opacity.value() / 100,
            "interpolation2d": "linear",
        }

    def _show_again(self, _is_on: bool) -> None:
        if self.current is not None:
            self.picked.emit(self.current)

    # --- scores at the cursor

    def show_scores(self, position: tuple[int, ...]) -> None:
        """Show bars of the highest scores at a position of the maps."""
        assert self._ready is not None
        scores = self._ready.statistics.scores_at(self._ready.maps.maps, position)
        self.bars.show()
        self.bars.set_scores(
            [Score(n, self.name_of(n), float(scores[n])) for n in by_score(scores)]
        )
