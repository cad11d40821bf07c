"""Prepare the canvas for the removal of a layer."""

from __future__ import annotations

from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget


def make_canvas_current(window: QWidget) -> None:
    """Make the OpenGL context of the canvas in a window the current one.

    napari deletes the buffers of a removed layer at once, in the context that happens to be
    current. In that of the window the canvas keeps pointing at them, and the next drawing can end
    the program (docs/reliability.md).
    """
    for canvas in window.findChildren(QOpenGLWidget):
        if canvas.isValid():
            canvas.makeCurrent()
