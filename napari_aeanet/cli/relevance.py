"""`napari-aeanet relevance`: where each abstract pixel speaks, and what it changes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from napari_aeanet.relevance import RelevanceSettings

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model
    from napari_aeanet.relevance import RelevanceMaps

# Columns of a figure when none are named: the leaders of the first kinds.
FIGURE_COLUMNS = 4


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Write the relevance maps of a model's abstract pixels as calibrated TIFF stacks.

    Parameters
    ----------
    inputs
        Image files.
    model
        A model file (.aeanet) with abstract pixels.
    output
        Folder to write NAME-relevance.ome.tif into; default: beside each input.
    pixels
        Numbers (from 1) of the abstract pixels for the figure and for --change.
    figure
        Also write one figure (.png, .svg or .pdf): rows are images, columns abstract pixels.
    table
        Also write NAME-relevance.csv: a line for each abstract pixel, with its influence.
    change
        Also write NAME-change.ome.tif: what the result would lack without --pixels.
    settings
        How to look.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    pixels: tuple[int, ...] = ()
    figure: Path | None = None
    table: bool = False
    change: bool = False
    settings: Annotated[RelevanceSettings, arg(name="")] = field(default_factory=RelevanceSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import result
        from napari_aeanet.io import read_images, write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.relevance import RelevanceMaps, relevance_events

        if not self.inputs:
            raise ValueError("name at least one image.")
        if self.change and not self.pixels:
            raise ValueError("name the abstract pixels whose change is asked for: --pixels 17 3.")
        model = load_model(self.model)
        shown = []
        for path in self.inputs:
            folder = self.output or path.parent
            folder.mkdir(parents=True, exist_ok=True)
            for image in read_images(path):
                maps = result(relevance_events(image, model, self.settings), "tile", RelevanceMaps)
                for notice in maps.notices:
                    print(f"note: {image.name}: {notice}", file=sys.stderr)
                target = folder / f"{image.name}-relevance.ome.tif"
                write_image(maps.as_image(), target)
                print(target)
                self._write_more(image, model, maps, folder)
                shown.append(maps)
        if self.figure is not None:
            self._draw(shown, self.figure)
        return 0

    def _write_more(self, image: Image, model: Model, maps: RelevanceMaps, folder: Path) -> None:
        from napari_aeanet.cli.console import result
        from napari_aeanet.io import write_image
        from napari_aeanet.relevance import (
            Difference,
            Ranking,
            difference_events,
            ranking_events,
            save_table,
        )

        if self.table:
            ranked = result(ranking_events(image, model, self.settings), "tile", Ranking)
            target = folder / f"{image.name}-relevance.csv"
            save_table(maps, target, ranked.influence)
            print(target)
        if self.change:
            pixels = [number - 1 for number in self.pixels]
            found = result(
                difference_events(image, model, pixels, self.settings), "step", Difference
            )
            target = folder / f"{image.name}-change.ome.tif"
            write_image(found.image, target)
            print(target)

    def _draw(self, shown: list[RelevanceMaps], figure: Path) -> None:
        from napari_aeanet.relevance import group_maps, plane_of, save_figure

        count = len(shown[0].maps)
        for number in self.pixels:
            if not 1 <= number <= count:
                raise ValueError(f"there are the abstract pixels 1 to {count}, got {number}.")
        leaders = [group.leader for group in group_maps(plane_of(shown[0]))][:FIGURE_COLUMNS]
        save_figure(shown, [number - 1 for number in self.pixels] or leaders, figure)
        print(figure)
