"""Responsiveness of the window: gaps of the event loop, and our own share of them.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/gui.py
        [--only training overlay files] [--seconds 30]

A timer of 10 ms tells how long the main thread was away; our callbacks on the main thread are
timed, by the clock and by the time of their thread, which other programs do not lengthen.
`training`: while a model learns. What happens once (importing torch, making the layers of the
preview) is reported apart: the figures begin after the first preview. `overlay`: while thumbnails
are clicked and the cursor moves over a map of relevance. `files`: two images of 4096 × 4096 pixels
are dropped on a dock.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter, thread_time
from typing import Any

TICK_MS = 10
IDLE_SECONDS = 5.0  # gaps without any work, for comparison
PLUGIN = "napari-aeanet"
# Limits, in ms.
P99, MOST, OWN = 30.0, 250.0, 50.0
SWITCH, MOST_AFTER_OVERLAY = 200.0, 100.0
SWITCHES, MOVES = 20, 150


class Gaps:
    """Gaps between ticks of the event loop, in ms."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.values: list[float] = []
        self._latest = perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = perf_counter()
        self.values.append(max(0.0, 1000 * (now - self._latest) - TICK_MS))
        self._latest = now

    def take(self) -> list[float]:
        """Return the gaps since the last call."""
        taken, self.values = self.values, []
        return taken


def timed(kind: type, name: str, durations: list[float], busy: list[float]) -> None:
    """Measure every call of a method of ours, in ms by the clock and of its thread."""
    plain = getattr(kind, name)

    def measured(*arguments: Any, **keywords: Any) -> Any:
        began, thread = perf_counter(), thread_time()
        try:
            return plain(*arguments, **keywords)
        finally:
            durations.append(1000 * (perf_counter() - began))
            busy.append(1000 * (thread_time() - thread))

    setattr(kind, name, measured)


