"""Tell if the view is still as napari showed the images at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari import Viewer


def is_fitted(viewer: Viewer) -> bool:
    """Return True if the view is as napari shows images at first: whole, in two dimensions."""
    if not viewer.layers or viewer.dims.ndisplay != 2:
        return False
    camera = viewer.scene.camera
    before = (*camera.center, camera.zoom)
    viewer.reset_view()
    if np.allclose(before, (*camera.center, camera.zoom), rtol=1e-3):
        return True
    camera.center, camera.zoom = before[:-1], before[-1]
    return False
