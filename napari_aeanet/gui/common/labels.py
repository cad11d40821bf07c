"""Labels and choices that elide text that does not fit."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
)

# Words that fit into every label (letters), and the narrowest label (px) whose words are elided.
SHORT_WORD, NARROWEST = 20, 120
BESIDE = 24  # px of a line for a symbol before a long word, which Qt would break


class WrappedLabel(QLabel):
    """Text that wraps between words; words wider than the label are elided in the middle.

    `text()` and, where something is elided, the tooltip are the whole text.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._whole = self._tip = ""
        self._longest = NARROWEST  # px of a word in the present text
        self.setWordWrap(True)
        self.setText(text)

    def text(self) -> str:
        return self._whole

    def setText(self, text: str | None) -> None:
        self._whole = text or ""
        self._show()

    def setToolTip(self, text: str | None) -> None:
        self._tip = text or ""
        self._show()

    def minimumSizeHint(self) -> QSize:
        # Of one line: the height follows from the width, and Qt's hint is that of one word a line.
        return QSize(0, self.fontMetrics().height())

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        # The text stays as it is when a scroll bar comes or goes: Qt would show and hide the bar
        # in turn, without end, if the height of the text followed.
        if not self.width() - 2 * BESIDE <= self._longest <= self.width():
            self._show()

    def _show(self) -> None:
        shown = self._whole
        self._longest = max(self.width() - BESIDE, NARROWEST)
        if "<" not in shown:  # rich text
            elide, width = self.fontMetrics().elidedText, self._longest
            for word in (word for word in shown.split() if len(word) > SHORT_WORD):
                shown = shown.replace(word, elide(word, Qt.TextElideMode.ElideMiddle, width))
        if shown != super().text():
            super().setText(shown)
        super().setToolTip(self._tip or ("" if shown == self._whole else self._whole))


class ElidedComboBox(QComboBox):
    """A combo box that may be narrower than its entries, which are elided in the middle.

    The tooltip begins with the whole text of an entry that is elided.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tip = ""
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(5)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def shown_text(self) -> str:
        """Return the text as it is shown at the present width."""
        return self._elided(self._option())

    def toolTip(self) -> str:
        text = self.currentText()
        return self._tip if self.shown_text() == text else f"{text}\n{self._tip}"

    def setToolTip(self, text: str | None) -> None:
        self._tip = text or ""

    def event(self, event: Any) -> bool:
        if event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.toolTip(), self)
            return True
        return super().event(event)

    def paintEvent(self, _event: Any) -> None:
        painter, option = QStylePainter(self), self._option()
        option.currentText = self._elided(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0 and self.placeholderText():
            option.currentText = self.placeholderText()
        return option

    def _elided(self, option: QStyleOptionComboBox) -> str:
        field = QStyle.SubControl.SC_ComboBoxEditField
        style = self.style()
        assert style is not None
        box = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self)
        middle = Qt.TextElideMode.ElideMiddle
        return self.fontMetrics().elidedText(option.currentText or "", middle, box.width() - 4)
