"""Take pictures of the docks in a real napari window, on a walk through all they do.

    python docs/screenshots.py [--chapters sem denoising ...] [--to docs/images]
    python docs/screenshots.py --every --looks default large light narrow --to FOLDER
    python docs/screenshots.py --real LR.tif HR.tif --chapters sem --every --to FOLDER

`--every` also takes the pictures that no page shows. With `--looks` each picture is taken in
several sizes and themes, into a folder each, and text that does not fit is printed. With `--real`
the chapter sem is a walk through pairs of one's own, two stacks of images of the same number.
Needs a display; on a server: xvfb-run -a -s "-screen 0 2000x1200x24" python docs/screenshots.py
For the scaling of a 4K screen set QT_SCALE_FACTOR=2, on a screen of 3840x2400.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from PIL import Image as PictureImage
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QPushButton

PLUGIN = "napari-aeanet"
SHOWN = (
    *("pairs", "train", "restore", "relevance-gallery", "relevance-trust"),
    *("repair-found", "repair-preview", "repair"),
)
LARGEST = 400_000  # bytes of a picture, so that the repository stays small
CHECKS = 4  # of the training that the picture of it shows
FLAT_COLOURS = 32  # of a picture, kept as they are
PASSES = 20  # of the event loop before a picture


@dataclass(frozen=True)
class Look:
    """Size of the window, theme, and width of the dock."""

    size: tuple[int, int] = (1280, 900)
    theme: str = "dark"
    dock: int = 360


LOOKS = {
    "default": Look(),
    "large": Look(size=(1920, 1080)),
    "light": Look(theme="light"),
    "narrow": Look(dock=300),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapters", nargs="+", choices=CHAPTERS, default=["sem"])
    parser.add_argument("--looks", nargs="+", choices=LOOKS, default=["default"])
    parser.add_argument("--minutes", type=float, default=1.0, help="time budget of a training")
    parser.add_argument("--every", action="store_true", help="also those that no page shows")
    parser.add_argument("--real", type=Path, nargs=2, help="stacks of sources and of targets")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "images")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        # The user's own models, results and napari settings stay out of the pictures.
        os.environ |= {"HOME": home, "USERPROFILE": home, "NAPARI_CONFIG": f"{home}/napari.yaml"}
        for name in chosen.chapters:
            walk = Walk(chosen.to, chosen.looks, chosen.every, chosen.minutes, chosen.real)
            CHAPTERS[name](walk)
            walk.viewer.close()


class Walk:
    """One viewer, one step after another, pictures of each."""

    def __init__(
        self, folder: Path, looks: list[str], every: bool, minutes: float, real: list[Path] | None
    ) -> None:
        import napari

        self.folder, self.looks, self.every = folder, looks, every
        self.minutes, self.real = minutes, real
        self.viewer = napari.Viewer(show=True)
        self.tab = ""
        self.wear(LOOKS[looks[0]])
        self.wait(seconds=1)

    # --- steps

    def open(self, tab: str) -> Any:
        from napari_aeanet.gui.common.dock import open_dock

        self.tab = tab
        dock = open_dock(self.viewer, tab)
        self.wait(seconds=0.5)
        return dock

    def open_sample(self, name: str) -> list[Any]:
        return self.viewer.open_sample(PLUGIN, name)

    def finish(self, dock: Any) -> None:
        self.wait(lambda: not dock.session.is_busy)

    def train(self, region: bool = False) -> Any:
        """Train for the given minutes; with pictures of the start, the middle and the end."""
        from napari_aeanet.gui.train.tasks import Time

        train = self.open("Train")
        train.choices.time.setItemData(0, Time("about 1 min", self.minutes))
        train.choices.time.setCurrentIndex(0)
        self.wait(lambda: train.row.run_button.isEnabled(), seconds=60)
        self.shoot("train-first")
        if region:
            box = train.choices.kept_out
            box.setCurrentIndex(2)
            self.shoot("region")
            box.setCurrentIndex(0)
            self.wait(seconds=1)
            self.wait(lambda: train.row.run_button.isEnabled(), seconds=60)
        train.start()
        self.wait(lambda: len(train.curve.gains) >= CHECKS or not train.session.is_busy)
        self.shoot("train")
        self.finish(train)
        self.shoot("trained")
        return train

    def look_at(self, layer: Any, zoom: float) -> None:
        """Bring a layer into view, `zoom` times closer than it would fill it."""
        from napari_aeanet.gui.viewer.camera import look_at

        look_at(self.viewer, [layer])
        self.viewer.scene.camera.zoom *= zoom

    def hide(self, *beginnings: str) -> None:
        for layer in self.viewer.layers:
            if layer.name.startswith(beginnings):
                layer.visible = False

    def wait(self, until: Callable[[], bool] | None = None, seconds: float = 1800) -> None:
        """Run the event loop until a condition holds, at most for `seconds`."""
        end = monotonic() + seconds
        while monotonic() < end and not (until is not None and until()):
            QApplication.processEvents()
            sleep(0.01)

    # --- pictures

    def wear(self, look: Look) -> None:
        """Give the window a look."""
        self.viewer.theme = look.theme
        self.viewer.window.resize(*look.size)
        window = self.viewer.window._qt_window
        docks = [self.dock_widget()] if self.tab else []
        window.resizeDocks(docks, [look.dock] * len(docks), Qt.Orientation.Horizontal)

    def dock_widget(self) -> Any:
        from napari_aeanet.gui.common.dock import open_dock

        return open_dock(self.viewer, self.tab).parent()

    def shoot(self, name: str) -> None:
        if name not in SHOWN and not self.every:
            return
        for look in self.looks:
            if len(self.looks) > 1:
                self.wear(LOOKS[look])
            self.wait(seconds=1)
            for _ in range(PASSES):  # on a busy computer a second is one pass or two
                QApplication.processEvents()
            folder = self.folder / look if len(self.looks) > 1 else self.folder
            folder.mkdir(parents=True, exist_ok=True)
            picture = self.viewer.screenshot(canvas_only=False, flash=False)
            save = save_whole if self.every else save_small
            save(picture, folder / f"{name}.png")
            print(folder / f"{name}.png", flush=True)
            for text in clipped(self.dock_widget().widget()) if self.tab else []:
                print(f"  does not fit: {text}", flush=True)


def clipped(dock: Any) -> list[str]:
    """Return the texts of a dock that are wider or higher than their control."""
    found = []
    for one in dock.findChildren(QLabel):
        shown = QLabel.text(one)
        lines = one.heightForWidth(one.width()) if one.wordWrap() else one.sizeHint().height()
        is_elided = hasattr(one, "shown_text") or one.wordWrap()
        narrow = not is_elided and one.width() < one.sizeHint().width()
        if one.isVisibleTo(dock) and shown and (narrow or one.height() < lines - 1):
            found.append(shown)
    for one in dock.findChildren(QAbstractButton):
        if one.isVisibleTo(dock) and one.text() and one.width() < one.sizeHint().width():
            found.append(one.text())
    return found


def save_whole(picture: np.ndarray, path: Path) -> None:
    """Write a picture to be judged, with all of its colours."""
    PictureImage.fromarray(picture[..., :3]).save(path)


def save_small(picture: np.ndarray, path: Path) -> None:
    """Write a picture with as many colours as keep its file below `LARGEST` bytes."""
    image = PictureImage.fromarray(picture[..., :3])
    flat = frequent_colours(picture[..., :3])
    for colours in (256, 192, 128, 96, 64):
        # Rare colours, as those of a legend, are kept; those of the window stay as they are.
        method = PictureImage.Quantize.MAXCOVERAGE
        rest = image.quantize(colours - len(flat) // 3, method=method).getpalette()
        palette = PictureImage.new("P", (1, 1))
        palette.putpalette([*flat, *rest])
        few = image.quantize(palette=palette, dither=PictureImage.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            return


def frequent_colours(picture: np.ndarray) -> list[int]:
    """Return the red, green and blue of the colours that fill areas of the window."""
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    order = np.argsort(-counts)[:FLAT_COLOURS]
    return [int(value) for value in colours[order].ravel()]


# --- chapters


def sem(walk: Walk) -> None:
    """Two dimensions: register, train, restore, compare, relevance and trust."""
    restore = walk.open("Restore")
    walk.shoot("restore-first")
    source, target = (
        open_real(walk, *walk.real) if walk.real else walk.open_sample("paired_sem")[:2]
    )
    pairs = walk.open("Pairs")
    walk.shoot("pairs-first")
    pairs.register()
    walk.wait(lambda: "checkerboard" in walk.viewer.layers)
    walk.look_at(target, zoom=1.7)
    walk.shoot("pairs")
    by_hand(walk, pairs)
    walk.train(region=True)
    walk.open("Restore")
    restore.images.tick_only(source)
    walk.look_at(target, zoom=2.4)
    walk.wait(lambda: "About" in restore.choices.estimate_line.text(), seconds=30)
    restore.run()
    walk.finish(restore)
    walk.shoot("restore")
    for button, name in (("restore_beside", "side-by-side"), ("restore_profile", "profile")):
        restore.findChild(QPushButton, button).click()
        walk.shoot(name)
        restore.findChild(QPushButton, button).click()
    if walk.every:  # several restorations
        restore.compare()
        walk.finish(restore)
        walk.shoot("sizes")
        evaluate(walk)
    relevance = walk.open("Relevance")
    relevance.image.choose(source)
    relevance.compute()
    walk.finish(relevance)
    walk.hide(f"{source.name} restored", target.name)
    walk.look_at(target, zoom=1.7)
    walk.shoot("relevance")
    gallery(walk, relevance)
    if walk.every:
        sections(walk, relevance, source)
    relevance.findChild(QPushButton, "relevance_trust_fold").click()
    relevance.judge()
    walk.finish(relevance)
    walk.shoot("relevance-trust")


def open_real(walk: Walk, sources: Path, targets: Path) -> tuple[Any, Any]:
    """Open the first three images of two stacks; return the first pair."""
    from napari_aeanet.gui.viewer.layers import image_to_layer
    from napari_aeanet.io.files import read_images

    layers = []
    for number in reversed(range(3)):
        for path, side in ((sources, "LR"), (targets, "HR")):
            layer = image_to_layer(read_images(path)[number])
            layer.name = f"micrograph {number + 1} {side}"
            layers.append(walk.viewer.add_layer(layer))
    return layers[-2], layers[-1]


def by_hand(walk: Walk, pairs: Any) -> None:
    """Click three places in both images."""
    pairs.evidence.points.click()
    *_, left, right, points = walk.viewer.layers
    for y, x in ((0.4, 0.4), (0.42, 0.6), (0.6, 0.5)):
        for panel, place in ((left, (y, x)), (right, (2 * y - 0.5, 2 * x - 0.5))):
            points.add(panel.data_to_world(place * np.array(panel.data.shape)))
    walk.shoot("by-hand")
    pairs.by_hand.findChild(QPushButton, "pairs_cancel_points").click()


def evaluate(walk: Walk) -> None:
    """Evaluate the model on the registered pair, and show its error."""
    dock = walk.open("Restore")
    dock.next.evaluate.click()
    dock = walk.open("Evaluate")
    walk.shoot("evaluate-first")
    dock.run()
    walk.finish(dock)
    dock.results.errors.box.setCurrentIndex(dock.results.errors.box.count() - 1)
    walk.shoot("evaluate")
    dock.results.errors.box.setCurrentIndex(0)
    dock.what.setCurrentIndex(0)
    walk.shoot("evaluate-images")


def gallery(walk: Walk, relevance: Any) -> None:
    """Show the maps of the bundled model, sorted by relevance at a place."""
    from napari_aeanet.gui.common.session import demo_model

    relevance.models.take(demo_model())
    relevance.subject.setCurrentIndex(1)  # what the network computes
    relevance.compute()
    walk.finish(relevance)
    middle = tuple(n // 2 for n in relevance.shown.ready.maps.maps.shape[1:])
    relevance.view.sort_by(middle)
    relevance.view.show_scores(middle)
    relevance.view.pick(relevance.gallery.numbers[0])
    walk.shoot("relevance-gallery")


def sections(walk: Walk, relevance: Any, source: Any) -> None:
    """Open the sections of the Relevance dock one by one."""
    for name in ("teach", "places", "change", "regions", "compare"):
        fold = relevance.findChild(QPushButton, f"relevance_{name}_fold")
        fold.click()
        if name == "teach":
            teach(walk, relevance, source)
        elif name == "places":
            middle = source.data_to_world([n / 2 for n in source.data.shape])
            relevance.places.click(source, middle)
            walk.finish(relevance)
            walk.wait(seconds=1)
        elif name == "change":
            relevance.show_change()
            walk.finish(relevance)
        elif name == "regions":
            relevance.regions.measure()
            walk.wait(seconds=2)
        walk.shoot(f"relevance-{name}")
        fold.click()


def teach(walk: Walk, relevance: Any, source: Any) -> None:
    """Mark two regions of an image, and teach the model their kind if it has structures."""
    height, width = source.data.shape[-2:]
    corners = np.array([(0, 0), (0, width), (height, width), (height, 0)])
    marks = walk.viewer.add_shapes(
        [corners / 4, corners / 4 + np.array([height, width]) * (0.6, 0.6)],
        shape_type="rectangle",
        name="marks",
        scale=source.scale,
        translate=source.translate,
        units=source.units,
    )
    relevance.teaching.marks.choose(marks)
    relevance.teaching.name.setText("marked")
    if relevance.teaching.teach_button.isEnabled():
        relevance.teaching.teach()
        walk.finish(relevance)
    marks.visible = False


def volume(walk: Walk, sample: str) -> None:
    """Three dimensions: pair with one click, train, restore."""
    pairs = walk.open("Pairs")
    walk.open_sample(sample)
    walk.wait(lambda: bool(pairs.offer.line.text()), seconds=60)
    walk.shoot(f"{sample}-offer")
    pairs.offer.button.click()
    walk.wait(seconds=1)
    walk.shoot(f"{sample}-pairs")
    walk.every, every = False, walk.every  # of the training, what differs
    train = walk.train()
    walk.every = every
    walk.shoot(f"{sample}-trained")
    train.model.next.click()
    restore = walk.open("Restore")
    walk.wait(lambda: "About" in restore.choices.estimate_line.text(), seconds=60)
    restore.run()
    walk.finish(restore)
    walk.shoot(f"{sample}-restored")


def refusals(walk: Walk) -> None:
    """Show what is said where something cannot be done."""
    from napari_aeanet.gui.viewer.layers import image_to_layer
    from napari_aeanet.pairs import ImagePair
    from napari_aeanet.samples import paired_sem

    walk.open("Pairs")
    walk.shoot("pairs-empty")
    walk.open("Train")
    walk.shoot("train-empty")
    walk.open("Evaluate")
    walk.shoot("evaluate-empty")
    walk.open("Relevance")
    walk.shoot("relevance-empty")
    walk.viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="photograph")
    walk.open("Restore")
    walk.shoot("refused-colour")
    walk.viewer.layers.clear()
    one, other = (paired_sem(1, seed=seed, shape=(240, 320))[0] for seed in (1, 2))
    coarse = replace(one.source, pixel_size=(80.0, 80.0), name="overview at low magnification")
    walk.viewer.add_layer(image_to_layer(coarse))
    restore = walk.open("Restore")
    restore.images.tick_only(walk.viewer.layers[-1])
    walk.shoot("refused-pixel-size")
    walk.viewer.layers.clear()
    pairs = walk.open("Pairs")
    long = "2025-11-03 sample 12 region A of the left hemisphere"
    pairs.session.add_pairs(
        [
            ImagePair(
                replace(one.source, name=f"{long} LR"), replace(other.target, name=f"{long} HR")
            ),
            ImagePair(other.source, other.target),
        ]
    )
    walk.shoot("pairs-unregistered")
    walk.open("Train")
    walk.shoot("refused-unregistered")
    walk.open("Pairs")
    pairs.register()
    walk.finish(pairs)
    walk.wait(seconds=1)
    walk.shoot("refused-registration")
    folder = Path(tempfile.mkdtemp())
    (folder / "notes.txt").write_text("no image")
    pairs.take_files([folder])
    walk.finish(pairs)
    walk.shoot("refused-folder")


def repairing(walk: Walk) -> None:
    """Damaged sections: what is said about them as a pair; find, preview, repair, save."""
    pairs = walk.open("Pairs")
    walk.open_sample("serial_sections")
    walk.wait(lambda: bool(pairs.offer.line.text()), seconds=60)
    walk.shoot("sections-pairs")
    repair = walk.open("Repair")
    walk.look_at(walk.viewer.layers["sections"], zoom=0.9)
    walk.shoot("repair-first")
    repair.run()
    walk.finish(repair)
    walk.wait(lambda: bool(repair.quality.quality), seconds=120)
    walk.shoot("repair-found")
    repair.slices.preview.button.click()
    walk.wait(lambda: repair.slices.preview.layer is not None, seconds=120)
    walk.shoot("repair-preview")
    repair.run()
    walk.finish(repair)
    walk.shoot("repair")
    repair.choices.method.setCurrentIndex(1)
    repair.findChild(QPushButton, "repair_more").click()
    walk.shoot("repair-settings")
    walk.viewer.layers.clear()
    walk.viewer.add_image(np.zeros((256, 256), np.uint8), name="single image")
    walk.shoot("refused-stack")


def computer(walk: Walk) -> None:
    """Check the computer."""
    dock = walk.open("Check my computer")
    walk.finish(dock)
    walk.shoot("computer")


CHAPTERS: dict[str, Callable[[Walk], None]] = {
    "sem": sem,
    "denoising": lambda walk: volume(walk, "fluorescence"),
    "projection": lambda walk: volume(walk, "epithelium"),
    "label-free": lambda walk: volume(walk, "label_free"),
    "repairing": repairing,
    "refusals": refusals,
    "computer": computer,
}

if __name__ == "__main__":
    main()
