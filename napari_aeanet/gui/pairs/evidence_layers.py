"""Layers with the evidence for a registration, shown while the Pairs dock is in front.

They are made once; later only their data change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer, Vectors

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import layer_arguments
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import Registration, transforms

if TYPE_CHECKING:
    from napari import Viewer

CHECKERBOARD, MATCHES = "checkerboard", "matches (error × 10)"
DRIFT, REMAINING = "drift (× 10)", "remaining drift (× 10)"
VECTOR_COLOURS = {MATCHES: "#ffcf33", DRIFT: "#ff8c42", REMAINING: "#4fd1c5"}
OVERLAY = "source on target"
# Errors of about a pixel are too short to see.
MAGNIFIED = 10.0


class EvidenceLayers:
    """Checkerboard, vectors of matches and drift, and the registered source over the target."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: dict[str, Layer] = {}

    def show_checkerboard(self, pixels: np.ndarray, target: Image) -> None:
        """Show `pixels` on the grid of `target`."""
        low, high = np.percentile(pixels[..., ::4, ::4], (0.5, 99.5))
        limits = (float(low), float(max(high, low + 1e-6)))
        arguments = _placed(target)
        layer = self._shown(CHECKERBOARD)
        if layer is not None:
            layer.data = pixels
            self._move(layer, arguments)
            layer.contrast_limits_range = (float(pixels.min()), float(pixels.max() + 1e-6))
            layer.contrast_limits = limits
            return
        made = ImageLayer(pixels, contrast_limits=limits, **arguments)
        made.name = CHECKERBOARD
        self._add(CHECKERBOARD, made)

    def show_vectors(self, name: str, registration: Registration, target: Image) -> None:
        """Show the errors of the matches, the drift, or what remains of it, magnified."""
        vectors = vectors_of(name, registration)
        arguments = _placed(target, spatial=2)
        layer = self._shown(name)
        if layer is not None:
            layer.data = vectors
            self._move(layer, arguments)
            return
        width, colour = max(target.shape[-2:]) / 300, VECTOR_COLOURS[name]
        made = Vectors(vectors, edge_width=width, edge_color=colour, opacity=0.9, **arguments)
        made.name = name
        self._add(name, made)

    def show_source(self, pair: ImagePair, resampled: Image | None) -> None:
        """Show the source over the target.

        Without local drift it is the unresampled source, moved by the layer's affine only, the
        transform that `pair.on_target_grid` resamples by. With it, and of a projection, it is
        `resampled`.
        """
        registration = pair.registration
        assert registration is not None
        image = resampled or pair.source
        source = image.array
        low, high = np.percentile(np.asarray(source[..., ::4, ::4], np.float32), (0.5, 99.5))
        affine = _affine_of(pair.target) if resampled else source_affine(registration, pair)
        looks: dict[str, Any] = {
            "contrast_limits": (float(low), float(max(high, low + 1e-6))),
            "colormap": "gray_r" if registration.inverted else "gray",
        }
        layer = self._shown(OVERLAY)
        if layer is not None:
            layer.data, layer.affine = source, affine
            for key, value in looks.items():
                setattr(layer, key, value)
            return
        units = _placed(pair.target, spatial=source.ndim)["units"]
        made = ImageLayer(source, affine=affine, units=units, **looks)
        made.name = OVERLAY
        self._add(OVERLAY, made)

    def set_visible(self, name: str, is_visible: bool) -> None:
        layer = self._shown(name)
        if layer is not None:
            layer.visible = is_visible

    def remove(self) -> None:
        """Remove the layers from the viewer."""
        for name in list(self._layers):
            layer = self._shown(name)
            if layer is not None:
                self._viewer.layers.remove(layer)
        self._layers = {}

    def _shown(self, name: str) -> Any:
        """Return the layer of this name, or None if the user has deleted it."""
        layer = self._layers.get(name)
        return layer if layer in self._viewer.layers else None

    def _add(self, name: str, layer: Layer) -> None:
        layer.metadata[PLUGIN_METADATA_KEY] = "evidence"
        self._layers[name] = layer
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active or layer

    @staticmethod
    def _move(layer: Layer, arguments: dict[str, Any]) -> None:
        layer.scale, layer.translate = arguments["scale"], arguments["translate"]


def vectors_of(name: str, registration: Registration) -> np.ndarray:
    """Return target points and magnified displacements, (n, 2, 2), of one kind of vectors."""
    if name == MATCHES:
        source, points = registration.matches[:, 0], registration.matches[:, 1]
        errors = transforms.apply(registration.matrix, source) - points if len(points) else points
    else:
        drift = registration.drift_vectors if name == DRIFT else registration.remaining_vectors
        points, errors = drift[:, 0], drift[:, 1]
    return np.stack([points, MAGNIFIED * errors], axis=1)


def source_affine(registration: Registration, pair: ImagePair) -> np.ndarray:
    """Return the affine of a napari layer from source pixels to the target's world.

    Planes of a stack lie at the planes of the target.
    """
    plane = registration.world_matrix(pair.target)
    axes = pair.source.array.ndim
    affine = np.eye(axes + 1)
    affine[-3:, -3:] = plane
    if axes > 2:
        place = layer_arguments(pair.target if pair.target.array.ndim == axes else pair.source)
        for axis in range(axes - 2):
            affine[axis, axis] = place["scale"][axis]
            affine[axis, -1] = place["translate"][axis]
    return affine


def _affine_of(image: Image) -> np.ndarray:
    """Return scale and translation of a layer as one matrix."""
    arguments = layer_arguments(image)
    affine = np.diag([*arguments["scale"], 1.0])
    affine[:-1, -1] = arguments["translate"]
    return affine


def _placed(image: Image, spatial: int = 0) -> dict[str, Any]:
    """Return the placement of layers on the grid of `image`, of its last `spatial` axes only."""
    arguments = layer_arguments(image)
    return {
        key: arguments[key][-spatial:] for key in ("scale", "translate", "units", "axis_labels")
    }
