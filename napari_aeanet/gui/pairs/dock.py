"""AEANet: Pairs. Collect pairs, register them, check the evidence, decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.dock import Dock, open_dock
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.session import Decision, is_same
from napari_aeanet.gui.common.text import count, usable_text
from napari_aeanet.gui.common.widgets import Collapsible, button, label, set_role, set_text
from napari_aeanet.gui.pairs.add_panel import LISTS, AddPanel
from napari_aeanet.gui.pairs.evidence_panel import EvidencePanel
from napari_aeanet.gui.pairs.landmark_panel import LandmarkPanel
from napari_aeanet.gui.pairs.layer_offer import TO_REPAIR, LayerOffer, needs_repair, open_images
from napari_aeanet.gui.pairs.pair_table import PairTable
from napari_aeanet.gui.pairs.picker import PairPicker
from napari_aeanet.gui.pairs.roles_panel import RolesPanel
from napari_aeanet.gui.pairs.worker import (
    Collected,
    PagesFound,
    Unmatched,
    register_by_hand,
    register_pairs,
)
from napari_aeanet.gui.viewer.layers import unusable_because
from napari_aeanet.io import READERS
from napari_aeanet.pairs import ImagePair, PairList, PairRegistered, guess_pairs, save_pairs
from napari_aeanet.registration import RegistrationSettings, Verdict

if TYPE_CHECKING:
    from napari import Viewer

NOTES_SHOWN = 3


class PairsDock(Dock):
    """Table of pairs, evidence for the selected pair, and the options of the registration."""

    tab = "Pairs"
    accepts = (*LISTS, *READERS)
    uses_toggle_key = True

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "pairs",
            step="pair",
            run_tooltip="Align the source of every pair with its target",
            stop_text="Stop",
            stop_tooltip="Stop after the current pair; registered pairs stay registered",
            needs_torch=False,
        )
        super().__init__(napari_viewer, job_row)
        self._registering: list[ImagePair] = []
        self._told = ""  # the last line on usable pairs
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
        self.listen(self.viewer.events.theme, lambda _: self._fill_table())
        self._show_pairs()
        if not self.session.pairs:
            self.session.add_pairs(guess_pairs(open_images(self.viewer.layers)).pairs)
        self.offer.follow(self.listen)
        self.picker.follow(self.listen)

    # --- appearance

    def _fill_body(self) -> None:
        self.adding = AddPanel(self.run_job, self.add_from_layers)
        self.offer = LayerOffer(self.viewer.layers, self.session, self.in_background)
        self.offer.accepted.connect(self._take)
        self.picker = PairPicker(self.viewer.layers)
        self.picker.picked.connect(self._take_picked)
        self.offer.choice_requested.connect(self.picker.expand)
        self.offer.repair_requested.connect(partial(open_dock, self.viewer, "Repair"))
        open_list = button(
            "Open list …",
            "pairs_list",
            "Open a pair list (.json, .csv, .npz)",
            self.adding.choose_list,
        )
        self.save_button = button(
            "Save list …", "pairs_save", "Save these pairs with their registration", self._ask_save
        )
        self.table = PairTable("pairs_table")
        self.table.chosen.connect(self._show_evidence)
        self.table.removal_requested.connect(self._remove)
        self.roles = RolesPanel(self.session, self.table, [open_list, self.save_button], self._tell)
        self.notes = label(role="caution", name="pairs_notes")
        self.evidence = EvidencePanel(self.viewer, self.in_background)
        self.evidence.decided.connect(self._decide)
        self.evidence.again_requested.connect(self._register_selected)
        self.evidence.points_requested.connect(self._begin_landmarks)
        self.by_hand = LandmarkPanel(self.viewer, self._register_by_hand, self._show_evidence)
        self.settings = SettingsForm(RegistrationSettings())
        self.body.addWidget(self.adding)
        self.body.addWidget(self.offer)
        self.body.addWidget(self.table, 1)
        self.body.addWidget(self.roles)
        self.body.addWidget(self.notes)
        self.body.addWidget(self.picker)
        self.body.addWidget(self.by_hand)
        self.body.addWidget(self.evidence)
        self.body.addWidget(
            Collapsible("Registration settings", "pairs_more", self.settings.native)
        )
        set_text(self.notes, "")
        self.picker.toggled.connect(self.refresh)

    def refresh(self, _event: Any = None) -> None:
        pairs = self._to_register()
        again = bool(pairs) and all(pair.registration for pair in pairs)
        text = f"Register {count(len(pairs), 'pair')}{' again' if again else ''}"
        self.row.set_ready(text if pairs else "Register", self._reason())
        for act in (self.evidence.again, self.evidence.points):
            act.setEnabled(not self.session.is_busy and not self.by_hand.is_active)
        usable = len(self.session.usable_pairs)
        self.next.setText(f"Train on {count(usable, 'pair')} →" if usable else "Train →")
        self.next.setEnabled(usable > 0)
        self.next.setToolTip(
            "Open AEANet: Train with these pairs" if usable else "No pair can be trained on yet"
        )
        self.save_button.setEnabled(bool(self.session.pairs))
        self.roles.refresh()
        # The one blue button is the next step; while a job runs there is none.
        steps = {
            self.by_hand.use_button: self.by_hand.is_active,
            self.picker.add: not self.session.pairs and self.picker.isExpanded(),
            self.offer.button: not self.session.pairs,
            self.next: self._is_ready_to_train() and not self.session.is_busy,
            self.evidence.points: again and not usable and self._is_found(Verdict.FAILED),
            self.evidence.accept: again and not usable and self._is_found(Verdict.DOUBTFUL),
            self.row.run_button: not (again and self.session.evaluable_pairs),
        }
        next_step = next((step for step, is_next in steps.items() if is_next), None)
        for step in steps:
            set_role(step, "primary" if step is next_step else "")

    def _is_ready_to_train(self) -> bool:
        """Return True if every pair is settled, or left out, and one can be used."""
        entries = [e for e in self.session.pairs if e.decision is not Decision.REJECTED]
        return all(entry.is_settled for entry in entries) and bool(self.session.usable_pairs)

    def _is_found(self, verdict: Verdict) -> bool:
        """Return True if the selected pair has this verdict, and no decision."""
        entry = self.table.selected(self.session.pairs)
        if entry is None or entry.pair.registration is None:
            return False
        return entry.pair.registration.verdict is verdict and entry.decision is Decision.NONE

    def _reason(self) -> str:
        return self.busy_reason() or ("" if self.session.pairs else "Add pairs first.")

    def _show_pairs(self) -> None:
        self._fill_table()
        if not self.session.pairs:
            set_text(self.notes, "")
        if self._told and self.row.line.text == self._told:
            self._tell_usable()
        self._show_evidence()

    def _tell(self, text: str) -> None:
        self.row.set_text(text, "plain")

    def _tell_usable(self) -> None:
        """Tell how many pairs can be trained on; the line follows what is done to them."""
        self._told = usable_text(self.session.usable_pairs, len(self.session.pairs))
        self._tell(self._told)

    def _fill_table(self) -> None:
        self.table.fill(self.session.pairs, self.colours)

    def _show_evidence(self) -> None:
        entry = self.table.selected(self.session.pairs)
        self.evidence.show_entry(entry, with_layers=self.is_in_front and not self.by_hand.is_active)
        self.refresh()

    def on_activated(self) -> None:
        self._show_evidence()

    def on_deactivated(self) -> None:
        """Remove the layers with evidence, which hide those of the next dock."""
        self.by_hand.end()
        self.evidence.remove_layers()

    def on_toggle_key(self) -> None:
        self.evidence.toggle_source()

    # --- actions

    def add_from_layers(self) -> None:
        """Pair the open images by their names."""
        layers = list(self.viewer.layers)
        found = guess_pairs(open_images(layers))
        images = [layer for layer in layers if isinstance(layer, ImageLayer)]
        left_out = [reason for layer in images if (reason := unusable_because(layer))]
        left_out += [TO_REPAIR] if any(map(needs_repair, layers)) else []
        self._take(replace(found, unmatched=(*found.unmatched, *left_out)))

    def take_files(self, paths: Sequence[Path]) -> None:
        """Add folders, a list, or images to pair by their names."""
        self.adding.take_files(paths)

    def add_folders(self, sources: Path, targets: Path) -> None:
        self.adding.add_folders(sources, targets)

    def add_list(self, path: Path) -> None:
        self.adding.add_list(path)

    def _take(self, found: PairList, left_over: Sequence[Image] = (), remark: str = "") -> None:
        """Add the pairs that were found, and say which were not."""
        before = len(self.session.pairs)
        self.session.add_pairs(found.pairs)
        known = len(found.pairs) - (len(self.session.pairs) - before)
        notes = [remark] if remark else []
        if known:
            notes.append(f"{count(known, 'pair')} left out: in the list already.")
        notes += [*found.unmatched, *map(str, found.problems)]
        if not found.pairs and not notes:
            notes = ["No pairs found: open the images to be paired, or choose two folders."]
        more = [f"and {len(notes) - NOTES_SHOWN} more"] if len(notes) > NOTES_SHOWN else []
        is_quiet = found.pairs and not found.problems and not known and not remark
        text = "\n".join([*notes[:NOTES_SHOWN], *more])
        set_text(self.notes, text, "hint" if is_quiet else "caution")
        self.notes.setToolTip("\n".join(notes))
        self.picker.add_images(left_over)
        if left_over and not found.pairs:
            self.picker.expand()

    def _take_picked(self, pair: ImagePair) -> None:
        self._take(PairList((pair,)))

    def _to_register(self) -> list[ImagePair]:
        """Return the selected pairs if several, else those without a registration, else all."""
        rows = self.table.selected_rows()
        if len(rows) > 1:
            return [e.pair for i, e in enumerate(self.session.pairs) if i in rows]
        pairs = [entry.pair for entry in self.session.pairs]
        return [pair for pair in pairs if pair.registration is None] or pairs

    def register(self) -> None:
        """Register in the background."""
        self._register(self._to_register())

    def register_pair(self, pair: ImagePair) -> None:
        """Add one pair, unless it is in the list, and register it."""
        self.session.add_pairs([pair])
        listed = [entry.pair for entry in self.session.pairs]
        index = next(i for i, other in enumerate(listed) if is_same(other, pair))
        self.table.select(index)
        self._register([listed[index]])

    def _register_selected(self) -> None:
        entry = self.table.selected(self.session.pairs)
        if entry is not None:
            self._register([entry.pair])

    def _register(self, pairs: list[ImagePair]) -> None:
        self._registering = pairs
        title = f"registering {count(len(pairs), 'pair')}"
        self.run_job(title, partial(register_pairs, tuple(pairs), self.settings.value()))

    def on_event(self, event: Any) -> None:
        if isinstance(event, Collected):
            self._take(event.found, event.left_over, event.remark)
        elif isinstance(event, Unmatched):
            self.adding.ask(event)
        elif isinstance(event, PagesFound):
            self.adding.keep_question(event)
        elif isinstance(event, PairRegistered):
            self.session.replace_pair(self._registering[event.index], event.pair)
            self._registering[event.index] = event.pair

    def on_end(self, state: State) -> None:
        registered = [p for p in self._registering if p.registration is not None]
        self._registering = []
        if registered and state is not State.FAILED:
            self._tell_usable()
            self.table.select_first()
        if state is State.DONE:
            self.adding.ask_about_pages()

    def _decide(self, decision: Decision) -> None:
        entry = self.table.selected(self.session.pairs)
        if entry is not None:
            self.session.decide(entry, decision)

    # --- by hand

    def _begin_landmarks(self) -> None:
        entry = self.table.selected(self.session.pairs)
        if entry is not None:
            self.evidence.remove_layers()
            self.by_hand.begin(entry.pair)
            self.refresh()

    def _register_by_hand(self, pair: ImagePair, source: np.ndarray, target: np.ndarray) -> None:
        self._registering = [pair]
        register = partial(register_by_hand, pair, source, target, self.settings.value())
        self.run_job(f"registering {pair.name} by hand", register)

    def _remove(self) -> None:
        rows = self.table.selected_rows()
        self.session.set_pairs(e for i, e in enumerate(self.session.pairs) if i not in rows)

    # --- dialogs

    def _ask_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save pairs", "pairs.json", "Pairs (*.json)")
        if chosen:
            kept = [e for e in self.session.pairs if not e.is_left_out]
            try:
                save_pairs([entry.as_decided() for entry in kept], Path(chosen))
            except (ValueError, OSError) as error:
                show_error(str(error))
            else:
                left_out = len(self.session.pairs) - len(kept)
                others = f", without {count(left_out, 'pair')} left out" if left_out else ""
                self._tell(f"✓ {count(len(kept), 'pair')} saved{others}.")
