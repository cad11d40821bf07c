"""Docks at their smallest width, and by keyboard."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QPushButton, QScrollArea

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import Collapsible
from napari_aeanet.pairs.pair import ImagePair

WIDTH, HEIGHT = 300, 900
SCROLL_BAR = 16


@pytest.fixture(params=["Pairs", "Train", "Restore", "Relevance", "Repair", "Evaluate"])
def narrow(request, dock, session, viewer, card_file):
    """A dock of 300 pixels with a pair of a long name, and all of its sections open."""
    values = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    names = [f"2025-11-03 sample 12 region {side} of the left hemisphere" for side in "AB"]
    session.add_pairs(
        [ImagePair(*(Image(v, "YX", name=n) for v, n in zip(values, names, strict=True)))]
    )
    made = dock(request.param)
    made.parent().setFloating(True)
    made.parent().resize(WIDTH, HEIGHT)
    if request.param == "Pairs":
        made.table.selectRow(0)
    elif request.param == "Repair":
        viewer.add_image(np.zeros((5, 64, 64), np.uint8), name=names[0])
        made.slices.add_shown()
    elif request.param == "Evaluate":
        made.take_files([card_file()])
    elif request.param in ("Restore", "Relevance"):
        viewer.add_image(values[0], name=names[0])
        session.add_model(card_file())
    for section in made.findChildren(Collapsible):
        section.expand()
    return made


def test_nothing_is_wider_than_the_dock(narrow, qtbot):
    (area,) = [a for a in narrow.findChildren(QScrollArea) if a.parent() is narrow]
    content = area.widget()
    wide = [
        (one.objectName() or type(one).__name__, one.minimumSizeHint().width())
        for one in content.findChildren(QPushButton)
    ]
    assert content.minimumSizeHint().width() <= WIDTH - SCROLL_BAR, wide
    assert narrow.row.minimumSizeHint().width() <= WIDTH - 20


def test_no_button_is_clipped(narrow, qtbot):
    qtbot.waitUntil(lambda: narrow.width() <= WIDTH + 20)
    clipped = [
        (one.text(), one.width(), one.sizeHint().width())
        for one in narrow.findChildren(QPushButton)
        if one.isVisibleTo(narrow) and one.width() < one.sizeHint().width()
    ]
    assert not clipped


def test_every_control_has_a_name_for_those_who_do_not_see_it(narrow):
    controls = [
        one
        for kind in (QAbstractButton, QComboBox, QAbstractSpinBox)
        for one in narrow.findChildren(kind)
        if one.focusPolicy() != Qt.FocusPolicy.NoFocus
    ]
    texts = {one: one.text() if isinstance(one, QAbstractButton) else "" for one in controls}
    mute = [one.objectName() for one in controls if not (one.accessibleName() or texts[one])]
    assert controls and not mute


def test_tab_leaves_the_table_of_pairs(dock):
    assert not dock("Pairs").table.tabKeyNavigation()
