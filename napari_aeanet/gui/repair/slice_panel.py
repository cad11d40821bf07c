"""Slices of a stack: their scores, which of them to repair, and a preview of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import button, label, make_column, row
from napari_aeanet.gui.repair.preview import Preview
from napari_aeanet.gui.repair.results import Result
from napari_aeanet.gui.repair.score_plot import DamagePlot
from napari_aeanet.gui.repair.slice_list import SliceList
from napari_aeanet.gui.repair.text import slice_text
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.repair import (
    DamageFound,
    PlannedSlice,
    RepairSettings,
    plan_repairs,
)
from napari_aeanet.stacks import as_stack

if TYPE_CHECKING:
    from napari import Viewer

BY_HAND = "added by you"


class SlicePanel(QWidget):
    """Plot and list of the slices of one stack; nothing is ticked that was not proposed or added.

    Parameters
    ----------
    in_background
        Function that calls another one in a thread.

    Attributes
    ----------
    stack
        Layer of the stack; None without one.
    ticked
        Numbers of the slices to repair.
    method
        How they are to be made.
    """

    changed = Signal()  # the ticks, or the chosen slice
    find_clicked = Signal()

    def __init__(self, viewer: Viewer, in_background: Callable[..., None]) -> None:
        super().__init__()
        self._viewer = viewer
        self.stack: ImageLayer | None = None
        self.ticked: set[int] = set()
        self._reasons: dict[int, str] = {}  # of the listed slices, by number
        self._found: DamageFound | None = None
        self._result: Result | None = None
        self.plot = DamagePlot("repair_plot")
        self.plot.picked.connect(self.jump)
        self.again = button(
            "Find again",
            "repair_again",
            "Look for damaged slices; those that you added stay",
            self.find_clicked.emit,
        )
        self.list = SliceList("repair_slices", self.ticked)
        self.list.picked.connect(self._on_picked)
        self.list.changed.connect(self.changed.emit)
        self.add = button("Add slice", "repair_add", "", self.add_shown)
        self.preview = Preview(viewer, self.jump, in_background)
        make_column(
            self,
            row(label("Slices to repair", "heading"), self.again, stretch=0),
            self.plot,
            self.list,
            row(self.add, self.preview.button),
            self.preview,
        )

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the slice in view until the dock is closed."""
        listen(self._viewer.dims.events.point, self._on_view)

    # --- the stack

    def begin(self, stack: ImageLayer | None) -> None:
        """Begin anew with a stack."""
        self.stack, self._found, self._result = stack, None, None
        self.ticked.clear()
        self._reasons.clear()
        self.preview.end()
        self.list.fill(())

    @property
    def image(self) -> Image:
        assert self.stack is not None
        return as_stack(layer_to_image(self.stack))

    @property
    def frame(self) -> Frame:
        assert self.stack is not None
        return Frame.of(self.stack, self.image)

    @property
    def planned(self) -> tuple[PlannedSlice, ...]:
        """Return the slices that each ticked one would be made from."""
        return () if self.stack is None else plan_repairs(self.image, self.ticked)

    @property
    def repairable(self) -> int:
        """Number of ticked slices that can be repaired."""
        return sum(not one.refusal for one in self.planned)

    # --- the slice in view

    @property
    def shown(self) -> int | None:
        """Number of the slice in view."""
        layer, dims = self.stack, self._viewer.dims
        if layer is None or dims.ndim < layer.ndim:
            return None
        place = layer.world_to_data(dims.point[-layer.ndim :])[0]
        return int(np.clip(round(place), 0, layer.data.shape[0] - 1))

    def jump(self, index: int) -> None:
        """Show a slice in the viewer."""
        if self.stack is None:
            return
        self._viewer.dims.ndisplay = 2
        place = self.stack.data_to_world([index, 0, 0])
        self._viewer.dims.set_point(self._viewer.dims.ndim - len(place), place[0])

    def _on_picked(self, index: int) -> None:
        self.jump(index)
        self.changed.emit()

    def _on_view(self, _event: Any = None) -> None:
        shown = self.shown
        if shown is not None:
            self.plot.show_slice(shown)
            self.preview.mark(shown)
        is_ticked = shown in self.ticked
        self.add.setText("Add slice" if shown is None else f"Add slice {shown}")
        self.add.setEnabled(shown is not None and not is_ticked)
        self.add.setToolTip(
            f"Slice {shown} is ticked already." if is_ticked else "Repair the slice in view too"
        )

    # --- slices

    def take_found(self, found: DamageFound) -> None:
        """List the proposed slices, ticked, besides those that the user added."""
        added = {i: r for i, r in self._reasons.items() if r == BY_HAND and i in self.ticked}
        self._found = found
        self._reasons.clear()
        self._reasons.update(added | {one.index: one.reason for one in found.slices})
        self.ticked.intersection_update(self._reasons)
        self.ticked.update(found.indices)
        self.plot.set_scores(found.scores, found.limit)
        self._fill()
        if found.slices:
            self.list.choose(found.indices[0])

    def add_shown(self) -> None:
        """List the slice in view, ticked."""
        if (index := self.shown) is not None:
            self._reasons.setdefault(index, BY_HAND)
            self.ticked.add(index)
            self._fill()
            self.list.choose(index)

    def _fill(self) -> None:
        texts = self._texts()
        self.list.fill((index, texts[index], texts[index]) for index in sorted(texts))

    def _texts(self) -> dict[int, str]:
        planned = {one.index: one for one in self.planned}
        found = () if self._found is None else self._found.indices
        doubtful, result = set(found) - self.ticked, self._result
        return {
            index: slice_text(
                index,
                reason,
                planned.get(index),
                doubtful,
                None if result is None else result.outcome(index),
            )
            for index, reason in self._reasons.items()
        }

    def start_preview(self, settings: RepairSettings) -> None:
        """Show the chosen slice as it would be repaired."""
        one = self._chosen
        if one is not None and not one.refusal:
            self.preview.start(one, frozenset(self.ticked), settings, self.frame)

    @property
    def _chosen(self) -> PlannedSlice | None:
        return next((one for one in self.planned if one.index == self.list.chosen), None)

    def refresh(self, result: Result | None, busy: str) -> None:
        """Update all controls.

        Parameters
        ----------
        result
            The repaired stack in the viewer that was made of the present choices.
        busy
            Why no job can be started; empty if one can.
        """
        self._result = result
        self.list.set_texts(self._texts())
        self.plot.setVisible(self._found is not None)
        self.plot.mark(self.ticked, self._reasons)
        self.again.setVisible(bool(self._found or self._reasons))
        self.again.setText("Find damage" if self._found is None else "Find again")
        self.again.setEnabled(not busy)
        self.preview.refresh(self.list.chosen, self._chosen, busy)
        self._on_view()

    def paint(self, colours: Colours) -> None:
        self.plot.paint(colours)
