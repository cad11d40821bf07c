"""Take the pictures of the first tutorial in a real napari window.

    python docs/screenshots.py [--minutes 1] [--theme dark] [--to docs/images]
    python docs/screenshots.py --real LR.tif HR.tif --every --to FOLDER

With `--real` the walk is through pairs of one's own, two stacks of images of the same number.
Needs a display; on a server: xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from PIL import Image as PictureImage
from qtpy.QtWidgets import QPushButton

SIZE = (1280, 900)
PLUGIN = "napari-aeanet"
SHOWN = ("pairs", "train", "restore", "relevance", "relevance-gallery", "relevance-trust")
LARGEST = 400_000  # bytes of a picture, so that the repository stays small
CHECKS = 4  # of the training that the picture of it shows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="time budget of the training")
    parser.add_argument("--theme", default="dark", help="napari's theme")
    parser.add_argument("--every", action="store_true", help="also those that no page shows")
    parser.add_argument("--real", type=Path, nargs=2, help="stacks of sources and of targets")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "images")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        # The user's own models, results and napari settings stay out of the pictures.
        os.environ |= {"HOME": home, "USERPROFILE": home, "NAPARI_CONFIG": f"{home}/napari.yaml"}
        Journey(chosen.to, chosen.theme, chosen.every).walk(chosen.minutes, chosen.real)


class Journey:
    """One viewer, one step after another, a picture of each."""

    def __init__(self, folder: Path, theme: str, every: bool) -> None:
        import napari

        self.folder, self.every = folder, every
        self.folder.mkdir(parents=True, exist_ok=True)
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window.resize(*SIZE)
        self.wait(seconds=1)

    def walk(self, minutes: float, real: list[Path] | None) -> None:
        restore = self.open("Restore")
        self.shoot("restore-first")
        source, target = self.open_real(*real) if real else self.open_sample()
        pairs = self.open("Pairs")
        pairs.register()
        self.wait(lambda: "checkerboard" in self.viewer.layers)
        self.look_at(target, zoom=1.7)
        self.shoot("pairs")
        self.by_hand(pairs)
        self.train(minutes)
        self.open("Restore")
        restore.images.tick_only(source)
        self.look_at(target, zoom=2.4)
        self.wait(lambda: "About" in restore.choices.estimate_line.text(), seconds=30)
        restore.run()
        self.wait(lambda: not restore.session.is_busy)
        self.shoot("restore")
        restore.compare_row.toggle_side_by_side()
        self.shoot("side-by-side")
        restore.compare_row.toggle_side_by_side()
        restore.compare_row.toggle_profile()
        self.shoot("profile")
        restore.compare_row.toggle_profile()
        if self.every:  # several restorations
            restore.compare()
            self.wait(lambda: not restore.session.is_busy)
            self.shoot("sizes")
        relevance = self.open("Relevance")
        relevance.image.choose(source)
        relevance.compute()
        self.wait(lambda: not relevance.session.is_busy)
        self.hide(f"{source.name} restored", target.name)
        self.look_at(target, zoom=1.7)
        self.shoot("relevance")
        self.gallery(relevance)
        self.shoot("relevance-gallery")
        self.trust(relevance)
        self.shoot("relevance-trust")
        self.viewer.close()

    def open_sample(self) -> tuple[Any, Any]:
        source, target, _ = self.viewer.open_sample(PLUGIN, "paired_sem")
        return source, target

    def open_real(self, sources: Path, targets: Path) -> tuple[Any, Any]:
        """The first three images of two stacks; the first pair."""
        from napari_aeanet.gui.viewer.layers import image_to_layer
        from napari_aeanet.io.files import read_images

        layers = []
        for number in reversed(range(3)):
            for path, side in ((sources, "LR"), (targets, "HR")):
                layer = image_to_layer(read_images(path)[number])
                layer.name = f"micrograph {number + 1} {side}"
                layers.append(self.viewer.add_layer(layer))
        return layers[-2], layers[-1]

    def by_hand(self, pairs: Any) -> None:
        """Three places in both images, as if they had been clicked."""
        pairs.evidence.points.click()
        *_, left, right, points = self.viewer.layers
        for y, x in ((0.4, 0.4), (0.42, 0.6), (0.6, 0.5)):
            for panel, place in ((left, (y, x)), (right, (2 * y - 0.5, 2 * x - 0.5))):
                points.add(panel.data_to_world(place * np.array(panel.data.shape)))
        self.shoot("by-hand")
        pairs.by_hand.findChild(QPushButton, "pairs_cancel_points").click()

    def train(self, minutes: float) -> None:
        from napari_aeanet.gui.train.tasks import Time

        train = self.open("Train")
        train.choices.time.setItemData(0, Time("about 1 min", minutes))
        train.choices.time.setCurrentIndex(0)
        self.wait(lambda: "Checking" not in train.check.line.text())
        box = train.choices.kept_out
        box.setCurrentIndex(2)
        self.shoot("region")
        box.setCurrentIndex(0)
        self.wait(seconds=1)
        self.wait(lambda: "Checking" not in train.check.line.text())
        train.start()
        self.wait(lambda: len(train.curve.gains) >= CHECKS or not train.session.is_busy)
        self.shoot("train")
        self.wait(lambda: not train.session.is_busy)
        self.shoot("trained")

    def gallery(self, relevance: Any) -> None:
        """Show the maps of the bundled model, sorted by relevance at a place."""
        from napari_aeanet.gui.common.session import demo_model

        relevance.models.take(demo_model())
        relevance.compute()
        self.wait(lambda: not relevance.session.is_busy)
        middle = tuple(n // 2 for n in relevance.shown.ready.maps.maps.shape[1:])
        relevance.view.sort_by(middle)
        relevance.view.show_scores(middle)
        relevance.view.pick(relevance.gallery.numbers[0])

    def trust(self, relevance: Any) -> None:
        relevance.findChild(QPushButton, "relevance_trust_fold").click()
        relevance.judge()
        self.wait(lambda: not relevance.session.is_busy)

    def open(self, tab: str) -> Any:
        from napari_aeanet.gui.common.dock import open_dock

        dock = open_dock(self.viewer, tab)
        self.wait(seconds=0.5)
        return dock

    def look_at(self, layer: Any, zoom: float) -> None:
        """Bring a layer into view, `zoom` times closer than it would fill it."""
        from napari_aeanet.gui.viewer.camera import look_at

        look_at(self.viewer, [layer])
        self.viewer.scene.camera.zoom *= zoom

    def hide(self, *beginnings: str) -> None:
        for layer in self.viewer.layers:
            if layer.name.startswith(beginnings):
                layer.visible = False

    def wait(self, until: Any = None, seconds: float = 1800) -> None:
        """Run the event loop until a condition holds, at most for `seconds`."""
        from qtpy.QtWidgets import QApplication

        end = monotonic() + seconds
        while monotonic() < end and not (until is not None and until()):
            QApplication.processEvents()
            sleep(0.01)

    def shoot(self, name: str) -> None:
        if name not in SHOWN and not self.every:
            return
        self.wait(seconds=1)
        path = self.folder / f"{name}.png"
        save_small(self.viewer.screenshot(canvas_only=False, flash=False), path)
        print(path)


def save_small(picture: np.ndarray, path: Path) -> None:
    """Write a picture with as many colours as keep its file below `LARGEST` bytes."""
    image = PictureImage.fromarray(picture[..., :3])
    for colours in (256, 192, 128, 96, 64):
        few = image.quantize(colours, dither=PictureImage.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            return


if __name__ == "__main__":
    main()
