"""Long jobs: generators of events that run in a worker thread.

The generator runs and is closed in the worker thread. Its events are queued; a timer empties the
queue on the main thread five times a second, so that many events cause few redraws.
"""

from __future__ import annotations

import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from enum import StrEnum
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from napari.qt.threading import FunctionWorker, GeneratorWorker, create_worker
from napari.utils.notifications import (
    ErrorNotification,
    Notification,
    notification_manager,
)
from psygnal import EmitLoopError, Signal
from qtpy.QtCore import QTimer
from superqt.utils import WorkerBase

from napari_aeanet.core.progress import Progress
from napari_aeanet.gui.common.activity import ActivityBar

if TYPE_CHECKING:
    from collections.abc import Generator

TICK_MS = 200
# After this time the remaining events are left to the next tick. The current event may take another
# 30 ms, for instance to swap the data of a layer.
TICK_BUDGET_S = 0.015
ACTIVITY_INTERVAL_S = 1.0
BRIEF_S = 0.005
STOPPED, COULD_NOT_SHOW = "AEANet stopped while", "AEANet could not show a step of"

_logger = logging.getLogger(__name__)


class State(StrEnum):
    """State of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        return self in (State.RUNNING, State.PAUSING, State.PAUSED, State.STOPPING)


class Job:
    """A long job, its state and its progress. All methods run on the main thread.

                         pause()        resume()
              start()   +------> PAUSING -> PAUSED --+
      WAITING ------> RUNNING <----------------------+
                        |  \\
                        |   +--- stop(), also from PAUSING and PAUSED ---> STOPPING
                        v                                                     v
                  DONE or FAILED                                        STOPPED or FAILED

    `stop` has no effect on a job that does not run. napari's task manager lists the job: napari
    asks before the window closes, and then stops the job in the same way.

    Parameters
    ----------
    title
        Activity, to follow "busy": "restoring S05".
    make_events
        Returns the generator. It is called, run and closed in the worker thread, so it must
        not touch Qt, layers or the viewer. Every event has a `progress`.
    step
        Unit of the progress: "tile", "pair", "step".

    Attributes
    ----------
    progress
        Progress of the latest event.
    error
        Exception of a failed job.
    seconds_per_event
        Recent mean; None before the second event.
    """

    happened = Signal(object)  # one event
    progressed = Signal(Progress)  # once per tick
    state_changed = Signal(State)

    def __init__(
        self, title: str, make_events: Callable[[], Iterator[Any]], step: str = "step"
    ) -> None:
        self.title = title
        self.step = step
        self.state = State.WAITING
        self.progress: Progress | None = None
        self.error: Exception | None = None
        self.seconds_per_event: float | None = None
        self._inbox: deque[tuple[float, Any]] = deque()
        self._make_events = make_events
        self._worker: GeneratorWorker | None = None
        self._latest: float | None = None
        self._is_in_tick = False
        self._activity: ActivityBar | None = None
        self._activity_due = 0.0
        self._timer = QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Run the generator in a worker thread."""
        named = _Named(self.title, _deliver, self._make_events, self._inbox)
        # napari annotates plain functions only, and signals as if each had an argument.
        worker: Any = create_worker(
            cast("Any", named), _start_thread=False, _worker_class=_Worker, _ignore_errors=True
        )
        self._worker = worker
        worker.errored.connect(self._on_errored)
        worker.paused.connect(self._on_paused)
        worker.finished.connect(self._on_finished)
        self._activity = ActivityBar(self.title, self.stop)
        self._timer.start()
        worker.start()
        self._enter(State.RUNNING)

    def pause(self) -> None:
        """Pause after the current step."""
        if self._worker is not None and self.state is State.RUNNING:
            self._worker.pause()
            self._enter(State.PAUSING)

    def resume(self) -> None:
        if self._worker is not None and self.state is State.PAUSED:
            self._worker.resume()
            self._enter(State.RUNNING)

    def stop(self) -> None:
        """Close the generator after the current step."""
        if self._worker is not None and self.state.is_active:
            self._worker.quit()
            self._enter(State.STOPPING)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.state_changed.emit(state)

    def _tick(self) -> None:
        """Emit the events since the last tick."""
        # napari's activity bar runs the event loop itself, so that ticks can be nested.
        if self._is_in_tick:
            return
        self._is_in_tick = True
        try:
            began = monotonic()
            self._emit_events(until=began + TICK_BUDGET_S)
            # Moving napari's bar redraws the window with all changed layers: after a long tick it
            # is postponed, but not for long.
            now = monotonic()
            if now - began < BRIEF_S or now > self._activity_due + ACTIVITY_INTERVAL_S:
                self._show_activity()
        finally:
            self._is_in_tick = False

    def _emit_events(self, until: float | None = None) -> None:
        before = self.progress
        while self._inbox and (until is None or monotonic() < until):
            when, event = self._inbox.popleft()
            self.progress = event.progress
            self._time_step(when)
            try:
                self.happened.emit(event)
            except EmitLoopError as error:
                # A listener failed (a layer could not be made); the work continues.
                _report(f"{COULD_NOT_SHOW} {self.title}", error.__cause__ or error)
        if self.progress is not None and self.progress is not before:
            self.progressed.emit(self.progress)

    def _time_step(self, when: float) -> None:
        if self._latest is not None:
            seconds, mean = when - self._latest, self.seconds_per_event
            self.seconds_per_event = seconds if mean is None else 0.8 * mean + 0.2 * seconds
        self._latest = when

    def _show_activity(self) -> None:
        if self._activity is None or self.progress is None or monotonic() < self._activity_due:
            return
        self._activity_due = monotonic() + ACTIVITY_INTERVAL_S
        self._activity.show(self.progress.done, self.progress.total)

    def _on_paused(self) -> None:
        if self.state is State.PAUSING:
            self._enter(State.PAUSED)

    def _on_errored(self, error: Exception) -> None:
        self.error = error

    def _on_finished(self) -> None:
        self._timer.stop()
        self._emit_events()
        if self._activity is not None:
            self._activity.close()
        if self.error is not None:
            _report(f"{STOPPED} {self.title}", self.error)
            self._enter(State.FAILED)
        elif self._worker is not None and self._worker.abort_requested:
            self._enter(State.STOPPED)
        else:
            self._enter(State.DONE)
        if self._worker is not None:
            _release(self._worker)
        # What the job was about may be large, and sessions and docks remember their last job.
        self._worker, self._make_events, self._activity = None, _nothing, None


