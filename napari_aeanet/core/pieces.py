"""Work in independent pieces: in this process, or wherever another `Mapper` computes them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

from napari_aeanet.core.image import Image

Subject = TypeVar("Subject")
Piece = TypeVar("Piece")
Found = TypeVar("Found")
Work = Callable[[Subject, Iterable[Piece]], Generator[Found, None, None]]
"""Yields results for pieces in their order; which pieces are given together changes no result."""


class Mapper:
    """Computes pieces one after the other, in this process.

    `napari_aeanet.cluster` has one that lets several processes compute them, with equal results.
    """

    def check(self, image: Image, out: Path | None) -> None:
        """Raise a ValueError if pieces cannot be computed from `image`, or written to `out`."""

    def map(
        self,
        work: Work[Subject, Piece, Found],
        subject: Subject,
        pieces: Iterable[Piece],
        *,
        overlap: int = 0,
    ) -> Generator[Found | None, None, None]:
        """Yield the results of all pieces in their order; None while one must be waited for.

        Parameters
        ----------
        work
            Can be pickled.
        subject
            An image, of which nothing but the pixels is used, or a run that is open
            (`napari_aeanet.relevance.OpenRun`).
        pieces
            Drawn when they are begun, which may be before the results of earlier ones are there.
        overlap
            Number of pieces that would have to be computed again for each part of the pieces.
        """
        return work(subject, pieces)


ONE_PROCESS = Mapper()
