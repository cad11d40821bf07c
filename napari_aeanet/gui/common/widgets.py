"""Small widgets of all docks."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any, TypeVar

from qtpy.QtCore import QSize, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QIcon, QPainter
from qtpy.QtWidgets import (
    QAbstractButton,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_aeanet.gui.common.labels import ElidedComboBox, WrappedLabel
from napari_aeanet.gui.common.scrolling import scroll_into_view

GAP = 6
QWIDGETSIZE_MAX = 2**24 - 1  # Qt: no limit
# Width of the captions of forms, so that the controls of all forms are aligned.
WIDEST_CAPTION = "Intensity"


# Lines of text in the foot of a dock, which does not scroll, and letters in one of a tooltip.
MOST_LINES, TOOLTIP_LETTERS = 8, 100

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return a value that PyQt's annotations make optional, although it is always there."""
    assert value is not None
    return value


def named(widget: QWidget, name: str, tooltip: str) -> QWidget:
    """Set the object name, the tooltip and the accessible name of a control."""
    widget.setObjectName(name)
    widget.setToolTip(tooltip)
    if not (isinstance(widget, QAbstractButton) and widget.text()):
        widget.setAccessibleName(tooltip)
    return widget


def button(text: str, name: str, tooltip: str, clicked: Callable[[], None]) -> QPushButton:
    made = QPushButton(text)
    named(made, name, tooltip)
    made.clicked.connect(lambda _checked: clicked())
    return made


def label(text: str = "", role: str = "", name: str = "") -> QLabel:
    """Return a label that wraps; roles are those of the style sheet."""
    made = WrappedLabel(text)
    made.setProperty("role", role)
    made.setObjectName(name)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # The height of wrapped text depends on its width; without this, layouts clip it.
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    made.setSizePolicy(policy)
    return made


def set_role(widget: QWidget, role: str) -> None:
    """Change the role of a widget after its creation."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        style = present(widget.style())
        style.unpolish(widget)
        style.polish(widget)


def set_text(target: QLabel, text: str, role: str = "hint") -> None:
    """Show `text`; hide the label if it is empty."""
    set_role(target, role)
    target.setText(text)
    target.setVisible(bool(text))


def chooser(name: str, tooltip: str) -> ElidedComboBox:
    """Return an empty combo box."""
    made = ElidedComboBox()
    named(made, name, tooltip)
    return made


def short(text: str) -> QLabel:
    """Return a label that does not wrap."""
    made = QLabel(text)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return made


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Return widgets side by side; the one at `stretch` takes the remaining width."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(GAP)
    for index, widget in enumerate(widgets):
        made.addWidget(widget, 1 if index == stretch else 0)
    return made


def make_column(parent: QWidget, *parts: QWidget | QLayout, spacing: int = GAP) -> QVBoxLayout:
    """Lay out a widget as a column without margins; -1 is the spacing of the style."""
    made = QVBoxLayout(parent)
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QWidget):
            made.addWidget(part)
        else:
            made.addLayout(part)
    return made


def form(*fields: tuple[str, QWidget], widest: str = WIDEST_CAPTION) -> QFormLayout:
    """Return a form with captions as wide as the text `widest`."""
    made = QFormLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setHorizontalSpacing(GAP)
    made.setVerticalSpacing(GAP)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for text, control in fields:
        caption = QLabel(text)
        caption.setFixedWidth(caption.fontMetrics().horizontalAdvance(widest) + GAP)
        caption.setBuddy(control)
        control.setAccessibleName(text)
        control.setAccessibleName(control.accessibleName() or text)
        made.addRow(caption, control)
    return made


class Line(QWidget):
    """Text that changes often, at most a few lines of it; the tooltip has the whole.

    A QLabel in a layout requests a new layout of the whole window whenever its text changes; this
    widget does so only when the number of lines changes.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._label = label(role="hint", name=name)
        self._label.setParent(self)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._whole = ""
        self._fit()

    @property
    def text(self) -> str:
        """The whole text, also where less is shown."""
        return self._whole

    @property
    def role(self) -> str:
        return self._label.property("role")

    def set_text(self, text: str, role: str) -> None:
        set_role(self._label, role)
        if text != self._whole:
            self._whole = text
            self._fit()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._label.setFixedWidth(self.width())
            self._fit()

    def _fit(self) -> None:
        """Show the text, or as many words of it as fit into the lines that it may take."""
        self._label.setMinimumHeight(0)  # below which Qt tells no height for a width
        one_line = self._label.fontMetrics().height()
        most = MOST_LINES * self._label.fontMetrics().lineSpacing()
        height = max(one_line, self._height_of(self._whole))
        if height > most:
            ends = [found.start() for found in re.finditer(r"\s", self._whole)]
            fitting = bisect(ends, most, key=lambda end: self._height_of(self._whole[:end] + " …"))
            shown = self._whole[: ends[fitting - 1]] if fitting else ""
            height = max(one_line, self._height_of(shown + " …"))
        is_cut = self._label.text() != self._whole
        self._label.setToolTip(_wrapped(self._whole) if is_cut else "")
        if height != self.height():
            self._label.setFixedHeight(height)
            self.setFixedHeight(height)

    def _height_of(self, text: str) -> int:
        """Show a text, and return its height."""
        self._label.setText(text)
        return self._label.heightForWidth(self.width())


