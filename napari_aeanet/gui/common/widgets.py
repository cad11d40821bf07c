"""Small widgets that all docks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QPoint, QSize, Qt, QTimer
from qtpy.QtGui import QIcon, QPainter
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

GAP = 6
QWIDGETSIZE_MAX = 2**24 - 1  # Qt: no limit
# Captions of forms are as wide as this, so that the controls of all forms are in line.
WIDEST_CAPTION = "Kept out"


def named(widget: QWidget, name: str, tooltip: str) -> QWidget:
    """Give a control its object name and its plain-words tooltip."""
    widget.setObjectName(name)
    widget.setToolTip(tooltip)
    return widget


def button(text: str, name: str, tooltip: str, clicked: Callable[[], None]) -> QPushButton:
    made = QPushButton(text)
    named(made, name, tooltip)
    # Qt sends whether the button is checked; nobody here wants to know.
    made.clicked.connect(lambda _checked: clicked())
    return made


def label(text: str = "", role: str = "", name: str = "") -> QLabel:
    """Text that wraps; roles are those of the style sheet."""
    made = QLabel(text)
    made.setWordWrap(True)
    made.setProperty("role", role)
    made.setObjectName(name)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # Wrapped text has a height that depends on its width; without this, layouts clip it.
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    made.setSizePolicy(policy)
    return made


def set_role(widget: QWidget, role: str) -> None:
    """Change the role of a widget that is already shown."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def set_text(target: QLabel, text: str, role: str = "hint") -> None:
    """Show `text`, and no empty line where there is none."""
    set_role(target, role)
    target.setText(text)
    target.setVisible(bool(text))


def chooser(name: str, tooltip: str) -> QComboBox:
    """A combo box that may become narrower than its longest entry."""
    made = QComboBox()
    named(made, name, tooltip)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(5)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return made


def short(text: str) -> QLabel:
    """A word or two that never wrap."""
    made = QLabel(text)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return made


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Widgets side by side; the one at `stretch` takes the room that is left."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(GAP)
    for index, widget in enumerate(widgets):
        made.addWidget(widget, 1 if index == stretch else 0)
    return made


def form(*fields: tuple[str, QWidget], widest: str = WIDEST_CAPTION) -> QFormLayout:
    """Captions on the left, as wide as `widest`; controls on the right."""
    made = QFormLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setHorizontalSpacing(GAP)
    made.setVerticalSpacing(GAP)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for text, control in fields:
        caption = QLabel(text)
        caption.setFixedWidth(caption.fontMetrics().horizontalAdvance(widest) + GAP)
        caption.setBuddy(control)
        made.addRow(caption, control)
    return made


class Line(QWidget):
    """Words that change often, at little cost.

    A QLabel in a layout asks for a new layout of the whole window whenever its text changes.
    This one does so only when it needs more or fewer lines.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._label = label(role="hint", name=name)
        self._label.setParent(self)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._fit()

    @property
    def text(self) -> str:
        return self._label.text()

    @property
    def role(self) -> str:
        return self._label.property("role")

    def set_text(self, text: str, role: str) -> None:
        set_role(self._label, role)
        if text != self._label.text():
            self._label.setText(text)
            self._fit()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._label.setFixedWidth(self.width())
        self._fit()

    def _fit(self) -> None:
        one_line = self._label.fontMetrics().height()
        height = max(one_line, self._label.heightForWidth(self.width()))
        if height != self.height():
            self._label.setFixedHeight(height)
            self.setFixedHeight(height)


class Collapsible(QCollapsible):
    """Content below a heading that shows and hides it.

    Content that opens or grows is scrolled into view.
    """

    def __init__(self, title: str, name: str, content: QWidget) -> None:
        # superqt draws its icons once, in the colours of that moment: the arrow is text instead.
        super().__init__(expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        heading = self.toggleButton()
        named(heading, name, f"Show or hide: {title.lower()}")
        heading.setStyleSheet("")
        heading.setProperty("role", "collapsible")
        self.setDuration(0)
        self.content().deleteLater()
        self.setContent(content)
        layout = self.layout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.setAlignment(heading, Qt.AlignmentFlag.AlignLeft)
        self.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _on_toggled(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'} {self._title}")
        # superqt would keep the height that the content has now: it may grow.
        self.content().setMaximumHeight(QWIDGETSIZE_MAX)
        self.content().setVisible(is_open)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        grown = event.size().height() > event.oldSize().height() > 0
        # A dock that is drawn narrower breaks lines anew, which is no reason to scroll.
        if grown and event.size().width() == event.oldSize().width():
            QTimer.singleShot(0, self._scroll_into_view)

    def _scroll_into_view(self) -> None:
        area = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is None:
            return
        top = self.mapTo(area.widget(), QPoint(0, 0)).y()
        lowest = top + self.height() + GAP - area.viewport().height()
        bar = area.verticalScrollBar()
        # The heading comes first where there is too little room for all.
        bar.setValue(min(max(bar.value(), lowest), top))


class Notice(QFrame):
    """A framed sentence that needs an answer: one button for each."""

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
        """Ask; an empty text takes the question away."""
        self.text.setText(f"⚠ {text}" if text else "")
        self.setVisible(bool(text))


class Placeholder:
    """Mixed into an item view: words in the empty view that say what to do."""

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
    """As high as so many lines of text."""
    widget.setFixedHeight(widget.fontMetrics().height() * lines)


def icon_size(edge: int) -> QSize:
    return QSize(edge, edge)
