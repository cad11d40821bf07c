"""Registration by hand: landmarks clicked in both images of a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.gui.common.widgets import Notice, button
from napari_aeanet.gui.pairs.landmarks import NEEDED, Landmarks
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer


class LandmarkPanel(Notice):
    """The instruction, and the buttons to use or discard the landmarks.

    Parameters
    ----------
    use
        Called with the pair and its landmarks in source and target.
    ended
        Called after the landmarks were discarded.
    """

    def __init__(
        self,
        viewer: Viewer,
        use: Callable[[ImagePair, np.ndarray, np.ndarray], None],
        ended: Callable[[], None],
    ) -> None:
        self._viewer, self._use, self._ended = viewer, use, ended
        self._landmarks: Landmarks | None = None
        self.use_button = button(
            "Register with them",
            "pairs_use_points",
            "Register the pair by these landmarks",
            self._on_use,
        )
        cancel = button("Cancel", "pairs_cancel_points", "Discard landmarks", self._on_cancel)
        super().__init__("pairs_by_hand", self.use_button, cancel)

    @property
    def is_active(self) -> bool:
        return self._landmarks is not None

    def begin(self, pair: ImagePair) -> None:
        """Show both images of a pair to click landmarks in."""
        self._landmarks = Landmarks(self._viewer, pair, self._refresh)
        self._refresh()

    def end(self) -> None:
        """Discard the landmarks and show the layers as before."""
        if self._landmarks is not None:
            self._landmarks.remove()
        self._landmarks = None
        self.show_text("")

    def _refresh(self) -> None:
        if self._landmarks is None:
            return
        source, target = map(len, self._landmarks.pixels())
        self.show_text(
            f"Click the same {NEEDED} landmarks (or more) in both images, in the same order. "
            f"So far: {source} in the source, {target} in the target."
        )
        self.use_button.setEnabled(self._landmarks.is_complete)

    def _on_use(self) -> None:
        if self._landmarks is not None:
            pair, points = self._landmarks.pair, self._landmarks.pixels()
            self.end()
            self._use(pair, *points)

    def _on_cancel(self) -> None:
        self.end()
        self._ended()
