"""Bars of jobs in napari's activity dock."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils import cancelable_progress


class ActivityBar(cancelable_progress):
    """Bar of a job in napari's activity dock, with a button that stops the job."""

    def __init__(self, title: str, stop: Callable[[], None]) -> None:
        super().__init__(total=0, desc=title)
        self._stop = stop

    def show(self, done: int, total: int) -> None:
        """Move the bar, without running the event loop inside as napari's `update` does.

        Otherwise other callbacks, which may add layers, would run inside the present one.
        """
        if self.total != total:
            self.total = total
        with self.events.value.blocker():
            self.update(done - self.n)
        for callback in self.events.value.callbacks:
            widget = callback[0]() if isinstance(callback, tuple) else None
            if bar := getattr(widget, "qt_progress_bar", None):
                bar.setValue(done)

    def cancel(self) -> None:
        super().cancel()
        self._stop()