def _wrapped(text: str) -> str:
    """Return a text in lines for a tooltip, which Qt does not wrap."""
    return "\n".join(fill(line, TOOLTIP_LETTERS) for line in text.splitlines())


class NoIcon(QIcon):
    """An empty icon that is true: in PySide6 `QIcon()` is false, and superqt then takes none."""

    def __bool__(self) -> bool:
        return True


class Collapsible(QCollapsible):
    """Content below a heading that shows and hides it.

    Content that opens or grows is scrolled into view.
    """

    def __init__(self, title: str, name: str, content: QWidget) -> None:
        # superqt draws its icons once, in the colours of the first theme: use text arrows.
        super().__init__(expandedIcon=NoIcon(), collapsedIcon=NoIcon())
        self._title = title
        heading = self.toggleButton()
        named(heading, name, f"Show or hide: {title.lower()}")
        heading.setStyleSheet("")
        heading.setProperty("role", "collapsible")
        self.setDuration(0)
        self.content().deleteLater()
        self.setContent(content)
        layout = present(self.layout())
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.setAlignment(heading, Qt.AlignmentFlag.AlignLeft)
        self.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _on_toggled(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'} {self._title}")
        # superqt would fix the present height of the content, which may grow.
        self.content().setMaximumHeight(QWIDGETSIZE_MAX)
        self.content().setVisible(is_open)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        grown = event.size().height() > event.oldSize().height() > 0
        # A narrower dock wraps its text again, which is no reason to scroll.
        if grown and event.size().width() == event.oldSize().width():
            scroll_into_view(self)


def tab_before(body: QWidget, foot: QWidget) -> None:
    """Let Tab lead through the controls of the body before the buttons of the foot."""
    controls, one = [], body.nextInFocusChain()
    while one is not None and one is not body:
        if body.isAncestorOf(one) and one.focusPolicy() & Qt.FocusPolicy.TabFocus:
            controls.append(one)
        one = one.nextInFocusChain()
    for before, after in pairwise([*controls[-1:], *foot.findChildren(QPushButton)]):
        QWidget.setTabOrder(before, after)


class Notice(QFrame):
    """A framed question with a button for each answer."""

    def __init__(self, name: str, *answers: QPushButton) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setProperty("role", "notice")
        self.text = label(role="caution", name=f"{name}_text")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(GAP)
        layout.addWidget(self.text)
        layout.addLayout(row(*answers))
        self.hide()

    def show_text(self, text: str) -> None:
        """Show the question; an empty text hides it."""
        self.text.setText(f"⚠ {text}" if text else "")
        self.setVisible(bool(text))


class Placeholder:
    """Mixin of an item view: a text in the empty view."""

    placeholder = ""

    def paintEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().paintEvent(event)  # type: ignore[misc]
        if not self.placeholder or self.model().rowCount():  # type: ignore[attr-defined]
            return
        view = self.viewport()  # type: ignore[attr-defined]
        painter = QPainter(view)
        colour = self.palette().text().color()  # type: ignore[attr-defined]
        colour.setAlphaF(0.6)
        painter.setPen(colour)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(view.rect().adjusted(12, 4, -12, -4), flags, self.placeholder)
        painter.end()


def fixed_height(widget: QWidget, lines: int) -> None:
    """Set the height of a widget in lines of text."""
    widget.setFixedHeight(widget.fontMetrics().height() * lines)


def icon_size(edge: int) -> QSize:
    return QSize(edge, edge)


def open_folder(folder: Path) -> None:
    """Open a folder in the file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
