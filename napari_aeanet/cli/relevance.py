"""`napari-aeanet relevance`: maps of the abstract pixels, and their influence on the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.batch import BatchSettings
from napari_aeanet.cli.structures import write_structures
from napari_aeanet.cluster.settings import ClusterSettings
from napari_aeanet.relevance import RelevanceSettings

if TYPE_CHECKING:
    from napari_aeanet.batch import BatchPlan, Treatment, Work
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model
    from napari_aeanet.relevance import RelevanceMaps

# Columns of a figure without --pixels: one abstract pixel of each of the first groups.
FIGURE_COLUMNS = 4
MAPS, TABLE, CHANGE = "-relevance.ome.tif", "-relevance.csv", "-change.ome.tif"
ATTENTION = "-attention.ome.tif"
STRUCTURES, PROBABILITIES = "-structures.png", "-structures.ome.tif"


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Write the relevance maps of a model's abstract pixels as calibrated TIFF stacks.

    With --structures, draw a coloured map of the kinds of structure that were fitted to the model
    instead; with --at, write which places of the image the model draws on at one place.

    Parameters
    ----------
    inputs
        Image files, folders, globs, lists of files (.txt), or job files (.csv).
    model
        Model file (.aeanet) with abstract pixels; for --at, with any attention; for --structures,
        with structures (see `structures`).
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
    at
        A place, in pixels of the image counted from 0 (Y X, or Z Y X): write its attention to the
        whole image, NAME-attention.ome.tif, and no maps.
    structures
        Write NAME-structures.png: the map of kinds with its legend, and no maps.
    probabilities
        With --structures, also write NAME-structures.ome.tif: the number of the kind of every
        place and the probability of each kind, along C.
    dry_run
        Print the results, sizes, time and memory that are to be expected, and do nothing.
    settings
        How to compute the maps.
    batch
        Which images, and what to do with results that exist.
    cluster
        Workers of dask, which compute the maps of one image after the other.

    Examples
    --------
    napari-aeanet relevance S05.tif -m sem.aeanet --table
    napari-aeanet relevance S05.tif -m sem.aeanet --pixels 3 5 --change -o maps
    napari-aeanet relevance S05.tif -m sem.aeanet --at 60 80
    napari-aeanet relevance S05.tif -m mine.aeanet --structures
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    pixels: tuple[int, ...] = ()
    figure: Path | None = None
    table: bool = False
    change: bool = False
    at: tuple[float, ...] = ()
    structures: FlagCreatePairsOff[bool] = False
    probabilities: FlagCreatePairsOff[bool] = False
    dry_run: FlagCreatePairsOff[bool] = False
    settings: Annotated[RelevanceSettings, arg(name="")] = field(default_factory=RelevanceSettings)
    batch: Annotated[BatchSettings, arg(name="")] = field(default_factory=BatchSettings)
    cluster: Annotated[ClusterSettings, arg(name="")] = field(default_factory=ClusterSettings)

    def run(self) -> int:
        from napari_aeanet.batch import run_batch
        from napari_aeanet.cli.batch import follow, planned, print_plan
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import dry_run_events, prepare_analysis

        ending = self._ending()
        plan = planned(self.inputs, self.output, ending, self.batch, self._files)
        if self.change and not self.pixels:
            raise ValueError("--change needs the numbers of abstract pixels: --pixels 17 3.")
        if self.figure is not None:
            self._check_figure(self.figure, plan)
        model = load_model(self.model)
        self._check_pixels(model)
        shown: list[RelevanceMaps] = []
        treatment = self._treatment(plan, model, shown)
        if self.dry_run:
            return print_plan(
                dry_run_events(
                    plan,
                    treatment,
                    self.batch,
                    lambda image: prepare_analysis(image, model, self.settings, context="whole"),
                )
            )
        code = follow(run_batch(plan, treatment, self.batch), plan, step="tile")
        if self.figure is not None and shown:
            self._draw(shown, self.figure)
        return code

    def _ending(self) -> str:
        """Return the ending of the results."""
        others = self.table or self.change or self.figure or self.pixels
        if self.at and (others or self.structures):
            raise ValueError("--at writes the attention of a place alone: leave the others out.")
        if self.structures and others:
            raise ValueError("--structures writes the map of kinds alone: leave the others out.")
        if self.cluster.dask and (self.at or self.table or self.change):
            raise ValueError("--dask computes maps: leave --at, --table and --change out.")
        if self.probabilities and not self.structures:
            raise ValueError("--probabilities are those of structures: add --structures.")
        return ATTENTION if self.at else STRUCTURES if self.structures else MAPS

    def _files(self, maps: Path) -> tuple[Path, ...]:
        """Return all files of the result whose maps are in the file `maps`."""
        from napari_aeanet.io import stem

        if self.structures:
            name = stem(maps).removesuffix(stem(STRUCTURES))
            return (maps, *[maps.with_name(name + PROBABILITIES)] * self.probabilities)
        name = stem(maps).removesuffix(stem(MAPS))
        more = [*[TABLE] * self.table, *[CHANGE] * self.change]
        return (maps, *(maps.with_name(f"{name}{ending}") for ending in more))

    def _check_figure(self, figure: Path, plan: BatchPlan) -> None:
        from napari_aeanet.batch import refuse_existing, refuse_replacing
        from napari_aeanet.relevance import FIGURES

        paths = [file.path for file in plan.files]
        refuse_replacing(paths[0], figure, paths)
        if figure.suffix.lower() not in FIGURES:
            raise ValueError(f"{figure}: a figure is a file {', '.join(FIGURES)}.")
        refuse_existing([figure], overwrite=self.batch.overwrite)

    def _check_pixels(self, model: Model) -> None:
        layers = model.card.config.abstract_pixel_layers()
        counts = {layer.number: layer.references for layer in layers}
        count = counts.get(self.settings.layer)  # None: refused with the first image
        for number in self.pixels:
            if count is not None and not 1 <= number <= count:
                raise ValueError(f"--pixels must be from 1 to {count}, got {number}.")

    def _treatment(self, plan: BatchPlan, model: Model, shown: list[RelevanceMaps]) -> Treatment:
        from napari_aeanet.cli.batch import analysis

        options: dict[str, Any] = {
            "pixels": self.pixels,
            "table": self.table,
            "change": self.change,
        }
        if not self.change:  # then they are for the figure alone
            options.pop("pixels")
        if self.at:
            options = {"at": self.at}
        if self.structures:
            options = {"structures": True, "probabilities": self.probabilities}

        def work(image: Image, outputs: tuple[Path, ...], settings: RelevanceSettings) -> Work:
            return self._work(image, outputs, model, settings, shown)

        return analysis(
            "relevance",
            "computing relevance",
            plan,
            model,
            self.settings,
            work,
            options=options,
            again=self.figure is not None,  # which needs the maps of all images
        )

    def _work(
        self,
        image: Image,
        outputs: tuple[Path, ...],
        model: Model,
        settings: RelevanceSettings,
        shown: list[RelevanceMaps],
    ) -> Work:
        from napari_aeanet.cli.progress import on_workers
        from napari_aeanet.relevance import relevance_events

        if self.structures:
            return write_structures(image, outputs, model, settings, self.cluster)
        if self.at:
            return self._attention(image, outputs[0], model, settings)
        events = on_workers(partial(relevance_events, image, model, settings), self.cluster)

        def written() -> Work:
            from napari_aeanet.io import write_image
            from napari_aeanet.relevance import RelevanceMaps

            for event in events:
                yield event
            assert isinstance(event, RelevanceMaps)
            write_image(event.as_image(), outputs[0])
            yield from self._more(image, model, settings, event, outputs)
            if self.figure is not None:
                shown.append(event)
            return event.notices

        return written()

    def _attention(
        self, image: Image, output: Path, model: Model, settings: RelevanceSettings
    ) -> Work:
        from napari_aeanet.relevance import attention_events

        events = attention_events(image, model, self.at, settings)

        def written() -> Work:
            from napari_aeanet.io import write_image
            from napari_aeanet.relevance import KeptAttention

            for event in events:
                yield event
            assert isinstance(event, KeptAttention)
            write_image(event.at(self.at).as_image(), output)
            return event.notices

        return written()

    def _more(
        self,
        image: Image,
        model: Model,
        settings: RelevanceSettings,
        maps: RelevanceMaps,
        outputs: tuple[Path, ...],
    ) -> Work:
        """Write the table and the change."""
        from napari_aeanet.io import write_image
        from napari_aeanet.relevance import (
            Difference,
            Ranking,
            difference_events,
            ranking_events,
            save_table,
        )

        if self.table:
            for event in ranking_events(image, model, settings):
                yield event
            assert isinstance(event, Ranking)
            save_table(maps, outputs[1], event.influence)
        if self.change:
            pixels = [number - 1 for number in self.pixels]
            for change in difference_events(image, model, pixels, settings):
                yield change
            assert isinstance(change, Difference)
            write_image(change.image, outputs[-1])
        return ()

    def _draw(self, shown: list[RelevanceMaps], figure: Path) -> None:
        from napari_aeanet.relevance import group_maps, plane_of, save_figure

        leaders = [group.leader for group in group_maps(plane_of(shown[0]))][:FIGURE_COLUMNS]
        save_figure(shown, [number - 1 for number in self.pixels] or leaders, figure)
        print(figure)
