"""The intensity range of the chosen images, and a question where it is only a guess."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from enum import StrEnum

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import NormalisationKind
from napari_aeanet.core.intensity_range import (
    IntensityRange,
    RangeChoice,
    channel_ranges,
    common_range,
    finite_blocks,
    is_certain,
)
from napari_aeanet.gui.common.dock import SPACING
from napari_aeanet.gui.common.widgets import (
    Notice,
    button,
    chooser,
    make_column,
    named,
    row,
    short,
)
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.models import ModelCard

LARGEST, DECIMALS = 1e12, 3


class RangeKind(StrEnum):
    """Ways to choose the range."""

    AUTOMATIC = "automatic"
    FULL = "full range of the file"
    OWN = "from … to …"


class IntensityChoice(QWidget):
    """The range, which automatic has taken, or a question about it.

    Attributes
    ----------
    is_needed
        True if the model maps a range of intensities; others measure each image by itself.
    changed
        Emitted when the range changes, or the question is answered.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind = chooser(
            "restore_range",
            "Intensities that are black and white for the model. Automatic takes what the file "
            "states, what the model was trained at, or the range that the pixels use",
        )
        self.kind.addItems([str(kind) for kind in RangeKind])
        self.low, self.high = _number("restore_range_low"), _number("restore_range_high")
        self.numbers = QWidget()
        self.numbers.setLayout(row(self.low, short("to"), self.high, stretch=0))
        self.notice = Notice(
            "restore_range_question",
            button(
                "Yes",
                "restore_range_yes",
                "Restore with this range",
                self._accept,
            ),
            button(
                "Enter the range",
                "restore_range_enter",
                "Enter the range of the detector, such as 0 to 4095 for 12 bits",
                lambda: self.kind.setCurrentIndex(list(RangeKind).index(RangeKind.OWN)),
            ),
        )
        make_column(self, self.kind, self.numbers, self.notice, spacing=SPACING)
        self._found: dict[str, tuple[IntensityRange, ...]] = {}
        self._shown_for: tuple[object, ...] = ()
        self._is_accepted = False
        self.is_needed = False
        self._show_numbers()
        self.kind.currentIndexChanged.connect(self._on_changed)
        for box in (self.low, self.high):
            box.valueChanged.connect(lambda _: self.changed.emit())

    @property
    def is_open(self) -> bool:
        """True while the question waits for an answer."""
        return self.notice.isVisibleTo(self)

    @property
    def problem(self) -> str:
        """Why an image has no range, or the numbers are none; empty if nothing is wrong."""
        if empty := next((name for name, ranges in self._found.items() if not ranges), ""):
            return f"{empty} has no pixel with a number: there is nothing to restore."
        if self._chosen is not RangeKind.OWN or self.low.value() < self.high.value():
            return ""
        return "Enter an intensity range whose first number is the lower one."

    @property
    def value(self) -> RangeChoice:
        """The range for the settings."""
        if self._chosen is RangeKind.OWN and not self.problem:
            return self.low.value(), self.high.value()
        return "full" if self._chosen is RangeKind.FULL else "auto"

    def value_for(self, name: str) -> RangeChoice:
        """Return the range for a part of an image: automatic is that of the whole image."""
        limits = {(one.low, one.high) for one in self._found.get(name, ())}
        return limits.pop() if self.value == "auto" and len(limits) == 1 else self.value

    def show_for(
        self,
        card: ModelCard | None,
        layers: Sequence[Layer],
        revisions: Sequence[Hashable],
        in_background: Callable[..., None],
    ) -> None:
        """Show what is taken for layers; pixels are looked at in the background.

        A revision stands for the present pixels of its layer.
        """
        kind = None if card is None else card.normalisation.kind
        self.is_needed = kind == NormalisationKind.FULL_SCALE
        shown_for = (card, *revisions) if self.is_needed else ()
        if shown_for == self._shown_for:
            return
        self._shown_for, self._is_accepted = shown_for, False
        images = [layer_to_image(layer) for layer in layers] if self.is_needed else []
        if card is None or not images:
            self._show({})
            return
        if all(map(is_certain, images)):
            self._show(ranges_by_name(images, card))
            return
        self._show({})

        def then(found: dict[str, tuple[IntensityRange, ...]]) -> None:
            if shown_for == self._shown_for:
                self._show(found)
                self.changed.emit()

        in_background("looking at the intensities", ranges_by_name, images, card, then=then)

    @property
    def _chosen(self) -> RangeKind:
        return list(RangeKind)[self.kind.currentIndex()]

    def _show(self, found: dict[str, tuple[IntensityRange, ...]]) -> None:
        self._found = found
        ranges = [one for ranges in found.values() for one in ranges]
        taken = ", ".join(dict.fromkeys(str(one).partition(" (")[0] for one in ranges))
        self.kind.setItemText(0, str(RangeKind.AUTOMATIC) + (f" ({taken})" if taken else ""))
        self._show_question()

    def _show_question(self) -> None:
        guesses = [
            (name, one)
            for name, ranges in self._found.items()
            for one in ranges
            if one.is_ambiguous
        ]
        asks = guesses and self._chosen is RangeKind.AUTOMATIC and not self._is_accepted
        if not asks:
            self.notice.show_text("")
            return
        name, one = guesses[0]
        self.notice.show_text(
            f"{name} is taken to have intensities from {one}, {one.reason}. Is that right?"
        )

    def _show_numbers(self) -> None:
        self.numbers.setVisible(self._chosen is RangeKind.OWN)

    def _on_changed(self, _index: int) -> None:
        ranges = [one for found in self._found.values() for one in found]
        if self._chosen is RangeKind.OWN and ranges and self.low.value() >= self.high.value():
            self.low.setValue(ranges[0].low)
            self.high.setValue(ranges[0].high)
        self._show_numbers()
        self._show_question()
        self.changed.emit()

    def _accept(self) -> None:
        self._is_accepted = True
        self._show_question()
        self.changed.emit()


def ranges_by_name(
    images: Sequence[Image], card: ModelCard
) -> dict[str, tuple[IntensityRange, ...]]:
    """Return the automatic ranges of images that are restored together, by their names.

    An image without any number has none.
    """
    series = common_range(images)
    return {
        image.name: channel_ranges(image, "auto", card.trained_range, series)
        if is_certain(image) or next(finite_blocks(image), None) is not None
        else ()
        for image in images
    }


def _number(name: str) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    named(made, name, "Intensity of black (first) and white (second)")
    made.setRange(-LARGEST, LARGEST)
    made.setDecimals(DECIMALS)
    made.setFixedWidth(110)
    return made
