"""Small widgets that all docks are made of."""

import pytest
from qtpy.QtWidgets import QAbstractSlider, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.plot import Axis
from napari_aeanet.gui.common.scrolling import DockScroll
from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import (
    MOST_LINES,
    Collapsible,
    Line,
    NoIcon,
    chooser,
    form,
    label,
)

SCROLL_BAR = 13


@pytest.fixture
def fold(qtbot):
    """A fold at the end of a body that is longer than what is seen of it."""
    body, content = QWidget(), QWidget()
    area = DockScroll(body)
    column, inside = QVBoxLayout(body), QVBoxLayout(content)
    above, text = QLabel("above"), QLabel("text")
    above.setMinimumHeight(350)
    inside.addWidget(text)
    text.setMinimumHeight(150)
    made = Collapsible("Trust", "trust_fold", content)
    column.addWidget(above)
    column.addWidget(made)
    column.addStretch(1)
    qtbot.addWidget(area)
    area.resize(300, 400)
    area.show()
    qtbot.waitExposed(area)
    return area, made, inside


def seen(area, widget):
    """Whether all of a widget lies in what is seen."""
    top = widget.mapTo(area.viewport(), widget.rect().topLeft()).y()
    return top >= 0 and top + widget.height() <= area.viewport().height()


def test_an_empty_icon_counts_as_one():
    """With PySide6 superqt fails on an icon that is False."""
    assert NoIcon()
    assert NoIcon().isNull()


def test_what_is_opened_is_scrolled_into_view(qtbot, fold):
    area, made, inside = fold
    made.findChild(QPushButton, "trust_fold").click()
    qtbot.waitUntil(lambda: made.height() > 150 and seen(area, made))
    more = QLabel("more")
    more.setMinimumHeight(100)
    inside.addWidget(more)
    qtbot.waitUntil(lambda: made.height() > 250 and seen(area, more))


def test_what_is_opened_stays_in_view_until_the_user_scrolls(qtbot, fold):
    area, made, _ = fold
    bar = area.verticalScrollBar()
    made.findChild(QPushButton, "trust_fold").click()
    qtbot.waitUntil(lambda: bar.value() > 150 and seen(area, made))
    area.resize(area.width(), 300)  # a longer text below the area
    qtbot.waitUntil(lambda: bar.maximum() > 200 and seen(area, made))
    bar.triggerAction(QAbstractSlider.SliderAction.SliderToMinimum)
    area.resize(area.width(), 250)
    qtbot.waitUntil(lambda: bar.maximum() > 250)
    qtbot.wait(0)
    assert bar.value() == 0


def test_of_what_is_too_long_the_heading_is_seen(qtbot, fold):
    area, made, inside = fold
    long = QLabel("long")
    long.setMinimumHeight(900)
    inside.addWidget(long)
    heading = made.findChild(QPushButton, "trust_fold")
    heading.click()
    qtbot.waitUntil(lambda: made.height() > 900 and area.verticalScrollBar().value() > 0)
    assert seen(area, heading)


def test_what_is_closed_stays_where_it_is(qtbot, fold):
    area, made, _ = fold
    made.findChild(QPushButton, "trust_fold").click()
    qtbot.waitUntil(lambda: seen(area, made))
    area.verticalScrollBar().setValue(100)
    made.findChild(QPushButton, "trust_fold").click()
    qtbot.waitUntil(lambda: made.height() < 100)
    assert area.verticalScrollBar().value() <= 100


def test_words_wider_than_a_label_are_elided_and_its_tooltip_has_them(qtbot):
    name = "2026-11-20_HeLa_experiment-7_overview_low-dose_position-003_series"
    made = label(f"✓ {name} is restored.")
    qtbot.addWidget(made)
    made.resize(260, 60)
    made.show()
    shown = QLabel.text(made)
    assert "…" in shown and shown.endswith("series is restored.")
    assert made.fontMetrics().horizontalAdvance(shown.split()[1]) <= 260
    assert made.text() == made.toolTip() == f"✓ {name} is restored."
    made.resize(2000, 60)
    assert QLabel.text(made) == made.text()
    assert not made.toolTip()


def test_a_scroll_bar_changes_neither_the_text_nor_the_lowest_height_of_a_label(qtbot):
    """Qt would show and hide the bar in turn until the stack is full."""
    made = label(f"Python on {'Linux-6.18.44-x86_64-with-glibc2.36' * 2} with all packages")
    qtbot.addWidget(made)
    made.resize(278, 60)
    made.show()
    shown, lowest = QLabel.text(made), made.minimumSizeHint()
    assert "…" in shown
    made.resize(278 - SCROLL_BAR, 60)
    assert QLabel.text(made) == shown
    assert made.minimumSizeHint() == lowest
    assert lowest.height() < 2 * made.fontMetrics().height()
    made.resize(200, 60)
    assert QLabel.text(made) != shown


