"""Layers of compared images in the Relevance dock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points

from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.overlay import SIGNED, add_quietly

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.relevance import RelevanceMaps

# Readable on a dark and on a light canvas.
CAPTION_COLOUR = "#808080"
POINTS_PER_PIXEL = 0.75
COLUMNS = 4


class Mosaic:
    """Images in rows and abstract pixels in columns, beside all other layers, on one scale."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.layers: tuple[ImageLayer | Points, ...] = ()

    def show(self, compared: Sequence[RelevanceMaps], pixels: Sequence[int]) -> str:
        """Show the first of these abstract pixels of all images; return the legend in words."""
        from napari_aeanet.relevance import GRID, make_mosaic

        pixels = pixels[:COLUMNS]
        made = make_mosaic(compared, pixels)
        self.remove()
        extent = self._viewer.layers.extent.world
        width = float(extent[1, -1] - extent[0, -1])
        # As wide as all other layers together, and beside them.
        scale = max(width, 1e-9) / made.grey.shape[1]
        corner = np.array([extent[0, -2], extent[1, -1] + 0.05 * width])
        common: dict[str, Any] = {
            "units": self._viewer.layers[0].units[-2:],
            "metadata": {PLUGIN_METADATA_KEY: "compared"},
        }
        grey = ImageLayer(
            made.grey,
            name="compared: images",
            scale=(scale, scale),
            translate=corner.tolist(),
            contrast_limits=(0, 1),
            **common,
        )
        coarse = scale * GRID
        common |= {"scale": (coarse, coarse), "translate": corner + (GRID - 1) / 2 * scale}
        numbers = ", ".join(str(pixel + 1) for pixel in pixels)
        heat = ImageLayer(
            made.heat,
            name=f"compared: abstract pixels {numbers}",
            contrast_limits=(-made.limit, made.limit),
            opacity=0.7,
            **common | {"colormap": SIGNED},
        )
        captions = Points(
            made.places,
            name="compared: captions",
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
            **common,
        )
        self.layers = (grey, heat, captions)
        for layer in self.layers:
            add_quietly(self._viewer, layer)
        names = ", ".join(maps.image.name for maps in compared)
        return f"Rows: {names}. Columns: abstract pixels {numbers}."

    def remove(self) -> None:
        for layer in self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers = ()
