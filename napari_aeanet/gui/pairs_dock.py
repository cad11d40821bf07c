"""AEANet: Pairs. Collect pairs, register them, look at the evidence, decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QVBoxLayout, QWidget

from napari_aeanet.data.evidence import Verdict
from napari_aeanet.data.files import READERS, read_images
from napari_aeanet.data.pair import ImagePair, PairList
from napari_aeanet.data.pair_names import guess_roles
from napari_aeanet.data.pairs import (
    guess_pairs,
    load_pairs,
    pairs_from_csv,
    pairs_from_folders,
    pairs_from_npz,
    save_pairs,
)
from napari_aeanet.data.registration import PairRegistered, RegistrationSettings, register_all
from napari_aeanet.gui.dock import Dock, open_dock
from napari_aeanet.gui.evidence_layers import CHECKERBOARD, MATCHES, EvidenceLayers
from napari_aeanet.gui.forms import SettingsForm
from napari_aeanet.gui.image_list import is_input
from napari_aeanet.gui.job import State
from napari_aeanet.gui.job_row import JobRow
from napari_aeanet.gui.layers import layer_to_image
from napari_aeanet.gui.pair_table import PairTable
from napari_aeanet.gui.parts import Fold, button, form, label, named, row, say, short
from napari_aeanet.gui.session import Decision, PairEntry
from napari_aeanet.gui.words import count, evidence_lines, pair_state
from napari_aeanet.gui.work import Collected, checkerboard, collect_pairs

if TYPE_CHECKING:
    from napari import Viewer

LISTS: dict[str, Callable[[Path], PairList]] = {
    ".json": load_pairs,
    ".csv": pairs_from_csv,
    ".npz": pairs_from_npz,
}
NOTES_SHOWN = 3


class PairsDock(Dock):
    """A table of pairs, the evidence for the selected one, and what registers them."""

    tab = "Pairs"
    accepts = (*LISTS, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "pairs",
            step="pair",
            run_tooltip="Find how the source of every pair lies on its target",
            stop_text="Stop",
            stop_tooltip="Stop after the current pair; registered pairs stay registered",
            needs_torch=False,
        )
        super().__init__(napari_viewer, job_row)
        self._registering: list[ImagePair] = []
        self._layers = EvidenceLayers(self.viewer)
        self._fill_body()
        self.row.run_clicked.connect(self.register)
        self.next = button(
            "Train →",
            "pairs_next",
            "Open AEANet: Train with these pairs",
            partial(open_dock, self.viewer, "Train"),
        )
        self.foot.addWidget(self.next)
        self.listen(self.session.pairs_changed, self._show_pairs)
        self._show_pairs()
        if not self.session.pairs:
            self.session.add_pairs(self._found_in_layers().pairs)

    # --- what is seen

    def _fill_body(self) -> None:
        buttons = (
            ("From layers", "layers", "Pair the open images by their names", self.add_from_layers),
            (
                "Folders …",
                "folders",
                "Choose a folder of sources and one of targets",
                self._ask_folders,
            ),
            ("List …", "list", "Open a pair list (.json, .csv, .npz)", self._ask_list),
            (
                "Save …",
                "save",
                "Save these pairs with their registration as a list",
                self._ask_save,
            ),
        )
        made = [button(text, f"pairs_{name}", tip, act) for text, name, tip, act in buttons]
        self.save_button = made[-1]
        self.table = PairTable("pairs_table")
        self.table.chosen.connect(self._show_evidence)
        self.table.removal_asked.connect(self._remove)
        self.notes = label(role="caution", name="pairs_notes")
        self.settings = SettingsForm(RegistrationSettings())
        self.body.addLayout(row(*made))
        self.body.addWidget(self.table)
        self.body.addWidget(self.notes)
        self.body.addWidget(self._evidence_part())
        self.body.addWidget(Fold("Registration settings", "pairs_more", self.settings.native))
        self.body.addStretch(1)
        say(self.notes, "")

    def _evidence_part(self) -> QWidget:
        self.evidence = QWidget()
        self.evidence_title = label(role="heading", name="pairs_evidence_title")
        self.evidence_reason = label(role="hint", name="pairs_evidence_reason")
        self.figures: QFormLayout = form()
        self.show_board = QCheckBox("checkerboard")
        named(self.show_board, "pairs_checkerboard", "Source and target in turn, as a layer")
        self.show_matches = QCheckBox("matches")
        named(self.show_matches, "pairs_matches", "The matched points and their errors, as a layer")
        for box, layer in ((self.show_board, CHECKERBOARD), (self.show_matches, MATCHES)):
            box.setChecked(True)
            box.toggled.connect(partial(self._layers.set_visible, layer))
        self.accept = button(
            "Accept", "pairs_accept", "Train on this pair", partial(self._decide, Decision.ACCEPTED)
        )
        self.reject = button(
            "Leave out",
            "pairs_reject",
            "Do not train on this pair",
            partial(self._decide, Decision.REJECTED),
        )
        layout = QVBoxLayout(self.evidence)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.evidence_title)
        layout.addWidget(self.evidence_reason)
        layout.addLayout(self.figures)
        layout.addLayout(row(self.show_board, self.show_matches))
        layout.addLayout(row(self.accept, self.reject))
        self.evidence.hide()
        return self.evidence

    def refresh(self, _event: Any = None) -> None:
        waiting = self._to_register()
        again = bool(self.session.pairs) and all(e.pair.registration for e in self.session.pairs)
        words = f"Register {count(len(waiting), 'pair')}{' again' if again else ''}"
        self.row.set_ready(words if waiting else "Register", self._reason())
        usable = len(self.session.usable_pairs)
        self.next.setText(f"Train on {count(usable, 'pair')} →" if usable else "Train →")
        self.next.setEnabled(usable > 0)
        self.next.setToolTip(
            "Open AEANet: Train with these pairs" if usable else "No pair can be trained on yet"
        )
        self.save_button.setEnabled(bool(self.session.pairs))

    def _reason(self) -> str:
        if busy := self.busy_reason():
            return busy
        if not self.session.pairs:
            return "Add pairs first."
        return ""

    def _show_pairs(self) -> None:
        self.table.fill(self.session.pairs, self.colours)
        self._show_evidence()
        self.refresh()

    def _show_evidence(self) -> None:
        entry = self.table.selected(self.session.pairs)
        self.evidence.setVisible(entry is not None)
        if entry is None:
            return
        pair, registration = entry.pair, entry.pair.registration
        state = pair_state(pair, entry.decision)
        self.evidence_title.setText(pair.name)
        say(self.evidence_reason, state.reason, "hint" if state.role == "good" else state.role)
        while self.figures.rowCount():
            self.figures.removeRow(0)
        for caption, figure in evidence_lines(registration):
            name = short(caption)
            name.setProperty("role", "hint")
            self.figures.addRow(name, short(figure))
        self.accept.setEnabled(entry.could_be_accepted)
        self.reject.setEnabled(entry.decision is not Decision.REJECTED)
        has_evidence = registration is not None and registration.verdict is not Verdict.FAILED
        for box, layer in ((self.show_board, CHECKERBOARD), (self.show_matches, MATCHES)):
            box.setVisible(has_evidence)
            self._layers.set_visible(layer, has_evidence and box.isChecked())
        if has_evidence:
            self._show_layers(entry)

    def _show_layers(self, entry: PairEntry) -> None:
        """Compute the evidence in the background, then show it if it is still wanted."""
        pair = entry.pair

        def show(pixels: Any) -> None:
            wanted = self.table.selected(self.session.pairs)
            is_in_front = self.isVisibleTo(self.window())
            if not is_in_front or wanted is None or pair.registration is None:
                return
            if wanted.pair is pair:
                self._layers.show_checkerboard(pixels, pair.target)
                self._layers.show_matches(pair.registration, pair.target)
                self._layers.set_visible(CHECKERBOARD, self.show_board.isChecked())
                self._layers.set_visible(MATCHES, self.show_matches.isChecked())

        self.in_background("making a checkerboard", checkerboard, pair, then=show)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._show_evidence()

    def hideEvent(self, event: Any) -> None:
        """Another tab is in front: its layers are not to be covered by evidence."""
        super().hideEvent(event)
        self._layers.hide()

    # --- what is done

    def add_from_layers(self) -> None:
        """Pair the open images by their names."""
        self._take(self._found_in_layers())

    def _found_in_layers(self) -> PairList:
        layers = [layer for layer in self.viewer.layers if is_input(layer)]
        return guess_pairs([layer_to_image(layer) for layer in layers])

    def take_files(self, paths: Sequence[Path]) -> None:
        """Two folders, a list, or images to be paired by their names."""
        folders = [path for path in paths if path.is_dir() and path.suffix != ".zarr"]
        if len(folders) == 2:
            self.add_folders(*_source_first(folders))
        elif len(paths) == 1 and paths[0].suffix.lower() in LISTS:
            self.add_list(paths[0])
        else:
            self._collect("reading images", partial(_pairs_among, paths))

    def add_folders(self, sources: Path, targets: Path) -> None:
        self._collect("reading folders", partial(pairs_from_folders, sources, targets))

    def add_list(self, path: Path) -> None:
        self._collect(f"reading {path.name}", partial(LISTS[path.suffix.lower()], path))

    def _collect(self, what: str, find: Callable[[], PairList]) -> None:
        self.run_job(what, partial(collect_pairs, what, find))

    def _take(self, found: PairList) -> None:
        self.session.add_pairs(found.pairs)
        notes = [*found.unmatched, *map(str, found.problems)]
        if not found.pairs and not notes:
            notes = ["No pairs found: open the images to be paired, or choose two folders."]
        more = [f"and {len(notes) - NOTES_SHOWN} more"] if len(notes) > NOTES_SHOWN else []
        say(self.notes, "\n".join([*notes[:NOTES_SHOWN], *more]), "caution")
        self.notes.setToolTip("\n".join(notes))

    def _to_register(self) -> list[ImagePair]:
        """Pairs without a registration; all, where every one has one."""
        pairs = [entry.pair for entry in self.session.pairs]
        return [pair for pair in pairs if pair.registration is None] or pairs

    def register(self) -> None:
        """Register in the background."""
        self._registering = self._to_register()
        title = f"registering {count(len(self._registering), 'pair')}"
        settings = self.settings.value()
        self.run_job(title, partial(register_all, tuple(self._registering), settings))

    def on_event(self, event: Any) -> None:
        if isinstance(event, Collected):
            self._take(event.found)
        elif isinstance(event, PairRegistered):
            self.session.replace_pair(self._registering[event.index], event.pair)
            self._registering[event.index] = event.pair

    def on_end(self, state: State) -> None:
        registered = [p for p in self._registering if p.registration is not None]
        self._registering = []
        if registered and state is not State.FAILED:
            usable = len(self.session.usable_pairs)
            total = len(self.session.pairs)
            self.row.say(f"{usable} of {count(total, 'pair')} can be trained on.", "plain")
            self.table.select_first()

    def _decide(self, decision: Decision) -> None:
        entry = self.table.selected(self.session.pairs)
        if entry is not None:
            self.session.decide(entry, decision)

    def _remove(self) -> None:
        gone = self.table.selected_rows()
        self.session.set_pairs(e for i, e in enumerate(self.session.pairs) if i not in gone)

    # --- dialogs

    def _ask_folders(self) -> None:
        sources = QFileDialog.getExistingDirectory(
            self, "Folder of sources (noisy, low resolution)"
        )
        if sources:
            targets = QFileDialog.getExistingDirectory(
                self, "Folder of targets (what to restore to)"
            )
            if targets:
                self.add_folders(Path(sources), Path(targets))

    def _ask_list(self) -> None:
        patterns = " ".join(f"*{ending}" for ending in LISTS)
        chosen, _ = QFileDialog.getOpenFileName(self, "Open pairs", "", f"Pair lists ({patterns})")
        if chosen:
            self.add_list(Path(chosen))

    def _ask_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save pairs", "pairs.json", "Pairs (*.json)")
        if chosen:
            try:
                save_pairs([entry.pair for entry in self.session.pairs], Path(chosen))
            except (ValueError, OSError) as error:
                show_error(str(error))


def _source_first(folders: Sequence[Path]) -> Sequence[Path]:
    """Two folders in the order source, target, as far as their names say."""
    _, targets = guess_roles([folder.name for folder in folders])
    return list(reversed(folders)) if targets == [0] else folders


def _pairs_among(paths: Sequence[Path]) -> PairList:
    """Pairs among images in files and folders."""
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() and path.suffix != ".zarr" else [path])
        if file.suffix.lower() in READERS
    ]
    return guess_pairs([image for file in files for image in read_images(file)])
