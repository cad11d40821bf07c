"""AEANet: Evaluate. Does it help on my images, and is it better than the alternatives?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QCheckBox, QFileDialog, QVBoxLayout, QWidget

from napari_aeanet.evaluation import (
    Evaluated,
    EvaluateSettings,
    Evaluation,
    Scored,
    setting_in_words,
    tests_in_words,
)
from napari_aeanet.gui.common.dock import Dock, open_dock
from napari_aeanet.gui.common.files import open_images
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.image_list import PLUGIN_METADATA_KEY, ImageList
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.layers import Frame, layer_to_image, unusable_because
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import (
    GAP,
    Fold,
    button,
    chooser,
    form,
    label,
    named,
    row,
    set_text,
)
from napari_aeanet.gui.evaluate.error_maps import ErrorMaps
from napari_aeanet.gui.evaluate.model_list import ModelList
from napari_aeanet.gui.evaluate.view import ScorePlot, ScoreTable
from napari_aeanet.gui.evaluate.worker import evaluate_images, evaluate_models, save_evaluation
from napari_aeanet.io import READERS
from napari_aeanet.models import SUFFIX

if TYPE_CHECKING:
    from napari import Viewer

LAYERS, PAIRS = "Open images, against one truth", "Models, on my pairs"
RESTORED = "restored"


class EvaluateDock(Dock):
    """What is compared, how, and what came out."""

    tab = "Evaluate"
    accepts = (SUFFIX, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "evaluate",
            step="image",
            run_tooltip="Compute how near every image is to its truth",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile",
        )
        super().__init__(napari_viewer, job_row)
        self.images: ImageList
        self.evaluation: Evaluation | None = None
        self._listed: list[Layer] = []
        self._fill_body()
        self._fill_foot()
        self.images.follow(self.listen)
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            self.listen(event, self._refill_truth)
        self.listen(self.session.models_changed, self._refill_models)
        self.listen(self.session.pairs_changed, self.refresh)
        self._refill_truth()
        self.images.refill()
        self.session.find_models()
        if self.session.model is not None:
            self.models.tick(self.session.model)
            self._refill_models()
        self.what.setCurrentText(PAIRS if self.session.usable_pairs else LAYERS)
        self._show_choice()
        self._apply_theme()

    # --- what is seen

    def _fill_body(self) -> None:
        self.what = chooser(
            "evaluate_what",
            "Open images against an image that shows the truth; or models, which restore the "
            "sources of your pairs and are compared with their targets",
        )
        self.what.addItems([LAYERS, PAIRS])
        self.what.currentIndexChanged.connect(self._show_choice)
        self.body.addWidget(self.what)
        self.body.addWidget(self._layer_choice())
        self.body.addWidget(self._pair_choice())
        self.settings = SettingsForm(EvaluateSettings())
        self.body.addWidget(Fold("More settings", "evaluate_more", self.settings.native))
        self.results = QWidget()
        found = _column(self.results)
        self.about = label(role="hint", name="evaluate_about")
        self.table = ScoreTable("evaluate_table")
        self.plot = ScorePlot("evaluate_plot")
        self.verdict = label(name="evaluate_verdict")
        self.notices = label(role="hint", name="evaluate_notices")
        self.errors = ErrorMaps(self.viewer)
        found.addWidget(label("Result", "heading"))
        shown = (self.table, self.about, self.plot, self.verdict, self.notices, self.errors)
        for widget in shown:
            found.addWidget(widget)
        self.results.hide()
        self.body.addWidget(self.results)
        self.body.addStretch(1)

    def _layer_choice(self) -> QWidget:
        self.layer_choice = QWidget()
        self.truth = chooser("evaluate_truth", "The image that shows how it should be")
        self.truth.currentIndexChanged.connect(lambda _: self.images.refill())
        self.images = ImageList(
            self.viewer.layers,
            "evaluate_images",
            "Tick the images to compare with the truth",
            self._is_comparable,
        )
        self.images.placeholder = "Open the truth and the images to compare,\nor drop them here."
        self.images.changed.connect(self.refresh)
        column = _column(self.layer_choice)
        column.addLayout(form(("Truth", self.truth)))
        column.addWidget(self.images)
        return self.layer_choice

    def _pair_choice(self) -> QWidget:
        self.pair_choice = QWidget()
        self.pair_line = label(name="evaluate_pairs")
        self.models = ModelList("evaluate_models")
        self.models.changed.connect(self.refresh)
        self.classical = QCheckBox("also non-local means")
        named(
            self.classical,
            "evaluate_classical",
            "A classical method that needs no training, to compare with; takes seconds an image",
        )
        column = _column(self.pair_choice)
        column.addLayout(
            row(
                self.pair_line,
                button(
                    "Pairs",
                    "evaluate_open_pairs",
                    "Collect and register pairs in AEANet: Pairs",
                    partial(open_dock, self.viewer, "Pairs"),
                ),
                stretch=0,
            )
        )
        column.addWidget(self.models)
        column.addWidget(self.classical)
        return self.pair_choice

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.run)
        self.save_page = button(
            "Save page …",
            "evaluate_save_page",
            "One page with the table, a figure and an example, as PDF or PNG",
            partial(self.save, "evaluation.pdf", "Page (*.pdf *.png)"),
        )
        self.save_table = button(
            "Save table …",
            "evaluate_save_table",
            "All figures of every image, as CSV",
            partial(self.save, "evaluation.csv", "Table (*.csv)"),
        )
        saving = row(self.save_page, self.save_table, stretch=0)
        saving.setStretch(1, 1)
        self.foot.addLayout(saving)

    def _apply_theme(self, _event: Any = None) -> None:
        super()._apply_theme(_event)
        if hasattr(self, "plot"):
            self.plot.paint(self.colours)

    # --- what can be chosen

    def _is_comparable(self, layer: Layer) -> bool:
        return self._could_be_truth(layer) and layer is not self._truth()

    def _could_be_truth(self, layer: Layer) -> bool:
        made_here = layer.metadata.get(
            PLUGIN_METADATA_KEY, RESTORED
        )  # results may be compared, maps not
        return made_here == RESTORED and unusable_because(layer) is None

    def _truth(self) -> Layer | None:
        index = self.truth.currentIndex()
        return self._listed[index] if 0 <= index < len(self._listed) else None

    def _refill_truth(self, _event: Any = None) -> None:
        """Show the layers as they are now; the chosen one stays chosen."""
        chosen = self._truth()
        self._listed = [la for la in reversed(self.viewer.layers) if self._could_be_truth(la)]
        self.truth.blockSignals(True)
        self.truth.clear()
        self.truth.addItems([layer.name for layer in self._listed])
        self.truth.setCurrentIndex(self._listed.index(chosen) if chosen in self._listed else 0)
        self.truth.setPlaceholderText("none yet")
        self.truth.blockSignals(False)
        self.images.refill()

    def _refill_models(self) -> None:
        self.models.fill(self.session.models)

    def _show_choice(self, _index: int = 0) -> None:
        with_pairs = self.what.currentText() == PAIRS
        self.pair_choice.setVisible(with_pairs)
        self.layer_choice.setVisible(not with_pairs)
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        pairs = self.session.usable_pairs
        ready = f"{count(len(pairs), 'pair')} ready"
        set_text(self.pair_line, ready if pairs else "No pairs yet.", "plain")
        self.row.set_ready(self._order(), self._reason())
        for widget in (self.save_page, self.save_table):
            widget.setEnabled(self.evaluation is not None)

    def _order(self) -> str:
        """What Run would do, in words."""
        if self.what.currentText() == LAYERS:
            ticked = len(self.images.ticked)
            return f"Compare {count(ticked, 'image')}" if ticked else "Compare"
        models, pairs = len(self.models.ticked), len(self.session.usable_pairs)
        if not models or not pairs:
            return "Evaluate"
        return f"Evaluate {count(models, 'model')} on {count(pairs, 'pair')}"

    def _reason(self) -> str:
        """Why nothing can be evaluated now; empty if it can."""
        if busy := self.busy_reason():
            return busy
        if self.what.currentText() == LAYERS:
            if self._truth() is None:
                return "Open the truth and the images to compare."
            return "" if self.images.ticked else "Tick an image to compare with the truth."
        if not self.session.usable_pairs:
            return "Collect pairs first, in AEANet: Pairs."
        return "" if self.models.ticked else "Tick a model."

    def choose_model(self, path: Path) -> None:
        """Tick a model, beside those that are ticked, to be evaluated on the pairs."""
        self.models.tick(path)
        self._refill_models()
        self.what.setCurrentText(PAIRS)

    def choose_layers(self, truth: Layer, *images: Layer) -> None:
        """Tick images, to be compared with the one that shows how they should be."""
        self.what.setCurrentText(LAYERS)
        self.truth.setCurrentIndex(self._listed.index(truth))
        self.images.tick_only(*images)

    # --- what is done

    def take_files(self, paths: Sequence[Path]) -> None:
        """Models are ticked; images become calibrated layers."""
        models = [path for path in paths if path.suffix == SUFFIX]
        for path in models:
            try:
                self.session.add_model(path)
            except (ValueError, OSError) as error:
                show_error(str(error))
            else:
                self.models.tick(path)
        self._refill_models()
        open_images(self.viewer, [path for path in paths if path.suffix != SUFFIX])
        self.what.setCurrentText(PAIRS if models else LAYERS)

    def run(self) -> None:
        """Score what is ticked, in the background."""
        self.evaluation = None
        settings = self.settings.value()
        truth = self._truth()
        if self.what.currentText() == PAIRS:
            self.errors.begin(None)
            pairs, models = self.session.usable_pairs, self.models.ticked
            work = partial(
                evaluate_models,
                pairs,
                models,
                settings,
                classical=self.classical.isChecked(),
                device=device(),
            )
            self.run_job(f"evaluating on {count(len(pairs), 'pair')}", work)
        elif isinstance(truth, ImageLayer):
            images = [layer_to_image(layer) for layer in self.images.ticked]
            image = layer_to_image(truth)
            self.errors.begin(Frame.of(truth, image))
            work = partial(evaluate_images, image, images, settings)
            self.run_job(f"comparing {count(len(images), 'image')}", work)

    def on_event(self, event: Any) -> None:
        match event:
            case Scored():
                self.errors.add(f"{event.row.method}, {event.row.case}", event.error)
            case Evaluated():
                self._show(event.evaluation)

    def on_end(self, state: State) -> None:
        self.errors.list_them()
        if state is State.DONE and self.evaluation is not None:
            best, cases = self.evaluation.best(), count(len(self.evaluation.cases), "image")
            self.row.set_text(f"✓ {cases} evaluated; nearest to the truth: {best}.", "plain")
        self.refresh()

    def _show(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.table.fill(evaluation)
        self.plot.fill(evaluation)
        self.plot.setVisible(len(evaluation.cases) > 1)
        cases = count(len(evaluation.cases), "image")
        set_text(self.about, f"{cases}; intensities matched: {evaluation.settings.matching}.")
        self.about.setToolTip(setting_in_words(evaluation))
        verdict = (f"• {sentence}" for sentence in tests_in_words(evaluation, ["psnr"]))
        set_text(self.verdict, "\n".join(verdict), "plain")
        set_text(self.notices, "\n".join(evaluation.notices))
        self.results.show()

    def save(self, name: str, kinds: str) -> None:
        """Ask where, and write in the background."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the evaluation", name, kinds)
        if chosen and self.evaluation is not None:
            self.in_background(
                "saving the evaluation",
                save_evaluation,
                self.evaluation,
                Path(chosen),
                then=lambda path: show_info(f"Saved {path}"),
            )


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(GAP)
    return column
