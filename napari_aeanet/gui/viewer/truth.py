"""Layers that lie where another one lies, and so may show its truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from napari.layers import Layer

from napari_aeanet.evaluation import Place, place_of
from napari_aeanet.gui.viewer.image_list import (
    PLUGIN_METADATA_KEY,
    SOURCE_METADATA_KEY,
    is_input,
)
from napari_aeanet.gui.viewer.layers import directions_of, layer_to_image, unusable_because

RESTORED = "restored"  # metadata value of the layers that hold results
SAME_DIRECTION = 1e-3  # a pixel in a thousand


def could_be_truth(layer: Layer) -> bool:
    """Return True for input images and restored images, but not for maps."""
    purpose = layer.metadata.get(PLUGIN_METADATA_KEY, RESTORED)
    return purpose == RESTORED and unusable_because(layer) is None


def could_be_taken_as_truth(layer: Layer, layers: Iterable[Layer]) -> bool:
    """Return True if a layer may be the truth unless the user says so.

    Results are none, nor are the images that they were made from.
    """
    if not is_input(layer):
        return False
    results = [one for one in layers if one.metadata.get(PLUGIN_METADATA_KEY) == RESTORED]
    return str(layer.unique_id) not in {one.metadata.get(SOURCE_METADATA_KEY) for one in results}


def placed(layer: Layer, truth: Layer) -> Place | str:
    """Return the place of a layer on the grid of a truth, or why the two cannot be compared."""
    try:
        place = place_of(layer_to_image(layer), layer_to_image(truth))
    except ValueError as error:
        return str(error)
    ours, other = directions_of(layer), directions_of(truth)
    if ours.shape == other.shape and np.abs(ours - other).max() > SAME_DIRECTION:
        return (
            f"{layer.name} is turned, mirrored or sheared in the viewer against its truth "
            f"{truth.name}: register them in AEANet: Pairs."
        )
    return place


def truth_of(
    images: Sequence[Layer], layers: Iterable[Layer], preferred: Layer | None = None
) -> Layer | None:
    """Return the layer that most likely shows the truth of images: one of their field.

    It is on the grid of the images rather than on another; of several, `preferred` or else the
    topmost. Results and what they were made from are none.
    """
    layers = list(layers)

    def fit(layer: Layer) -> tuple[int, bool]:
        place = placed(images[0], layer)
        return 0 if isinstance(place, str) else 1 if place.notice else 2, layer is preferred

    offered = [
        layer for layer in layers if layer not in images and could_be_taken_as_truth(layer, layers)
    ]
    best = max(reversed(offered), key=fit, default=None)
    return best if best is not None and fit(best)[0] else None


def is_of_one_field(place: Place) -> bool:
    """Return True if an image covers the field of its truth, no more and no less."""
    if place.is_same:
        return True
    return all(
        abs(first - (step - 1) / 2) < max(step, 1.0)
        and abs(place.image.sizes[axis] * step - place.truth.sizes[axis]) < max(step, 1.0)
        for axis, first, step in zip(place.truth.spatial_axes, place.begin, place.step, strict=True)
    )
