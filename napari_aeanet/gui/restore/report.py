"""Show what a job says about its images: a few lines in the foot of the dock, all in the body."""

from __future__ import annotations

from pathlib import Path

from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import Collapsible, label
from napari_aeanet.gui.restore.text import restored_words, shortened
from napari_aeanet.gui.restore.worker import ImageRestored


class Report(Collapsible):
    """Lines about images and what else a job had to say; shown where a summary lacks some."""

    def __init__(self) -> None:
        self.lines = label(name="restore_report")
        super().__init__("Report", "restore_details", self.lines)
        self.begin()

    def begin(self) -> None:
        """Forget the last job."""
        self._lines: list[str] = []
        self._others: list[str] = []  # lines that a summary repeats
        self._saved: list[Path | None] = []  # of every restored image
        self._remarked = 0
        self.hide()

    def add(self, *lines: str) -> None:
        self._lines += lines
        self._others += lines

    def add_restored(self, name: str, event: ImageRestored) -> None:
        remarks = list(event.notices)
        if event.height is not None:
            remarks.append("Its height map is added as a hidden layer above it.")
        self._lines += [restored_words(name, event.saved), *remarks]
        self._saved.append(event.saved)
        self._remarked += bool(remarks)

    def finish(self) -> tuple[str, str]:
        """Return all lines about one image and their role; of several, show them and sum up."""
        is_bad = any(line.startswith("✗") for line in self._lines)
        lines = self._lines
        if len(self._saved) > 1:
            self.lines.setText("\n".join(lines))
            self.show()
            lines = [self._summary(), *self._others]
        return "\n".join(lines), "bad" if is_bad else "plain"

    def _summary(self) -> str:
        folders = {None if path is None else path.parent for path in self._saved}
        where = "some of them not saved" if None in folders else "saved in several folders"
        if len(folders) == 1:
            folder = next(iter(folders))
            where = "not saved" if folder is None else f"saved in {shortened(folder.name)}"
        remarks = f"; {self._remarked} of them have remarks: see Report" if self._remarked else ""
        return f"✓ {count(len(self._saved), 'image')} are restored, {where}{remarks}."
