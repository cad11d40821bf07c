"""The order in which the parts of an image are restored: planes or stacks, and what is visible."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import Tile, intersection
from napari_aeanet.restoration.layout import on_input
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.preparation import PreparedRun

# A preview of more than this share of the image would cost more than it is worth.
LARGEST_PREVIEW = 0.5


@dataclass(frozen=True, eq=False)
class Stage:
    """Tiles or patches of one input, number `number` of the layout, in the order to be restored.

    A provisional stage restores some of its tiles, with their own context only.
    """

    number: int
    source: NetworkInput
    tiles: tuple[Region, ...]
    patches: tuple[Tile, ...]
    steps: int
    provisional: bool = False


def stages_of(prepared: PreparedRun, visible: Region | None) -> list[Stage]:
    """Return all stages, visible parts first: as a preview where there is a context to gather."""
    layout, contexts = prepared.layout, prepared.network.contexts
    stages: list[Stage] = []
    for number, source in enumerate(layout.inputs):
        window = None if visible is None else on_input(visible, source)
        tiles = tuple(sorted(layout.tiles, key=lambda tile: not _overlap(tile, window)))
        patches = tuple(sorted(layout.patches, key=lambda patch: not _overlap(patch.inner, window)))
        steps = len(patches) + (contexts + 1) * len(tiles)
        whole = Stage(number, source, tiles, patches, steps)
        on_screen = tuple(tile for tile in tiles if _overlap(tile, window))
        if contexts and 0 < len(on_screen) <= LARGEST_PREVIEW * len(tiles):
            steps = (contexts + 1) * len(on_screen)
            stages[:0] = [Stage(number, source, on_screen, (), steps, True), whole]
        elif window is not None:
            stages.insert(0, whole)
        else:
            stages.append(whole)
    return stages


def _overlap(region: Region, window: Region | None) -> bool:
    return window is not None and intersection(region, window) is not None
