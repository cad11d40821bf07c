"""AEANet: Restore. Choose a model, tick images or drop files, and see the result in place."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Layer
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QSpinBox, QWidget

from napari_aeanet.data.files import READERS, stem
from napari_aeanet.engine.restoration import Output, RestoreSettings, Use
from napari_aeanet.gui.dock import Dock, open_dock
from napari_aeanet.gui.files import open_images
from napari_aeanet.gui.forms import SettingsForm
from napari_aeanet.gui.image_list import MADE_HERE, ImageList
from napari_aeanet.gui.job import State
from napari_aeanet.gui.job_row import JobRow
from napari_aeanet.gui.layers import Frame, layer_to_image
from napari_aeanet.gui.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.parts import (
    Fold,
    Notice,
    button,
    chooser,
    form,
    label,
    named,
    row,
    say,
    short,
)
from napari_aeanet.gui.preferences import device, output_folder
from napari_aeanet.gui.viewing import is_looked_at, look_at
from napari_aeanet.gui.words import count, size_fit
from napari_aeanet.gui.work import ImageRefused, ImageRestored, RestoreOrder, restore_images

if TYPE_CHECKING:
    from napari import Viewer

PATCH_SIZES = ("64", "128", "256", "512", "1024")
DEVICES = ("auto", "cpu", "cuda", "mps")
ENDING = ".ome.tif"


class Save(StrEnum):
    """Where a result goes besides the viewer."""

    NOT = "no, only show it"
    BESIDE = "beside the image"
    ASK = "in a folder I choose …"


def free_path(folder: Path, name: str, ending: str) -> Path:
    """A file of this name, or "name-2", "name-3": nothing is overwritten."""
    number, path = 1, folder / f"{name}{ending}"
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{ending}"
    return path


class RestoreDock(Dock):
    """Model, images, how, where to; results appear on top of their images."""

    tab = "Restore"
    accepts = (*MODEL_SUFFIXES, *READERS)
    blinks = True

    def __init__(self, napari_viewer: Viewer) -> None:
        row = JobRow(
            "restore",
            step="tile",
            run_tooltip="Restore the ticked images with the chosen model",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; finished images stay",
        )
        super().__init__(napari_viewer, row)
        self._frames: list[Frame] = []
        self._results: WeakSet[Layer] = WeakSet()
        self._done: list[str] = []
        self._answer: dict[str, bool] = {}
        self._fill_body()
        self._fill_foot()
        self.models.start()
        self.images.follow(self.listen)
        self.listen(self.session.models_changed, self._ask_again)
        active = self.viewer.layers.selection.active
        self.images.tick_only(*([active] if active is not None else []))

    # --- what is seen

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "restore")
        self.images = ImageList(
            self.viewer.layers, "restore_images", "Tick the images to restore; drop files to add"
        )
        self.images.placeholder = "Drop TIFFs here,\nor open a sample to try."
        self.images.changed.connect(self._ask_again)
        self.sample = button(
            "Open a sample",
            "restore_sample",
            "Open a synthetic electron micrograph that the demo model can restore",
            self._open_sample,
        )
        self.size_line = label(role="hint", name="restore_size")
        self.question = Notice(
            "restore_question",
            button(
                "Resample",
                "restore_resample",
                "Bring the image to the pixel size that the model was trained at",
                lambda: self._answered(resample=True),
            ),
            button(
                "Continue anyway",
                "restore_force",
                "Restore at the image's own pixel size",
                lambda: self._answered(force=True),
            ),
        )
        self.body.addLayout(form(("Model", self.models)))
        self.body.addLayout(row(label("Images", "heading"), self.sample, stretch=0))
        self.body.addWidget(self.images)
        self.body.addWidget(self.size_line)
        self.body.addWidget(self.question)
        self.body.addLayout(self._choices())
        self.settings = SettingsForm(
            RestoreSettings(device=device()),
            hidden=("use", "patch_size", "margin", "output", "resample", "force"),
            choices={"device": DEVICES},
        )
        self.body.addWidget(Fold("More settings", "restore_more", self.settings.native))
        self.body.addStretch(1)

    def _choices(self) -> Any:
        self.use = chooser(
            "restore_use",
            "Whole image: exact, in tiles. Patches: each patch by itself, as in the papers",
        )
        self.use.addItems([str(use) for use in Use])
        self.use.currentIndexChanged.connect(self._show_patch_choices)
        self.patch_size = chooser("restore_patch_size", "Edge of a patch, in pixels of the result")
        self.patch_size.addItems(PATCH_SIZES)
        self.patch_size.setCurrentText(str(RestoreSettings().patch_size))
        self.margin = QSpinBox()
        named(self.margin, "restore_margin", "Rim of every patch that is thrown away, in pixels")
        self.margin.setRange(0, 512)
        self.margin.setValue(RestoreSettings().margin)
        self.margin.setFixedWidth(92)
        self.patch_choices = QWidget()
        self.patch_choices.setLayout(row(self.patch_size, short("margin"), self.margin, stretch=0))
        self.output = chooser("restore_output", "Number type of the result")
        self.output.addItems([str(output) for output in Output])
        self.save = chooser("restore_save", "Also write the result as a calibrated OME-TIFF")
        self.save.addItems([str(save) for save in Save])
        self.save.setCurrentText(Save.BESIDE)
        self.choices = form(
            ("Use", self.use),
            ("Patches", self.patch_choices),
            ("Output", self.output),
            ("Save", self.save),
        )
        self._show_patch_choices()
        return self.choices

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.run)
        self.before_after = button(
            "Before / after  (B)",
            "restore_blink",
            "Show or hide the results, to compare them with their images; key B does the same",
            self.toggle_results,
        )
        self.next = button(
            "Relevance →",
            "restore_next",
            "What did the model look at? Open AEANet: Relevance",
            partial(open_dock, self.viewer, "Relevance"),
        )
        self.foot.addLayout(row(self.before_after, self.next, stretch=1))

    def _show_patch_choices(self, _index: int = 0) -> None:
        self.choices.setRowVisible(self.patch_choices, self.use.currentText() == Use.PATCHES)

    def _ask_again(self) -> None:
        """The images or the model changed: an earlier answer about pixel sizes is void."""
        self._answer = {}
        self.refresh()

    def _answered(self, **answer: bool) -> None:
        self._answer = answer
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        self._show_sizes()
        ticked = self.images.ticked
        text = f"Restore {count(len(ticked), 'image')}" if ticked else "Restore"
        self.row.set_ready(text, self._reason())
        self.sample.setVisible(not self.images.count())
        self.before_after.setEnabled(bool(self._results))

    def _reason(self) -> str:
        """Why nothing can be restored now; empty if it can."""
        if busy := self.busy_reason():
            return busy
        if self.session.model is None:
            return "Choose a model first."
        if not self.images.ticked:
            return "Tick an image, or drop a TIFF on this dock."
        if self.question.isVisibleTo(self):
            return "Say what to do about the pixel size."
        return ""

    def _show_sizes(self) -> None:
        """The line about pixel sizes, or the question where they do not fit."""
        card, ticked = self.session.card, self.images.ticked
        if card is None or not ticked:
            say(self.size_line, "")
            self.question.show_text("")
            return
        fits = [size_fit(card, layer_to_image(layer)) for layer in ticked]
        odd = [fit for fit in fits if not fit.is_fitting]
        self.question.show_text(odd[0].text if odd and not self._answer else "")
        if odd and self._answer:
            done = "It will be resampled" if self._answer.get("resample") else "Restored anyway"
            say(self.size_line, f"{odd[0].text} {done}.", "caution")
        else:
            say(self.size_line, "" if odd else fits[0].text)

    # --- what is done

    def take_files(self, paths: Sequence[Path]) -> None:
        """Models are chosen; images become calibrated layers, and they are what is ticked."""
        for path in paths:
            if path.name.endswith(MODEL_SUFFIXES):
                self.models.take(path)
        images = [p for p in paths if not p.name.endswith(MODEL_SUFFIXES)]
        opened = open_images(self.viewer, images)
        if opened:
            self.images.tick_only(*opened)

    def _open_sample(self) -> None:
        layers = self.viewer.open_sample("napari-aeanet", "paired_sem")
        self.images.tick_only(layers[0])

    def run(self) -> None:
        """Restore what is ticked."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers:
            return
        images = [layer_to_image(layer) for layer in layers]
        folder = self._folder()
        if self.save.currentText() == Save.ASK and folder is None:
            return  # the dialog was closed
        orders = [RestoreOrder(image, self._target(image, folder)) for image in images]
        self._frames = [Frame.of(layer, image) for layer, image in zip(layers, images, strict=True)]
        self._done = []
        settings = self._settings()
        what = images[0].name if len(images) == 1 else count(len(images), "image")
        self.run_job(f"restoring {what}", partial(restore_images, orders, model, settings))

    def _settings(self) -> RestoreSettings:
        return self.settings.value(
            use=Use(self.use.currentText()),
            patch_size=int(self.patch_size.currentText()),
            margin=self.margin.value(),
            output=Output(self.output.currentText()),
            **self._answer,
        )

    def _folder(self) -> Path | None:
        if self.save.currentText() != Save.ASK:
            return None
        chosen = QFileDialog.getExistingDirectory(self, "Save results in", str(output_folder()))
        return Path(chosen) if chosen else None

    def _target(self, image: Any, folder: Path | None) -> Path | None:
        """The file a result goes to: beside its image, or in the output folder if it has none."""
        if self.save.currentText() == Save.NOT:
            return None
        beside = output_folder() if image.source is None else image.source.parent
        return free_path(folder or beside, f"{stem(image.name)}-restored", ENDING)

    def on_event(self, event: Any) -> None:
        if isinstance(event, ImageRestored):
            self._show_result(event)
        elif isinstance(event, ImageRefused):
            show_error(event.reason)
            self._done.append(f"✗ {event.reason}")

    def _show_result(self, event: ImageRestored) -> None:
        frame = self._frames[event.index]
        arguments = frame.place(event.image)
        arguments["metadata"] = {MADE_HERE: "restored"}
        layer = Layer.create(event.image.read(), arguments, "image")
        self.viewer.add_layer(layer)  # on top of everything, so that it is seen
        if not is_looked_at(self.viewer, layer):
            look_at(self.viewer, [layer])
        self._results.add(layer)
        self.before_after.setEnabled(True)
        saved = f", saved as {event.saved.name}" if event.saved else ""
        self._done += [f"✓ {frame.image.name} is restored{saved}.", *event.notices]

    def on_end(self, state: State) -> None:
        self._frames = []
        if self._done:
            role = "bad" if any(line.startswith("✗") for line in self._done) else "plain"
            self.row.say("\n".join(self._done), role)

    def toggle_results(self) -> None:
        """Before or after: show all results, or none."""
        shown = any(layer.visible for layer in self._results)
        for layer in self._results:
            layer.visible = not shown

    def blink(self) -> None:
        self.toggle_results()
