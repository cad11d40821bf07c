"""Section of the Relevance dock about one place: what a clicked place attends to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_aeanet.gui.common.widgets import button, label, make_column, named, row, set_text
from napari_aeanet.gui.relevance.score_bars import Score, ScoreBars
from napari_aeanet.gui.relevance.worker import AttentionReady
from napari_aeanet.gui.viewer.beside import RawBeside
from napari_aeanet.gui.viewer.colour_bar import ColourBar
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.gui.viewer.overlay import SIGNED, Overlay, add_quietly
from napari_aeanet.relevance import by_score, contrast_limit

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.relevance import AttentionMap

OPACITY = 0.7
CLICK = "Click a place in the image to see which places it draws on."
READING = "Reading the image, once …"
BUSY = "Another job of AEANet runs: click again when it is over."
SIGNED_WORDS, MEAN_WORDS = ("subtracted", "added"), ("less than average", "more")
PIXEL_WORDS = ("less relevant", "more relevant")
SIGNS = "Orange places are added to what the model makes at the cross, blue ones subtracted."
FROM_MEAN = "Orange places count more at the cross than the average place, blue ones less."
STRONGEST, ATTENTION = "Strongest here", "Attention"
NAME, MARKER, YELLOW = "attention of the clicked place", "clicked place", "#ffcf33"
# Values from which the limit of the colours is taken; more would take as long as the map itself.
SAMPLES = 2**16
# A map from larger keys would hold up the window: it is computed in the background.
LIVE_BYTES = 2e8

Position = tuple[float, ...]


class PlaceSection(QWidget):
    """The attention of a clicked place over the image, and the abstract pixels relevant there.

    Parameters
    ----------
    instead_of
        Overlays that are hidden while this one is shown.
    gather
        Called with a position in pixels of the image: starts the job whose event is passed to
        `take`, and returns True unless another job runs.
    in_background
        Method of the dock that runs a function in a worker thread.
    """

    def __init__(
        self,
        viewer: Viewer,
        instead_of: Sequence[Overlay],
        gather: Callable[[Position], bool],
        in_background: Callable[..., None],
    ) -> None:
        super().__init__()
        self._viewer, self._gather, self._in_background = viewer, gather, in_background
        self.overlay = Overlay(viewer, "attention", *instead_of)
        self.marker: Points | None = None
        self._ready: AttentionReady | None = None
        self._frame: Frame | None = None
        self._layer: ref[ImageLayer] | None = None
        self._data: Any = None
        self._wanted: Position | None = None
        self._model: Any = None
        self._is_gathering = False
        self._shown: AttentionMap | None = None
        self._reason = ""
        self._beside = RawBeside(viewer)
        self.line = label(CLICK, "hint", "relevance_place_line")
        self.legend = ColourBar("relevance_place_legend", *SIGNED_WORDS)
        self.bars = ScoreBars("relevance_place_scores")
        self.bars.picked.connect(self._show_pixel)
        self.heading = label("Most relevant abstract pixels there")
        self.strongest = button(
            STRONGEST,
            "relevance_strongest",
            "Show where the abstract pixel that is most relevant at the cross is relevant; click "
            "again for the attention",
            self._toggle_strongest,
        )
        self.raw = QCheckBox("raw image beside")
        named(self.raw, "relevance_raw", "Show the image without colours beside it, zoomed alike")
        self.raw.toggled.connect(lambda _on: self._show_beside())
        self.mean = QCheckBox("colours from the mean")
        named(
            self.mean,
            "relevance_place_mean",
            "Attention is a signed number. Colours from zero show what is added and what is "
            "subtracted; colours from the mean show the contrast between places",
        )
        self.mean.toggled.connect(lambda _on: self._show_attention())
        buttons = row(self.strongest, self.raw, stretch=1)
        parts = (self.line, self.legend, self.mean, buttons, self.heading, self.bars)
        make_column(self, *parts)
        self._refresh()

    def set_reason(self, reason: str) -> None:
        """Show why no attention can be computed; empty if it can."""
        self._reason = reason
        if self._layer is not None and self._layer() not in self._viewer.layers:
            self.close_section()
        self._refresh()

    def click(self, layer: ImageLayer, world: Sequence[float]) -> None:
        """Show the attention of the place of an image at a position in the world."""
        position = tuple(float(p) for p in layer.world_to_data(world[-layer.ndim :]))
        shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
        inside = all(-0.5 <= p <= n - 0.5 for p, n in zip(position, shape, strict=True))
        if self.isHidden() or self._reason or not inside:
            return
        known = self._is_of(layer)
        if known and self._ready is not None and self._ready.kept.holds(position):
            self._mark(layer, position)
            # In a step of its own, so that the window stays responsive.
            QTimer.singleShot(0, self._show_attention)
        elif known and self._is_gathering:
            self._mark(layer, position)  # shown when it is ready
        elif self._gather(position):
            self._forget()
            self._mark(layer, position)
            self._layer, self._data, self._is_gathering = ref(layer), layer.data, True
            self._frame = Frame.of(layer, layer_to_image(layer))
            set_text(self.line, READING)
        else:
            set_text(self.line, BUSY)

    def take(self, ready: AttentionReady) -> None:
        """Keep the queries and keys of an image, and show the place that was clicked last."""
        if self._is_gathering and self._wanted is not None and ready.kept.holds(self._wanted):
            self._ready = ready
            self._show_attention()

    def end_job(self) -> None:
        """Note that no job runs any more."""
        self._is_gathering = False
        self._refresh()

    def set_model(self, model: Any) -> None:
        """Forget the queries and keys of another model or attention layer."""
        if model != self._model:
            self._model = model
            self._forget()
            self._refresh()

    def on_toggled(self, is_open: bool) -> None:
        """Act on the opening or closing of the section."""
        if not is_open:
            self.close_section()

    def close_section(self) -> None:
        """Remove the layers and free the memory."""
        self._forget()
        self._wanted = self._layer = self._frame = None
        self.overlay.remove()
        if self.marker is not None and self.marker in self._viewer.layers:
            self._viewer.layers.remove(self.marker)
        self.marker = None
        self._refresh()

    # --- what is shown

    def _forget(self) -> None:
        self._ready = self._shown = self._data = None
        self._is_gathering = False
        self.raw.setChecked(False)

    def _is_of(self, layer: ImageLayer) -> bool:
        return self._layer is not None and self._layer() is layer and self._data is layer.data

    def _show_attention(self) -> None:
        if self._ready is None or self._wanted is None:
            return
        kept = self._ready.kept
        if kept.keys.nbytes <= LIVE_BYTES:
            self._show(kept.at(self._wanted))
        else:
            self._in_background("the attention of a place", kept.at, self._wanted, then=self._show)

    def _show(self, found: AttentionMap) -> None:
        # Another place may have been clicked meanwhile.
        if self._ready is None or found.place != self._wanted:
            return
        self._shown = found
        middle = float(found.values.mean()) if self.mean.isChecked() else 0.0
        words = MEAN_WORDS if self.mean.isChecked() else SIGNED_WORDS
        self._lay(found.values, found.axes, found.scale, found.translate, NAME, middle, words)
        self._refresh()

    def _lay(
        self,
        values: np.ndarray,
        axes: str,
        scale: Sequence[float],
        translate: Sequence[float],
        name: str,
        middle: float,
        words: tuple[str, str],
    ) -> None:
        """Show a map over the image, with full colours at the same distance from `middle`."""
        assert self._frame is not None
        assert self._shown is not None
        place = self._frame.place_grid(axes, scale, translate)
        for number, axis in enumerate(axes):
            if axis in "TC":  # of series and channels there is one plane
                index = round(self._shown.place[self._frame.image.axes.index(axis)])
                place["translate"][number] += index * place["scale"][number]
        step = (values.size // SAMPLES) | 1  # odd: visits all columns
        most = contrast_limit(values.ravel()[::step] - middle)
        self.legend.set_values(middle, most, words)
        looks = {
            "colormap": SIGNED,
            "contrast_limits": (middle - most, middle + most),
            "opacity": OPACITY,
            "interpolation2d": "linear",
        }
        is_new = not self.overlay.is_shown
        self.overlay.show(np.asarray(values, np.float32), place, name, **looks)
        if is_new:
            self._put_marker_on_top()

    def _toggle_strongest(self) -> None:
        if self.strongest.text() == ATTENTION:
            self._show_attention()
        elif self.bars.scores:
            self._show_pixel(self.bars.scores[0].number)

    def _show_pixel(self, number: int) -> None:
        """Show where one abstract pixel is relevant, in place of the attention."""
        if self._ready is None or self._shown is None:
            return
        found = self._ready.kept.relevance_of(number)
        name = f"relevance: {self._ready.kept.names.get(number, str(number + 1))}"
        middle = float(self._ready.mean[number])
        values, place = found.maps[0], (found.axes, found.scale, found.translate)
        self._lay(values, *place, name, middle, PIXEL_WORDS)
        set_text(self.line, f"Where {name.removeprefix('relevance: ')} is relevant.")
        self.strongest.setText(ATTENTION)

    def _refresh(self) -> None:
        """Show the bars of the place, or what to do first."""
        found, ready = self._shown, self._ready
        is_shown = found is not None and ready is not None
        has_pixels = found is not None and ready is not None and len(found.relevance) > 0
        signs = FROM_MEAN if self.mean.isChecked() else SIGNS
        text = signs if is_shown else READING if self._is_gathering else CLICK
        set_text(self.line, self._reason or text)
        self.strongest.setText(STRONGEST)
        visible: list[tuple[QWidget, bool]] = [
            *((widget, is_shown) for widget in (self.legend, self.mean, self.raw)),
            *((widget, has_pixels) for widget in (self.heading, self.bars, self.strongest)),
        ]
        for widget, is_visible in visible:
            widget.setVisible(is_visible)
        if found is not None and ready is not None and has_pixels:
            scores = (found.relevance - ready.mean) / ready.spread
            names = ready.kept.names
            self.bars.set_scores(
                [Score(n, names.get(n, str(n + 1)), float(scores[n])) for n in by_score(scores)]
            )

    def _put_marker_on_top(self) -> None:
        layers = self._viewer.layers
        if self.marker in layers:
            layers.move(layers.index(self.marker), len(layers))
        if self._beside.is_on:
            self._show_beside()

    def _show_beside(self) -> None:
        layer = None if self._layer is None else self._layer()
        over = [one for one in (self.overlay.layer, self.marker) if one in self._viewer.layers]
        if not self.raw.isChecked() or layer is None or not over:
            self._beside.end()
        else:
            self._beside.show(layer, over)  # type: ignore[arg-type]

    def _mark(self, layer: ImageLayer, position: Position) -> None:
        """Put the cross at a position, in place of the one before."""
        self._wanted = position
        data = np.array([position])
        marker = self.marker
        if marker is not None and marker in self._viewer.layers and self._is_of(layer):
            marker.data = data
            return
        if marker is not None and marker in self._viewer.layers:
            self._viewer.layers.remove(marker)
        self.marker = Points(
            data,
            name=MARKER,
            symbol="cross",
            size=1,
            canvas_size_limits=(15, 15),
            face_color=YELLOW,
            border_color=YELLOW,  # napari draws some of it at any width
            border_width=0,
            scale=layer.scale,
            translate=layer.translate,
            rotate=layer.rotate,
            shear=layer.shear,
            affine=layer.affine,
            units=[str(unit) for unit in layer.units],
            metadata={PLUGIN_METADATA_KEY: "place"},
        )
        add_quietly(self._viewer, self.marker)
