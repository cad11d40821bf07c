"""An image without what lies over it, in a linked view beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY

if TYPE_CHECKING:
    from napari import Viewer


class RawBeside:
    """napari's grid with two views: an image alone, and a copy of it with the layers over it.

    napari puts neighbours in the list of layers into one view. So the copy and the layers over it
    are the topmost, and the image, which stays where it is, has a view of its own.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._before: tuple[Any, ...] = ()
        self._hidden: list[Layer] = []
        self._copy: Layer | None = None

    @property
    def is_on(self) -> bool:
        return bool(self._before)

    def show(self, image: Layer, over: Sequence[Layer]) -> None:
        """Show the image alone beside a copy of it below the layers `over`."""
        self.end()
        layers, grid = self._viewer.layers, self._viewer.canvas.grid
        self._before = (grid.enabled, grid.stride, grid.shape)
        self._hidden = [x for x in layers if x.visible and x is not image and x not in over]
        for layer in self._hidden:
            layer.visible = False
        data, state, kind = image.as_layer_data_tuple()
        state |= {"name": f"{image.name} below", "metadata": {PLUGIN_METADATA_KEY: "copy"}}
        self._copy = Layer.create(data, state, kind)
        active = layers.selection.active
        layers.append(self._copy)
        for layer in over:
            layers.move(layers.index(layer), len(layers))
        layers.selection.active = active
        image.visible = True
        grid.shape, grid.stride = (1, 2), -1 - len(over)
        grid.enabled = True

    def end(self) -> None:
        """Return to the view before."""
        if not self._before:
            return
        grid = self._viewer.canvas.grid
        grid.enabled, grid.stride, grid.shape = self._before
        self._before = ()
        if self._copy is not None and self._copy in self._viewer.layers:
            self._viewer.layers.remove(self._copy)
        self._copy = None
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []
