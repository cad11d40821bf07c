"""Layers of results: growing on top of their images, and compared with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtWidgets import QMessageBox

from napari_aeanet.core.image import Image
from napari_aeanet.evaluation import Place
from napari_aeanet.gui.restore.text import truth_words
from napari_aeanet.gui.restore.worker import BlockRestored, ImageBegun, ImageRestored
from napari_aeanet.gui.viewer.camera import is_in_view_centre, look_at
from napari_aeanet.gui.viewer.image_list import (
    PLUGIN_METADATA_KEY,
    SOURCE_METADATA_KEY,
)
from napari_aeanet.gui.viewer.layers import FILE, Frame, pixels_of
from napari_aeanet.gui.viewer.levels import in_views, shown_range
from napari_aeanet.gui.viewer.truth import RESTORED, placed, truth_of
from napari_aeanet.restoration import RestoreSettings, encoding_for

if TYPE_CHECKING:
    from napari import Viewer

# Metadata key of results: how they were made.
MADE_METADATA_KEY = "napari-aeanet made"
LOOKS = ("colormap", "gamma", "opacity", "blending", "visible")


@dataclass(frozen=True)
class Origin:
    """The source of a result, and what was made of it."""

    layer: Layer
    frame: Frame
    gain: float
    model: Path
    settings: RestoreSettings
    replaces: ImageLayer | None = None

    @classmethod
    def of(
        cls,
        layer: ImageLayer,
        image: Image,
        model: Path,
        settings: RestoreSettings,
        replaces: ImageLayer | None,
    ) -> Origin:
        gain = encoding_for(image.dtype, settings.output).gain
        return cls(layer, Frame.of(layer, image), gain, model, settings, replaces)


@dataclass(frozen=True)
class Made:
    """How a result was made, the name of its layer, and its file."""

    model: Path
    settings: RestoreSettings
    name: str = ""
    saved: Path | None = None
    is_edited: bool = False
    is_part: bool = False


@dataclass
class _Growing:
    """An incomplete result, with a mask of its finished pixels."""

    layer: ImageLayer
    origin: Origin
    done: np.ndarray
    is_stale: bool = False


class Results:
    """Layers of results. Their metadata name their source, and how they were made.

    Parameters
    ----------
    ticked
        Returns the images whose results are looked at.
    """

    def __init__(self, viewer: Viewer, ticked: Callable[[], Sequence[Layer]]) -> None:
        self._viewer, self._ticked = viewer, ticked
        self._growing: dict[int, _Growing] = {}

    @property
    def layers(self) -> list[ImageLayer]:
        """Layers of results in the order of the viewer, the topmost last."""
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, ImageLayer) and layer.metadata.get(PLUGIN_METADATA_KEY) == RESTORED
        ]

    @property
    def current(self) -> tuple[Layer, Layer] | None:
        """The source and the topmost result of the ticked images, or else of all.

        A part of a result is taken only where there is no whole one.
        """
        ticked, best, found = self._ticked(), (False, False), None
        for result in reversed(self.layers):
            source = self.source_of(result)
            rank = source in ticked, not self.is_part(result)
            if source is not None and (found is None or rank > best):
                best, found = rank, (source, result)
        return found

    @property
    def truth(self) -> Layer | None:
        """The image that may show the truth of the current result, by its place."""
        return None if self.current is None else truth_of([self.current[1]], self._viewer.layers)

    def without_truths(self, images: Sequence[Layer]) -> list[Layer]:
        """Return the images that are not likely to be the truth of a result."""
        return [image for image in images if self._shown_by(image) is None]

    def truths_in_words(self, images: Sequence[Layer]) -> list[str]:
        """Return a sentence for each opened file that may be the truth of a result."""
        opened = [image for image in images if FILE in image.metadata]
        results = [(image, self._shown_by(image)) for image in opened]
        return [truth_words(image.name, one.name) for image, one in results if one is not None]

    def _shown_by(self, image: Layer) -> Layer | None:
        """Return the result that an image may be the truth of: it has the grid of that alone."""
        for result in reversed(self.layers):
            source = self.source_of(result)
            is_finer = source is not None and result.data.shape != source.data.shape
            if is_finer and result.data.shape == image.data.shape:
                place = placed(result, image)
                if isinstance(place, Place) and place.is_same:
                    return result
        return None

    def source_of(self, result: Layer) -> Layer | None:
        """Return the layer that a result was made from, if it is still in the viewer."""
        wanted = result.metadata.get(SOURCE_METADATA_KEY)
        return next((one for one in self._viewer.layers if str(one.unique_id) == wanted), None)

    def made(self, result: Layer) -> Made | None:
        """Return how a result was made; None while it is in work."""
        found = result.metadata.get(MADE_METADATA_KEY)
        return found if isinstance(found, Made) else None

    def is_part(self, result: Layer) -> bool:
        """Return True for what was finished of a result before it was stopped."""
        made = self.made(result)
        return made is not None and made.is_part

    def repeated_by(self, source: Layer, model: Path | None) -> ImageLayer | None:
        """Return the result that another restoration with a model would replace."""
        for result in reversed(self.layers):
            made = self.made(result)
            if made is not None and made.model == model and self.source_of(result) is source:
                return result
        return None

    def are_made(
        self, layers: Sequence[Layer], model: Path | None, settings: RestoreSettings
    ) -> bool:
        """Return True if the whole results of layers are there, made with these settings."""
        results = [self.repeated_by(layer, model) for layer in layers]
        made = [None if result is None else self.made(result) for result in results]
        return all(one and not one.is_part and one.settings == settings for one in made)

    def would_be_lost(self, result: Layer, settings: RestoreSettings) -> bool:
        """Return True if a result cannot be made again: edited, or by other settings, unsaved."""
        made = self.made(result)
        if made is None:
            return False
        is_kept = made.is_part or made.saved is not None or made.settings == settings
        return made.is_edited or result.name != made.name or not is_kept

    def begin(self, event: ImageBegun, origin: Origin) -> None:
        """Add the layer of a result, which shows the enlarged source until blocks arrive."""
        layer = self._add(event.image, in_views(event.image.array), origin)
        self._growing[event.index] = _Growing(layer, origin, np.zeros(event.image.shape, bool))

    def put(self, event: BlockRestored) -> None:
        """Write a block into its layer, without drawing it."""
        growing = self._growing.get(event.index)
        if growing is not None:
            pixels_of(growing.layer)[event.region] = event.block  # type: ignore[index]
            growing.done[event.region] |= not event.provisional
            growing.is_stale = True

    def refresh(self, _progress: Any = None) -> None:
        """Draw the blocks that have arrived, once for all of them."""
        for growing in self._growing.values():
            if growing.is_stale and growing.layer.visible:
                growing.layer.refresh(thumbnail=False, highlight=False, extent=False)
                growing.is_stale = False

    def finish(self, event: ImageRestored, origin: Origin) -> None:
        """Show a complete result, and its height map if there is one."""
        growing = self._growing.pop(event.index, None)
        if growing is not None and growing.layer in self._viewer.layers:
            layer = growing.layer
            layer.data = event.pixels
        else:
            layer = self._add(event.image, event.pixels, origin)
        is_mask = np.dtype(origin.layer.data.dtype).kind == "b"  # shown from 0 to 1
        if is_mask and (limits := shown_range(event.image.array)) is not None:
            layer.contrast_limits = limits
        if origin.replaces is not None and origin.replaces in self._viewer.layers:
            self._replace(origin.replaces, layer, event.image.name)
        _note_origin(layer, origin, event.saved)
        if event.height is not None:
            self._add_height(event, event.height, origin.frame)

    def _replace(self, old: ImageLayer, new: ImageLayer, name: str) -> None:
        """Put a result in the place of an earlier one, with its looks."""
        position = self._viewer.layers.index(old)
        looks = {key: getattr(old, key) for key in LOOKS}
        if old.dtype == new.dtype:
            looks["contrast_limits"] = old.contrast_limits
        self._viewer.layers.remove(old)
        self._viewer.layers.move(self._viewer.layers.index(new), position)
        for key, value in looks.items():
            setattr(new, key, value)
        new.name = name

    def _add_height(self, event: ImageRestored, height: Image, frame: Frame) -> None:
        # Hidden, since it lies on top of the result.
        arguments = frame.place(height) | {
            "contrast_limits": event.height_range,
            "colormap": "viridis",
            "metadata": {PLUGIN_METADATA_KEY: "height"},
            "visible": False,
        }
        self._viewer.add_layer(ImageLayer(event.height_pixels, **arguments))

    def stop(self, index: int) -> float:
        """Keep the finished part of an incomplete result; return its share of the image."""
        growing = self._growing.pop(index, None)
        if growing is None or growing.layer not in self._viewer.layers:
            return 0.0
        share = float(growing.done.mean())
        if not share:
            self._viewer.layers.remove(growing.layer)
            return 0.0
        pixels: Any = pixels_of(growing.layer)
        pixels[~growing.done] = np.nan if pixels.dtype.kind == "f" else 0
        growing.layer.name = f"{growing.layer.name} (part)"
        growing.layer.refresh()
        _note_origin(growing.layer, growing.origin, None, is_part=True)
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

    def _add(self, image: Image, pixels: Any, origin: Origin) -> ImageLayer:
        arguments = origin.frame.place(image)
        made_from = {SOURCE_METADATA_KEY: str(origin.layer.unique_id)}
        arguments["metadata"] = {PLUGIN_METADATA_KEY: RESTORED, **made_from}
        limits = [origin.gain * limit for limit in arguments["contrast_limits"]]
        arguments["contrast_limits"] = limits
        layer = ImageLayer(pixels, **arguments)
        self._viewer.add_layer(layer)  # on top
        if not is_in_view_centre(self._viewer, layer):
            look_at(self._viewer, [layer])
        return layer


def _note_origin(
    layer: Layer, origin: Origin, saved: Path | None, *, is_part: bool = False
) -> None:
    """Keep in a layer how it was made."""
    made = Made(origin.model, origin.settings, layer.name, saved, is_part=is_part)
    layer.metadata[MADE_METADATA_KEY] = made
    layer.events.data.connect(_note_edit)


def _note_edit(event: Any) -> None:
    """Note that the pixels of a result are no longer those that were made."""
    made = event.source.metadata.get(MADE_METADATA_KEY)
    if isinstance(made, Made):
        event.source.metadata[MADE_METADATA_KEY] = replace(made, is_edited=True)


def ask_about(results: Sequence[Layer]) -> bool | None:
    """Ask whether to replace results that would be lost: True, False to keep them, or None."""
    first = results[0].name
    text = f"{first} was changed, or is not saved. Replace it by the new result?"
    if len(results) > 1:
        text = f"{first} and {len(results) - 1} more were changed, or are not saved. Replace them?"
    box = QMessageBox(QMessageBox.Icon.Question, "AEANet: replace the result?", text)
    replacing = box.addButton("Replace", QMessageBox.ButtonRole.DestructiveRole)
    keeping = box.addButton("Keep both", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(keeping)
    box.exec()
    clicked = box.clickedButton()
    return True if clicked is replacing else False if clicked is keeping else None
