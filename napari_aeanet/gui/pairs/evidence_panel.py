"""Lower half of the Pairs dock: evidence for the registration of the selected pair."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.session import Decision, PairEntry
from napari_aeanet.gui.common.text import (
    ARROW,
    estimate_text,
    pair_sizes,
    pair_state,
    pixels_text,
    signed,
)
from napari_aeanet.gui.common.widgets import button, form, label, named, row, set_text, short
from napari_aeanet.gui.pairs.evidence_layers import (
    CHECKERBOARD,
    DRIFT,
    MATCHES,
    OVERLAY,
    REMAINING,
    EvidenceLayers,
    vectors_of,
)
from napari_aeanet.pairs import ImagePair, pair_checkerboard
from napari_aeanet.registration import Registration, Verdict

ACCEPT = "Train on this pair"
AS_THEY_LIE = (
    "Train on this pair without registration, if you know that one place is the same in both "
    "images: for two channels of one acquisition, or light of two kinds"
)


class EvidencePanel(QWidget):
    """Figures and layers of one pair, and the buttons to accept it or leave it out."""

    decided = Signal(object)  # a Decision
    again_requested = Signal()
    points_requested = Signal()

    def __init__(self, viewer: Any, in_background: Callable[..., None]) -> None:
        super().__init__()
        self._in_background = in_background
        self._entry: PairEntry | None = None
        self._resampled: Image | None = None
        self._with_layers = False
        self.layers = EvidenceLayers(viewer)
        self.title = label(role="heading", name="pairs_evidence_title")
        self.reason = label(role="hint", name="pairs_evidence_reason")
        self.figures: QFormLayout = form()
        self.boxes = {
            CHECKERBOARD: _box(
                "checkerboard", "Alternating squares of both images, as a layer", True
            ),
            MATCHES: _box("matches", "Matched points and their errors, as a layer", True),
            OVERLAY: _box(
                "source over target",
                "Registered source over the target; key B toggles it",
                False,
            ),
            DRIFT: _box(
                "drift",
                "Displacements of image blocks after the transform, as a layer",
                False,
            ),
            REMAINING: _box(
                "remaining drift",
                "What is left of them where the drift is followed, in other blocks, as a layer",
                False,
            ),
        }
        for name, box in self.boxes.items():
            box.toggled.connect(partial(self._on_toggled, name))
        self.accept = button(
            "Accept", "pairs_accept", ACCEPT, partial(self._decide, Decision.ACCEPTED)
        )
        self.reject = button(
            "Leave out",
            "pairs_reject",
            "Do not train on this pair",
            partial(self._decide, Decision.REJECTED),
        )
        self.again = button(
            "Register again", "pairs_again", "Register this pair again", self.again_requested.emit
        )
        self.points = button(
            "By hand …",
            "pairs_points",
            "Click the same three landmarks in both images: for pairs that cannot be registered",
            self.points_requested.emit,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.reason)
        layout.addLayout(row(self.accept, self.reject))
        layout.addLayout(self.figures)
        for names in ((CHECKERBOARD, MATCHES), (OVERLAY,), (DRIFT, REMAINING)):
            beside = row(*(self.boxes[name] for name in names))
            beside.addStretch(1)
            layout.addLayout(beside)
        layout.addLayout(row(self.again, self.points))
        self.hide()

    def show_entry(self, entry: PairEntry | None, with_layers: bool) -> None:
        """Show the evidence for a pair; `with_layers`, also in the viewer."""
        self._entry, self._with_layers, self._resampled = entry, with_layers, None
        self.setVisible(entry is not None)
        if entry is None:
            self.layers.remove()
            return
        self._show_figures(entry)
        has_evidence = _has_evidence(entry.pair)
        for name, box in self.boxes.items():
            box.setVisible(has_evidence and _has_vectors(name, entry.pair))
        if not has_evidence:
            self.layers.remove()
        elif with_layers:
            show = partial(self._show_layers, entry.pair)
            self._in_background("making a checkerboard", _evidence, entry.pair, then=show)

    def remove_layers(self) -> None:
        self._with_layers = False
        self.layers.remove()

    def toggle_source(self) -> None:
        """Show or hide the registered source over the target."""
        self.boxes[CHECKERBOARD].setChecked(False)
        self.boxes[OVERLAY].toggle()

    def _show_figures(self, entry: PairEntry) -> None:
        pair, registration = entry.pair, entry.pair.registration
        state = pair_state(pair, entry.decision)
        self.title.setText(pair.name)
        set_text(self.reason, state.reason, "hint" if state.role == "good" else state.role)
        while self.figures.rowCount():
            self.figures.removeRow(0)
        for caption, figure in [("Width", pair_sizes(pair)), *_evidence_lines(registration)]:
            name = short(caption)
            name.setProperty("role", "hint")
            self.figures.addRow(name, short(figure))
        self.accept.setEnabled(entry.could_be_accepted)
        self.accept.setToolTip(AS_THEY_LIE if pair.has_failed else ACCEPT)
        self.reject.setEnabled(entry.decision is not Decision.REJECTED)

    def _show_layers(self, pair: ImagePair, evidence: tuple[np.ndarray, Image | None]) -> None:
        """Show the evidence if the pair is still selected."""
        if not self._shows(pair):
            return
        board, self._resampled = evidence
        self.layers.show_checkerboard(board, pair.target)
        self.layers.set_visible(CHECKERBOARD, self.boxes[CHECKERBOARD].isChecked())
        # A layer takes up to 50 ms: the window is drawn in between.
        QTimer.singleShot(0, partial(self._show_matches, pair))

    def _shows(self, pair: ImagePair) -> bool:
        """Return True if the evidence for a pair is to be shown in the viewer."""
        is_selected = self._entry is not None and self._entry.pair is pair
        return is_selected and self._with_layers and pair.registration is not None

    def _show_matches(self, pair: ImagePair) -> None:
        if not self._shows(pair) or pair.registration is None:
            return
        for name in (MATCHES, DRIFT, REMAINING):
            if name == MATCHES or self.boxes[name].isChecked():
                self.layers.show_vectors(name, pair.registration, pair.target)
        if self.boxes[OVERLAY].isChecked():
            self._show_source(pair)
        for name, box in self.boxes.items():
            self.layers.set_visible(name, box.isChecked())

    def _show_source(self, pair: ImagePair) -> None:
        """Show the source over the target, unless it is still being resampled."""
        if self._resampled is not None or not _is_resampled(pair):
            self.layers.show_source(pair, self._resampled)

    def _on_toggled(self, name: str, is_on: bool) -> None:
        entry = self._entry
        is_shown = self._with_layers and entry is not None and _has_evidence(entry.pair)
        if is_on and is_shown and entry is not None and entry.pair.registration is not None:
            if name == OVERLAY:
                self._show_source(entry.pair)
            elif name in (DRIFT, REMAINING):
                self.layers.show_vectors(name, entry.pair.registration, entry.pair.target)
        self.layers.set_visible(name, is_on)

    def _decide(self, decision: Decision) -> None:
        self.decided.emit(decision)


def _evidence(pair: ImagePair) -> tuple[np.ndarray, Image | None]:
    """Return the checkerboard, and the source as resampled if no affine could show it."""
    flat = pair.flat()
    return pair_checkerboard(flat), flat.on_target_grid() if _is_resampled(pair) else None


def _is_resampled(pair: ImagePair) -> bool:
    is_deformed = pair.registration is not None and pair.registration.is_deformed
    return is_deformed or pair.projects


def _has_evidence(pair: ImagePair) -> bool:
    return pair.registration is not None and not pair.has_failed


def _has_vectors(name: str, pair: ImagePair) -> bool:
    """Return False for a kind of drift that was not measured, or not kept in the pair list."""
    if name not in (DRIFT, REMAINING) or pair.registration is None:
        return True
    return len(vectors_of(name, pair.registration)) > 0


def _box(text: str, tooltip: str, is_on: bool) -> QCheckBox:
    made = QCheckBox(text)
    named(made, f"pairs_{text.split()[0]}", tooltip)
    made.setChecked(is_on)
    return made


def _evidence_lines(registration: Registration | None) -> list[tuple[str, str]]:
    """Return the evidence for a registration, as captions and figures."""
    if registration is None or registration.verdict is Verdict.FAILED:
        return []
    lines = [("Scale", f"{registration.scale:.3f}, turned {signed(registration.rotation, 2)}°")]
    if registration.candidates:
        lines.append(("Matches", f"{registration.inliers} of {registration.candidates}"))
    for caption, length in (("Error", registration.expected_error), ("Drift", registration.drift)):
        if length is not None:
            real = registration.physical(length)
            known = real is not None and registration.unit is not None
            beside = f" = {estimate_text(real or 0.0)} {registration.unit}" if known else ""
            lines.append((caption, f"{pixels_text(length)}{beside}"))
    if registration.deformation is not None:
        before, after = registration.deformation.before, registration.deformation.after
        lines.append(("Drift followed", f"{before:.1f} {ARROW} {after:.1f} px"))
    first, last = registration.correlation_before, registration.correlation_after
    if first is not None and last is not None:
        lines.append(
            ("Agreement", f"{signed(first, 2)} {ARROW} {signed(last, 2)}".replace("+", ""))
        )
    return lines