def wait(until: Any, seconds: float) -> None:
    """Run Qt's event loop until a condition holds, at most for `seconds`."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, poll = QEventLoop(), QTimer()
    end = perf_counter() + seconds
    poll.timeout.connect(lambda: loop.quit() if until() or perf_counter() > end else None)
    poll.start(50)
    loop.exec()


def at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--seconds", type=float, default=30.0, help="of training")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "USERPROFILE": home, "NAPARI_CONFIG": f"{home}/napari.yaml"}
        for name in args.only:
            viewer = opened()
            SECTIONS[name](viewer, args.seconds)
            viewer.close()


def opened() -> Any:
    import napari
    from napari.settings import get_settings

    get_settings().application.confirm_close_window = False
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 900)
    wait(lambda: False, 1)
    return viewer


def training(viewer: Any, seconds: float) -> None:
    from napari_aeanet.gui.common.dock import open_dock
    from napari_aeanet.gui.common.job import Job
    from napari_aeanet.gui.train.dock import TrainDock
    from napari_aeanet.gui.train.preview_layers import PreviewLayers
    from napari_aeanet.gui.train.tasks import Time

    own: list[float] = []
    busy: list[float] = []
    for kind, name in ((Job, "_tick"), (PreviewLayers, "_add_next"), (TrainDock, "start")):
        timed(kind, name, own, busy)
    for tab in ("Pairs", "Train", "Restore"):
        began = os.times()
        open_dock(viewer, tab)
        wait(lambda: False, 0.3)
        now = os.times()
        print(f"opening {tab}: {now.user + now.system - began.user - began.system:.2f} CPU s")
    print("torch is loaded:", "torch" in sys.modules)
    viewer.open_sample(PLUGIN, "paired_sem")
    pairs = open_dock(viewer, "Pairs")
    pairs.add_from_layers()
    pairs.register()
    wait(lambda: not pairs.session.is_busy, 120)
    wait(lambda: False, 1)

    gaps = Gaps()
    train = open_dock(viewer, "Train")
    own.clear()
    busy.clear()
    train.choices.time.setItemData(0, Time("as long as it takes", (seconds + 60) / 60))
    train.choices.time.setCurrentIndex(0)
    wait(lambda: train.row.run_button.isEnabled(), 60)
    wait(lambda: False, 1)
    gaps.take()
    wait(lambda: False, IDLE_SECONDS)
    idle = gaps.take()
    print(f"doing nothing: gaps p50 {at(idle, 0.5):.1f}, p99 {at(idle, 0.99):.1f} ms")
    train.start()
    wait(lambda: any(layer.name.startswith("preview") for layer in viewer.layers), 120)
    wait(lambda: False, 1)
    once, own_once, busy_once = gaps.take(), list(own), list(busy)
    own.clear()
    busy.clear()
    checks = len(train.curve.gains)
    wait(lambda: not train.session.is_busy, seconds)
    during = gaps.take()
    print(f"start, import of torch, layers of the preview: gap at most {max(once):.0f} ms,")
    print(f"  our callbacks: at most {max(own_once):.0f} ms, {max(busy_once):.0f} ms of the thread")
    print(f"{seconds:.0f} s of training, {len(train.curve.gains) - checks} previews:")
    print(f"  gaps: p50 {at(during, 0.5):.1f}, p99 {at(during, 0.99):.1f} (promised {P99:.0f}),")
    print(f"  at most {max(during):.0f} ms (promised {MOST:.0f})")
    print(f"  our callbacks: p99 {at(own, 0.99):.1f}, at most {max(own):.0f} (promised {OWN:.0f}),")
    print(f"  at most {max(busy):.0f} ms of the thread")
    train.job.stop()
    wait(lambda: not train.session.is_busy, 60)


def overlay(viewer: Any, _seconds: float) -> None:
    from qtpy.QtCore import QPoint
    from qtpy.QtTest import QTest

    from napari_aeanet.gui.common.dock import open_dock
    from napari_aeanet.gui.common.session import demo_model

    viewer.open_sample(PLUGIN, "paired_sem")
    dock = open_dock(viewer, "Relevance")
    dock.models.take(demo_model())
    gaps, canvas = Gaps(), viewer.window._qt_viewer.canvas
    drawn: list[float] = []
    canvas._scene_canvas.events.draw.connect(lambda _event: drawn.append(perf_counter()))

    def measure(what: str, choices: Sequence[int | str], choose: Callable[[Any], object]) -> None:
        own, seen = [], []
        wait(lambda: False, 2)
        gaps.take()
        for choice in choices:
            drawn.clear()
            began = perf_counter()
            choose(choice)
            own.append(1000 * (perf_counter() - began))
            wait(lambda: bool(drawn), 1)
            seen.append(1000 * (drawn[0] - began))
            wait(lambda: False, 0.2)
        print(f"{len(own)} switches of the overlay, {what}:")
        print(f"  our part: at most {max(own):.0f} ms (promised {OWN:.0f}),")
        print(f"  seen after: at most {max(seen):.0f} ms (promised {SWITCH:.0f})")
        print(f"  gaps: at most {max(gaps.take()):.0f} ms (promised {MOST_AFTER_OVERLAY:.0f})")

    def compute() -> None:
        wait(lambda: dock.row.run_button.isEnabled(), 60)
        dock.compute()
        wait(lambda: not dock.session.is_busy, 120)

    compute()
    measure("structures", range(min(SWITCHES, 15)), dock.structures.choose)
    dock.subject.setCurrentIndex(1)
    compute()
    shape = dock.shown.ready.maps.maps.shape
    numbers = dock.gallery.numbers[1 : SWITCHES + 1]
    measure(f"maps of {shape[-1]} x {shape[-2]}", numbers, dock.view.pick)
    native = canvas.native
    for step in range(MOVES):
        x, y = (round(n * (0.3 + 0.4 * step / MOVES)) for n in (native.width(), native.height()))
        QTest.mouseMove(native, QPoint(x, y))
        wait(lambda: True, 0.05)
    moving = gaps.take()
    print(f"{MOVES} moves of the cursor:")
    print(f"  gaps: p99 {at(moving, 0.99):.0f}, at most {max(moving):.0f} ms")


def files(viewer: Any, _seconds: float) -> None:
    from pathlib import Path

    import numpy as np

    from napari_aeanet.core.image import Image
    from napari_aeanet.gui.common.dock import open_dock
    from napari_aeanet.gui.common.job import Job
    from napari_aeanet.gui.restore.dock import RestoreDock
    from napari_aeanet.gui.viewer.opening import Opening
    from napari_aeanet.io import write_image

    rng, home = np.random.default_rng(0), Path(os.environ["HOME"])
    paths = [home / name for name in ("small.ome.tif", "S1.ome.tif", "S2.ome.tif")]
    for path, side in zip(paths, (64, 4096, 4096), strict=True):
        pixels = np.kron(rng.integers(0, 4000, (side // 16,) * 2), np.ones((16, 16)))
        write_image(Image(pixels.astype(np.uint16), "YX", (5.0, 5.0), "nm"), path)
    dock = open_dock(viewer, "Restore")
    dock.take_files(paths[:1])  # napari imports much at the first layer
    wait(lambda: len(viewer.layers) == 1 and not dock.session.beside, 60)
    wait(lambda: False, 2)
    own: list[float] = []
    busy: list[float] = []
    for kind, name in (
        (Job, "_tick"),
        (Job, "_on_finished"),
        (RestoreDock, "take_files"),
        (Opening, "_add_next"),
    ):
        timed(kind, name, own, busy)
    gaps = Gaps()
    dock.take_files(paths[1:])
    wait(lambda: not dock.session.beside, 60)
    print(f"two dropped images of 4096 x 4096: gaps at most {max(gaps.take()):.0f} ms")
    print(f"  our callbacks: at most {max(own):.0f} ms, {max(busy):.0f} ms of the thread")
    wait(lambda: False, 2)


SECTIONS = {"training": training, "overlay": overlay, "files": files}

if __name__ == "__main__":
    main()
