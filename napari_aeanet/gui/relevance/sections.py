"""Collapsible sections of the Relevance dock: influence and the comparison of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_aeanet.gui.common.widgets import button, label, make_column, row, set_text
from napari_aeanet.gui.viewer.image_list import ImageList
from napari_aeanet.relevance import Ranking


def set_reason(widget: QWidget, reason: str) -> None:
    """Enable a widget, or disable it and show the reason in its tooltip."""
    tooltip = widget.property("tooltip") or widget.toolTip()
    widget.setProperty("tooltip", tooltip)
    widget.setToolTip(reason or tooltip)
    widget.setEnabled(not reason)


def ask_path(parent: QWidget, title: str, name: str, kinds: str) -> Path | None:
    """Ask for a file to save to; None if the dialog is cancelled."""
    chosen, _ = QFileDialog.getSaveFileName(parent, title, name, kinds)
    return Path(chosen) if chosen else None


class ChangeSection(QWidget):
    """Influence of the chosen abstract pixel on the result, and a ranking of all."""

    def __init__(self, show: Callable[[], None], rank: Callable[[], None]) -> None:
        super().__init__()
        self.show_button = button(
            "Show what it changes",
            "relevance_change",
            "Restore the image with and without this abstract pixel and show the difference",
            show,
        )
        self.rank_button = button(
            "Rank all",
            "relevance_rank",
            "Measure how much each abstract pixel changes the result, and sort by it",
            rank,
        )
        self.line = label(role="hint", name="relevance_change_line")
        make_column(self, row(self.show_button, self.rank_button, stretch=0), self.line)
        set_text(
            self.line,
            "Relevant is not influential: a map shows where an abstract pixel agrees with the "
            "image, this shows what the result would lack without it.",
        )

    def set_reason(self, reason: str) -> None:
        set_reason(self.show_button, reason)
        set_reason(self.rank_button, reason)

    def show_ranking(self, ranking: Ranking) -> None:
        first = ", ".join(str(pixel + 1) for pixel in ranking.order[:3])
        one, all_ = (f"{100 * x:.2g} %" for x in (ranking.influence.max(), ranking.of_all))
        text = (
            f"Most influential: {first}. Without the first, the attention's output changes by "
            f"{one}; without all of them by {all_}."
        )
        set_text(self.line, text, "plain")


class CompareSection(QWidget):
    """Maps of several images with the same abstract pixels and one colour scale."""

    def __init__(self, layers: Any, compare: Callable[[], None]) -> None:
        super().__init__()
        self.images = ImageList(layers, "relevance_compared", "The images to be compared")
        self.button = button(
            "Compare",
            "relevance_compare",
            "Show a row for each image and a column for each of the first abstract pixels of the "
            "gallery, on one colour scale",
            compare,
        )
        make_column(self, self.images, self.button)
