"""Base class of the docks: a body that scrolls, a fixed foot, cleanup on closing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QFrame,
    QLabel,
    QMainWindow,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_aeanet.gui.common.drawing import make_canvas_current
from napari_aeanet.gui.common.fitted_view import is_fitted
from napari_aeanet.gui.common.job import Job, State, disconnect, run_in_background
from napari_aeanet.gui.common.job_row import JobRow, Releaser
from napari_aeanet.gui.common.scrolling import DockScroll
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.common.theme import Colours, colours, style_sheet
from napari_aeanet.gui.common.widgets import present, tab_before

if TYPE_CHECKING:
    from napari import Viewer

PLUGIN = "napari-aeanet"
WIDTH = 360
AFTER_RESIZE_MS = 50  # Qt lays out the window
MARGIN = 10
SPACING = 10
TOGGLE_KEY = "b"


class Dock(QWidget):
    """A dock of the plugin.

    Subclasses fill `body` and `foot`, connect by `listen`, start work by `run_job`, and enable
    their controls in `refresh`.

    Attributes
    ----------
    tab
        Title of the tab; the dock is called "AEANet: <tab>".
    accepts
        Suffixes of the files that may be dropped.
    uses_toggle_key
        True if the dock handles the toggle key, from its activation until another such dock is
        activated.
    is_in_front
        True while the tab of the dock is in front.
    """

    tab = ""
    accepts: tuple[str, ...] = ()
    uses_toggle_key = False

    def __init__(self, viewer: Viewer, row: JobRow) -> None:
        super().__init__()
        self.viewer = getattr(viewer, "__wrapped__", viewer)
        self.session = session_of(viewer)
        self.row = row
        self.job: Job | None = None
        self.is_in_front = self._was_fitted = False
        self._connections: list[tuple[Any, Callable]] = []
        self.setObjectName(f"aeanet_{self.tab.lower()}")
        self.setAcceptDrops(bool(self.accepts))
        self.setMinimumWidth(300)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.body, self.foot = self._lay_out()
        self.listen(self.viewer.events.theme, self._apply_theme)
        self.listen(self.viewer.layers.events.removing, self._before_removal)
        self.listen(self.session.job_changed, self._on_session_job)
        self._show_job_of_other_dock()
        self._apply_theme()
        # The window may be destroyed while sessions and jobs still refer to the dock.
        self.destroyed.connect(Releaser(self._connections, row))

    def _lay_out(self) -> tuple[QVBoxLayout, QVBoxLayout]:
        content, footer = QWidget(), QFrame()
        footer.setProperty("role", "footer")
        body, foot = QVBoxLayout(content), QVBoxLayout(footer)
        for layout in (body, foot):
            layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
            layout.setSpacing(SPACING)
        foot.addWidget(self.row)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(DockScroll(content), 1)
        whole.addWidget(footer)
        return body, foot

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 640)

    # --- for subclasses

    def refresh(self) -> None:
        """Update the state of the controls."""

    def take_files(self, paths: Sequence[Path]) -> None:
        """Handle dropped files."""

    def on_event(self, event: Any) -> None:
        """Handle an event of this dock's job."""

    def on_end(self, state: State) -> None:
        """Handle the end of this dock's job."""

    def on_activated(self) -> None:
        """Handle that the tab of the dock comes to the front."""

    def on_deactivated(self) -> None:
        """Handle that another tab comes to the front, or that the dock is hidden."""

    def on_toggle_key(self) -> None:
        """Handle a press of the toggle key."""

    def on_close(self) -> None:
        """Handle that the user closes this dock."""

    def listen(self, signal: Any, slot: Callable) -> None:
        """Connect a signal until this dock is closed."""
        signal.connect(slot)
        self._connections.append((signal, slot))

    def run_job(self, title: str, make_events: Callable[[], Iterator[Any]], step: str = "") -> None:
        """Run a generator, in steps of another unit if named, unless another job runs."""
        if self.session.is_busy:
            show_warning(self.busy_reason() or "This dock is busy: wait for the end, or stop it.")
            return
        job = Job(title, make_events, step or self.row.step)
        self.job = job
        self.row.follow(job)
        self.listen(job.happened, self.on_event)
        self.listen(job.state_changed, self._on_job_state)
        self.session.start(job)

    def in_background(
        self, what: str, function: Callable[..., Any], *arguments: Any, then: Callable[[Any], None]
    ) -> None:
        """Call a function in a worker thread and pass its result to `then` if the dock is open."""

        def deliver(result: Any) -> None:
            self._connections.remove(connection)  # which would keep the arguments in memory
            then(result)

        worker = run_in_background(what, function, *arguments, then=deliver)
        connection = (worker.returned, deliver)
        self._connections.append(connection)

    def busy_reason(self) -> str:
        """Return the reason why no job can be started now; empty if one can."""
        job = self.session.job
        if job is None or job is self.job or not job.state.is_active:
            return ""
        return f"AEANet is busy {job.title}: wait for the end, or stop it."

    @property
    def colours(self) -> Colours:
        return colours(self.viewer.theme)

    def _on_job_state(self, state: State) -> None:
        if not state.is_active:
            if self.job is not None:
                self._forget(self.job.happened, self.job.state_changed)
            self.on_end(state)
            if self in self.session.closed_docks:
                self.session.closed_docks.discard(self)
                if self.job is not None:
                    show_info(f"AEANet ended {self.job.title}: {self.row.line.text}")
                self._end()

    def _forget(self, *signals: Any) -> None:
        """Undo connections to what is over, and would be kept in memory by them."""
        for connection in [c for c in self._connections if any(c[0] is s for s in signals)]:
            self._connections.remove(connection)
            disconnect(*connection)

    def _on_session_job(self) -> None:
        self._show_job_of_other_dock()
        self.refresh()

    def _show_job_of_other_dock(self) -> None:
        """Show the running job of another dock, with its buttons."""
        job = self.session.job
        if job is not None and job is not self.job and job.state.is_active:
            self.row.follow(job, is_own=False)

    def _before_removal(self) -> None:
        make_canvas_current(self)

    def _apply_theme(self, _event: Any = None) -> None:
        self.setStyleSheet(style_sheet(self.viewer.theme))

    # --- files

    def dragEnterEvent(self, event: Any) -> None:
        if self._files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        files = self._files(event)
        if files:
            event.acceptProposedAction()
            self.take_files(files)

    def _files(self, event: Any) -> list[Path]:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        return [p for p in paths if p.is_dir() or p.name.lower().endswith(self.accepts)]

    # --- opening and closing

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange:
            return
        outer = self.parent()
        if isinstance(outer, QDockWidget):
            # Qt does not hide tabs in the back: only this signal reports them.
            outer.visibilityChanged.connect(self._on_visibility_signal)
            outer.topLevelChanged.connect(self._shorten_title_soon)
            self._was_fitted = is_fitted(self.viewer)
            # napari has not placed the dock yet.
            QTimer.singleShot(0, self._join_tabs)
        elif outer is None:
            self._end()

    def come_to_front(self) -> None:
        """Show this dock, in front of the others of its area."""
        outer = self.parent()
        if not isinstance(outer, QDockWidget):
            return
        outer.show()
        outer.raise_()
        # A window that is not shown yet emits no visibility signal.
        window = outer.parent()
        if isinstance(window, QMainWindow):
            for other in window.tabifiedDockWidgets(outer):
                if isinstance(dock := other.widget(), Dock):
                    dock._on_visibility(False)
        self._on_visibility(True)

    def _on_visibility_signal(self, is_in_front: bool) -> None:
        # Ignored while the window closes: napari may be partly destroyed.
        window = self.window()
        if window is not None and window.isVisible() and not window.isMinimized():
            self._on_visibility(is_in_front)

    def _on_visibility(self, is_in_front: bool) -> None:
        if is_in_front is self.is_in_front:
            return
        self.is_in_front = is_in_front
        if is_in_front and self.uses_toggle_key:
            self.viewer.bind_key(TOGGLE_KEY, self._on_toggle_key, overwrite=True)
        act = self.on_activated if is_in_front else self.on_deactivated
        act()

    def _on_toggle_key(self, _viewer: Any) -> None:
        self.on_toggle_key()

    def _release_key(self) -> None:
        """Release the toggle key unless another dock has bound it."""
        bound = {str(key): act for key, act in self.viewer.keymap.items()}
        if bound.get(TOGGLE_KEY.upper()) == self._on_toggle_key:
            self.viewer.bind_key(TOGGLE_KEY, None, overwrite=True)

    def _join_tabs(self) -> None:
        """Join the area of the plugin's other docks as a tab with a short title."""
        dock = self.parent()
        window = None if dock is None else dock.parent()
        if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow):
            return
        if self.or_closed_one() is not self:
            return
        dock.setWindowTitle(self.tab)
        self._shorten_title()
        for view in self.findChildren(QAbstractItemView):
            view.setTabKeyNavigation(False)  # Tab leads to the next control, arrows inside
        tab_before(present(self.body.parentWidget()), present(self.foot.parentWidget()))
        others = [
            other
            for other in window.findChildren(QDockWidget)
            if other is not dock and isinstance(other.widget(), Dock) and not other.isFloating()
        ]
        if others:
            window.tabifyDockWidget(others[-1], dock)
        else:
            window.resizeDocks([dock], [WIDTH], Qt.Orientation.Horizontal)
            if self._was_fitted:
                QTimer.singleShot(AFTER_RESIZE_MS, self._fit_again)
        self.come_to_front()

    def or_closed_one(self) -> Dock:
        """Return the closed dock of this kind whose job still runs, put in place of this one."""
        outer = self.parent()
        closed = next((one for one in self.session.closed_docks if type(one) is type(self)), None)
        if closed is None or not isinstance(outer, QDockWidget):
            return self
        self.session.closed_docks.discard(closed)
        outer.setWidget(closed)
        closed.show()
        self.setParent(None)
        return closed

    def _fit_again(self) -> None:
        """Show the whole image again beside the dock, which made the canvas narrower."""
        self.viewer.reset_view()

    def _shorten_title_soon(self, _is_floating: bool) -> None:
        QTimer.singleShot(0, self._shorten_title)  # napari makes a new title bar

    def _shorten_title(self) -> None:
        """Leave the name of the plugin out of the title, which is cut off in a narrow dock."""
        outer = self.parent()
        bar = outer.titleBarWidget() if isinstance(outer, QDockWidget) else None
        for title in [] if bar is None else bar.findChildren(QLabel):
            title.setText(f"AEANet: {self.tab}")

    def _end(self) -> None:
        """Release everything when the user closes the dock; its job is completed first."""
        if self.is_in_front:
            self.is_in_front = False
            self.on_deactivated()
        self._release_key()
        if self.job is not None and self.job.state.is_active:
            self.session.closed_docks.add(self)
            show_info(f"AEANet continues {self.job.title}. Any of its docks can stop it.")
            return
        self.on_close()
        Releaser(self._connections, self.row)()
        self.deleteLater()


def open_dock(viewer: Viewer, tab: str) -> Any:
    """Open the dock "AEANet: <tab>" or bring it to the front, and return its widget."""
    outer, widget = viewer.window.add_plugin_dock_widget(PLUGIN, f"AEANet: {tab}")
    widget = widget.or_closed_one()
    outer.show()
    outer.raise_()
    widget.come_to_front()
    return widget
