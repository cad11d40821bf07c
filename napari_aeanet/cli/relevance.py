"""`napari-aeanet relevance`: maps of the abstract pixels, and their influence on the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from napari_aeanet.relevance import RelevanceSettings

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model
    from napari_aeanet.relevance import RelevanceMaps

# Columns of a figure without --pixels: one abstract pixel of each of the first groups.
FIGURE_COLUMNS = 4
MAPS, TABLE, CHANGE = "-relevance.ome.tif", "-relevance.csv", "-change.ome.tif"


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Write the relevance maps of a model's abstract pixels as calibrated TIFF stacks.

    Parameters
    ----------
    inputs
        Image files.
    model
        Model file (.aeanet) with abstract pixels.
    output
        Folder for NAME-relevance.ome.tif; default: beside each input.
    pixels
        Numbers (from 1) of the abstract pixels for the figure and for --change.
    figure
        Also write one figure (.png, .svg or .pdf): a row per image, a column per abstract pixel.
    table
        Also write NAME-relevance.csv: a line for each abstract pixel, with its influence.
    change
        Also write NAME-change.ome.tif: the part of the result that --pixels contribute.
    settings
        How to compute the maps.
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
        from napari_aeanet.cli.console import input_images, refuse_replacing
        from napari_aeanet.cli.progress import print_note, result
        from napari_aeanet.io import write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.relevance import RelevanceMaps, relevance_events

        endings = [MAPS, *[TABLE] * self.table, *[CHANGE] * self.change]
        images = input_images(self.inputs, self.output, endings)
        if self.change and not self.pixels:
            raise ValueError("--change needs the numbers of abstract pixels: --pixels 17 3.")
        if self.figure is not None:
            refuse_replacing(self.inputs[0], self.figure, self.inputs)
        model = load_model(self.model)
        shown = []
        for image, folder in images:
            maps = result(relevance_events(image, model, self.settings), "tile", RelevanceMaps)
            for notice in maps.notices:
                print_note(f"{image.name}: {notice}")
            target = folder / f"{image.name}{MAPS}"
            write_image(maps.as_image(), target)
            print(target)
            self._write_more(image, model, maps, folder)
            shown.append(maps)
        if self.figure is not None:
            self._draw(shown, self.figure)
        return 0

    def _write_more(self, image: Image, model: Model, maps: RelevanceMaps, folder: Path) -> None:
        """Write the table and the change."""
        from napari_aeanet.cli.progress import result
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
            target = folder / f"{image.name}{TABLE}"
            save_table(maps, target, ranked.influence)
            print(target)
        if self.change:
            pixels = [number - 1 for number in self.pixels]
            events = difference_events(image, model, pixels, self.settings)
            target = folder / f"{image.name}{CHANGE}"
            write_image(result(events, "step", Difference).image, target)
            print(target)

    def _draw(self, shown: list[RelevanceMaps], figure: Path) -> None:
        from napari_aeanet.relevance import group_maps, plane_of, save_figure

        count = len(shown[0].maps)
        for number in self.pixels:
            if not 1 <= number <= count:
                raise ValueError(f"--pixels must be from 1 to {count}, got {number}.")
        leaders = [group.leader for group in group_maps(plane_of(shown[0]))][:FIGURE_COLUMNS]
        save_figure(shown, [number - 1 for number in self.pixels] or leaders, figure)
        print(figure)
