"""Prepare the canvas for the removal of a layer."""

from __future__ import annotations

from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget


def make_canvas_current(widget: QWidget) -> None:
    """Make the OpenGL context of the canvas in the window of a widget the current one.

    napari deletes the buffers of a removed layer at once, in the context that happens to be
    current. In that of the window the canvas keeps pointing at them, and the next drawing can end
    the program (docs/reliability.md).
    """
    window = widget.window()
    for canvas in [] if window is None else window.findChildren(QOpenGLWidget):
        if canvas.isValid():
            canvas.makeCurrent()
