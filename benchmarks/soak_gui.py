"""Act in the window at random, and look for exceptions, warnings and memory that is kept.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/soak_gui.py
        [--seeds 20] [--first 0] [--actions 200] [--growth]

Every seed is a process of its own: the whole path first (samples, pairs, training, restoration,
relevance, trust, evaluation), then clicks on random controls of all docks, layers that come and
go, files that are dropped, jobs that are stopped. At half of the actions and at the end all layers
and pairs are removed and the memory is measured. Ends with 1 if there was an exception or a
warning, or the memory grew by 5 % or more. With --growth the kinds of objects that grew are
printed. See docs/reliability.md.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

TABS = ("Pairs", "Train", "Restore", "Relevance", "Evaluate", "Check my computer")
MOST_GROWTH = 0.05
# A job that takes longer is stopped, in seconds.
LONGEST_JOB = 5.0
# A window has so many images at most.
MOST_LAYERS = 25
PLUGIN = "napari-aeanet"
SMALL, LARGE = (144, 192), (1000, 1400)
# A time that a training is not waited for.
LEFT_ALONE = ("train_time",)


class Soak:
    """A viewer in which somebody acts at random."""

    def __init__(self, seed: int, folder: Path) -> None:
        import napari
        from napari.settings import get_settings
        from qtpy.QtCore import qInstallMessageHandler

        from napari_aeanet.gui.common.session import session_of

        self.random = random.Random(seed)
        self.folder = folder
        self.problems: list[str] = []
        self.done: Counter[str] = Counter()
        self._seen = 0  # notifications
        self._began = 0.0
        self._latest = ""
        warnings.simplefilter("always")
        warnings.showwarning = self._on_warning
        qInstallMessageHandler(self._on_qt)
        get_settings().application.confirm_close_window = False
        self.viewer = napari.Viewer(show=True)
        sys.excepthook = self._on_exception
        self.viewer.window.resize(1100, 800)
        self.session = session_of(self.viewer)
        answer_dialogs(self.random, folder)
        self.wait(1)

    # --- what goes wrong

    def _note(self, text: str) -> None:
        self.problems.append(f"{self._latest}: {text}"[:3000])

    def _on_qt(self, _kind: Any, _context: Any, text: str) -> None:
        self._note(f"Qt: {text}\n{''.join(traceback.format_stack(limit=14)[:-1])}")

    def _on_warning(self, message: Any, category: type, file: str, line: int, *_: Any) -> None:
        self._note(f"{category.__name__} at {file}:{line}: {message}")

    def _on_exception(self, kind: Any, error: Any, trace: Any) -> None:
        self._note("".join(traceback.format_exception(kind, error, trace)))

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do something, and note what is raised."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._on_exception(type(error), error, error.__traceback__)

    def _look_at_notifications(self) -> None:
        """Note errors that were shown and are no sentences of ours."""
        from napari.utils.notifications import ErrorNotification, notification_manager

        records = list(notification_manager.records)
        for record in records[self._seen :]:
            if isinstance(record, ErrorNotification):
                self._note("".join(traceback.format_exception(record.exception)))
        self._seen = len(records)

    # --- time

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Run the event loop, at most until a condition holds."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop, poll, end = QEventLoop(), QTimer(), time.monotonic() + seconds
        poll.timeout.connect(lambda: loop.quit() if until() or time.monotonic() > end else None)
        poll.start(20)
        loop.exec()

    def wait_for_job(self, seconds: float = 60) -> None:
        self.wait(seconds, lambda: not self.session.is_busy)
        if self.session.is_busy and self.session.job is not None:
            self.session.job.stop()
            self.wait(120, lambda: not self.session.is_busy)
        if self.session.is_busy:
            self._note("a job did not stop")

    # --- the whole path

    def warm_up(self) -> None:
        """Do everything once, as a user would."""
        self.viewer.open_sample(PLUGIN, "paired_sem")
        self.dock("Pairs").register()
        self.wait_for_job()
        self.train()
        self.wait_for_job()
        self.dock("Restore").images.tick_only(self.viewer.layers[0])
        for tab, name in (
            ("Restore", "restore_run"),
            ("Relevance", "relevance_run"),
            ("Relevance", "relevance_trust"),
            ("Restore", "restore_evaluate"),
            ("Evaluate", "evaluate_run"),
        ):
            self.dock(tab)
            self.wait(0.5)
            self.press(name)
            self.wait_for_job()
        for tab in TABS:
            self.dock(tab)

    def dock(self, tab: str) -> Any:
        from napari_aeanet.gui.common.dock import open_dock

        self._latest = f"opening {tab}"
        return open_dock(self.viewer, tab)

    def train(self) -> None:
        dock = self.dock("Train")
        for name, value in (("steps", 8), ("patch", 32), ("batch", 2)):
            dock.choices.more.set(name, value)
        self.wait(30, dock.row.run_button.isEnabled)
        self.press("train_run")

    def docks(self) -> list[Any]:
        from napari_aeanet.gui.common.dock import Dock

        return [d for d in self.viewer.window._qt_window.findChildren(Dock) if not d.isHidden()]

    def press(self, name: str) -> None:
        from qtpy.QtWidgets import QPushButton

        for dock in self.docks():
            button = dock.findChild(QPushButton, name)
            if button is not None and button.isEnabled():
                self._latest = f"click {name}"
                button.click()

    # --- random actions

    def act(self) -> None:
        """Do one thing."""
        choices = {
            self.click: 12,
            self.run: 4,
            self.open_a_dock: 3,
            self.close_a_dock: 1,
            self.add_layers: 3,
            self.remove_layer: 3,
            self.change_layer: 2,
            self.drop_file: 1,
            self.click_canvas: 1,
            self.stop: 1,
            self.train: 0.5,
            self.change_view: 1,
            self.forget_pairs: 0.5,
        }
        (what,) = self.random.choices(list(choices), list(choices.values()))
        self._latest = what.__name__
        self.done[what.__name__] += 1
        self.attempt(what)
        self.wait(self.random.choice((0.02, 0.1, 0.4)))
        if not self.session.is_busy:
            self._began = time.monotonic()
        elif time.monotonic() - self._began > LONGEST_JOB:
            self.stop()
            self.wait_for_job()
        self._look_at_notifications()
        print(sum(self.done.values()), self._latest, len(self.viewer.layers), file=sys.stderr)

    def click(self) -> None:
        """Use a random control of a dock that is seen."""
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import (
            QAbstractButton,
            QAbstractSpinBox,
            QComboBox,
            QListWidget,
            QSlider,
        )

        docks = self.docks()
        if not docks:
            return self.open_a_dock()
        dock = self.random.choice(docks)
        kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider, QListWidget)
        controls = [
            one
            for kind in kinds
            for one in dock.findChildren(kind)
            if one.isEnabled() and one.isVisible() and one.objectName()
            if not one.objectName().startswith("qt_") and one.objectName() not in LEFT_ALONE
        ]
        if not controls:
            return None
        control = self.random.choice(controls)
        self._latest = f"click {control.objectName()}"
        match control:
            case QAbstractButton():
                if getattr(control, "menu", lambda: None)() is None:
                    control.click()
                else:
                    actions = control.menu().actions()
                    self.random.choice(actions).trigger()
            case QComboBox() if control.count():
                index = self.random.randrange(control.count())
                control.setCurrentIndex(index)
                control.activated.emit(index)
            case QAbstractSpinBox():
                control.stepBy(self.random.choice((-1, 1)))
            case QSlider():
                control.setValue(self.random.randint(control.minimum(), control.maximum()))
            case QListWidget() if control.count():
                item = control.item(self.random.randrange(control.count()))
                if item.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                    checked = item.checkState() == Qt.CheckState.Checked
                    item.setCheckState(
                        Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked
                    )
                else:
                    control.setCurrentItem(item)
                    control.itemClicked.emit(item)
        return None

    def run(self) -> None:
        """Start the job of a dock, if it can be started."""
        dock = self.random.choice(self.docks() or [self.dock("Restore")])
        if dock.tab == "Train":
            return self.train()
        self._latest = f"run {dock.tab}"
        if dock.row.run_button.isEnabled():
            dock.row.run_button.click()
        return None

    def stop(self) -> None:
        if self.session.job is not None:
            self.session.job.stop()

    def open_a_dock(self) -> None:
        self.dock(self.random.choice(TABS))

    def close_a_dock(self) -> None:
        if docks := self.docks():
            dock = self.random.choice(docks)
            self._latest = f"closing {dock.tab}"
            self.viewer.window.remove_dock_widget(dock)

    def add_layers(self) -> None:
        """Add images of the kinds that people have."""
        import numpy as np

        from napari_aeanet.gui.viewer.layers import image_to_layer

        if len(self.viewer.layers) > MOST_LAYERS:
            return self.remove_layer()
        kind, rng = self.random.randrange(7), np.random.default_rng(self.random.randrange(10**6))
        if kind == 0:
            self.viewer.open_sample(PLUGIN, "paired_sem")
        elif kind == 1:
            self.viewer.add_image(rng.random((4, *SMALL), np.float32), name="stack")
        elif kind == 2:
            self.viewer.add_image(rng.random(LARGE, np.float32), name="large")
        elif kind == 3:
            self.viewer.add_labels(rng.integers(0, 3, SMALL), name="labels")
        elif kind == 4:
            self.viewer.add_points(100 * rng.random((4, 2)), name="points")
        else:
            from helpers import micrograph

            self.viewer.add_layer(image_to_layer(micrograph(SMALL, rng.integers(99))))
        return None

    def remove_layer(self) -> None:
        if self.viewer.layers:
            self.viewer.layers.remove(self.random.choice(list(self.viewer.layers)))

    def change_layer(self) -> None:
        if not self.viewer.layers:
            return
        layer = self.random.choice(list(self.viewer.layers))
        match self.random.randrange(3):
            case 0:
                layer.visible = not layer.visible
            case 1:
                layer.name = f"renamed {self.random.randrange(9)}"
            case _:
                self.viewer.layers.selection.active = layer

    def change_view(self) -> None:
        match self.random.randrange(3):
            case 0:
                self.viewer.theme = self.random.choice(("dark", "light"))
            case 1:
                self.viewer.reset_view()
            case _:
                self.viewer.dims.set_current_step(0, self.random.randrange(4))

    def click_canvas(self) -> None:
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        native = self.viewer.window._qt_viewer.canvas.native
        place = QPoint(
            self.random.randrange(native.width()), self.random.randrange(native.height())
        )
        QTest.mouseMove(native, place)
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, pos=place)

    def drop_file(self) -> None:
        takers = [dock for dock in self.docks() if dock.accepts]
        if takers and len(self.viewer.layers) <= MOST_LAYERS:
            dock = self.random.choice(takers)
            self._latest = f"dropping a file on {dock.tab}"
            dock.take_files([self.random.choice(sorted(self.folder.glob("images/*.tif")))])

    def forget_pairs(self) -> None:
        self.session.set_pairs(())

    # --- memory

    def clear(self) -> None:
        """Remove all that a user can remove, and wait for everything in work."""
        from superqt.utils import WorkerBase

        self._latest = "clearing"
        self.wait_for_job(LONGEST_JOB)
        self.session.set_pairs(())
        self.viewer.layers.clear()
        for tab in TABS:
            self.dock(tab)
        self.wait_for_job()  # the check of the computer
        WorkerBase.await_workers(60_000)
        self.wait(1)
        self._look_at_notifications()
        gc.collect()
        self.wait(0.5)
        gc.collect()

    def memory(self) -> int:
        """Return the bytes of the process in memory, without what the allocator could give back."""
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def answer_dialogs(rng: random.Random, folder: Path) -> None:
    """Let dialogs be answered at random, files and folders from `folder`."""
    from qtpy.QtGui import QDesktopServices
    from qtpy.QtWidgets import QFileDialog, QMessageBox

    def some(pattern: str) -> str:
        found = sorted(folder.glob(pattern))
        return str(rng.choice(found)) if found and rng.random() < 0.8 else ""

    def many(*_: Any, **__: Any) -> tuple[list[str], str]:
        return [one for one in (some("images/*.tif"),) if one], ""

    def new_file(_parent: Any, _title: str, name: str = "x", *_: Any) -> tuple[str, str]:
        file = folder / f"saved-{rng.randrange(5)}-{Path(name).name}"
        return (str(file) if rng.random() < 0.8 else ""), ""

    clicked: dict[str, Any] = {}

    def execute(box: Any) -> int:
        clicked["button"] = rng.choice(box.buttons())
        return 0

    files: Any = QFileDialog
    files.getOpenFileName = lambda *_, **__: (some("**/*.aeanet") or some("**/*.json"), "")
    files.getOpenFileNames = many
    files.getSaveFileName = new_file
    files.getExistingDirectory = lambda *_, **__: some("images")
    boxes: Any = QMessageBox
    boxes.exec = execute
    boxes.clickedButton = lambda _: clicked["button"]
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    boxes.question = lambda *_, **__: rng.choice((yes, no))
    services: Any = QDesktopServices
    services.openUrl = lambda _: True


def make_small(folder: Path) -> None:
    """Make samples and networks small, and write images."""
    from helpers import micrograph, small_config

    from napari_aeanet import samples
    from napari_aeanet.io import write_image
    from napari_aeanet.models import presets

    samples.paired_sem = partial(samples.paired_sem, shape=(236, 320))
    presets.quick_config = small_config
    (folder / "images").mkdir()
    for number in range(4):
        write_image(micrograph(SMALL, number), folder / "images" / f"S{number}.tif")


def kinds() -> Counter[str]:
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def alive() -> dict[str, int]:
    """Return how many layers and jobs there are, those in the viewer and of the session too."""
    from napari.layers import Layer

    from napari_aeanet.core.image import Image
    from napari_aeanet.gui.common.dock import Dock
    from napari_aeanet.gui.common.job import Job

    # Qt's half of references is not seen: only what it shows and what Python refers to.
    objects = gc.get_objects()
    return {
        kind.__name__: sum(isinstance(one, kind) for one in objects)
        for kind in (Layer, Job, Dock, Image)
    }


def work(seed: int, actions: int, growth: bool) -> None:
    """Act and print what was found as JSON: one process."""
    import torch

    torch.set_num_threads(1)
    folder = Path(os.environ["HOME"])
    make_small(folder)
    soak, began = Soak(seed, folder), time.monotonic()
    found, objects, largest, kept = [], [], [], []
    soak.attempt(soak.warm_up)
    for number in range(1, actions + 1):
        soak.act()
        if number in (actions // 2, actions):
            largest.append(soak.memory())
            soak.attempt(soak.clear)
            found.append(soak.memory())
            kept.append(alive())
            objects.append(kinds() if growth else Counter())
    result = {
        "seed": seed,
        "megabytes": [round(one / 2**20, 1) for one in found],
        "before": [round(one / 2**20, 1) for one in largest],
        "seconds": round(time.monotonic() - began),
        "alive": kept,
        "problems": soak.problems,
        "done": dict(soak.done),
        "growth": (objects[1] - objects[0]).most_common(25),
    }
    print(json.dumps(result), flush=True)
    os._exit(0)  # the end of its libraries is not what is tested


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--actions", type=int, default=200)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work, options.actions, options.growth)
    wrong = 0
    for seed in range(options.first, options.first + options.seeds):
        wrong += not is_well(seed, options.actions, options.growth)
    print(f"{options.seeds} seeds, {wrong} with problems")
    return int(wrong > 0)


def is_well(seed: int, actions: int, growth: bool) -> bool:
    """Run a seed in a process of its own, print what was found, and return True if it is well."""
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        __file__,
        "--work",
        str(seed),
        "--actions",
        str(actions),
    ]
    command += ["--growth"] if growth else []
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HOME": home, "NAPARI_CONFIG": f"{home}/napari.yaml"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        said = done.stderr.partition("Extension modules:")[0]
        print(f"seed {seed}: ended with {done.returncode}\n{said[-6000:]}", flush=True)
        return False
    result = json.loads(lines[-1])
    first, last = result["megabytes"]
    grown = last / first - 1
    print(
        f"seed {seed}: {result['seconds']} s, {len(result['problems'])} problems, "
        f"{first} MB at half, {last} MB at the end ({grown:+.1%}); with layers {result['before']}; "
        f"alive {result['alive']}",
        flush=True,
    )
    for problem in result["problems"]:
        print(f"  {problem}", flush=True)
    for kind, count in result["growth"]:
        print(f"  {count:+} {kind}")
    return not result["problems"] and grown < MOST_GROWTH


if __name__ == "__main__":
    sys.exit(main())
