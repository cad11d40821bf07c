"""Movements and clicks of the mouse over the canvas, beside napari's own tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari import Viewer

# A hand moves the mouse a little while it clicks, in pixels of the screen.
STEADY = 4.0

Act = Callable[[Sequence[float]], None]


class Callbacks:
    """Mouse callbacks of napari, a plain list, with the interface of a signal."""

    def __init__(self, callbacks: list) -> None:
        self.connect, self.disconnect = callbacks.append, callbacks.remove


class Mouse:
    """Calls functions with the position in the world where the mouse moves, or clicks.

    Clicks are those of the left button in two dimensions, while napari's tool is to pan and zoom:
    a click that draws or selects is not ours.
    """

    def __init__(self, viewer: Viewer, moved: Act, clicked: Act) -> None:
        self._viewer, self._moved, self._clicked = viewer, moved, clicked

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Listen until the dock, whose method `listen` is, is closed."""
        listen(Callbacks(self._viewer.mouse_move_callbacks), self._on_move)
        listen(Callbacks(self._viewer.mouse_drag_callbacks), self._on_press)

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._moved(event.position)

    def _on_press(self, _viewer: Any, event: Any) -> Iterator[None]:
        pressed, is_ours = np.array(event.pos, float), event.button == 1 and self._is_navigating()
        yield
        while event.type == "mouse_move":
            yield
        if is_ours and np.abs(np.array(event.pos, float) - pressed).max() <= STEADY:
            self._clicked(event.position)

    def _is_navigating(self) -> bool:
        active = self._viewer.layers.selection.active
        mode = str(getattr(active, "mode", "pan_zoom"))
        return mode == "pan_zoom" and self._viewer.dims.ndisplay == 2
