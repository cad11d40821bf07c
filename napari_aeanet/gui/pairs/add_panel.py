"""Files and folders of pairs, chosen or dropped, and the questions about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_aeanet.core.names import natural_order
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import Notice, button, make_column, row
from napari_aeanet.gui.pairs.worker import (
    Collecting,
    PagesFound,
    Unmatched,
    ask_about_pages,
    collect_pairs,
    is_folder,
    pair_files,
    pair_folders,
    pair_folders_in_order,
    pair_images,
    pair_sides,
    pair_within,
)
from napari_aeanet.gui.viewer.pages import ask_if_planes
from napari_aeanet.io import READERS
from napari_aeanet.pairs import (
    PairList,
    images_in,
    load_pairs,
    pairs_from_csv,
    pairs_from_npz,
)

LISTS: dict[str, Callable[[Path], PairList]] = {
    ".json": load_pairs,
    ".csv": pairs_from_csv,
    ".npz": pairs_from_npz,
}
OF_SOURCES, OF_TARGETS = "sources (noisy, low resolution)", "targets (clean, high resolution)"


class AddPanel(QWidget):
    """Buttons to add pairs, and a question where files alone do not tell the pairs.

    Parameters
    ----------
    collect
        Runs a generator of events, with a title, in the background.
    from_layers
        Pairs the open images.
    """

    def __init__(
        self,
        collect: Callable[[str, Callable[[], Iterator[Any]]], None],
        from_layers: Callable[[], None],
    ) -> None:
        super().__init__()
        self._collect = collect
        self._waiting: Path | None = None  # the folder whose partner is asked for
        self._answer: Callable[[], None] | None = None
        self._pages: PagesFound | None = None
        buttons = (
            ("Layers", "layers", "Pair the open images by their names", from_layers),
            (
                "Folders …",
                "folders",
                "Choose a folder of sources and one of targets",
                self._folders,
            ),
            ("Files …", "files", "Choose files of sources, then files of targets", self._files),
        )
        made = [button(text, f"pairs_{name}", tip, act) for text, name, tip, act in buttons]
        self._yes = button("Choose …", "pairs_answer", "Yes, go on", self._on_answer)
        no = button("Cancel", "pairs_cancel_answer", "Pair nothing", self.ask_nothing)
        self.question = Notice("pairs_question", self._yes, no)
        made[0].setAccessibleName("Pair the open layers")
        make_column(self, row(*made), self.question)

    # --- what is given

    def take_files(self, paths: Sequence[Path]) -> None:
        """Add dropped folders, a list, or images to pair by their names."""
        folders = [path for path in paths if is_folder(path)]
        if self._waiting is not None and len(paths) == len(folders) == 1:
            folders.insert(0, self._waiting)
        self.ask_nothing()
        if len(folders) == 2:
            self._collect_asking("reading folders", folders, partial(pair_folders, *folders))
        elif len(paths) == 1 and folders:
            self._collect(f"reading {folders[0].name}", partial(pair_within, folders[0]))
        elif len(paths) == 1 and paths[0].suffix.lower() in LISTS:
            self.add_list(paths[0])
        else:
            files = [f for path in paths for f in (images_in(path) if is_folder(path) else [path])]
            self._collect_asking("reading images", files, partial(pair_images, files))

    def add_folders(self, sources: Path, targets: Path) -> None:
        self.ask_nothing()
        collect = partial(pair_sides, sources, targets)
        self._collect_asking("reading folders", (sources, targets), collect)

    def add_list(self, path: Path) -> None:
        read = LISTS.get(path.suffix.lower())
        if read is None:
            show_error(f"{path} is no list of pairs: choose a file {', '.join(LISTS)}.")
        else:
            self.ask_nothing()
            what = f"reading {path.name}"
            self._collect(what, partial(collect_pairs, what, partial(read, path)))

    def _collect_asking(
        self, what: str, paths: Sequence[Path], collect: Callable[..., Collecting]
    ) -> None:
        """Collect pairs, after a question if the files have pages that say not what they are."""
        self._collect(what, partial(ask_about_pages, paths, collect))

    # --- questions

    def ask(self, event: Unmatched) -> None:
        """Ask for the other folder, or whether to pair the files in their order."""
        names = [folder.name for folder in event.folders]
        if len(event.folders) == 1:
            self._waiting = event.folders[0]
            text = f"{names[0]} has {count(event.files, 'image')}. Drop or choose the other folder."
            self._show_question(text, "Choose …", self._other_folder)
        else:
            text = (
                f"No names in {names[0]} and {names[1]} match. "
                f"Pair the {count(event.files, 'file')} of each in their order?"
            )
            pair = partial(pair_folders_in_order, *event.folders, stack_axis=event.stack_axis)
            self._show_question(
                text, "Pair in order", partial(self._collect, "reading folders", pair)
            )

    def keep_question(self, event: PagesFound) -> None:
        """Keep a question about pages until `ask_about_pages`."""
        self._pages = event

    def ask_about_pages(self) -> None:
        """Ask what pages are, if that was found unknown, and go on with the answer."""
        found, self._pages = self._pages, None
        if found is not None:
            axis = "Z" if ask_if_planes(found.images, found.files) else None
            self._collect("reading images", partial(found.go_on, stack_axis=axis))

    def ask_nothing(self) -> None:
        """Withdraw the question."""
        self._waiting = self._answer = None
        self.question.show_text("")

    def _show_question(self, text: str, answer: str, act: Callable[[], None]) -> None:
        self._answer = act
        self._yes.setText(answer)
        self.question.show_text(text)

    def _on_answer(self) -> None:
        if self._answer is not None:
            self._answer()

    def _other_folder(self) -> None:
        first = self._waiting
        if first is None:
            return
        other = QFileDialog.getExistingDirectory(self, "The other folder", str(first.parent))
        if other:
            self.take_files([Path(other)])

    # --- dialogs

    def _folders(self) -> None:
        sources = QFileDialog.getExistingDirectory(self, f"Folder of {OF_SOURCES}")
        if sources:
            targets = QFileDialog.getExistingDirectory(self, f"Folder of {OF_TARGETS}")
            if targets:
                self.add_folders(Path(sources), Path(targets))

    def _files(self) -> None:
        sources = self._ask_files(f"Files of {OF_SOURCES}")
        targets = self._ask_files(f"Files of {OF_TARGETS}") if sources else []
        if targets:
            self.ask_nothing()
            collect = partial(pair_files, sources, targets)
            self._collect_asking("reading files", [*sources, *targets], collect)

    def _ask_files(self, title: str) -> list[Path]:
        patterns = " ".join(f"*{ending}" for ending in READERS)
        chosen, _ = QFileDialog.getOpenFileNames(self, title, "", f"Images ({patterns})")
        return sorted(map(Path, chosen), key=lambda path: natural_order(path.name))

    def choose_list(self) -> None:
        """Ask for a pair list and add it."""
        patterns = " ".join(f"*{ending}" for ending in LISTS)
        chosen, _ = QFileDialog.getOpenFileName(self, "Open pairs", "", f"Pair lists ({patterns})")
        if chosen:
            self.add_list(Path(chosen))
