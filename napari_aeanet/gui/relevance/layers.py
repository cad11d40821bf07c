"""Layers that the Relevance dock lays over images: one for each purpose, its data swapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points
from napari.utils.colormaps import Colormap

from napari_aeanet.gui.common.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.common.layers import Frame
from napari_aeanet.relevance import AGAINST, FOR, contrast_limit

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.core.image import Image
    from napari_aeanet.relevance import RelevanceMaps

# What says nothing is clear, so that the image below stays visible.
SIGNED = Colormap(
    [[*AGAINST, 1.0], [*AGAINST, 0.0], [*FOR, 0.0], [*FOR, 1.0]],
    controls=[0, 0.499, 0.501, 1],
    name="relevance",
    display_name="relevance: blue against, orange for",
)
LIGHTS = Colormap(
    [[0.2, 0.75, 0.4, 0.15], [1.0, 0.75, 0.1, 0.75], [0.9, 0.15, 0.2, 0.85]],
    controls=[0, 1 / 3, 2 / 3, 1],
    interpolation="zero",
    name="trust",
    display_name="trust: green, amber from 0.5, red from 1",
)
LIGHTS_RANGE = (0.0, 1.5)
# Seen on the dark canvas and on the light one.
CAPTION_COLOUR = "#808080"
POINTS_PER_PIXEL = 0.75
# A difference below this share of the shown contrast is rounding: it gets no colour.
LEAST_CHANGE = 1e-4


class Overlay:
    """One layer over an image, made when first shown and again when it was deleted.

    It is shown instead of another one: the colours of two on each other say nothing.
    """

    def __init__(self, viewer: Viewer, purpose: str, instead_of: Overlay | None = None) -> None:
        self._viewer = viewer
        self._purpose = purpose
        self._other = instead_of
        if instead_of is not None:
            instead_of._other = self
        self.layer: ImageLayer | None = None

    @property
    def is_shown(self) -> bool:
        return self.layer is not None and self.layer in self._viewer.layers

    def show(self, values: np.ndarray, place: dict[str, Any], name: str, **looks: Any) -> None:
        """Put `values` at `place`; `looks` (colormap, contrast limits, opacity) are set anew."""
        if self._other is not None:
            self._other.hide()
        limits = looks.pop("contrast_limits")
        layer = self.layer
        if not self.is_shown or layer is None or layer.ndim != values.ndim:
            self.layer = layer = ImageLayer(
                values,
                contrast_limits=limits,
                metadata={PLUGIN_METADATA_KEY: self._purpose},
                **(place | looks),
            )
            add_quietly(self._viewer, layer)
        else:
            _change(layer, values, place)
            if "colormap" in looks and layer.colormap.name != looks["colormap"].name:
                layer.colormap = looks["colormap"]
        low, high = limits
        layer.contrast_limits_range = (low - (high - low) / 2, high + (high - low) / 2)
        layer.contrast_limits = limits
        layer.name = name

    def hide(self) -> None:
        if self.layer is not None and self.layer.visible:
            self.layer.visible = False

    def pin(self) -> None:
        """Leave the layer as it is; the next map gets a layer of its own."""
        if self.layer is not None:
            self.layer.name = f"{self.layer.name} (pinned)"
            self.layer = None


def _change(layer: ImageLayer, values: np.ndarray, place: dict[str, Any]) -> None:
    """Swap the data; each of napari's setters redraws, so only what differs is set."""
    for name in ("scale", "translate"):
        if not np.array_equal(getattr(layer, name), place[name]):
            setattr(layer, name, place[name])
    layer.data = values
    if not layer.visible:
        layer.visible = True


def add_quietly(viewer: Viewer, layer: ImageLayer) -> None:
    """Add a layer; what was active stays so."""
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active or layer


def add_difference(viewer: Viewer, image: Image, frame: Frame) -> None:
    """What abstract pixels change, as a layer of its own."""
    place = frame.place(image)
    low, high = frame.contrast_limits
    most = max(contrast_limit(image.array), LEAST_CHANGE * (high - low))
    place |= {"colormap": SIGNED, "contrast_limits": (-most, most)}
    layer = ImageLayer(image.array, metadata={PLUGIN_METADATA_KEY: "difference"}, **place)
    add_quietly(viewer, layer)


class Mosaic:
    """Rows are images, columns abstract pixels: layers beside everything, one scale for all."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[ImageLayer | Points] = []

    def show(self, shown: Sequence[RelevanceMaps], pixels: Sequence[int]) -> None:
        from napari_aeanet.relevance import GRID, make_mosaic

        made = make_mosaic(shown, pixels)
        self.remove()
        extent = self._viewer.layers.extent.world
        width = extent[1, -1] - extent[0, -1]
        # As wide as what is there already, and beside it.
        scale = max(float(width), 1e-9) / made.grey.shape[1]
        corner = np.array([extent[0, -2], extent[1, -1] + 0.05 * width])
        units = self._viewer.layers[0].units[-2:]
        looks: dict[str, Any] = {"translate": corner, "units": units}
        numbers = ", ".join(str(pixel + 1) for pixel in pixels)
        grey = ImageLayer(
            made.grey,
            name="compared: images",
            scale=(scale, scale),
            contrast_limits=(0, 1),
            metadata={PLUGIN_METADATA_KEY: "compared"},
            **looks,
        )
        coarse = scale * GRID
        looks["translate"] = corner + (GRID - 1) / 2 * scale
        heat = ImageLayer(
            made.heat,
            name=f"compared: abstract pixels {numbers}",
            scale=(coarse, coarse),
            colormap=SIGNED,
            contrast_limits=(-made.limit, made.limit),
            opacity=0.7,
            metadata={PLUGIN_METADATA_KEY: "compared"},
            **looks,
        )
        captions = Points(
            made.places,
            name="compared: captions",
            scale=(coarse, coarse),
            size=1e-3,
            opacity=1.0,
            border_width=0,
            face_color="transparent",
            text={
                "string": {"array": made.captions},
                "color": CAPTION_COLOUR,
                "size": made.letters * coarse * POINTS_PER_PIXEL,
                "scaling": True,
            },
            metadata={PLUGIN_METADATA_KEY: "compared"},
            **looks,
        )
        self._layers = [grey, heat, captions]
        for layer in self._layers:
            add_quietly(self._viewer, layer)

    @property
    def layers(self) -> tuple[ImageLayer | Points, ...]:
        return tuple(self._layers)

    def remove(self) -> None:
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers = []
