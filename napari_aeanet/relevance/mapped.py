"""Work on the tiles of an image as independent pieces, which a `Mapper` computes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

from napari_aeanet.core.image import Region
from napari_aeanet.core.pieces import Mapper
from napari_aeanet.networks import Context
from napari_aeanet.restoration import (
    Contexts,
    Place,
    PreparedRun,
    TileRunner,
    TransformedSource,
)

TileAndContexts = tuple[Region, list[list[Context]]]
"""A tile, and the known contexts that count for it under each view."""


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A prepared run with the network on its device, as `Mapper.map` takes it.

    Parameters
    ----------
    kept
        The tiles that `runner` keeps suspended at an attention.
    """

    prepared: PreparedRun
    runner: TileRunner
    kept: tuple[Place, ...] = ()
    _views: dict[int, list[TransformedSource]] = field(default_factory=dict)

    def views(self, number: int) -> list[TransformedSource]:
        """Return the views of an input: always the same, by which suspended tiles are found."""
        if number not in self._views:
            self._views[number] = self.prepared.views(self.prepared.inputs[number])
        return self._views[number]

    def contexts(self, number: int) -> Contexts:
        """Return the contexts of all tiles of an input, to be gathered."""
        layout = self.prepared.layout
        return Contexts(self.views(number), layout.tiles, layout.field)


@contextmanager
def opened(prepared: PreparedRun, *, suspends: bool = True) -> Iterator[OpenRun]:
    """Yield a run on its device, and give back the memory; `suspends` as in its `runner`."""
    kept = tuple(prepared.suspended_tiles()) if suspends else ()
    with TileRunner(prepared.network, prepared.device, kept) as runner:
        yield OpenRun(prepared, runner, kept)


def gathered(
    mapper: Mapper, run: OpenRun, number: int, contexts: Contexts, count: int
) -> Generator[bool, None, None]:
    """Gather the contexts of the first `count` attentions of an input.

    Yields True for every tile, and False while one must be waited for.
    """
    views = range(len(contexts.views))
    while contexts.steps_done < count * len(run.prepared.layout.tiles):
        left = contexts.begin()
        pieces = [(tile, [contexts.earlier(tile, view) for view in views]) for tile in left]
        with closing(mapper.map(partial(gather_tiles, number), run, pieces)) as results:
            tiles = iter(left)
            for found in results:
                if found is not None:
                    contexts.add(next(tiles), found)
                yield found is not None


def gather_tiles(
    number: int, run: OpenRun, pieces: Iterable[TileAndContexts]
) -> Generator[list[Context], None, None]:
    """Yield the context of the next attention over each tile of an input, for each view."""
    for tile, known in pieces:
        yield [
            run.runner.gather(view, view.region(tile), of_view)
            for view, of_view in zip(run.views(number), known, strict=True)
        ]
