"""Collapsible sections of the Relevance dock: influence and the comparison of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_aeanet.gui.common.widgets import button, label, make_column, row, set_text
from napari_aeanet.gui.viewer.image_list import ImageList
from napari_aeanet.gui.viewer.layers import Frame
from napari_aeanet.gui.viewer.overlay import SIGNED, Overlay
from napari_aeanet.relevance import Difference, Ranking, contrast_limit

if TYPE_CHECKING:
    from napari import Viewer

# Smaller differences, as a share of the displayed contrast, are rounding errors.
LEAST_CHANGE = 1e-4


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

    def __init__(
        self,
        viewer: Viewer,
        instead_of: Sequence[Overlay],
        show: Callable[[], None],
        rank: Callable[[], None],
    ) -> None:
        super().__init__()
        self._overlay = Overlay(viewer, "difference", *instead_of)
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

    def show_difference(self, difference: Difference, frame: Frame) -> str:
        """Show the change that abstract pixels make over the image; return a sentence about it."""
        image = difference.image
        low, high = frame.contrast_limits
        least = LEAST_CHANGE * (high - low)
        most = max(contrast_limit(image.array), least)
        looks: dict[str, Any] = {"colormap": SIGNED, "contrast_limits": (-most, most)}
        self._overlay.show(image.read(), frame.place(image), image.name, **looks)
        change = np.abs(image.array)
        numbers = ", ".join(str(number + 1) for number in difference.pixels)
        pixels = f"abstract pixel{'s' * (len(difference.pixels) > 1)} {numbers}"
        if np.nanmax(change) <= least:
            return f"Without {pixels} next to nothing changes in the result."
        return (
            f"Without {pixels} the result changes by up to {np.nanmax(change):.2g} grey levels, "
            f"{np.nanmean(change):.2g} on average."
        )

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
