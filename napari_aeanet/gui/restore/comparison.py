"""Comparison of results and originals: in turn, side by side, and along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.widgets import button, row
from napari_aeanet.gui.restore.results import Results
from napari_aeanet.gui.viewer.line_profile import LineProfile

if TYPE_CHECKING:
    from napari import Viewer


class Comparison(QWidget):
    """Buttons that compare the current result with its image.

    Parameters
    ----------
    plot
        Plot of the line profile.
    """

    def __init__(self, viewer: Viewer, results: Results, plot: LineProfile) -> None:
        super().__init__()
        self._viewer, self._results, self._plot = viewer, results, plot
        self._side_by_side = SideBySide(viewer)
        self.before_after = button(
            "Before/after",
            "restore_blink",
            "Show or hide the results to compare them with their images; or press B",
            results.toggle,
        )
        self.beside = button(
            "Side by side",
            "restore_beside",
            "Show the image on the left and its result on the right; click again to end",
            self.toggle_side_by_side,
        )
        self.line = button(
            "Profile",
            "restore_profile",
            "Plot the intensities of the image and its result along a line; click again to end",
            self.toggle_profile,
        )
        self.setLayout(row(self.before_after, self.beside, self.line, stretch=0))

    def refresh(self) -> None:
        """Enable the comparisons that are possible."""
        self.before_after.setEnabled(bool(self._results.layers))
        for comparison in (self.beside, self.line):
            comparison.setEnabled(self._results.current is not None)

    def toggle_side_by_side(self) -> None:
        """Show the current result beside its image, or return to the previous view."""
        if self._side_by_side.is_on:
            self._side_by_side.end()
        elif self._results.current is not None:
            self._side_by_side.show(*self._results.current)

    def toggle_profile(self) -> None:
        """Show the line profile of the current result and its image, or remove it."""
        if self._plot.is_on:
            self._plot.end()
        elif self._results.current is not None:
            self._plot.show_for(*self._results.current)

    def end(self) -> None:
        """Return to the previous view."""
        self._side_by_side.end()
        self._plot.end()


class SideBySide:
    """napari's grid with two visible layers; the other layers are hidden meanwhile."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._hidden: list[Layer] = []
        self._before: tuple[Any, ...] = ()

    @property
    def is_on(self) -> bool:
        return bool(self._before)

    def show(self, left: Layer, right: Layer) -> None:
        grid, layers = _grid(self._viewer), self._viewer.layers
        self._before = (grid.enabled, grid.stride, grid.shape)
        self._hidden = [x for x in layers if x.visible and x not in (left, right)]
        for layer in self._hidden:
            layer.visible = False
        left.visible = right.visible = True
        is_in_order = layers.index(left) < layers.index(right)
        grid.shape, grid.stride = (1, 2), 1 if is_in_order else -1
        grid.enabled = True

    def end(self) -> None:
        if not self._before:
            return
        grid = _grid(self._viewer)
        grid.enabled, grid.stride, grid.shape = self._before
        self._before = ()
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []


def _grid(viewer: Viewer) -> Any:
    """Return the grid of a viewer; napari 0.9 moved it to the canvas."""
    return getattr(viewer, "canvas", viewer).grid
