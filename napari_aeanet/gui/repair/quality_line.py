"""Line with the expected quality of a repair, measured in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import set_text
from napari_aeanet.gui.repair.worker import measure
from napari_aeanet.repair import (
    ExpectedQuality,
    PlannedSlice,
    RepairSettings,
    quality_in_words,
)

DEFAULT = RepairSettings()
# Several ticks one after another are measured once.
MEASURE_AFTER_MS = 400
MEASURING = "Measuring the quality to be expected, on good slices of this stack …"
UNKNOWN = (
    "The quality to be expected cannot be measured: too few good slices lie beside each other."
)
IF_BETTER = "This is the optical flow: the network takes its place only if it is better."


class QualityLine:
    """Shows what quality to expect of the ticked slices.

    Before a repair it is that of the optical flow. It is measured again only if it can be another
    one: other settings, another number of slices in a row, or a slice among the measured ones that
    is to be repaired.

    Parameters
    ----------
    line
        The label.
    in_background
        Function that calls another one in a thread.
    """

    def __init__(self, line: QLabel, in_background: Callable[..., None]) -> None:
        self.line, self._in_background = line, in_background
        self._wanted = 0  # number of the latest request
        self._request: _Request | None = None
        self._known: _Request | None = None
        self.quality: tuple[ExpectedQuality, ...] = ()
        self._timer = QTimer(line)
        self._timer.setSingleShot(True)
        self._timer.setInterval(MEASURE_AFTER_MS)
        self._timer.timeout.connect(self._measure)

    def forget(self) -> None:
        """Discard what was measured, for another stack."""
        self.stop()
        self._known, self.quality = None, ()
        set_text(self.line, "")

    def stop(self) -> None:
        """Stop measuring."""
        self._wanted += 1
        self._timer.stop()
        if self._request is not None:
            self._request = None
            set_text(self.line, "")

    def ask(
        self,
        image: Image,
        slices: frozenset[int],
        settings: RepairSettings,
        planned: Sequence[PlannedSlice],
    ) -> None:
        """Show the quality to be expected, now or when it is measured."""
        request = _Request.of(slices, settings, planned)
        if not request.gaps:
            self.stop()
            set_text(self.line, "")
        elif self._is_known(request):
            self.stop()
            self._show(request, settings)
        elif request != self._request:
            self.stop()
            self._request = request
            self._image, self._settings = image, settings
            set_text(self.line, MEASURING)
            self._timer.start()

    def show_measured(self, quality: tuple[ExpectedQuality, ...]) -> None:
        """Show the quality that was measured for a repair."""
        self.stop()
        set_text(self.line, "\n".join(map(quality_in_words, quality)), "plain")

    def _is_known(self, request: _Request) -> bool:
        known = self._known
        if known is None or known.settings != request.settings or not request.gaps <= known.gaps:
            return False
        return not any(
            near in request.slices
            for one in self.quality
            for index in one.slices
            for near in range(index - 1, index + one.gap + 1)
        )

    def _measure(self) -> None:
        request, number = self._request, self._wanted
        if request is None:
            return
        self._in_background(
            "measuring the expected quality",
            measure,
            self._image,
            request.slices,
            request.settings,
            lambda: self._wanted == number,
            then=partial(self._on_measured, number, request),
        )

    def _on_measured(
        self, number: int, request: _Request, quality: tuple[ExpectedQuality, ...] | None
    ) -> None:
        if quality is not None and number == self._wanted:
            self._request, self._known, self.quality = None, request, quality
            self._show(request, self._settings)

    def _show(self, request: _Request, settings: RepairSettings) -> None:
        lines = [quality_in_words(one) for one in self.quality if one.gap in request.gaps]
        if not lines:
            set_text(self.line, UNKNOWN, "caution")
            return
        note = [IF_BETTER] if settings.method.learns else []
        set_text(self.line, "\n".join(lines + note), "plain")


@dataclass(frozen=True)
class _Request:
    """Slices and settings that the quality is measured for."""

    slices: frozenset[int]
    settings: RepairSettings
    gaps: frozenset[int]

    @classmethod
    def of(
        cls, slices: frozenset[int], settings: RepairSettings, planned: Sequence[PlannedSlice]
    ) -> _Request:
        measured = replace(DEFAULT, texture=settings.texture, checks=settings.checks)
        return cls(slices, measured, frozenset(one.gap for one in planned) - {0})
