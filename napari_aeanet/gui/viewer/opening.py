"""Open images in files as calibrated layers: read in a worker, added one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import Job, State, run_in_background
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.viewer.camera import look_at
from napari_aeanet.gui.viewer.layers import PIXEL, image_to_layer
from napari_aeanet.gui.viewer.levels import shown_range
from napari_aeanet.gui.viewer.pages import are_unnamed_planes, ask_if_planes
from napari_aeanet.io import as_stack, read_images, stem

if TYPE_CHECKING:
    from napari import Viewer

# napari takes 50 ms to add a layer: the window is drawn in between.
BETWEEN_MS = 10


@dataclass(frozen=True, eq=False)
class FileRead:
    """Event with the images of a file, or the reason why it cannot be read."""

    images: tuple[Image, ...]
    progress: Progress
    problem: str = ""


def read_files(paths: Sequence[Path]) -> Iterator[Progressed | FileRead]:
    """Read files one after another."""
    for number, path in enumerate(paths):
        begun = Progress(f"reading {path.name}", number, len(paths), unit="file")
        yield Progressed(begun)
        images, problem = [], ""
        try:
            images = read_images(path)
        except (ValueError, OSError) as error:
            problem = str(error)
        yield FileRead(tuple(images), replace(begun, done=number + 1), problem)


class Opening:
    """Images on the way from their files into a viewer.

    Stopping the job keeps the images that were read. Pages that do not say what they are, are asked
    about once for all files.

    Attributes
    ----------
    job
        The job that reads the files.
    """

    opened = Signal(list)  # the layers, when all are in the viewer

    def __init__(self, viewer: Viewer, paths: Sequence[Path]) -> None:
        self._viewer = viewer
        self._files: list[tuple[Image, ...]] = []
        self._waiting: deque[Image] = deque()
        self._layers: list[Layer] = []
        title = f"reading {paths[0].name if len(paths) == 1 else count(len(paths), 'file')}"
        self.job = Job(title, partial(read_files, tuple(paths)), "file")
        self.job.happened.connect(self._on_event)
        self.job.state_changed.connect(self._on_state)
        self._kept = session_of(viewer).beside
        self._kept.add(self)  # signals do not

    def _on_event(self, event: Progressed | FileRead) -> None:
        if isinstance(event, FileRead) and event.problem:
            show_error(event.problem)
        elif isinstance(event, FileRead):
            self._files.append(event.images)

    def _on_state(self, state: State) -> None:
        if state.is_active:
            return
        files, self._files = self._files, []
        unnamed = [images for images in files if are_unnamed_planes(images)]
        if unnamed and ask_if_planes(unnamed[0], len(unnamed)):
            run_in_background("joining the pages", _join, files, then=self._begin)
        else:
            self._begin([image for images in files for image in images])

    def _begin(self, images: Sequence[Image]) -> None:
        self._waiting.extend(images)
        self._add_next()

    def _add_next(self) -> None:
        """Add a layer, and the others in callbacks of their own."""
        if self._waiting:
            with catch_warnings():
                # Our own note says which image is meant.
                simplefilter("ignore", category=UserWarning)
                image = self._waiting.popleft()
                layer = image_to_layer(image)
                if (limits := shown_range(image.array)) is not None:
                    layer.contrast_limits = limits
                self._layers.append(self._viewer.add_layer(layer))
        if self._waiting:
            QTimer.singleShot(BETWEEN_MS, self._add_next)
            return
        layers, self._layers = self._layers, []
        self._kept.discard(self)
        _show_beside_other_units(self._viewer, layers)
        self.opened.emit(layers)


def open_images(viewer: Viewer, paths: Sequence[Path]) -> Opening | None:
    """Add the images in files as calibrated layers; report unreadable files.

    The job is beside that of the session, which it does not disturb; napari's activity dock shows
    and stops it.
    """
    if not paths:
        return None
    opening = Opening(viewer, paths)
    opening.job.start()
    return opening


def open_in_dock(
    dock: Dock, paths: Sequence[Path], then: Callable[[list[Layer]], Any] = lambda _: None
) -> None:
    """Open images, shown and stoppable in a dock; call `then` with the layers if there are any.

    Nothing is called after the dock was closed.
    """
    opening = open_images(dock.viewer, paths)
    if opening is None:
        return
    dock.listen(opening.opened, lambda layers: then(layers) if layers else None)
    if not dock.session.is_busy:
        dock.row.follow(opening.job, is_own=False)


def _join(files: Sequence[tuple[Image, ...]]) -> list[Image]:
    """Return the images of files, pages that are alike as one volume."""
    return [
        image
        for images in files
        for image in ([_volume(images)] if are_unnamed_planes(images) else images)
    ]


def _volume(images: Sequence[Image]) -> Image:
    return as_stack(images, "Z", stem(images[0].source or images[0].name))


def _show_beside_other_units(viewer: Viewer, opened: Sequence[Layer]) -> None:
    """Look at new layers where some have a pixel size and some have none.

    napari draws both on one scale, a pixel as long as a nanometre: one kind is a dot, or all that
    is seen.
    """
    others = [layer for layer in viewer.layers if layer not in opened]
    before, added = set(map(_has_unit, others)) - {None}, set(map(_has_unit, opened))
    if len(before | added) < 2:
        return
    look_at(viewer, opened)
    if len(before) < 2:
        lacking = next(layer for layer in viewer.layers if _has_unit(layer) is False)
        show_info(f"{lacking.name} has no pixel size: it is not to the scale of the other images.")


def _has_unit(layer: Layer) -> bool | None:
    """Return True if an image has a pixel size; None for other layers."""
    if not isinstance(layer, ImageLayer):
        return None
    return any(str(unit) != PIXEL for unit in layer.units[-2:])
