"""What all docks have in common: tabs, themes, tool tips, and a clean end."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest
from helpers import Gate, micrograph
from qtpy.QtCore import Qt
from qtpy.QtGui import QOpenGLContext
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QSlider,
)
from superqt.utils import WorkerBase

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.dock import PLUGIN, open_dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.scrolling import DockScroll
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.pairs.pair import ImagePair

TABS = ("Pairs", "Train", "Restore", "Relevance", "Evaluate")
CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
)


@pytest.fixture
def docks(dock, qtbot):
    opened = [dock(tab) for tab in TABS]
    qtbot.wait(20)  # docks join the tabs when napari has placed them
    return opened


def controls(dock):
    """What a user can operate, without the parts that such things are made of."""
    found = [widget for kind in CONTROLS for widget in dock.findChildren(kind)]
    return [w for w in found if not w.objectName().startswith("qt_") and not _is_part(w)]


def _is_part(widget):
    if "pyqtgraph" in type(widget).__module__:
        return True
    parent = widget.parent()
    while not hasattr(parent, "tab"):
        if isinstance(parent, CONTROLS) or parent.objectName().startswith("setting_"):
            return True
        parent = parent.parent()
    return False


def test_the_docks_are_tabs_of_one_area(docks, viewer):
    window = docks[0].parent().parent()
    outer = [dock.parent() for dock in docks]
    assert {d.windowTitle() for d in outer} == set(TABS)
    assert set(window.tabifiedDockWidgets(outer[0])) == set(outer[1:])


def test_opening_a_dock_again_brings_the_same_one(docks, viewer):
    assert [open_dock(viewer, tab) for tab in TABS] == docks
    assert len([d for d in viewer.window.dock_widgets if "AEANet" in d]) == len(TABS)


def test_every_control_has_a_name_and_says_what_it_does(docks):
    for dock in docks:
        assert len(controls(dock)) > 4
        for control in controls(dock):
            assert control.objectName(), f"{dock.tab}: {control} has no name"
            assert control.toolTip(), f"{dock.tab}: {control.objectName()} has no tool tip"
            spoken = control.accessibleName() or getattr(control, "text", str)()
            assert spoken, f"{dock.tab}: {control.objectName()} has no accessible name"


def test_tab_leaves_lists_and_tables(docks):
    for dock in docks:
        for view in dock.findChildren(QAbstractItemView):
            assert not view.tabKeyNavigation(), f"{dock.tab}: Tab stays in {view.objectName()}"


def test_object_names_are_unique_within_a_dock(docks):
    for dock in docks:
        names = [control.objectName() for control in controls(dock)]
        assert len(names) == len(set(names))


def test_what_cannot_be_run_says_why(docks):
    for dock in docks:
        assert not dock.row.run_button.isEnabled()
        assert dock.row.line.text == dock.row.run_button.toolTip() != ""


def test_the_docks_follow_the_theme(docks, viewer):
    before = [dock.styleSheet() for dock in docks]
    viewer.theme = "light"
    assert all(a != b.styleSheet() for a, b in zip(before, docks, strict=True))


def test_the_footer_stays_in_view_at_a_small_window(docks):
    for dock in docks:
        assert dock.minimumSizeHint().height() <= 400
        assert dock.minimumSizeHint().width() <= 360


def test_a_closed_dock_listens_no_more(docks, viewer, session):
    closed = docks[0]
    viewer.window.remove_dock_widget(closed)
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    assert closed.table.rowCount() == 0


def test_what_finished_work_was_about_is_released(dock, session, finish, qtbot):
    class Large:
        """Stands for an image that is worked on."""

    opened, large, more = dock("Restore"), Large(), Large()
    alive = [weakref.ref(large), weakref.ref(more)]

    def steps(_about):
        yield Progressed(Progress("counting sheep", 1, 1))

    opened.on_event = lambda _event: None
    opened.run_job("counting", partial(steps, large))
    finish(session)
    told = []
    opened.in_background("adding", lambda _about: 7, more, then=told.append)
    qtbot.waitUntil(lambda: told == [7])
    WorkerBase.await_workers(10_000)
    qtbot.wait(20)
    del large, more
    gc.collect()
    assert [ref() for ref in alive] == [None, None]


@pytest.fixture
def counting(docks):
    """The Restore dock while its job waits for a gate between two steps."""
    gate, seen = Gate(), []

    def steps():
        for number in (1, 2, 3):
            gate.wait()
            yield Progressed(Progress("counting sheep", number, 3))

    restore = docks[TABS.index("Restore")]
    restore.on_event = seen.append
    restore.run_job("counting", steps)
    yield restore, gate, seen
    gate.open(3)


def test_closing_a_dock_does_not_stop_its_job(docks, viewer, session, counting, told, qtbot):
    closed, gate, seen = counting
    ends = []
    closed.on_end = ends.append
    gate.open()
    qtbot.waitUntil(lambda: len(seen) == 1)
    viewer.window.remove_dock_widget(closed)
    assert session.is_busy and "continues counting" in told()[-1]
    gate.open()
    gate.open()
    qtbot.waitUntil(lambda: not session.is_busy)
    assert len(seen) == 3 and ends == [State.DONE]
    assert not session.closed_docks


def test_every_dock_shows_a_running_job_and_can_stop_it(docks, viewer, session, counting, qtbot):
    closed, gate, seen = counting
    pairs = docks[TABS.index("Pairs")]
    gate.open()
    qtbot.waitUntil(lambda: "counting sheep: tile 1 of 3" in pairs.row.line.text)
    viewer.window.remove_dock_widget(closed)
    pairs.row.stop_button.click()
    gate.open(3)
    qtbot.waitUntil(lambda: not session.is_busy)
    assert session.job.state is State.STOPPED and len(seen) < 3
    for dock in (pairs, docks[TABS.index("Train")]):
        assert not dock.row.stop_button.isEnabled()
        assert dock.row.line.text == dock.row.run_button.toolTip()


def test_tab_leads_through_the_choices_before_the_buttons_of_the_foot(docks):
    for dock in docks:
        area, foot = dock.findChild(DockScroll), dock.foot.parentWidget()
        assert not area.focusPolicy() & Qt.FocusPolicy.TabFocus
        order, one = [], dock.nextInFocusChain()
        while one is not dock:
            if dock.isAncestorOf(one) and one.focusPolicy() & Qt.FocusPolicy.TabFocus:
                order.append(foot.isAncestorOf(one))
            one = one.nextInFocusChain()
        assert order == sorted(order), dock.tab  # of the body, then of the foot


@pytest.mark.parametrize("from_menu", [False, True])
def test_a_dock_that_is_opened_again_is_the_one_whose_job_runs(
    docks, viewer, session, counting, from_menu, told, qtbot
):
    closed, gate, seen = counting
    closed.models.setEnabled(False)  # something of this very dock
    viewer.window.remove_dock_widget(closed)
    if from_menu:
        outer, _ = viewer.window.add_plugin_dock_widget(PLUGIN, "AEANet: Restore")
        qtbot.waitUntil(lambda: outer.widget() is closed)
    else:
        assert open_dock(viewer, "Restore") is closed
        outer = closed.parent()
    qtbot.waitUntil(lambda: outer.windowTitle() == "Restore")
    assert not closed.isHidden() and not session.closed_docks
    assert open_dock(viewer, "Restore") is closed
    gate.open(3)
    qtbot.waitUntil(lambda: not session.is_busy)
    assert len(seen) == 3 and not closed.isHidden()
    viewer.window.remove_dock_widget(closed)
    assert not [text for text in told() if "ended counting" in text]


def test_the_end_of_the_job_of_a_closed_dock_is_told(docks, viewer, session, counting, told, qtbot):
    closed, gate, _ = counting
    closed.on_end = lambda _state: closed.row.set_text("✓ All sheep are counted.", "good")
    viewer.window.remove_dock_widget(closed)
    gate.open(3)
    qtbot.waitUntil(lambda: not session.is_busy)
    assert told()[-1] == "AEANet ended counting: ✓ All sheep are counted."


def test_docks_and_session_end_with_their_viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    docks = [open_dock(viewer, tab) for tab in TABS]
    session = session_of(viewer)
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    WorkerBase.await_workers(10_000)
    left = [weakref.ref(each) for each in (*docks, session)]
    viewer.close()
    del viewer, docks, session
    qtbot.wait(50)
    gc.collect()
    assert [ref() for ref in left if ref() is not None] == []


def test_two_viewers_have_docks_and_sessions_of_their_own(make_napari_viewer):
    first, second = make_napari_viewer(), make_napari_viewer()
    docks = [open_dock(viewer, "Pairs") for viewer in (first, second)]
    docks[0].session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    assert [dock.table.rowCount() for dock in docks] == [1, 0]
    assert isinstance(docks[0].parent(), QDockWidget)


def test_the_title_is_short_enough_for_a_narrow_dock(viewer, dock, qtbot):
    doctor = dock("Check my computer")
    outer = doctor.parent()

    def title():
        return outer.titleBarWidget().findChild(QLabel)

    qtbot.waitUntil(lambda: title().text() == "AEANet: Check my computer")
    assert title().sizeHint().width() < 300 - 80  # beside the buttons
    outer.setFloating(True)
    qtbot.waitUntil(lambda: title().text() == "AEANet: Check my computer")


@pytest.mark.parametrize(("factor", "moved"), [(1, False), (1.05, False), (1.5, True)])
def test_the_whole_image_is_seen_beside_a_new_dock_unless_the_view_was_moved(
    viewer, dock, qtbot, factor, moved
):
    """Images that were just opened are shown 5 % larger than `reset_view` shows them."""
    viewer.window.show()
    viewer.window.resize(1200, 800)
    viewer.add_image(np.zeros((100, 200), np.uint8))
    qtbot.wait(50)
    viewer.reset_view()
    viewer.scene.camera.zoom *= factor
    zoom, width = viewer.scene.camera.zoom, viewer.canvas.size[1]
    dock("Pairs")
    qtbot.waitUntil(lambda: viewer.canvas.size[1] < width - 200)
    qtbot.wait(100)
    if moved:
        assert viewer.scene.camera.zoom == zoom
    else:
        assert 0.8 < viewer.scene.camera.zoom * 200 / viewer.canvas.size[1] <= 1


def test_a_removed_layer_is_deleted_in_the_context_of_the_canvas(viewer, dock, qtbot):
    # In another one napari's next drawing can end the program: docs/reliability.md.
    viewer.show()
    dock("Restore")
    layer = viewer.add_labels(np.zeros((8, 8), int))
    (canvas,) = viewer.window._qt_window.findChildren(QOpenGLWidget)
    qtbot.waitUntil(canvas.isValid)
    canvas.doneCurrent()
    viewer.layers.remove(layer)
    assert canvas.context() is not None
    assert QOpenGLContext.currentContext() == canvas.context()
