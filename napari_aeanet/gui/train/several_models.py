"""The models of a self-training: one for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.text import count
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import Finished


class SeveralModels:
    """Counts the models of a self-training while they are trained.

    Attributes
    ----------
    are_several
        True once a run has begun in a folder of its own.
    """

    def __init__(self) -> None:
        self.are_several = False
        self._number = 1  # of the pair that is being trained on
        self._finished: list[Finished] = []

    def begin(self, folder: Path, whole: Path | None) -> None:
        """Take note that a run has begun in `folder`, which is in `whole` if it is one of many."""
        self.are_several = folder != whole
        if self.are_several:
            self._number = int(folder.name)

    def add(self, finished: Finished) -> None:
        self._finished.append(finished)

    def of_present(self, pairs: Sequence[ImagePair]) -> Sequence[ImagePair]:
        """Return the pairs that the present model is trained on."""
        return pairs[self._number - 1 : self._number] if self.are_several else pairs

    def outcome(self, pairs: int, where: str, state: State) -> tuple[str, str]:
        """Return what has come of all, and the role of the text."""
        made = len(self._finished)
        better = sum(one.is_better for one in self._finished)
        if state is State.STOPPED:
            text = f"Stopped: {made} of {count(pairs, 'model')} are ready, in {where}."
            return f"{text} Resume it under Earlier trainings.", "caution"
        text = f"{count(made, 'model')} of {count(pairs, 'pair')}, in {where}"
        if better < made:
            return f"{text}; not better than the input: {made - better}.", "caution"
        return (f"✓ {text}, are ready.", "good") if made == pairs else (f"{text}.", "caution")
