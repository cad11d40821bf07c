"""Dock AEANet: Evaluate: images and models compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_aeanet.evaluation import Evaluated, EvaluateSettings, Evaluation, Scored
from napari_aeanet.gui.common.dock import Dock, open_dock
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import Collapsible, button, chooser, row, set_role
from napari_aeanet.gui.evaluate.choices import REGISTER, ImageChoice, ModelChoice
from napari_aeanet.gui.evaluate.reproduce_panel import GOES_ON, ReproducePanel
from napari_aeanet.gui.evaluate.view import ResultPanel, summary
from napari_aeanet.gui.evaluate.worker import (
    TableSaved,
    evaluate_images,
    evaluate_models,
    save_evaluation,
)
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.gui.viewer.opening import open_in_dock
from napari_aeanet.io import READERS
from napari_aeanet.models import SUFFIX
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer

LAYERS, PAIRS = "Open images, against one truth", "Models, on my pairs"
TO_REGISTER = (
    "Register them →",
    "Find how the image lies on its truth, in AEANet: Pairs; then evaluate models on the "
    "registered pair, which is not trained on",
)
REGISTERED = (
    "Evaluate on the registered pair →",
    "The image was made from the source of a registered pair: evaluate its model on that pair",
)


class EvaluateDock(Dock):
    """Choice of images or models, settings, and results."""

    tab = "Evaluate"
    accepts = (SUFFIX, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "evaluate",
            step="image",
            run_tooltip="Compute the distance of every image from its truth",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile",
        )
        super().__init__(napari_viewer, job_row)
        self.evaluation: Evaluation | None = None
        self._told: Evaluation | None = None  # in the line of the foot
        self._compared: tuple[Any, ...] = ()  # what was chosen then
        self._is_table = False
        self._fill_body()
        self._fill_foot()
        self.image_choice.follow(self.listen)
        self.listen(self.session.models_changed, self._refill_models)
        self.listen(self.session.pairs_changed, self.refresh)
        self.session.find_models()
        if self.session.model is not None:
            self.models.tick(self.session.model)
            self._refill_models()
        self.what.setCurrentText(PAIRS if self.session.evaluable_pairs else LAYERS)
        self._show_choice()
        self._apply_theme()

    def _fill_body(self) -> None:
        self.what = chooser(
            "evaluate_what",
            "Compare open images with an image that shows the truth; or compare models, which "
            "restore the sources of your pairs, with the targets",
        )
        self.what.addItems([LAYERS, PAIRS])
        self.what.currentIndexChanged.connect(self._show_choice)
        self.image_choice = ImageChoice(self.viewer)
        self.truth, self.images = self.image_choice.truth, self.image_choice.images
        self.images.changed.connect(self.refresh)
        self.model_choice = ModelChoice(self.viewer)
        self.models, self.classical = self.model_choice.models, self.model_choice.classical
        self.model_choice.changed.connect(self.refresh)
        self.settings = SettingsForm(EvaluateSettings(), automatic=("data_range",))
        self.results = ResultPanel(self.viewer)
        text, tooltip = TO_REGISTER
        self.register = button(text, "evaluate_register", tooltip, self._register)
        set_role(self.register, "primary")
        more = Collapsible("More settings", "evaluate_more", self.settings.native)
        self.tables = ReproducePanel()
        self.tables.run_clicked.connect(self.reproduce)
        self.tables.changed.connect(self.refresh)
        tables = Collapsible("Reproduce a table of the papers", "evaluate_reproduce", self.tables)
        choices = (self.what, self.image_choice, self.model_choice)
        for widget in (*choices, self.register, more, self.results, tables):
            self.body.addWidget(widget)
        self.body.addStretch(1)

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.run)
        self.save_page = button(
            "Save page …",
            "evaluate_save_page",
            "Save a page with the table, a figure and an example, as PDF or PNG",
            partial(self.save, "evaluation.pdf", "Page (*.pdf *.png)"),
        )
        self.save_table = button(
            "Save table …",
            "evaluate_save_table",
            "Save all figures of every image as CSV",
            partial(self.save, "evaluation.csv", "Table (*.csv)"),
        )
        saving = row(self.save_page, self.save_table, stretch=0)
        saving.setStretch(1, 1)
        self.foot.addLayout(saving)

    def _apply_theme(self, _event: Any = None) -> None:
        super()._apply_theme(_event)
        if hasattr(self, "results"):  # the base class applies the theme before it exists
            self.results.plot.paint(self.colours)

    # --- choices

    @property
    def _choice(self) -> ImageChoice | ModelChoice:
        return self.model_choice if self.what.currentText() == PAIRS else self.image_choice

    def _refill_models(self) -> None:
        self.model_choice.set_models(self.session.model_names)

    def _show_choice(self, _index: int = 0) -> None:
        for choice in (self.image_choice, self.model_choice):
            choice.setVisible(choice is self._choice)
        if not self.session.is_busy:
            self.row.set_text("", "hint")
            self._told = None
        self.refresh()

    @property
    def _chosen(self) -> tuple[Any, ...]:
        return self.what.currentText(), *self._choice.chosen

    @property
    def _result(self) -> Evaluation | None:
        """The latest result if it is of what is chosen now."""
        is_chosen = self.evaluation is not None and not self._choice.reason
        return self.evaluation if is_chosen and self._chosen == self._compared else None

    def _show_result(self) -> None:
        """Show the result of what is chosen now; hide that of something else."""
        found = self._result
        self.results.setVisible(found is not None)
        for widget in (self.save_page, self.save_table):
            widget.setEnabled(found is not None)
        if found is not self._told and not self.session.is_busy:
            self._told = found
            self.row.set_text(*(("", "hint") if found is None else summary(found)))

    def refresh(self, _event: Any = None) -> None:
        usable, evaluable = self.session.usable_pairs, self.session.evaluable_pairs
        self.model_choice.set_pairs(evaluable, trained_on=len(usable))
        self._show_result()
        pair = self._pair_to_register()
        reason = self.busy_reason() or self._choice.reason
        is_done = not reason and self._result is not None
        self.row.set_ready(self._choice.action, reason, is_next=pair is None and not is_done)
        self.register.setVisible(pair is not None)
        is_registered = pair is not None and self.session.registered(pair) is not None
        text, tooltip = REGISTERED if is_registered else TO_REGISTER
        self.register.setText(text)
        self.register.setToolTip(tooltip)
        self.register.setEnabled(not self.session.is_busy)
        self.tables.refresh(self.session.wait_reason)

    def _to_register(self) -> list[Layer]:
        """Return the images that do not lie on their truth."""
        if self._choice is self.model_choice or not isinstance(self.truth.chosen, ImageLayer):
            return []
        found, ticked = self._result, self.images.ticked
        if found is not None and any(REGISTER in notice for notice in found.notices):
            return ticked
        return self.image_choice.refused

    def _pair_to_register(self) -> ImagePair | None:
        """Return the source of the first image that does not lie on its truth, with the truth."""
        truth, images = self.truth.chosen, self._to_register()
        return self._pair(images[0], truth) if truth is not None and images else None

    def _pair(self, image: Layer, truth: Layer) -> ImagePair:
        source = self.image_choice.source_of(image)
        source = image if source is truth else source
        return ImagePair(layer_to_image(source), layer_to_image(truth))

    def _register(self) -> None:
        """Register the pair in the Pairs dock, or evaluate on it if that was done."""
        pair = self._pair_to_register()
        if pair is None:
            return
        if (registered := self.session.registered(pair)) is not None:
            self.choose_model(self.session.model, registered)
            return
        self.session.add_for_evaluation(pair)
        try:
            open_dock(self.viewer, "Pairs").register_pair(pair)
        except ValueError as error:
            show_error(str(error))

    def on_activated(self) -> None:
        self.image_choice.offer_result_of(self.session.restored_layer)

    def choose_model(self, path: Path | None, pair: ImagePair | None = None) -> None:
        """Tick a model, in addition to those already ticked, to be evaluated on the pairs.

        Of these, only `pair` if there is one.
        """
        if path is not None:
            self.models.tick(path)
        if pair is not None:
            self.model_choice.choose_pair(pair)
        self._refill_models()
        self.what.setCurrentText(PAIRS)

    def choose_layers(self, truth: Layer, *images: Layer) -> None:
        """Choose a truth and tick the images to be compared with it."""
        self.what.setCurrentText(LAYERS)
        self.truth.choose(truth)
        self.images.tick_only(*images)

    def choose_result(self, result: Layer, truth: Layer, model: Path | None) -> None:
        """Compare a result with its truth; its model instead where that is a registered pair."""
        if (pair := self.session.registered(self._pair(result, truth))) is not None:
            self.choose_model(model, pair)
        else:
            self.choose_layers(truth, result)

    def take_files(self, paths: Sequence[Path]) -> None:
        """Tick models; open images as calibrated layers."""
        models = [path for path in paths if path.suffix == SUFFIX]
        for path in models:
            try:
                self.session.add_model(path)
            except (ValueError, OSError) as error:
                show_error(str(error))
            else:
                self.models.tick(path)
        self._refill_models()
        open_in_dock(self, [path for path in paths if path.suffix != SUFFIX])
        self.what.setCurrentText(PAIRS if models else LAYERS)

    # --- job

    def run(self) -> None:
        """Score the ticked images or models."""
        self.evaluation, self._told, self._is_table = None, None, False
        self._compared = self._chosen
        settings, truth, errors = self.settings.value(), self.truth.chosen, self.results.errors
        if self._choice is self.model_choice:
            errors.begin(None)
            pairs = self.model_choice.pairs
            work = partial(
                evaluate_models,
                pairs,
                self.models.ticked,
                settings,
                self.model_choice.patches.value(),
                classical=self.classical.isChecked(),
                libraries=self.model_choice.libraries,
                device=device(),
            )
            self.run_job(f"evaluating on {count(len(pairs), 'pair')}", work)
        elif isinstance(truth, ImageLayer):
            image, made_from = layer_to_image(truth), self.image_choice.source
            compared = [one for one in self.images.ticked if one is not made_from]
            images = [layer_to_image(layer) for layer in compared]
            source = None if made_from is None else layer_to_image(made_from)
            errors.begin(Frame.of(truth, image))
            work = partial(evaluate_images, image, images, source, settings)
            self.run_job(f"comparing {count(len(images), 'image')}", work)

    def reproduce(self) -> None:
        """Compute the chosen table of the papers."""
        self.evaluation, self._told, self._is_table = None, None, True
        self.run_job(*self.tables.job(), step="method")

    def on_event(self, event: Any) -> None:
        match event:
            case TableSaved():
                self.tables.take(event)
            case Scored():
                self.results.errors.add(f"{event.row.method}, {event.row.case}", event.error)
            case Evaluated():
                self.evaluation = event.evaluation
                self.results.fill(event.evaluation)

    def on_end(self, state: State) -> None:
        if self._is_table:
            if state is State.STOPPED:
                self.row.set_text(f"Stopped. {GOES_ON}", "plain")
            elif state is State.DONE and self.tables.saved is not None:
                self.row.set_text(f"✓ Reproduced; the table is {self.tables.saved}.", "good")
            self.refresh()
            return
        self.results.errors.refill()
        self.refresh()

    def save(self, name: str, kinds: str) -> None:
        """Save a page or a table of the results in the background."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the evaluation", name, kinds)
        if chosen and self.evaluation is not None:
            self.in_background(
                "saving the evaluation",
                save_evaluation,
                self.evaluation,
                Path(chosen),
                then=lambda path: show_info(f"Saved {path}"),
            )
