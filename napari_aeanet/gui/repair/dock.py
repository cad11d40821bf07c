"""Dock AEANet: Repair: damaged slices of a stack found, previewed, repaired and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count as count_up
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import open_folder
from napari_aeanet.gui.repair.alignment import AlignmentRow
from napari_aeanet.gui.repair.choices import RepairChoices, StackChoice, ask_file
from napari_aeanet.gui.repair.quality_line import QualityLine
from napari_aeanet.gui.repair.results import RepairedLayers, RepairOrigin, Result, load_shapes
from napari_aeanet.gui.repair.slice_panel import SlicePanel
from napari_aeanet.gui.repair.text import proposed_words, repaired_words
from napari_aeanet.gui.repair.worker import (
    StackAligned,
    StackRepaired,
    StackSaved,
    fits_in_memory,
    repair,
    save,
)
from napari_aeanet.gui.viewer.opening import open_in_dock
from napari_aeanet.interpolation import SectionsLearnt
from napari_aeanet.io import READERS, stem
from napari_aeanet.repair import DamageFound, SliceState, find_damage_events
from napari_aeanet.stacks import AlignedStack

if TYPE_CHECKING:
    from napari import Viewer

NOTHING_FOUND = "✓ No slice looks damaged. Add one by hand if you see one."
CHANGED = "! The stack was changed meanwhile: find damaged slices again."
STOPPED = "Stopped: nothing was changed."
LEARNING_KEPT = "What the network has learnt is kept: repair again to go on."
OUTDATED = "It shows the stack as it was before it was changed."


class RepairDock(Dock):
    """Stack, scores, slices to repair, preview and choices; the result lies on the stack."""

    tab = "Repair"
    accepts = tuple(READERS)
    uses_toggle_key = True

    def __init__(self, napari_viewer: Viewer) -> None:
        row = JobRow(
            "repair",
            step="slice",
            run_tooltip="The next step: find damaged slices, repair the ticked ones, save",
            stop_text="Stop",
            stop_tooltip="Stop after the current slice; nothing is changed then",
            needs_torch=False,
        )
        super().__init__(napari_viewer, row)
        self._version = 0  # another one whenever the stack is another one, or its pixels
        self._job_version = 0
        self._origin: RepairOrigin | None = None  # of the running repair
        self._shown: tuple[Any, ...] = ()  # the choices that texts and preview are about
        self._repaired: tuple[Any, ...] = ()  # those that the result was made of
        self._learning: tuple[tuple[Any, ...], Path] | None = None  # choices, and folder
        self._compared = ""  # a network with the flow, in words
        self._report: tuple[str, str] | None = None  # text and role at the end of the job
        self._results = RepairedLayers(self.viewer)
        self._fill_body()
        row.run_clicked.connect(self.run)
        self.stack.box.changed.connect(self._on_stack)
        self.stack.follow(self.listen)
        self.slices.follow(self.listen)
        self.listen(self.viewer.layers.events.removed, self.refresh)
        self._on_stack()
        self._apply_theme()

    def _fill_body(self) -> None:
        self.stack = StackChoice(self.viewer)
        self.stack.files_chosen.connect(self.take_files)
        self.alignment = AlignmentRow(self.viewer)
        self.alignment.align_clicked.connect(self.align)
        self.alignment.save_clicked.connect(self._save_aligned)
        self.slices = SlicePanel(self.viewer, self.in_background)
        self.slices.changed.connect(self._on_choices)
        self.slices.find_clicked.connect(self.find_damage)
        self.slices.preview.requested.connect(self._preview)
        self.choices = RepairChoices()
        self.choices.changed.connect(self._on_choices)
        self.quality = QualityLine(self.choices.quality, self.in_background)
        for widget in (self.stack, self.alignment, self.slices, self.choices):
            self.body.addWidget(widget)
        self.body.addStretch(1)

    def _apply_theme(self, _event: Any = None) -> None:
        super()._apply_theme(_event)
        if hasattr(self, "slices"):  # the base class applies the theme before it exists
            self.slices.paint(self.colours)

    # --- the stack

    def choose_stack(self, layer: Layer) -> None:
        """Choose the stack to repair."""
        self.stack.choose(layer)

    def take_files(self, paths: Sequence[Path]) -> None:
        """Open stacks as calibrated layers, and choose the first."""
        open_in_dock(self, paths, lambda opened: self.stack.choose(opened[0]))

    def _on_stack(self) -> None:
        """Begin anew if another stack is chosen."""
        chosen, before = self.stack.layer, self.slices.stack
        if self.stack.reason or not isinstance(chosen, ImageLayer):
            chosen = None
        if chosen is not before:
            if before is not None:
                self._forget(before.events.data)
            if chosen is not None:
                self.listen(chosen.events.data, self._on_pixels)
            self._begin(chosen)
        self.refresh()

    def _on_pixels(self, _event: Any) -> None:
        """Begin anew after the pixels of the stack were replaced."""
        self._begin(self.slices.stack)
        self._on_stack()  # it may be no stack any more

    def _begin(self, stack: ImageLayer | None) -> None:
        self._version += 1
        self._repaired = ()
        self.quality.forget()
        self.slices.begin(stack)

    # --- controls

    def _current(self) -> Result | None:
        """Return the result in the viewer that was made of the present choices."""
        found = self._results.latest_of(self.slices.stack)
        return found if self._repaired == self._asked() else None

    def _asked(self) -> tuple[Any, ...]:
        return self._version, frozenset(self.slices.ticked), self.choices.settings

    def _on_choices(self) -> None:
        """Update the controls; what was said about other choices goes, and their preview."""
        if self.slices.ticked:
            self.stack.keep()
        if self._shown != self._asked():
            self._shown = self._asked()
            self.slices.preview.end()
            if not self.session.is_busy:
                self.row.set_text("")
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        stack, result = self.slices.stack, self._current()
        self.row.set_ready(*self._next_step(result))
        self.stack.describe()
        for widget in (self.slices, self.choices):
            widget.setVisible(stack is not None)
        busy = self.busy_reason() or self.session.wait_reason
        self.alignment.refresh(stack, busy)
        self.slices.refresh(result, busy)
        if stack is None or self.session.is_busy:
            self.quality.stop()
        elif result is None:
            chosen, settings = frozenset(self.slices.ticked), self.choices.settings
            self.quality.ask(self.slices.image, chosen, settings, self.slices.planned)

    def _next_step(self, result: Result | None) -> tuple[str, str]:
        """Return the text of the button, and why it cannot be clicked."""
        reason = self.busy_reason() or self.stack.reason
        if result is not None:
            return "Save …" if result.saved is None else "Open folder", reason
        number = self.slices.repairable
        if number:
            goes_to_file = not fits_in_memory(self.slices.image)
            return f"Repair {count(number, 'slice')}{' …' if goes_to_file else ''}", reason
        if self.slices.ticked:
            reason = reason or "No ticked slice can be repaired: the list says why."
        return "Find damage", reason

    def _preview(self) -> None:
        self.slices.start_preview(self.choices.settings)

    # --- jobs

    def run(self) -> None:
        """Take the next step."""
        result = self._current()
        if result is not None and result.saved is not None:
            open_folder(result.saved.parent)
        elif result is not None:
            self._save(result)
        elif self.slices.repairable:
            self._repair()
        else:
            self.find_damage()

    def find_damage(self) -> None:
        """Look for damaged slices; nothing is repaired."""
        self.stack.keep()
        if self.slices.stack is not None:
            image, settings = self.slices.image, self.choices.damage_settings
            work = partial(find_damage_events, image, settings)
            self._start(f"looking for damage in {image.name}", work)

    def align(self) -> None:
        """Align the sections of the stack: a new layer, which is chosen then."""
        self.stack.keep()
        if self.slices.stack is not None:
            self._start(*self.alignment.job(self, self.slices.stack, self.slices.frame))

    def _save_aligned(self) -> None:
        self._start(*self.alignment.saving_job(self, self.slices.stack))

    def _repair(self) -> None:
        assert self.slices.stack is not None
        frame, settings = self.slices.frame, self.choices.settings
        image, is_large = frame.image, not fits_in_memory(frame.image)
        name = f"{image.name} repaired"
        out = ask_file(self, name, image.source, is_large=True) if is_large else None
        if is_large and out is None:
            return  # the dialog was closed
        slices = frozenset(self.slices.ticked)
        self._origin = RepairOrigin(self.slices.stack, frame, slices, settings)
        folder = self._learning_folder(image) if settings.method.learns else None
        work = partial(repair, image, slices, settings, out, folder, load_shapes)
        self._start(f"repairing {image.name}", work)

    def _learning_folder(self, image: Image) -> Path:
        """Return the folder of a learning: that of a stopped one with the same choices, or new."""
        asked = self._asked()
        if self._learning is None or self._learning[0] != asked:
            parent = output_folder() if image.source is None else image.source.parent
            names = (f"{stem(image.name)}-learnt-{number}" for number in count_up(1))
            folder = next(parent / name for name in names if not (parent / name).exists())
            self._learning = (asked, folder)
        return self._learning[1]

    def _save(self, result: Result) -> None:
        source = result.origin.frame.image.source
        path = ask_file(self, result.layer.name, source, is_large=False)
        if path is not None:
            work = partial(save, result.repaired, source, path)
            self._start(f"saving {result.layer.name}", work)

    def _start(self, title: str, work: Callable[[], Iterator[Any]] | None) -> None:
        if work is None:
            return  # the dialog that asks for a file was closed
        self.slices.preview.end()
        self._report, self._compared, self._job_version = None, "", self._version
        self.run_job(title, work)

    def on_event(self, event: Any) -> None:
        match event:
            case DamageFound():
                self._take_found(event)
            case SectionsLearnt():
                self._compared = event.scores.words
            case StackRepaired():
                self._take_repaired(event)
            case StackAligned():
                self._take_aligned(event)
            case StackSaved(AlignedStack() as aligned):
                self.alignment.note_saved(aligned, event.path)
            case StackSaved():
                if (result := self._results.latest) is not None:
                    result.saved = event.path
                    text = repaired_words(result.layer.name, result.repaired, event.path)
                    self._report = (text, "plain")

    def _take_found(self, found: DamageFound) -> None:
        if self._job_version != self._version:
            self._report = (CHANGED, "caution")
            return
        self.slices.take_found(found)
        self._report = (NOTHING_FOUND, "good")
        if found.slices:
            self._report = (proposed_words(len(found.slices)), "plain")

    def _take_aligned(self, event: StackAligned) -> None:
        is_current = self._job_version == self._version
        layer = self.alignment.add(event)
        if is_current:
            self.choose_stack(layer)
            self._report = ("Look at the aligned stack, then find damaged slices.", "plain")
        else:
            self._report = (f"{layer.name} is made. {OUTDATED}", "caution")
        if event.aligned.notices:
            self._report = (" ".join(event.aligned.notices), "caution")

    def _take_repaired(self, event: StackRepaired) -> None:
        origin, repaired = self._origin, event.repaired
        made = repaired.indices(SliceState.REPAIRED)
        if origin is None or not made:
            self._report = (repaired_words("", repaired, None), "bad")
            return
        result = self._results.add(event, origin)
        text = repaired_words(result.layer.name, repaired, result.saved)
        text = f"{text} {self._compared}".strip()
        self._report = (text, "plain")
        if self._job_version != self._version:
            self._report = (f"{text} {OUTDATED}", "caution")
            return
        self._repaired = (self._version, origin.slices, origin.settings)
        self.quality.show_measured(repaired.quality)
        if self.slices.shown not in made:
            self.slices.jump(made[0])

    def on_end(self, state: State) -> None:
        learns = self._origin is not None and self._origin.settings.method.learns
        self._origin = None
        if state is State.STOPPED:
            text = f"{STOPPED} {LEARNING_KEPT}" if learns else STOPPED
            self._report = (text, "plain")
        self.refresh()
        if self._report is not None and state is not State.FAILED:
            self.row.set_text(*self._report)

    # --- comparisons

    def on_toggle_key(self) -> None:
        if self.slices.preview.layer is not None:
            self.slices.preview.toggle()
        else:
            self._results.toggle()

    def on_deactivated(self) -> None:
        """End the preview; results stay."""
        self.slices.preview.end()

    def on_close(self) -> None:
        self.quality.stop()
