"""Tell if the view is still as napari showed the images at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari import Viewer

# The view is that of the first of several layers, or was made before the window had its size.
ZOOM, CENTRE = 0.1, 0.02  # the latter as a share of the field


def is_fitted(viewer: Viewer) -> bool:
    """Return True if the view is as napari shows images at first: whole, in two dimensions."""
    if not viewer.layers or viewer.dims.ndisplay != 2:
        return False
    camera = viewer.scene.camera
    centre, zoom = camera.center, camera.zoom
    viewer.reset_view()
    field = float(np.ptp(viewer.layers.extent.world, axis=0).max())
    if np.allclose(centre, camera.center, rtol=0, atol=CENTRE * field) and np.isclose(
        zoom, camera.zoom, rtol=ZOOM
    ):
        return True
    camera.center, camera.zoom = centre, zoom
    return False