def test_a_list_elides_and_grows_with_its_entries(qtbot):
    made = TickList("list", "", 3, set())
    qtbot.addWidget(made)
    made.resize(200, 300)
    made.fill((n, f"{n} {'long ' * 40}", "") for n in range(3))
    low = made.sizeHint().height()
    made.show()
    assert made.visualItemRect(made.item(0)).width() <= made.viewport().width()
    made.fill((n, str(n), "") for n in range(30))
    assert made.sizeHint().height() > 3 * low
    assert made.minimumHeight() <= low


def test_a_long_entry_of_a_choice_is_elided_and_told_whole(qtbot):
    name = "a model with quite a long name, of the second of May"
    box = chooser("models", "The model")
    qtbot.addWidget(box)
    box.addItem(name)
    box.resize(120, 24)
    assert "…" in box.shown_text()
    assert box.toolTip() == f"{name}\nThe model"
    box.resize(900, 24)
    assert box.shown_text() == name
    assert box.accessibleName() == "The model"


def test_what_a_job_found_stays_while_a_check_runs(qtbot):
    row = JobRow("work", "step", "Do the work", "Stop", "Stop the work")
    qtbot.addWidget(row)
    row.set_text("✓ The model is ready.", "good")
    row.set_ready("Start", "Checking the pairs …", is_passing=True)
    assert not row.run_button.isEnabled()
    assert row.line.text == "✓ The model is ready."
    row.set_ready("Start", "Add pairs first.")
    assert row.line.text == "Add pairs first."


def test_the_numbers_of_an_axis_have_equal_decimals(qapp):
    axis = Axis("left")
    levels = axis.tickValues(-1.2, 2.2, 100)
    texts = [axis.tickStrings(values, 1.0, spacing) for spacing, values in levels[:2]]
    decimals = {len(text.partition(".")[2]) for level in texts for text in level}
    assert decimals == {1}
    assert "−1.0" in [text for level in texts for text in level]


@pytest.mark.parametrize(
    ("text", "caption"), [("Intensity", "Kept out"), ("Kept out", "Intensity")]
)
def test_the_captions_of_all_forms_fit(qtbot, text, caption):
    parent = QWidget()
    qtbot.addWidget(parent)
    made = form((text, QLabel()), (caption, QLabel()))
    parent.setLayout(made)
    for row in range(2):
        shown = made.itemAt(row, made.ItemRole.LabelRole).widget()
        assert shown.sizeHint().width() <= shown.maximumWidth()


def test_what_a_job_found_stays_when_a_reason_against_the_next_one_goes(qtbot):
    row = JobRow("work", "step", "Do the work", "Stop", "Stop the work")
    qtbot.addWidget(row)
    row.set_ready("Start", "Checking the pairs …")
    row.set_text("✓ The model is ready.", "good")
    row.set_ready("Start")
    assert row.run_button.isEnabled()
    assert row.line.text == "✓ The model is ready."


def test_a_line_is_as_high_as_its_text(qtbot):
    line = Line("line")
    qtbot.addWidget(line)
    line.resize(200, line.height())
    line.show()
    heights = []
    for text in ("Short.", "A sentence that is far too long for one line of this width.", "Short."):
        line.set_text(text, "plain")
        heights.append(line.height())
    assert heights[0] == heights[2] < heights[1]


def test_a_line_of_any_length_takes_a_few_lines_and_its_tooltip_has_all(qtbot):
    line = Line("line")
    qtbot.addWidget(line)
    line.resize(200, line.height())
    line.show()
    text = " ".join(f"sentence {number} of a long report." for number in range(200))
    line.set_text(text, "bad")
    assert line.text == text
    assert line.height() <= MOST_LINES * line.fontMetrics().lineSpacing()
    shown, tip = line.findChild(QLabel), line.findChild(QLabel).toolTip()
    assert shown.text().startswith("sentence 0") and shown.text().endswith(" …")
    assert "sentence 199" in tip
    assert max(map(len, tip.splitlines())) < 120
    line.resize(150, line.height())
    assert line.height() <= MOST_LINES * line.fontMetrics().lineSpacing()
    line.set_text("Short.", "plain")
    assert (shown.text(), shown.toolTip()) == ("Short.", "")
