"""Layers of results: growing on top of their images, and compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer

from napari_aeanet.core.image import Image
from napari_aeanet.gui.restore.worker import BlockRestored, ImageBegun, ImageRestored
from napari_aeanet.gui.viewer.camera import is_in_view_centre, look_at
from napari_aeanet.gui.viewer.image_list import (
    PLUGIN_METADATA_KEY,
    SOURCE_METADATA_KEY,
    is_input,
)
from napari_aeanet.gui.viewer.layers import Frame
from napari_aeanet.io import open_levels

if TYPE_CHECKING:
    from napari import Viewer


@dataclass
class _Growing:
    """An incomplete result, with a mask of its finished pixels."""

    layer: ImageLayer
    done: np.ndarray
    is_stale: bool = False


class Results:
    """Layers of results, each with its source layer while both exist."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._sources: WeakKeyDictionary[Layer, ref[Layer]] = WeakKeyDictionary()
        self._growing: dict[int, _Growing] = {}

    @property
    def layers(self) -> list[Layer]:
        """Layers of results in the order of the viewer, the topmost last."""
        return [layer for layer in self._viewer.layers if layer in self._sources]

    @property
    def latest(self) -> tuple[Layer, Layer] | None:
        """The source and the topmost result, if both exist."""
        for result in reversed(self.layers):
            source = self._sources[result]()
            if source is not None and source in self._viewer.layers:
                return source, result
        return None

    @property
    def truth(self) -> Layer | None:
        """The topmost input image of the size of the latest result, which may show the truth."""
        if self.latest is None:
            return None
        source, result = self.latest
        for layer in reversed(self._viewer.layers):
            is_other = layer is not source and is_input(layer)
            if is_other and layer.data.shape == result.data.shape:
                return layer
        return None

    def begin(self, event: ImageBegun, frame: Frame, source: Layer, gain: float) -> None:
        """Add the layer of a result, which shows the enlarged source until blocks arrive."""
        layer = self._add(event.image, event.image.array, frame, source, gain)
        self._growing[event.index] = _Growing(layer, np.zeros(event.image.shape, bool))

    def put(self, event: BlockRestored) -> None:
        """Write a block into its layer, without drawing it."""
        growing = self._growing.get(event.index)
        if growing is not None:
            growing.layer.data[event.region] = event.block
            growing.done[event.region] |= not event.provisional
            growing.is_stale = True

    def refresh(self, _progress: Any = None) -> None:
        """Draw the blocks that have arrived, once for all of them."""
        for growing in self._growing.values():
            if growing.is_stale and growing.layer.visible:
                growing.layer.refresh(thumbnail=False, highlight=False, extent=False)
                growing.is_stale = False

    def finish(self, event: ImageRestored, frame: Frame, source: Layer, gain: float) -> None:
        """Show a complete result, and its height map if there is one."""
        growing = self._growing.pop(event.index, None)
        pixels = _pixels(event.image)
        if growing is not None and growing.layer in self._viewer.layers:
            growing.layer.data = pixels
        else:
            self._add(event.image, pixels, frame, source, gain)
        if event.height is not None:
            self._add_height(event, event.height, frame)

    def _add_height(self, event: ImageRestored, height: Image, frame: Frame) -> None:
        # Hidden, since it lies on top of the result.
        arguments = frame.place(height) | {
            "contrast_limits": event.height_range,
            "colormap": "viridis",
            "metadata": {PLUGIN_METADATA_KEY: "height"},
            "visible": False,
        }
        self._viewer.add_layer(ImageLayer(_pixels(height), **arguments))

    def stop(self, index: int) -> float:
        """Keep the finished part of an incomplete result; return its share of the image."""
        growing = self._growing.pop(index, None)
        if growing is None or growing.layer not in self._viewer.layers:
            return 0.0
        share = float(growing.done.mean())
        if not share:
            self._viewer.layers.remove(growing.layer)
            return 0.0
        pixels = growing.layer.data
        pixels[~growing.done] = np.nan if pixels.dtype.kind == "f" else 0
        growing.layer.name = f"{growing.layer.name} (part)"
        growing.layer.refresh()
        return share

    def stop_all(self) -> float:
        """Keep the finished parts of all incomplete results; return the share of the last."""
        shares = [self.stop(index) for index in list(self._growing)]
        return shares[-1] if shares else 0.0

    def toggle(self) -> None:
        """Show all results, or hide them if one is visible."""
        is_shown = any(layer.visible for layer in self.layers)
        for layer in self.layers:
            layer.visible = not is_shown

    def _add(
        self, image: Image, pixels: Any, frame: Frame, source: Layer, gain: float
    ) -> ImageLayer:
        arguments = frame.place(image)
        made_from = {SOURCE_METADATA_KEY: str(source.unique_id)}
        arguments["metadata"] = {PLUGIN_METADATA_KEY: "restored", **made_from}
        arguments["contrast_limits"] = [gain * limit for limit in arguments["contrast_limits"]]
        layer = ImageLayer(pixels, **arguments)
        self._viewer.add_layer(layer)  # on top
        if not is_in_view_centre(self._viewer, layer):
            look_at(self._viewer, [layer])
        self._sources[layer] = ref(source)
        return layer


def _pixels(image: Image) -> Any:
    """Return the pixels of an image, or the resolution levels of its file.

    napari reads only the visible part of levels, so the file may be larger than memory.
    """
    if image.source is None:
        return image.array
    levels = open_levels(image.source)
    return levels if len(levels) > 1 else levels[0]
