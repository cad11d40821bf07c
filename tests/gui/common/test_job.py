"""A job runs its generator in a worker thread and always closes it there."""

import threading
from dataclasses import dataclass
from traceback import extract_stack

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar

from napari_aeanet.core.progress import Progress
from napari_aeanet.gui.common.job import Job, State


@dataclass(frozen=True)
class Step:
    number: int
    progress: Progress


class Work:
    """A generator under the test's control: it goes on when `go` is released."""

    def __init__(self, steps: int = 3, error: Exception | None = None, free: bool = False):
        self.steps, self.error, self.free = steps, error, free
        self.go = threading.Semaphore(0)
        self.closed_in = None

    def __call__(self):
        try:
            for number in range(1, self.steps + 1):
                if not self.free:
                    self.go.acquire(timeout=10)
                yield Step(number, Progress("counting", number, self.steps))
            if self.error:
                raise self.error
        finally:
            self.closed_in = threading.current_thread()


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


def start(work):
    job = Job("counting", work)
    job.seen = []
    job.happened.connect(lambda event: job.seen.append(event.number))
    job.start()
    return job


def ends(qtbot, job):
    qtbot.waitUntil(lambda: not job.state.is_active, timeout=10_000)
    return job.state


def test_every_event_arrives_in_order_on_the_main_thread(viewer, qtbot):
    work = Work(steps=500, free=True)
    job = Job("counting", work)
    seen, threads = [], set()
    job.happened.connect(lambda event: seen.append(event.number))
    job.happened.connect(lambda _: threads.add(threading.current_thread()))
    job.start()
    assert ends(qtbot, job) is State.DONE
    assert seen == list(range(1, 501))
    assert threads == {threading.main_thread()}
    assert work.closed_in is not threading.main_thread()


def test_many_events_reach_the_window_in_few_ticks(viewer, qtbot, monkeypatch):
    ticks = []
    tell = Job._emit_events
    monkeypatch.setattr(Job, "_emit_events", lambda *a, **k: (ticks.append(1), tell(*a, **k)))
    assert ends(qtbot, start(Work(steps=2000, free=True))) is State.DONE
    assert len(ticks) < 100


def test_stopping_a_running_job_closes_its_generator_in_the_worker_thread(viewer, qtbot):
    work = Work()
    job = start(work)
    work.go.release()
    qtbot.waitUntil(lambda: job.seen == [1])
    job.stop()
    assert job.state is State.STOPPING
    work.go.release()
    assert ends(qtbot, job) is State.STOPPED
    assert work.closed_in not in (None, threading.main_thread())
    assert job.seen[-1] < 3


def test_a_paused_job_waits_and_goes_on(viewer, qtbot):
    work = Work()
    job = start(work)
    job.pause()
    assert job.state is State.PAUSING
    work.go.release(3)
    qtbot.waitUntil(lambda: job.state is State.PAUSED)
    qtbot.wait(250)
    assert len(job.seen) < 3
    job.resume()
    assert ends(qtbot, job) is State.DONE
    assert job.seen == [1, 2, 3]


def test_stopping_a_paused_job_closes_its_generator(viewer, qtbot):
    work = Work()
    job = start(work)
    work.go.release(2)
    qtbot.waitUntil(lambda: len(job.seen) > 0)
    job.pause()
    work.go.release()
    qtbot.waitUntil(lambda: job.state is State.PAUSED)
    job.stop()
    assert ends(qtbot, job) is State.STOPPED
    assert work.closed_in not in (None, threading.main_thread())


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_closing_napari_closes_the_generator_of_its_job(make_napari_viewer, qtbot, paused):
    viewer = make_napari_viewer()
    work = Work(steps=5)
    job = start(work)
    work.go.release()
    qtbot.waitUntil(lambda: len(job.seen) > 0)
    if paused:
        job.pause()
        work.go.release()
        qtbot.waitUntil(lambda: job.state is State.PAUSED)
    viewer.close()
    work.go.release(5)
    assert ends(qtbot, job) is State.STOPPED
    assert work.closed_in not in (None, threading.main_thread())


def test_napari_can_say_in_words_what_is_running(viewer, qtbot):
    work = Work(steps=1)
    job = start(work)
    qtbot.waitUntil(lambda: job._worker.is_running)
    (line,) = viewer.window._task_status_manager.get_status()
    assert "AEANet: counting" in line
    work.go.release()
    ends(qtbot, job)
    assert not viewer.window._task_status_manager.is_busy()


@pytest.mark.parametrize("error", [ValueError("S05 is empty."), RuntimeError("no kernel")])
def test_an_error_is_told_once_and_ends_the_job(viewer, qtbot, error):
    notification_manager.records.clear()
    job = start(Work(error=error, free=True))
    assert ends(qtbot, job) is State.FAILED
    assert job.error is error
    (told,) = notification_manager.records
    assert str(error) in told.message


def test_an_unexpected_error_says_what_was_being_done(viewer, qtbot):
    notification_manager.records.clear()
    ends(qtbot, start(Work(error=KeyError("weights"), free=True)))
    assert notification_manager.records[0].message.startswith("AEANet stopped while counting")


def test_stopping_a_job_that_does_not_run_is_without_effect(viewer, qtbot):
    job = Job("counting", Work(free=True))
    job.stop()
    assert job.state is State.WAITING
    job.start()
    assert ends(qtbot, job) is State.DONE
    job.stop()
    job.pause()
    assert job.state is State.DONE


def test_the_activity_dock_shows_the_job_while_it_runs(viewer, qtbot):
    from napari.utils import progress

    work = Work(steps=2)
    job = start(work)
    assert [bar.desc for bar in progress._all_instances] == ["counting"]
    work.go.release()
    qtbot.waitUntil(lambda: any(bar.n == 1 for bar in progress._all_instances))
    bars = viewer.window._qt_window.findChildren(QProgressBar)
    assert [(bar.value(), bar.maximum()) for bar in bars] == [(1, 2)]
    work.go.release()
    ends(qtbot, job)
    assert not progress._all_instances


def test_no_other_callback_runs_inside_the_move_of_a_bar(viewer, qtbot):
    work, callers = Work(steps=2), []
    job = start(work)
    job.happened.connect(
        lambda _event: QTimer.singleShot(0, lambda: callers.extend(extract_stack()))
    )
    work.go.release()
    qtbot.waitUntil(lambda: bool(callers))
    assert "show" not in {caller.name for caller in callers}
    work.go.release()
    ends(qtbot, job)


def test_a_listener_that_fails_is_told_and_the_work_goes_on(viewer, qtbot):
    def fail(event):
        if event.number == 1:
            raise KeyError("layer")

    notification_manager.records.clear()
    job = Job("counting", Work(free=True))
    seen = []
    job.happened.connect(fail)
    job.happened.connect(lambda event: seen.append(event.number))
    job.start()
    assert ends(qtbot, job) is State.DONE
    assert seen[-2:] == [2, 3]
    assert "could not show" in notification_manager.records[0].message
    notification_manager.records.clear()