def _nothing() -> Iterator[Any]:
    return iter(())


def run_in_background(
    what: str, function: Callable[..., Any], *arguments: Any, then: Callable[[Any], None]
) -> FunctionWorker:
    """Call a function in a worker thread and pass its result to `then` on the main thread.

    For work of about a second without a progress bar; `what` names it ("checking the pairs").
    """
    named = _Named(what, function, *arguments)
    worker: Any = create_worker(
        cast("Any", named), _start_thread=False, _worker_class=_Call, _ignore_errors=True
    )
    worker.returned.connect(then)
    worker.errored.connect(partial(_report, f"{STOPPED} {what}"))
    worker.finished.connect(partial(_release, worker))
    worker.start()
    return worker


def _release(worker: WorkerBase) -> None:
    """Undo the connections of a finished worker.

    napari's connections refer to its window, whose list of tasks refers to the worker. Python's
    garbage collector does not see Qt's half of this cycle: the window would never be freed.
    """
    for name in ("started", "returned", "errored", "warned", "finished", "aborted", "paused"):
        signal = getattr(worker.signals, name, None)
        if signal is not None:
            disconnect(signal)


def disconnect(signal: Any, *slots: Callable) -> None:
    """Undo a connection, or all of them without slots, if there is one.

    Without a connection, Qt for Python warns and PyQt raises.
    """
    with suppress(ValueError, KeyError, TypeError, RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        signal.disconnect(*slots)


class _Worker(GeneratorWorker):
    """napari's worker, with a `quit()` that always closes the generator.

    It does so while running, while paused and when napari closes; the generator's `finally` has
    run before `finished` is emitted.
    """

    def work(self) -> None:
        try:
            result = super().work()
        finally:
            self._gen.close()
        # A RuntimeError, common in torch, would end the worker without `finished`.
        if isinstance(result, Exception):
            raise result

    def _relay_error(self, error: Exception) -> None:
        """Do nothing: the job reports its error itself, once."""

    def _relay_warning(self, arguments: tuple) -> None:
        _logger.warning("%s", arguments[0])


class _Call(FunctionWorker):
    """napari's worker for a function, without its own report of errors.

    napari lists workers that have finished: the function and its arguments are dropped.
    """

    def work(self) -> Any:
        try:
            return super().work()
        finally:
            self._func, self._args, self._kwargs = _nothing, (), {}  # type: ignore[assignment]

    def _relay_error(self, error: Exception) -> None:
        """Do nothing: `run_in_background` reports the error."""


class _Named(partial):
    """A partial with a readable name for napari's question before closing."""

    name: str

    def __new__(cls, name: str, function: Callable, *arguments: Any) -> _Named:
        named = super().__new__(cls, function, *arguments)
        named.name = name
        return named

    def __str__(self) -> str:
        return f"AEANet: {self.name}"


def _deliver(
    make_events: Callable[[], Iterator[Any]], inbox: deque[tuple[float, Any]]
) -> Iterator[None]:
    """Run the generator in the worker thread and put its events into `inbox`."""
    with closing(cast("Generator[Any, None, None]", make_events())) as events:
        for event in events:
            inbox.append((monotonic(), event))
            yield


def _report(activity: str, error: BaseException) -> None:
    """Show one notification.

    ValueError and OSError carry a message for the user. Others are shown with the activity during
    which they were raised, and a button for the traceback.
    """
    if isinstance(error, ValueError | OSError):
        notification_manager.dispatch(Notification(str(error), "ERROR"))
        return
    notification = ErrorNotification(error)
    notification.message = f"{activity}: {str(error) or type(error).__name__}"
    notification_manager.dispatch(notification)
