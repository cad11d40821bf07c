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
from napari_aeanet.gui.common.overlay import SIGNED, add_quietly
from napari_aeanet.relevance import contrast_limit

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.core.image import Image
    from napari_aeanet.relevance import RelevanceMaps

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
