"""Layers of a repaired stack: the stack in the place of its source, frames around made slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer, Shapes

from napari_aeanet.gui.repair.worker import StackRepaired
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY, SOURCE_METADATA_KEY
from napari_aeanet.gui.viewer.layers import FILE, MADE_SLICES, Frame
from napari_aeanet.gui.viewer.overlay import add_quietly
from napari_aeanet.repair import RepairedStack, RepairSettings, SliceOutcome, SliceState

if TYPE_CHECKING:
    from napari import Viewer

FRAME_COLOUR = "#c25700"  # legible on black and on white
EDGE_SHARE = 0.006  # width of a frame, as a share of the longer side of a slice
TEXT_SIZE = 11


@dataclass(frozen=True)
class RepairOrigin:
    """Origin of a repaired stack: its layer, and how it was made."""

    layer: Layer
    frame: Frame
    slices: frozenset[int]
    settings: RepairSettings


@dataclass
class Result:
    """A repaired stack in the viewer, and the file that it was saved to."""

    layer: ImageLayer
    frames: Shapes | None
    repaired: RepairedStack
    origin: RepairOrigin
    name: str
    saved: Path | None = None
    is_edited: bool = False

    def outcome(self, index: int) -> SliceOutcome | None:
        """Return what became of a slice that was to be repaired."""
        found = self.repaired.outcomes[index]
        return None if found.state is SliceState.KEPT else found

    def note_edit(self, _event: Any = None) -> None:
        self.is_edited = True


def load_shapes() -> None:
    """Let napari load what draws shapes, which takes a second the first time: in a worker."""
    Shapes([np.eye(3)], shape_type="path")


class RepairedLayers:
    """The latest repaired stack; another one of the same stack takes its place."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._latest: Result | None = None

    @property
    def latest(self) -> Result | None:
        """The latest repaired stack, while its layer exists."""
        if self._latest is not None and self._latest.layer not in self._viewer.layers:
            self._latest = None
        return self._latest

    def latest_of(self, layer: Layer | None) -> Result | None:
        """Return the latest repaired stack if it was made from this layer."""
        found = self.latest
        return found if found is not None and found.origin.layer is layer else None

    def add(self, event: StackRepaired, origin: RepairOrigin) -> Result:
        """Show a repaired stack in the place of its source.

        An earlier one is replaced unless the user changed or renamed it.
        """
        old = self.latest_of(origin.layer)
        if old is not None and not old.is_edited and old.layer.name == old.name:
            for one in (old.layer, old.frames):
                if one is not None and one in self._viewer.layers:
                    self._viewer.layers.remove(one)
        repaired, image = event.repaired, event.repaired.image
        name = f"{origin.frame.image.name} repaired"
        axes = {"axis_labels": list(image.axes.lower())}  # time points may be its sections
        arguments = origin.frame.place(image) | {"name": name} | axes
        arguments["metadata"] = {
            SOURCE_METADATA_KEY: str(origin.layer.unique_id),
            MADE_SLICES: dict(image.interpolated),
        }
        if image.source is not None:
            arguments["metadata"][FILE] = str(image.source)
        layer = ImageLayer(event.pixels, **arguments)
        self._viewer.add_layer(layer)
        result = Result(
            layer, self._add_frames(repaired, origin), repaired, origin, layer.name, image.source
        )
        layer.events.data.connect(result.note_edit)
        self._latest = result
        return result

    def _add_frames(self, repaired: RepairedStack, origin: RepairOrigin) -> Shapes | None:
        """Draw a frame around every made slice, seen in that slice only."""
        made = [one for one in repaired.outcomes if one.state is SliceState.REPAIRED]
        if not made:
            return None
        height, width = repaired.image.plane_shape
        corners = np.array([(0, 0), (0, width), (height, width), (height, 0)]) - 0.5
        frames = [np.insert(corners, 0, one.index, axis=1) for one in made]
        looks = ("name", "contrast_limits", "colormap")
        place = {k: v for k, v in origin.frame.place(repaired.image).items() if k not in looks}
        layer = Shapes(
            frames,
            shape_type="polygon",
            edge_color=FRAME_COLOUR,
            edge_width=EDGE_SHARE * max(height, width),
            face_color="transparent",
            opacity=1.0,
            text={
                "string": [f"{one.index} made from {_neighbours(one)}" for one in made],
                "color": FRAME_COLOUR,
                "size": TEXT_SIZE,
                "anchor": "upper_left",
                "translation": [0, -0.012 * height, 0.012 * width],
            },
            name=f"{origin.frame.image.name} made slices",
            metadata={PLUGIN_METADATA_KEY: "frames"},
            **place,
        )
        add_quietly(self._viewer, layer)
        return layer

    def toggle(self) -> None:
        """Show the repaired stack, or the stack below it if that is shown already."""
        found = self.latest
        if found is None:
            return
        found.layer.visible = not found.layer.visible
        if found.frames is not None and found.frames in self._viewer.layers:
            found.frames.visible = found.layer.visible


def _neighbours(outcome: SliceOutcome) -> str:
    assert outcome.neighbours is not None
    return f"{outcome.neighbours[0]} and {outcome.neighbours[1]}"
