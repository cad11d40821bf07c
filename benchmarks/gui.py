"""How smooth the window stays while a model learns: gaps of the event loop, and our own share.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/gui.py [--seconds 30]

A timer of 10 ms tells how long the main thread was away; every callback of ours on the main
thread is timed. What happens once (importing torch, making the layers of the preview) is reported
apart: the figures begin after the first preview.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from time import perf_counter
from typing import Any

TICK_MS = 10
IDLE_SECONDS = 5.0  # what the machine itself does to the window, for comparison
PLUGIN = "napari-aeanet"
# What is promised, in ms.
P99, MOST, OWN = 30.0, 250.0, 50.0


class Gaps:
    """How long the event loop was away, tick by tick, in ms."""

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
        """The gaps since the last call."""
        taken, self.values = self.values, []
        return taken


def timed(kind: type, name: str, durations: list[float]) -> None:
    """Measure every call of a method of ours, in ms."""
    plain = getattr(kind, name)

    def measured(*arguments: Any, **keywords: Any) -> Any:
        began = perf_counter()
        try:
            return plain(*arguments, **keywords)
        finally:
            durations.append(1000 * (perf_counter() - began))

    setattr(kind, name, measured)


def wait(until: Any, seconds: float) -> None:
    """Let Qt's own loop run until something is so, at most for `seconds`."""
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
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "USERPROFILE": home, "NAPARI_CONFIG": f"{home}/napari.yaml"}
        measure(seconds)


def measure(seconds: float) -> None:
    import napari
    from napari.settings import get_settings

    from napari_aeanet.gui.dock import open_dock
    from napari_aeanet.gui.job import Job
    from napari_aeanet.gui.train.tasks import Time

    get_settings().application.confirm_close_window = False
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 900)
    wait(lambda: False, 1)
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

    own: list[float] = []
    timed(Job, "_tick", own)
    gaps = Gaps()
    train = open_dock(viewer, "Train")
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
    once, own_once = gaps.take(), list(own)
    own.clear()
    checks = len(train.curve.gains)
    wait(lambda: not train.session.is_busy, seconds)
    during = gaps.take()
    print(f"start, import of torch, layers of the preview: gap at most {max(once):.0f} ms,")
    print(f"  of it in our callbacks {max(own_once):.0f} ms")
    print(f"{seconds:.0f} s of training, {len(train.curve.gains) - checks} previews:")
    print(f"  gaps: p50 {at(during, 0.5):.1f}, p99 {at(during, 0.99):.1f} (promised {P99:.0f}),")
    print(f"  at most {max(during):.0f} ms (promised {MOST:.0f})")
    print(f"  our callbacks: p99 {at(own, 0.99):.1f}, at most {max(own):.0f} (promised {OWN:.0f})")
    train.job.stop()
    wait(lambda: not train.session.is_busy, 60)
    viewer.close()


if __name__ == "__main__":
    main()
