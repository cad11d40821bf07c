"""An image layer over another one, its data swapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.colormaps import Colormap

from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.relevance import AGAINST, FOR

if TYPE_CHECKING:
    from napari import Viewer

# Transparent around zero, so that the image below stays visible.
SIGNED = Colormap(
    [[*AGAINST, 1.0], [*AGAINST, 0.0], [*FOR, 0.0], [*FOR, 1.0]],
    controls=[0, 0.499, 0.501, 1],
    name="relevance",
    display_name="relevance",  # a longer one widens napari's panel
)


class Overlay:
    """One layer over an image, made when first shown and again after it was deleted.

    Parameters
    ----------
    purpose
        Metadata value of the layer.
    instead_of
        Overlays that are hidden while this one is shown, and vice versa: blended colours are
        meaningless.
    """

    def __init__(self, viewer: Viewer, purpose: str, *instead_of: Overlay) -> None:
        self._viewer = viewer
        self._purpose = purpose
        self._others = list(instead_of)
        for other in instead_of:
            other._others.append(self)
        self.layer: ImageLayer | None = None

    @property
    def is_shown(self) -> bool:
        return self.layer is not None and self.layer in self._viewer.layers

    def show(self, values: np.ndarray, place: dict[str, Any], name: str, **looks: Any) -> None:
        """Show `values` at `place`; `looks` are colormap, contrast limits and opacity."""
        for other in self._others:
            other.hide()
        layer = self.layer
        if not self.is_shown or layer is None or layer.ndim != values.ndim:
            arguments = place | looks | {"metadata": {PLUGIN_METADATA_KEY: self._purpose}}
            self.layer = layer = ImageLayer(values, **arguments)
            add_quietly(self._viewer, layer)
        else:
            _change(layer, values, place)
            if "colormap" in looks and layer.colormap.name != looks["colormap"].name:
                layer.colormap = looks["colormap"]
        low, high = limits = looks["contrast_limits"]
        layer.contrast_limits_range = (low - (high - low) / 2, high + (high - low) / 2)
        layer.contrast_limits = limits
        layer.name = name

    def set_colour_bar(self, is_shown: bool) -> None:
        """Show or hide napari's bar of colours and values on the canvas."""
        if self.layer is not None and self.layer.colorbar.visible != is_shown:
            self.layer.colorbar.visible = is_shown

    def set_opacity(self, percent: int) -> None:
        if self.layer is not None:
            self.layer.opacity = percent / 100

    def hide(self) -> None:
        if self.layer is not None and self.layer.visible:
            self.layer.visible = False

    def remove(self) -> None:
        """Remove the layer; the next map gets a new one."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def pin(self) -> None:
        """Keep the layer; the next map gets a new one."""
        if self.layer is not None:
            self.layer.name = f"{self.layer.name} (pinned)"
            self.layer = None


def _change(layer: ImageLayer, values: np.ndarray, place: dict[str, Any]) -> None:
    """Swap the data; set only differing properties, as each of napari's setters redraws."""
    if tuple(map(str, layer.units)) != tuple(map(str, place["units"])):
        layer.units = place["units"]
    for name in ("scale", "translate", "rotate", "shear"):
        if place[name] is not None and not np.array_equal(getattr(layer, name), place[name]):
            setattr(layer, name, place[name])
    if not np.array_equal(layer.affine.affine_matrix, place["affine"]):
        layer.affine = place["affine"]
    layer.data = values
    if not layer.visible:
        layer.visible = True


def add_quietly(viewer: Viewer, layer: Layer) -> None:
    """Add a layer without changing the active one."""
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active or layer
