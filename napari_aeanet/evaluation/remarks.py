"""Remarks beside the figures: omissions, their reasons, and images out of place."""

from __future__ import annotations

from collections.abc import Sequence

from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.settings import UNRELATED, ScoreRow

# A larger shift (pixels) dominates the figures.
NOTABLE_SHIFT = 0.5


class Remarks:
    """The remarks on one evaluation, in the order of its cases."""

    def __init__(self) -> None:
        self._notices: list[str] = []
        self._refusals: list[tuple[str, str, str]] = []  # case, method ("" for all), reason
        self._excluded: set[str] = set()
        self._by_method: dict[str, list[str]] = {}
        self._shifts: dict[str, list[float]] = {}

    def add(self, notice: str) -> None:
        self._notices.append(notice)

    def exclude(self, case: str) -> None:
        """Leave out a case for a reason that was told, such as a training image."""
        self._excluded.add(case)

    def refuse(self, case: str, method: str, reason: str) -> None:
        """Note why a method, or every method (""), has no figure for a case."""
        self._refusals.append((case, method, reason))
        self.add(f"{case}, {method}: {reason}" if method else reason)

    def scored(self, row: ScoreRow, image: Image, shift: float | None) -> None:
        """Note the remarks on an image, and whether it shows what its truth shows, and where.

        `shift` is that between an image and its truth, in pixels, where no registration was used.
        """
        self._shifts.setdefault(row.method, []).append(shift or 0.0)
        if image.notices:
            self._by_method.setdefault(row.method, []).append(" ".join(image.notices))
        if row.scores.pearson < UNRELATED:
            self.add(
                f"{row.case}, {row.method}: the image hardly resembles its truth (Pearson r "
                f"{row.scores.pearson:.2f}). Check that both show one field; if they do, register "
                "them first."
            )

    def notices(self) -> tuple[str, ...]:
        """Return all remarks; those on the images of one method only once, with their number."""
        found = list(self._notices)
        for method, shifts in self._shifts.items():
            count = sum(shift > NOTABLE_SHIFT for shift in shifts)
            if not count:
                continue
            are = "are" if count > 1 else "is"
            found.append(
                f"{method}: {count} of {len(shifts)} images {are} shifted against the truth, by up "
                f"to {max(shifts):.1f} px. The figures tell this shift as well: register the "
                "images first (napari-aeanet register, or AEANet: Pairs)."
            )
        for method, texts in self._by_method.items():
            more = f" (And the like for {len(texts) - 1} more.)" if len(texts) > 1 else ""
            found.append(f"{method}: {texts[0]}{more}")
        return tuple(dict.fromkeys(found))

    def in_one_sentence(self) -> str:
        """Return why nothing could be scored."""
        reasons = list(dict.fromkeys(reason for _, _, reason in self._refusals)) or self._notices
        more = f" (And {len(reasons) - 1} more like it.)" if len(reasons) > 1 else ""
        return reasons[0] + more

    def missing(
        self, cases: Sequence[str], methods: Sequence[str], rows: Sequence[ScoreRow]
    ) -> str:
        """Return one sentence on the methods and cases without a figure; empty if all have one."""
        with_figure = {row.method for row in rows}
        without = [name for name in methods if name not in with_figure]
        if without:
            why = [reason for _, method, reason in self._refusals if method in (*without, "")]
            return f"No figure for {_listed(without)}: {why[0] if why else 'no image was made.'}"
        scored = {row.case for row in rows} | self._excluded
        left_out = [name for name in cases if name not in scored]
        if not left_out:
            return ""
        why = [reason for case, _, reason in self._refusals if case in left_out]
        return f"No figure for {_listed(left_out)} of {len(cases)} images: {why[0]}"


def _listed(names: Sequence[str]) -> str:
    """Return up to three names, and the number of the others."""
    shown = list(names) if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
