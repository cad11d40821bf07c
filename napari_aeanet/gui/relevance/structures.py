"""Section of the Relevance dock about structures: the coloured map of kinds and its legend."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QWidget
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.widgets import (
    Placeholder,
    button,
    form,
    label,
    make_column,
    named,
    present,
    set_text,
)
from napari_aeanet.gui.relevance import worker
from napari_aeanet.gui.relevance.reasons import no_fit_reason
from napari_aeanet.gui.relevance.sections import set_reason
from napari_aeanet.gui.viewer.layers import Frame
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.models import ModelCard
from napari_aeanet.relevance import FOR, averaged_over
from napari_aeanet.structures import (
    StructureMaps,
    StructuresFitted,
    colour_of,
    legend,
    most_probable,
    rgb_of,
)

if TYPE_CHECKING:
    from napari import Viewer

OPACITY, SINGLE_OPACITY = 0.55, 0.8
TAUGHT_COLOUR = "#" + "".join(f"{round(255 * one):02x}" for one in FOR)
# Colours of taught kinds are full at this percentile of their map, and not below this value.
SCALE_PERCENTILE, LEAST_SCALE = 99.5, 1.0
SWATCH = 16  # px
LEAST_ROWS = 9
MEANING = (
    "A kind is a local structure that looks alike in all images of the training: what is there, "
    "not what the network uses. Click one to see how probable it is everywhere."
)
TAUGHT_MEANING = (
    "The higher the value, the more a place is like the marked ones. Colours begin at zero, where "
    "it is as much like all others; the map has a bar with its values."
)


class KindList(Placeholder, QListWidget):
    """The legend: a row for all kinds together, and one for each kind that is found."""

    placeholder = "Click Compute to see which kinds of structure are where."


class StructureSection(QWidget):
    """Legend of the kinds, the chosen one over the image, and a button that fits them.

    Parameters
    ----------
    dock
        The dock in which it is.
    instead_of
        Overlays that are hidden while this one is shown.
    """

    def __init__(self, dock: Dock, viewer: Viewer, *instead_of: Overlay) -> None:
        super().__init__()
        self._dock = dock
        self.overlay = Overlay(viewer, "structures", *instead_of)
        self.maps: StructureMaps | None = None
        self.places = 1
        self._model: Path | None = None
        self._place: dict[str, Any] = {}
        self.kinds = KindList()
        named(self.kinds, "relevance_kinds", "Click a kind to show where it is")
        self.kinds.setProperty("role", "list")
        self.kinds.setMinimumHeight(LEAST_ROWS * (SWATCH + 6))
        self.kinds.currentRowChanged.connect(lambda _row: self.show_chosen())
        self.name = QLineEdit()
        named(self.name, "relevance_kind_name", "Name of this kind, saved in the model file")
        self.name.setPlaceholderText("click a kind to name it")
        self.name.editingFinished.connect(self._on_named)
        self.fit_button = button(
            "Fit structures",
            "relevance_fit",
            "Find kinds of structure in the pairs and keep them in the model file",
            self.fit,
        )
        self.line = label(role="hint", name="relevance_structures_line")
        self.found = QWidget()
        self.meaning = label(MEANING, "hint", "kinds_hint")
        make_column(self.found, self.kinds, form(("Name", self.name)), self.meaning)
        make_column(self, self.found, self.line, self.fit_button)

    @property
    def has_some(self) -> bool:
        """True if the chosen model has structures."""
        card = self._dock.session.card
        return bool(card and card.structures)

    def refresh(self, is_of_chosen: bool) -> None:
        """Show the legend of the chosen image, or the way to structures, or why there is none."""
        session, busy = self._dock.session, self._dock.busy_reason()
        reason = no_fit_reason(session.card, session.model, len(session.usable_pairs))
        self.found.setVisible(self.has_some and is_of_chosen)
        self.fit_button.setVisible(not self.has_some and not reason)
        set_reason(self.fit_button, busy)
        text = reason or "They can be fitted from the pairs of this session, in about 20 seconds."
        is_without = not self.has_some and session.card is not None
        set_text(self.line, f"This model has no structures yet. {text}" if is_without else "")

    def fit(self) -> None:
        """Fit structures to the model from the usable pairs of the session."""
        session = self._dock.session
        if session.model is not None and session.usable_pairs:
            work = partial(worker.fit_model, session.model, session.usable_pairs, device())
            self._dock.run_job(f"fitting structures to {session.model.stem}", work)

    def take(self, event: StructuresFitted) -> str:
        """Take structures that were fitted; return a sentence about them."""
        assert event.model.path is not None
        self._dock.session.models[event.model.path] = event.model.card
        self._dock.session.models_changed.emit()
        return " ".join(["Structures are fitted: click Compute to see them.", *event.notices])

    def set_maps(self, maps: StructureMaps, frame: Frame, model: Path) -> None:
        """Show the coloured map of an image, and its legend."""
        self.maps, self._model = maps, model
        self._place = frame.place_grid(maps.axes, maps.scale, maps.translate)
        self.fill()

    def fill(self) -> None:
        """Fill the legend, with all kinds chosen."""
        if self.maps is None:
            return
        with signals_blocked(self.kinds):
            self.kinds.clear()
            self.kinds.addItem(QListWidgetItem("all kinds"))
            for name in self.maps.taught:
                self._add(TAUGHT_COLOUR, f"{name} (taught)", name)
            for row in legend(self.maps):
                self._add(row.colour, row.words, row.kind)
            self.kinds.setCurrentRow(0)
        self.show_chosen()

    def _add(self, colour: str, words: str, kind: int | str) -> None:
        item = QListWidgetItem(_swatch(colour), words)
        item.setData(Qt.ItemDataRole.UserRole, kind)
        self.kinds.addItem(item)

    @property
    def kind(self) -> int | str | None:
        """The chosen kind: its number, or the name of a taught one; None for all of them."""
        item = self.kinds.currentItem()
        return None if item is None else item.data(Qt.ItemDataRole.UserRole)

    def choose(self, kind: int | str) -> None:
        """Choose a kind of the legend, and scroll to it."""
        self.kinds.setCurrentItem(self._item(kind))

    def _item(self, kind: int | str) -> QListWidgetItem:
        items = (present(self.kinds.item(number)) for number in range(self.kinds.count()))
        return next(item for item in items if item.data(Qt.ItemDataRole.UserRole) == kind)

    def set_places(self, places: int) -> None:
        """Show averages over a square of places."""
        self.places = places
        if self.overlay.is_shown:
            self.show_chosen()

    def show_chosen(self) -> None:
        """Show the coloured map of all kinds over the image, or the probability of one."""
        if self.maps is None:
            return
        kind, maps = self.kind, self.maps
        self.meaning.setText(TAUGHT_MEANING if isinstance(kind, str) else MEANING)
        self.name.setEnabled(isinstance(kind, int))
        self.name.setText(maps.names[kind] if isinstance(kind, int) else kind or "")
        if isinstance(kind, str):
            values = averaged_over(maps.taught[kind], self.places)
            self._show(values, kind, _TAUGHT, SINGLE_OPACITY, _highest(values))
        elif kind is None:
            is_plain = self.places == 1
            labels = (
                maps.labels if is_plain else most_probable(averaged_over(maps.maps, self.places))
            )
            self._show(labels, "all kinds", _colours(len(maps.names)), OPACITY)
        else:
            values = averaged_over(maps.maps[kind], self.places)
            self._show(values, maps.names[kind], _fading(kind), SINGLE_OPACITY)

    def _show(
        self, values: np.ndarray, name: str, colormap: Colormap, opacity: float, most: float = 1.0
    ) -> None:
        count = len(present(self.maps).names)
        is_labels = values.dtype == np.uint8
        self.overlay.show(
            values,
            self._place,
            f"structures: {name}",
            colormap=colormap,
            contrast_limits=(0.5, count + 0.5) if is_labels else (0.0, most),
            opacity=opacity,
            interpolation2d="nearest" if is_labels else "linear",
        )
        self.overlay.set_colour_bar(not is_labels)
        # Each of napari's setters redraws.
        layer = present(self.overlay.layer)
        if (layer.interpolation2d == "nearest") != is_labels:
            layer.interpolation2d = "nearest" if is_labels else "linear"
        if layer.opacity != opacity:
            layer.opacity = opacity

    def _on_named(self) -> None:
        """Save the name of the chosen kind in the model file, in the background."""
        kind, name, model = self.kind, self.name.text().strip(), self._model
        if self.maps is None or not isinstance(kind, int) or model is None:
            return
        if name == self.maps.names[kind]:
            return
        work, then = worker.name_structure, partial(self._take_names, model)
        self._dock.in_background("naming", work, model, kind, name, then=then)

    def _take_names(self, model: Path, found: tuple[ModelCard, tuple[str, ...]]) -> None:
        self._dock.session.models[model], names = found
        self.set_names(names)

    def set_names(self, names: tuple[str, ...]) -> None:
        """Show other names of the kinds; the chosen one stays chosen."""
        if self.maps is None:
            return
        self.maps = self.maps.with_names(names)
        row = self.kinds.currentRow()
        for found in legend(self.maps):
            self._item(found.kind).setText(found.words)
        self.kinds.setCurrentRow(row)
        self.show_chosen()


def _colours(count: int) -> Colormap:
    """Return the colours of all kinds as steps."""
    colours = rgb_of([colour_of(kind) for kind in range(count)]) / 255
    return Colormap(
        np.column_stack((colours, np.ones(count))),
        controls=np.linspace(0, 1, count + 1),
        interpolation="zero",
        name=f"structures {count}",
        display_name="structures",
    )


def _fading(kind: int) -> Colormap:
    """Return the colour of a kind, transparent where it is improbable."""
    colour = rgb_of([colour_of(kind)])[0] / 255
    return Colormap(
        [[*colour, 0.0], [*colour, 1.0]], name=f"structure {kind}", display_name="structure"
    )


# Of a taught kind, transparent where it is not likely.
_TAUGHT = Colormap([[*FOR, 0.0], [*FOR, 1.0]], name="taught", display_name="taught")


def _highest(values: np.ndarray) -> float:
    """Return the value at which the colours of a taught kind are full."""
    return max(float(np.nanpercentile(values, SCALE_PERCENTILE)), LEAST_SCALE)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(SWATCH, SWATCH)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
