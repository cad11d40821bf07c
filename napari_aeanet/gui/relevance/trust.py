"""Section of the Relevance dock about trust: the traffic light and the maps it is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QCheckBox, QWidget
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.widgets import button, chooser, label, make_column, named, set_text
from napari_aeanet.gui.relevance import worker
from napari_aeanet.gui.relevance.sections import ask_path
from napari_aeanet.gui.viewer.layers import Frame
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.trust import DISCLAIMER, MEANING, Light, TrustMaps

if TYPE_CHECKING:
    from napari import Viewer

TRAFFIC_LIGHT = "traffic light"
ENDING = "-trust.ome.tif"
TITLES = {
    "sigma": "sigma of the model (± grey levels)",
    "uncertainty": "68 % of errors lie within (± grey levels)",
    "uncertainty_90": "90 % of errors lie within (± grey levels)",
    "disagreement": "disagreement of flips and turns (grey levels)",
    "contradiction": "contradiction of the input (-log10 of p)",
    "unlike": "unlike the training (1: edge of the familiar)",
}
# Upper ends of the colour scales; other maps are scaled to a percentile of their values.
SCALE_ENDS = {"contradiction": 6.0, "unlike": 2.0}
SCALE_PERCENTILE = 99.0
LIGHTS = Colormap(
    [[0.2, 0.75, 0.4, 0.15], [1.0, 0.8, 0.1, 0.75], [0.8, 0.0, 0.65, 0.9]],
    controls=[0, 1 / 3, 2 / 3, 1],
    interpolation="zero",
    name="trust",
    display_name="trust",  # a longer one widens napari's panel
)
LIGHTS_RANGE = (0.0, 1.5)
# Beside the colours. Red is a magenta: yellow and blue remain to those who mix up red and green.
MARKS = {Light.GREEN: "✓", Light.AMBER: "!", Light.RED: "✗"}
# Background and colour of each mark, readable in every theme.
LEGEND = {
    Light.GREEN: ("#33bf66", "#000000"),
    Light.AMBER: ("#ffcc1a", "#000000"),
    Light.RED: ("#cc00a6", "#ffffff"),
}


class TrustSection(QWidget):
    """A button that judges the result, a summary, and a choice of maps over the image."""

    def __init__(
        self,
        viewer: Viewer,
        instead_of: Overlay,
        judge: Callable[[], None],
        in_background: Callable[..., None],
    ) -> None:
        super().__init__()
        self.overlay = Overlay(viewer, "trust", instead_of)
        self._in_background = in_background
        self._found: TrustMaps | None = None
        self._name = ""  # of the image
        self._place: dict[str, Any] = {}
        self.button = button(
            "How far can I trust the result?",
            "relevance_trust",
            "Restore the image and check every pixel of the result for signs of errors",
            judge,
        )
        self.symmetries = QCheckBox("all flips and turns (8 × the time)")
        named(self.symmetries, "relevance_symmetries", "Show where the eight results disagree")
        self.symmetries.setChecked(True)
        self.sentence = label(name="relevance_trust_sentence")
        self.shown = chooser("relevance_trust_map", "The map that is shown")
        self.shown.currentIndexChanged.connect(lambda _index: self.show_chosen())
        self.save_button = button(
            "Save all maps…",
            "relevance_save_trust",
            "Save the light, sigma, the intervals and all other maps as one calibrated stack",
            self.save,
        )
        entries = [
            "<span style='font-family:monospace;"
            f"background-color:{back};color:{front}'>&nbsp;{MARKS[light]}&nbsp;</span>"
            f"&nbsp;{MEANING[light].replace(' ', '&nbsp;')}"
            for light, (back, front) in LEGEND.items()
        ]
        self.legend = label("<br>".join(entries), name="relevance_trust_legend")
        self.judged = QWidget()
        make_column(self.judged, self.sentence, self.shown, self.legend, self.save_button)
        hint = label(DISCLAIMER, "hint", "relevance_trust_meaning")
        make_column(self, self.button, self.symmetries, self.judged, hint)
        self.judged.hide()

    def set_maps(self, found: TrustMaps, frame: Frame) -> None:
        """Show the traffic light of a result, and its summary."""
        self._found, self._name = found, found.restored.name.removesuffix(" restored")
        self._place = frame.place(found.restored)
        with signals_blocked(self.shown):
            self.shown.clear()
            self.shown.addItem(TRAFFIC_LIGHT, "")
            for name in found.maps:
                self.shown.addItem(TITLES[name], name)
        text = " ".join([found.summary, *found.notices])
        # A number stays on the line of its unit.
        set_text(self.sentence, text.replace(" %", "\u00a0%"), "plain")
        self.judged.show()
        self.show_chosen()

    def refresh(self, is_of_chosen: bool) -> None:
        """Show what was found while it is of the chosen image and model."""
        self.judged.setVisible(self._found is not None and is_of_chosen)

    def save(self) -> None:
        """Save all maps beside the image, in the background."""
        if self._found is None:
            return
        source, name = self._found.restored.source, f"{self._name}{ENDING}"
        near = name if source is None else str(source.with_name(name))
        if path := ask_path(self, "Save the maps of trust", near, f"Stack (*{ENDING[-8:]})"):
            work, then = worker.save_trust, lambda path: show_info(f"Saved {path}")
            self._in_background("saving the maps of trust", work, self._found, path, then=then)

    def show_chosen(self) -> None:
        """Show the chosen map over the image."""
        if self._found is None:
            return
        name = self.shown.currentData()
        self.legend.setVisible(not name)
        if not name:
            values, colormap, limits = self._found.doubt, LIGHTS, LIGHTS_RANGE
        else:
            values, colormap = self._found.maps[name], ensure_colormap("inferno")
            end = SCALE_ENDS.get(name) or float(np.nanpercentile(values, SCALE_PERCENTILE)) or 1.0
            limits = (0.0, end)
        self.overlay.show(
            values,
            self._place,
            f"trust: {name.replace('_', ' ') or TRAFFIC_LIGHT} of {self._name}",
            colormap=colormap,
            contrast_limits=limits,
            opacity=0.6,
        )
        self.overlay.set_colour_bar(bool(name))
