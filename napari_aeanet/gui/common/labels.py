"""Labels and choices that elide text that does not fit."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QPainter
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

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._show()

    def _show(self) -> None:
        shown = self._whole
        if "<" not in shown:  # rich text
            elide, width = self.fontMetrics().elidedText, max(self.width() - BESIDE, NARROWEST)
            for word in (word for word in shown.split() if len(word) > SHORT_WORD):
                shown = shown.replace(word, elide(word, Qt.TextElideMode.ElideMiddle, width))
        if shown != super().text():
            super().setText(shown)
        super().setToolTip(self._tip or ("" if shown == self._whole else self._whole))


class ElidedLabel(QLabel):
    """One line of plain text, elided in the middle where it does not fit.

    The tooltip has the whole text, and `text()` returns it. `tip` is shown below it.
    """

    def __init__(self, text: str = "", role: str = "", name: str = "", tip: str = "") -> None:
        super().__init__()
        self._tip = tip
        self.setProperty("role", role)
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        super().setText(text)
        self.setToolTip("\n".join(filter(None, (text, self._tip))))

    def shown_text(self) -> str:
        """Return the text as it is shown at the present width."""
        width = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, width)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance("M…M"), super().sizeHint().height())

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), self.alignment(), self.shown_text())
        painter.end()


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
