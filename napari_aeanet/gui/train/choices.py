"""Choices of a training: task, pairs, kept-out data, time, device, and more settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.widgets import Collapsible, button, chooser, form, label, named, row
from napari_aeanet.gui.train.region_layer import RegionLayer
from napari_aeanet.gui.train.tasks import DEFAULT_TIME, TASKS, TIMES
from napari_aeanet.models import (
    comparisons_for,
    first_choice,
    is_fast,
    other_detail,
    presets_for,
)
from napari_aeanet.networks import DeviceInfo
from napari_aeanet.training import KeptOut, Profile, TrainSettings

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.core.image import Image
    from napari_aeanet.training import PreflightReport

AUTOMATIC = "automatic"
KEPT_OUT_TEXT = {
    KeptOut.AUTOMATIC: "automatic (right quarter)",
    KeptOut.RIGHT_SIDE: "right quarter of every image",
    KeptOut.WHOLE_IMAGES: "every fifth image",
    KeptOut.REGION: "a region that I draw",
    KeptOut.NOTHING: "nothing",
}
AS_PUBLISHED = "automatic (as published: nothing)"


class TrainChoices(QWidget):
    """Upper half of the Train dock."""

    changed = Signal()

    def __init__(self, viewer: Viewer, to_pairs: Callable[[], None]) -> None:
        super().__init__()
        self._is_task_chosen = self._are_enlarged = False
        self._suggested = ""  # network
        self.region = RegionLayer(viewer, self.changed.emit)
        self.task = chooser("train_task", "Task of the model")
        for task, text in TASKS.items():
            self.task.addItem(text, task)
        self.task.currentIndexChanged.connect(lambda _: self._show_networks())
        self.task.activated.connect(lambda _: self._on_task_chosen())
        self.kept_out = chooser(
            "train_kept_out",
            "Data kept out of the training, so that the gain is measured on unseen data",
        )
        for choice in KeptOut:
            self.kept_out.addItem(KEPT_OUT_TEXT[choice], choice)
        self.kept_out.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.pairs_line = label(name="train_pairs")
        pairs = QWidget()
        self.open_pairs = button(
            "Pairs",
            "train_to_pairs",
            "Open AEANet: Pairs to add, register or leave out pairs",
            to_pairs,
        )
        pairs.setLayout(row(self.pairs_line, self.open_pairs, stretch=0))
        self.time = chooser("train_time", "Longer trainings give better models, up to a point")
        for time in TIMES:
            self.time.addItem(time.text, time)
        self.time.setCurrentIndex(DEFAULT_TIME)
        self.detail = chooser(
            "train_detail",
            "Fast computes blocks of neighbouring pixels together, in a quarter of the time; fine "
            "computes every pixel by itself",
        )
        self.detail.addItem("fast", True)
        self.detail.addItem("fine, at a quarter of the speed", False)
        self.detail.activated.connect(lambda _: self._on_detail_chosen())
        self.device = chooser(
            "train_device", "Device to compute on; a graphics card is much faster"
        )
        self.device.addItem(AUTOMATIC, device())
        self.uncertainty = QCheckBox("Also estimate the uncertainty")
        named(
            self.uncertainty,
            "train_uncertainty",
            "The model then also returns a map of the expected error of every restored pixel",
        )
        self.network = chooser("train_network", "The network and its published recipe")
        self.time.currentIndexChanged.connect(lambda _: self._show_networks())
        self.network.currentIndexChanged.connect(lambda _: self._show_detail())
        for box in (self.device, self.network):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.uncertainty.toggled.connect(lambda _: self.changed.emit())
        self.more = SettingsForm(
            TrainSettings(),
            hidden=(
                "preset",
                "profile",
                "minutes",
                "kept_out",
                "device",
                "uncertainty",
                "region",
            ),
            automatic=("steps", "patch", "batch", "learning_rate"),
        )
        self.more.on_change(self.changed.emit)
        self.each = QCheckBox("One model for every pair")
        named(
            self.each,
            "train_each",
            "Self-training: train a model on every pair alone, one after the other, each for the "
            "chosen time; its kept-out part is a region of its own image",
        )
        self.each.toggled.connect(lambda _: self.changed.emit())
        more = QWidget()
        inner = form(("Preset", self.network))
        inner.addRow(self.each)
        inner.addRow(self.more.native)
        more.setLayout(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            form(
                ("Task", self.task),
                ("Pairs", pairs),
                ("Kept out", self.kept_out),
                ("Time", self.time),
                ("Detail", self.detail),
                ("Device", self.device),
            )
        )
        layout.addWidget(self.uncertainty)
        layout.addWidget(Collapsible("Expert settings", "train_more", more))

    def settings(self) -> TrainSettings:
        time, kept_out = self.time.currentData(), self.kept_out.currentData()
        box = self.region.box() if kept_out == KeptOut.REGION else None
        return self.more.value(
            preset=self.network.currentData(),
            profile=time.profile,
            minutes=float(time.minutes or TrainSettings().minutes),
            kept_out=kept_out,
            device=self.device.currentData(),
            uncertainty=self.uncertainty.isChecked(),
            region=box or TrainSettings().region,
        )

    @property
    def wrong(self) -> str:
        """Reason why the settings are impossible; empty if they are not."""
        try:
            self.settings()
        except ValueError as error:
            return f"{error}"
        return ""

    @property
    def lacks_region(self) -> bool:
        """True if a region is to be kept out and none is drawn."""
        return self.kept_out.currentData() == KeptOut.REGION and self.region.box() is None

    def show_region(self, target: Image | None) -> None:
        """Show the box to draw on `target` if a region is to be kept out; None removes it."""
        if target is not None and self.kept_out.currentData() == KeptOut.REGION:
            self.region.show(target)
        else:
            self.region.hide()

    def suggest_task(self, task: str, *, enlarged: bool = False) -> None:
        """Choose a task and its network, unless the user has chosen others."""
        is_new = enlarged != self._are_enlarged or not self.network.count()
        self._are_enlarged = enlarged
        if not self._is_task_chosen:
            self.task.setCurrentIndex(self.task.findData(task))
        if is_new:
            self._show_networks()

    def show_planned(self, found: PreflightReport) -> None:
        """Show the automatic values of a check."""
        planned = {"patch": found.patch[-1:], "batch": (found.batch,), "steps": (found.steps,)}
        known = {name: value[0] for name, value in planned.items() if value and value[0]}
        self.more.show_automatic(known)

    def _on_task_chosen(self) -> None:
        self._is_task_chosen = True

    def show_devices(self, found: list[DeviceInfo]) -> None:
        """List the devices of this machine; the first is the default."""
        if not found:
            return
        chosen = self.device.currentData()
        self.device.blockSignals(True)
        self.device.clear()
        self.device.addItem(f"{AUTOMATIC} ({found[0].title})", "auto")
        for info in found:
            free = bytes_in_words(info.free)
            self.device.addItem(f"{info.title}, {free} free", info.name)
        self.device.setCurrentIndex(max(0, self.device.findData(chosen)))
        self.device.blockSignals(False)
        self.changed.emit()

    def _show_networks(self) -> None:
        chosen = self.network.currentData()
        published = self.time.currentData().profile == Profile.PUBLISHED
        automatic = AS_PUBLISHED if published else KEPT_OUT_TEXT[KeptOut.AUTOMATIC]
        self.kept_out.setItemText(self.kept_out.findData(KeptOut.AUTOMATIC), automatic)
        self.network.blockSignals(True)
        self.network.clear()
        task = self.task.currentData()
        for group in (presets_for(task, published=published), comparisons_for(task)):
            if self.network.count() and group:
                self.network.insertSeparator(self.network.count())
            for preset in group:
                self.network.addItem(preset.title, preset.name)
                last = self.network.count() - 1
                self.network.setItemData(last, preset.when_to_use, Qt.ItemDataRole.ToolTipRole)
        first = first_choice(task, enlarged=self._are_enlarged, published=published).name
        if not chosen or chosen == self._suggested or self.network.findData(chosen) < 0:
            chosen = first
        self._suggested = first
        self.network.setCurrentIndex(self.network.findData(chosen))
        self.network.blockSignals(False)
        self._show_detail()
        self.changed.emit()

    def _show_detail(self) -> None:
        """Show the detail of the network, and let it be changed where there is another."""
        chosen = self.network.currentData() or ""
        self.detail.setCurrentIndex(self.detail.findData(is_fast(chosen)))
        self.detail.setEnabled(self._other_detail() >= 0)

    def _on_detail_chosen(self) -> None:
        if self.detail.currentData() != is_fast(self.network.currentData()):
            self.network.setCurrentIndex(self._other_detail())

    def _other_detail(self) -> int:
        """Return the index of the same network with the other detail; -1 without one."""
        other = other_detail(self.network.currentData() or "")
        return -1 if other is None else self.network.findData(other.name)
