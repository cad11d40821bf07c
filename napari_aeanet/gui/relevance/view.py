"""What the Relevance dock shows: its widgets, and how they are filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLineEdit, QSlider

from napari_aeanet.gui.common.model_chooser import ModelChooser
from napari_aeanet.gui.common.overlay import SIGNED
from napari_aeanet.gui.common.widgets import (
    Fold,
    button,
    chooser,
    form,
    label,
    named,
    row,
    set_text,
)
from napari_aeanet.gui.relevance.gallery import Gallery, Order, Thumbnail
from napari_aeanet.gui.relevance.score_bars import Score, ScoreBars
from napari_aeanet.gui.relevance.sections import (
    ChangeSection,
    CompareSection,
    RegionSection,
    TrustSection,
)
from napari_aeanet.gui.relevance.worker import MapsReady
from napari_aeanet.relevance import AttentionLayer, by_score

if TYPE_CHECKING:
    from napari_aeanet.gui.relevance.dock import RelevanceDock

OPACITY = 70  # percent
AT_CURSOR = "Move over the image to see what speaks there; click to sort by it."


class RelevanceView:
    """The widgets of the dock, put into its body."""

    def __init__(self, dock: RelevanceDock) -> None:
        self._ready: MapsReady | None = None
        self._here: tuple[int, ...] | None = None
        self._influence: np.ndarray | None = None
        self._stale: list[Any] = []
        self.models = ModelChooser(dock, "relevance")
        self.image = chooser("relevance_image", "The image to look at")
        self.image.setPlaceholderText("open or drop one")
        self.image.currentIndexChanged.connect(dock.refresh)
        self.attention = chooser("relevance_layer", "Which attention of the network is looked at")
        self.choices = form(
            ("Model", self.models), ("Image", self.image), ("Attention", self.attention)
        )
        self._make_gallery(dock)
        self._make_chosen(dock)
        self.change = ChangeSection(dock.show_change, dock.rank)
        self.regions = RegionSection(dock.files.measure_regions, dock.files.save_regions)
        self.regions.table.picked.connect(self.pick)
        self.compare = CompareSection(dock.viewer.layers, dock.compare)
        self.trust = TrustSection(dock.ask_for_trust)
        self.export = button(
            "Export…",
            "relevance_export",
            "Save a figure (PNG, SVG, PDF), all maps as a calibrated stack, or a table (CSV)",
            dock.files.export,
        )
        self._fill_body(dock)

    def _make_gallery(self, dock: RelevanceDock) -> None:
        self.order = chooser("relevance_order", "In which order the maps stand")
        self.order.setMinimumContentsLength(12)
        for order in Order:
            self.order.addItem(str(order), order)
        self.order.currentIndexChanged.connect(lambda _index: self.fill())
        self.alike = QCheckBox("one of each kind")
        named(self.alike, "relevance_alike", "Show one map of those that are alike (+n says more)")
        self.alike.setChecked(True)
        self.alike.toggled.connect(lambda _on: self.fill())
        self.gallery = Gallery("relevance_gallery")
        self.cursor_line = label(AT_CURSOR, "hint", "relevance_cursor")
        self.speaking = ScoreBars("relevance_speaking")
        self.speaking.picked.connect(self.pick)
        self.speaking.hide()

    def _make_chosen(self, dock: RelevanceDock) -> None:
        self.name = QLineEdit()
        named(self.name, "relevance_name", "A name for this abstract pixel, kept in the model file")
        self.name.setPlaceholderText("name it, for instance “particle edge”")
        self.name.editingFinished.connect(dock.files.name_it)
        self.pin = button(
            "Pin", "relevance_pin", "Keep this map as a layer of its own and go on", dock.pin
        )
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        named(self.opacity, "relevance_opacity", "How strongly the map covers the image")
        self.opacity.setRange(0, 100)
        self.opacity.setValue(OPACITY)
        self.opacity.valueChanged.connect(dock.set_opacity)
        self.legend = label(name="relevance_legend")
        self.zero = QCheckBox("colours from zero, not from the mean")
        named(
            self.zero,
            "relevance_zero",
            "Relevance is a signed number. From the mean, colours tell places apart; from zero, "
            "they tell whether the abstract pixel is for or against the whole image",
        )
        self.zero.toggled.connect(lambda _on: dock.show_again())

    def _fill_body(self, dock: RelevanceDock) -> None:
        body = dock.body
        body.addLayout(self.choices)
        body.addLayout(row(label("Abstract pixels", "heading"), self.order, stretch=0))
        body.addWidget(self.alike)
        body.addWidget(self.gallery, 1)
        body.addWidget(self.cursor_line)
        body.addWidget(self.speaking)
        fields = (("Chosen", self.name), ("Opacity", self.opacity))
        self.chosen = form(*fields)
        body.addLayout(self.chosen)
        body.addWidget(self.legend)
        body.addWidget(self.zero)
        body.addLayout(row(self.pin, self.export))
        for title, name, content in (
            ("What does it change?", "relevance_change_fold", self.change),
            ("Regions", "relevance_regions_fold", self.regions),
            ("Compare images", "relevance_compare_fold", self.compare),
            ("Trust", "relevance_trust_fold", self.trust),
        ):
            body.addWidget(Fold(title, name, content))
        self.show_attentions(())
        self.legend.setText(_legend())

    # --- what can be done

    def show_attentions(self, layers: Sequence[AttentionLayer]) -> None:
        """Offer the attentions with abstract pixels; no question where there is one only."""
        self.attention.clear()
        self.attention.addItems([layer.words for layer in layers])
        self.choices.setRowVisible(self.attention, len(layers) > 1)

    def attention_number(self, layers: Sequence[AttentionLayer]) -> int:
        return layers[max(0, self.attention.currentIndex())].number if layers else 1

    def set_ready(self, has_maps: bool, reason: str, reason_for_trust: str) -> None:
        """Enable what can be done; a disabled button says why."""
        missing = "" if has_maps else "Compute relevance first."
        for widget, why in (
            (self.export, missing),
            (self.name, missing),
            (self.pin, missing),
            (self.opacity, missing),
            (self.regions.measure_button, missing),
            (self.compare.button, missing or reason),
            (self.change.show_button, missing or reason),
            (self.change.rank_button, missing or reason),
            (self.trust.button, reason_for_trust),
        ):
            widget.setEnabled(not why)
            words = widget.property("words") or widget.toolTip()
            widget.setProperty("words", words)
            widget.setToolTip(why or words)
        self.regions.save_button.setEnabled(bool(self.regions.table.rows))

    # --- the gallery

    def show_maps(self, ready: MapsReady) -> None:
        """Fill the gallery with the maps of another image."""
        self._ready, self._here, self._influence = ready, None, None
        self.gallery.take(ready.thumbnails)
        self.speaking.hide()
        self._set_order(Order.ALIKE)

    def show_ranking(self, influence: np.ndarray, words: str) -> None:
        self._influence = influence
        set_text(self.change.line, words, "plain")
        self._set_order(Order.INFLUENCE)

    def sort_by(self, place: tuple[int, ...]) -> None:
        """Put first what speaks at a place of the maps."""
        self._here = place
        self.show_voices(place)
        self._set_order(Order.HERE)

    def _set_order(self, order: Order) -> None:
        self.order.blockSignals(True)
        self.order.setCurrentIndex(list(Order).index(order))
        self.order.blockSignals(False)
        self.fill()

    def fill(self) -> None:
        """Put the thumbnails in the chosen order."""
        if self._ready is None:
            return
        order = self.order.currentData()
        self.alike.setVisible(order is Order.ALIKE)
        if order is Order.ALIKE:
            self.gallery.fill(self._alike())
        else:
            self.gallery.fill([self._tile(number) for number in self._numbers(order)])

    def _numbers(self, order: Order) -> Sequence[int]:
        assert self._ready is not None
        count = len(self._ready.maps.maps)
        if order is Order.HERE and self._here is not None:
            return by_score(self._scores(self._here))
        if order is Order.INFLUENCE and self._influence is not None:
            return by_score(self._influence)
        return range(count)

    def _alike(self) -> list[Thumbnail]:
        assert self._ready is not None
        tiles = []
        for group in self._ready.groups:
            first, *others = group.members
            named_ones = [n for n in others if n in self._ready.maps.names]
            more = len(others) - len(named_ones)
            if not self.alike.isChecked():
                tiles += [self._tile(number) for number in group.members]
            else:
                what = "blank ones" if group.is_blank else "more like it"
                tiles.append(self._tile(first, f" +{more}" if more else "", f"{more} {what}"))
                tiles += [self._tile(number) for number in named_ones]
        return tiles

    def _tile(self, number: int, more: str = "", about: str = "") -> Thumbnail:
        name = self.name_of(number)
        tooltip = f"abstract pixel {number + 1}" + (f": {name}" if name != str(number + 1) else "")
        return Thumbnail(number, f"{name}{more}", f"{tooltip}, and {about}" if more else tooltip)

    def name_of(self, number: int) -> str:
        names = {} if self._ready is None else self._ready.maps.names
        return names.get(number, str(number + 1))

    def pick(self, number: int) -> None:
        """As if the thumbnail of this abstract pixel had been clicked, shown or not."""
        if number in self.gallery.numbers:
            self.gallery.pick(self.gallery.numbers.index(number))
        else:
            self.gallery.picked.emit(number)

    # --- the chosen one

    def looks(self, number: int) -> dict[str, Any]:
        """Of the overlay: full colour on either side of the map's mean, or of zero."""
        assert self._ready is not None
        middle, most = float(self._ready.level.mean[number]), float(self._ready.limits[number])
        if self.zero.isChecked():
            middle, most = 0.0, most + abs(middle)
        self.legend.setText(_legend(middle, most))
        opacity = self.opacity.value() / 100
        return {
            "colormap": SIGNED,
            "contrast_limits": (middle - most, middle + most),
            "opacity": opacity,
            "interpolation2d": "linear",
        }

    def show_chosen(self, number: int) -> None:
        assert self._ready is not None
        self.chosen.labelForField(self.name).setText(f"No. {number + 1}")
        self.name.setText(self._ready.maps.names.get(number, ""))

    # --- at the cursor

    def _scores(self, place: tuple[int, ...]) -> np.ndarray:
        assert self._ready is not None
        return self._ready.level.scores_at(self._ready.maps.maps, place)

    def show_voices(self, place: tuple[int, ...]) -> None:
        """Bars of what speaks at a place of the maps."""
        scores = self._scores(place)
        self.speaking.show()
        self.speaking.show_voices(
            [Score(n, self.name_of(n), float(scores[n])) for n in by_score(scores)]
        )


def _legend(middle: float = 0.0, most: float = 0.0) -> str:
    """What the colours mean, with the values at their ends."""
    low, high = (f" ({middle + end:+.2g})" if most else "" for end in (-most, most))
    words = f"less relevant{low}", f"more relevant{high}"
    blue, orange = (word.replace(" ", "&nbsp;").replace("-", "−") for word in words)
    return (
        f"<span style='color:#2170ff'>■</span>&nbsp;{blue} &nbsp; "
        f"<span style='color:#ff8000'>■</span>&nbsp;{orange}"
    )
