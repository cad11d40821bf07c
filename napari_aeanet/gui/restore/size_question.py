"""The pixel size of the chosen images, and a question where it does not fit the model."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.dock import SPACING
from napari_aeanet.gui.common.text import size_fit
from napari_aeanet.gui.common.widgets import Notice, button, label, make_column, set_text
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.models import ModelCard


class SizeQuestion(QWidget):
    """A line about pixel sizes, or a question with two answers.

    Attributes
    ----------
    answer
        Settings that follow from the answer; empty without one.
    answered
        Emitted after an answer.
    """

    answered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.answer: dict[str, bool] = {}
        self.line = label(role="hint", name="restore_size")
        self.notice = Notice(
            "restore_question",
            button(
                "Resample",
                "restore_resample",
                "Resample the image to the pixel size of the model's training",
                lambda: self._set_answer(resample=True),
            ),
            button(
                "Continue anyway",
                "restore_force",
                "Restore the image at its own pixel size",
                lambda: self._set_answer(force=True),
            ),
        )
        make_column(self, self.line, self.notice, spacing=SPACING)

    @property
    def is_open(self) -> bool:
        """True while the question waits for an answer."""
        return self.notice.isVisibleTo(self)

    def show_for(self, card: ModelCard | None, layers: Sequence[Layer]) -> None:
        """Describe the pixel sizes of layers for a model, or ask about the first that is unfit."""
        fits = [] if card is None else [size_fit(card, layer_to_image(layer)) for layer in layers]
        unfit = next((fit.text for fit in fits if not fit.is_fitting), "")
        self.notice.show_text("" if self.answer else unfit)
        if unfit and self.answer:
            done = "It will be resampled" if self.answer.get("resample") else "Restored anyway"
            set_text(self.line, f"{unfit} {done}.", "caution")
        else:
            set_text(self.line, fits[0].text if fits and not unfit else "")
        self.setVisible(bool(fits))

    def _set_answer(self, **answer: bool) -> None:
        self.answer = answer
        self.answered.emit()
