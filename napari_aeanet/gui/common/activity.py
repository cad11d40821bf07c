"""Bars of jobs in napari's activity dock."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils import cancelable_progress


class ActivityBar(cancelable_progress):
    """Bar of a job in napari's activity dock, with a button that stops the job."""

    def __init__(self, title: str, stop: Callable[[], None]) -> None:
        super().__init__(total=0, desc=title)
        self._stop = stop

    def cancel(self) -> None:
        super().cancel()
        self._stop()
