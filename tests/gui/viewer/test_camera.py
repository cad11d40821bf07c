"""The view is filled with the layers that are named, whatever else is open."""

import numpy as np
import pytest

from napari_aeanet.gui.viewer import camera
from napari_aeanet.gui.viewer.camera import best_columns, look_at


def edges_in_view(viewer):
    """Return first and last world coordinates of the canvas, (y, x) each."""
    half = np.array(viewer.canvas.size) / viewer.scene.camera.zoom / 2
    centre = np.array(viewer.scene.camera.center[-2:])
    return centre - half, centre + half


@pytest.mark.parametrize("others", [[], [(5, 40, 40)], [(2, 5, 40, 40)]])
def test_a_plane_fills_the_view_beside_any_stack(viewer, others):
    for shape in others:
        viewer.add_image(np.zeros(shape))
    plane = viewer.add_image(np.zeros((30, 60)), translate=(1000, 2000))
    look_at(viewer, [plane])
    low, high = edges_in_view(viewer)
    assert (low < (1000, 2000)).all() and (high > (1029, 2059)).all()
    # The tighter side is filled up to a rim.
    assert min((high - low) / (29, 59)) < 1.15


def test_a_stack_fills_the_view_beside_a_plane(viewer):
    viewer.add_image(np.zeros((30, 30)))
    stack = viewer.add_image(np.zeros((5, 40, 40)), translate=(0, 500, 500))
    look_at(viewer, [stack])
    low, high = edges_in_view(viewer)
    assert (low < 500).all() and (high > 539).all()


def test_a_view_along_an_axis_that_the_layers_lack_stays(viewer):
    viewer.add_image(np.zeros((5, 40, 40)))
    plane = viewer.add_image(np.zeros((30, 30)))
    viewer.dims.order = (2, 0, 1)
    before = viewer.scene.camera.center
    look_at(viewer, [plane])
    assert viewer.scene.camera.center == before


def test_layers_in_different_units_share_the_view(viewer):
    one = viewer.add_image(np.zeros((100, 100)), scale=(1, 1), units=("nm", "nm"))
    other = viewer.add_image(
        np.zeros((100, 100)), scale=(0.001, 0.001), translate=(0, 0.2), units=("um", "um")
    )
    look_at(viewer, [one, other])
    extent = viewer.layers.extent.world
    low, high = edges_in_view(viewer)
    assert (low <= extent[0]).all() and (high >= extent[1]).all()


@pytest.mark.parametrize(
    ("canvas", "shape", "count", "columns"),
    [
        ((850, 574), (1, 1), 2, 1),  # a canvas between two docks
        ((850, 574), (1, 1), 3, 1),
        ((850, 574), (1, 1), 4, 2),
        ((1000, 1200), (1, 1), 4, 2),
        ((1000, 1200), (1, 1), 3, 3),
        ((850, 574), (1, 6), 4, 1),
        ((850, 574), (6, 1), 4, 4),
        ((850, 574), (1, 1), 1, 1),
    ],
)
def test_images_are_laid_out_in_full_rows_as_large_as_they_can_be(
    monkeypatch, canvas, shape, count, columns
):
    monkeypatch.setattr(camera, "_canvas_size", lambda _: np.array(canvas, float))
    assert best_columns(None, *shape, count) == columns
