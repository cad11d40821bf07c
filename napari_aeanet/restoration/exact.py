"""The prediction of a whole image, exactly, at the memory of one tile.

Every layer but attention is local, and attention needs from the rest of the image only a small
matrix, S = Σ k(x)ᵀ v(x), and the number of pixels: sums, which may be gathered tile by tile.
So for every attention there is one gathering pass over all tiles, which uses the contexts that
are known already, followed by the predicting pass::

    gather S_1   tile 1, 2, ... n      encoder up to the first attention
    gather S_2   tile 1, 2, ... n      with S_1, up to the second
    predict      tile 1, 2, ... n      with all

The result is that of one pass over the whole image, to rounding. The sums are kept per tile, so
that the context of a smaller field around each tile comes from the same gathering.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import field_around, has_centre_in
from napari_aeanet.networks import Context
from napari_aeanet.restoration.symmetries import TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner


@dataclass(frozen=True, eq=False)
class RestoredPart:
    """All outputs over `region` of the padded source: (channels, pixels...)."""

    region: Region
    values: np.ndarray


class Gathered:
    """The contexts of one attention, tile by tile, and their sums over any field.

    Parameters
    ----------
    field
        Shape of the field whose tiles count for a tile; None for the whole image.
    shape
        Shape of the whole (padded) image.
    """

    def __init__(self, field: Sequence[int] | None, shape: Sequence[int]) -> None:
        self._field = field
        self._shape = shape
        self._tiles: list[tuple[Region, Context]] = []
        self._total: Context | None = None

    def add(self, inner: Region, context: Context) -> None:
        if self._field is None:
            self._total = context if self._total is None else self._total + context
        else:
            self._tiles.append((inner, context))

    def around(self, inner: Region) -> Context:
        """Return the context that counts for the tile `inner`."""
        if self._field is None:
            assert self._total is not None
            return self._total
        window = field_around(inner, self._field, self._shape)
        first, *others = (c for region, c in self._tiles if has_centre_in(region, window))
        for context in others:
            first = first + context
        return first

    def to_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return sums and counts: of every tile, or their total."""
        total = [] if self._total is None else [self._total]
        contexts = [context for _, context in self._tiles] or total
        sums = [context.sum.numpy() for context in contexts]
        return np.array(sums), np.array([context.count for context in contexts], np.int64)

    def add_arrays(self, sums: np.ndarray, counts: np.ndarray, tiles: Sequence[Region]) -> None:
        """Add the result of `to_arrays`; `tiles` are those that were added before."""
        contexts = [
            Context(torch.from_numpy(values), int(count))
            for values, count in zip(sums, counts, strict=True)
        ]
        # Of the whole image there is one sum, whatever the number of tiles.
        for inner, context in zip(tiles, contexts, strict=self._field is not None):
            self.add(inner, context)


class Contexts:
    """The contexts of all attentions that are known so far, for each view of a source.

    Parameters
    ----------
    views
        The source under each symmetry.
    tiles
        In the order in which they are gathered.
    field
        Shape of the field whose tiles count for a tile; None for the whole image.
    """

    def __init__(
        self,
        views: Sequence[TransformedSource],
        tiles: Sequence[Region],
        field: Sequence[int] | None,
    ) -> None:
        self.views = views
        self._tiles = tiles
        self._field = field
        self._known: list[list[Gathered]] = []  # of each attention, for each view
        self._tiles_done = len(tiles)  # of the latest attention; none has been begun

    def around(self, inner: Region, view: int = 0) -> list[Context]:
        """Return the contexts of all attentions that count for the tile `inner`."""
        return [gathered[view].around(inner) for gathered in self._known]

    def gather(self, runner: TileRunner, count: int) -> Iterator[None]:
        """Gather the contexts of the first `count` attentions; a step for every tile."""
        while len(self._known) < count or self._tiles_done < len(self._tiles):
            for inner in self.begin():
                found = [
                    runner.gather(view, view.region(inner), self.earlier(inner, number))
                    for number, view in enumerate(self.views)
                ]
                self.add(inner, found)
                yield

    def begin(self) -> Sequence[Region]:
        """Return the tiles to be gathered of the latest attention, or of the next one."""
        if self._tiles_done == len(self._tiles):
            self._begin_attention()
        return self._tiles[self._tiles_done :]

    def earlier(self, inner: Region, view: int) -> list[Context]:
        """Return the contexts that the gathering of a tile needs."""
        return [gathered[view].around(inner) for gathered in self._known[:-1]]

    def add(self, inner: Region, found: Sequence[Context]) -> None:
        """Add what was gathered over the next tile, for each view."""
        for latest, context in zip(self._known[-1], found, strict=True):
            latest.add(inner, context)
        self._tiles_done += 1

    def predictions(self, runner: TileRunner, inner: Region) -> Iterator[np.ndarray]:
        """Yield all outputs over a tile (channels, pixels...) for each view, upright again."""
        for number, view in enumerate(self.views):
            known = self.around(inner, number)
            yield view.transform.undo(runner.predict(view, view.region(inner), known))

    @property
    def steps_done(self) -> int:
        """Steps of `gather` since the very beginning."""
        return (len(self._known) - 1) * len(self._tiles) + self._tiles_done

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the complete state, to be resumed later."""
        arrays = {"progress": np.array([len(self._known), self._tiles_done])}
        for a, of_views in enumerate(self._known):
            for v, gathered in enumerate(of_views):
                arrays[f"sums {a} {v}"], arrays[f"counts {a} {v}"] = gathered.to_arrays()
        return arrays

    def add_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Resume the state from `to_arrays`."""
        attentions, latest = (int(number) for number in arrays["progress"])
        for a in range(attentions):
            self._begin_attention()
            done = latest if a == attentions - 1 else len(self._tiles)
            for v, gathered in enumerate(self._known[-1]):
                sums, counts = arrays[f"sums {a} {v}"], arrays[f"counts {a} {v}"]
                gathered.add_arrays(sums, counts, self._tiles[:done])
        self._tiles_done = latest

    def _begin_attention(self) -> None:
        self._known.append([Gathered(self._field, view.source.shape) for view in self.views])
        self._tiles_done = 0


def predicted(
    runner: TileRunner, contexts: Contexts, tiles: Sequence[Region]
) -> Iterator[RestoredPart]:
    """Predict `tiles` with all contexts known; with several views, their mean."""
    for inner in tiles:
        predictions = contexts.predictions(runner, inner)
        yield RestoredPart(inner, mean(predictions, len(contexts.views), runner.index_channels))


def mean(predictions: Iterator[np.ndarray], count: int, index_channels: int = 0) -> np.ndarray:
    """Return the mean of `count` predictions (channels, pixels...).

    The last `index_channels` hold argmax plane indices, which cannot be averaged; they come from
    the first view.
    """
    total = next(predictions)
    if count == 1:
        return total
    total = total.copy()
    averaged = total[: len(total) - index_channels]
    for prediction in predictions:
        averaged += prediction[: len(averaged)]
    averaged /= total.dtype.type(count)
    return total
