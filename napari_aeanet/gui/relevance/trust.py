"""The traffic light over an image, and the maps behind it: one layer, its data swapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.gui.common.layers import Frame
from napari_aeanet.gui.common.overlay import Overlay
from napari_aeanet.gui.common.widgets import set_text
from napari_aeanet.gui.relevance.layers import LIGHTS, LIGHTS_RANGE
from napari_aeanet.gui.relevance.sections import TrustSection

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.trust import TrustMaps

LIGHT = "traffic light"
WORDS = {
    "uncertainty": "uncertainty (± grey levels)",
    "disagreement": "disagreement over flips and turns (grey levels)",
    "consistency": "consistency with the input (1: only noise removed)",
    "unlike": "unlike the training (1: edge of the familiar)",
}
# Maps without a natural end of their scale show up to this percentile.
FULL_COLOUR = 99.0
ENDS = {"consistency": 8.0, "unlike": 2.0}


class TrustView:
    """Shows what `napari_aeanet.trust.run` found."""

    def __init__(self, viewer: Viewer, section: TrustSection, instead_of: Overlay) -> None:
        self.overlay = Overlay(viewer, "trust", instead_of)
        self._section = section
        self._found: TrustMaps | None = None
        self._place: dict[str, Any] = {}
        section.shown.currentIndexChanged.connect(lambda _index: self.show())

    def take(self, found: TrustMaps, frame: Frame) -> None:
        """Show the light of a new image, and say what it says."""
        self._found = found
        place = frame.place(found.restored)
        self._place = {k: v for k, v in place.items() if k not in _LOOKS}
        section = self._section
        section.shown.blockSignals(True)
        section.shown.clear()
        section.shown.addItem(LIGHT, "")
        for name in found.maps:
            section.shown.addItem(WORDS[name], name)
        section.shown.blockSignals(False)
        notices = " ".join(found.notices)
        # A number stays on the line of its unit.
        words = f"{found.summary} {notices}".strip().replace(" %", "\u00a0%")
        set_text(section.sentence, words, "plain")
        for widget in (section.shown, section.legend):
            widget.show()
        self.show()

    def show(self) -> None:
        """Lay the chosen map over the image."""
        if self._found is None:
            return
        name = self._section.shown.currentData()
        image = self._found.restored.name.removesuffix(" restored")
        if not name:
            looks: dict[str, Any] = {"colormap": LIGHTS, "contrast_limits": LIGHTS_RANGE}
            values = self._found.doubt
        else:
            values = self._found.maps[name]
            end = ENDS.get(name) or float(np.nanpercentile(values, FULL_COLOUR)) or 1.0
            looks = {"colormap": _named("inferno"), "contrast_limits": (0.0, end)}
        self._section.legend.setVisible(not name)
        words = name or LIGHT
        self.overlay.show(values, self._place, f"trust: {words} of {image}", opacity=0.6, **looks)


# What the overlay decides by itself.
_LOOKS = ("name", "contrast_limits", "colormap")


def _named(name: str) -> Any:
    from napari.utils.colormaps import ensure_colormap

    return ensure_colormap(name)
