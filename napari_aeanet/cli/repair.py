"""`napari-aeanet repair`: find and replace damaged slices of a stack."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.cluster.settings import ClusterSettings
from napari_aeanet.repair import DamageSettings, RepairSettings

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Replace damaged slices of a stack of serial sections by ones made from their neighbours.

    Without --slices or --repair-found, look for damaged slices, say what is found, and change
    nothing. Slices are counted from 0, as in napari. All other slices stay exactly as they are.
    NAME-slices.csv, with a row for every slice, is written beside the repaired stack. With
    --insert, slices are made between all, for a finer spacing along z.

    Parameters
    ----------
    stack
        A stack (z, y, x), or a folder with a file for every section.
    output
        File for the repaired stack (.ome.zarr, .ome.tif).
    slices
        The slices to repair.
    repair_found
        Repair the slices that are found.
    insert
        Insert so many slices between every two instead (1 to 9), by optical flow.
    overwrite
        Replace the results of an earlier repair.
    damage
        How to find damaged slices.
    settings
        How to repair.
    cluster
        Workers of dask, for a stack in a file and a result that ends in .ome.zarr.

    Examples
    --------
    napari-aeanet repair sections.tif
    napari-aeanet repair sections.tif -o repaired.ome.zarr --slices 3 6
    napari-aeanet repair sections.tif -o finer.ome.zarr --insert 1
    """

    stack: Positional[Path]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    slices: tuple[int, ...] = ()
    repair_found: FlagCreatePairsOff[bool] = False
    insert: int = 0
    overwrite: FlagCreatePairsOff[bool] = False
    damage: Annotated[DamageSettings, arg(name="")] = field(default_factory=DamageSettings)
    settings: Annotated[RepairSettings, arg(name="")] = field(default_factory=RepairSettings)
    cluster: Annotated[ClusterSettings, arg(name="")] = field(default_factory=ClusterSettings)

    def run(self) -> int:
        from napari_aeanet.io import stem
        from napari_aeanet.stacks import as_stack

        if bool(self.slices) + self.repair_found + bool(self.insert) > 1:
            msg = "--slices, --repair-found and --insert exclude each other: choose one."
            raise ValueError(msg)
        repairs = bool(self.slices) or self.repair_found or bool(self.insert)
        if repairs and self.output is None:
            raise ValueError("Name a file for the stack that is made: -o NAME.ome.zarr.")
        if self.output is not None and not repairs:
            msg = (
                "Say what to repair: --slices and their numbers, --repair-found, or --insert. "
                "Without -o, damaged slices are looked for and nothing is changed."
            )
            raise ValueError(msg)
        image = as_stack(self.stack)
        if self.insert:
            return self._insert(image)
        slices = self.slices or self._find(image)
        if repairs and slices:
            return self._repair(image, slices)
        if slices:
            output = f"{stem(self.stack)}-repaired.ome.zarr"
            words = ["repair", str(self.stack), "-o", output, "--slices", *map(str, slices)]
            print(f"next: {shlex.join(['napari-aeanet', *words])}")
        return 0

    def _find(self, image: Image) -> tuple[int, ...]:
        """Look for damaged slices and print what is found."""
        from napari_aeanet.cli.progress import on_workers, result
        from napari_aeanet.repair import DamageFound, find_damage_events

        begin = partial(find_damage_events, image, self.damage)
        found = result(on_workers(begin, self.cluster), "slice", DamageFound)
        count = len(found.slices)
        print(f"{count or 'no'} damaged slice{'s' * (count != 1)} of {len(found.scores)} found")
        for one in found.slices:
            print(f"slice {one.index}: {one.reason} (score {one.score:.1f})")
        return found.indices

    def _repair(self, image: Image, slices: tuple[int, ...]) -> int:
        from napari_aeanet.cli.progress import on_workers, print_note, result
        from napari_aeanet.repair import (
            RepairedStack,
            SliceState,
            repair_stack_events,
            table_file,
        )

        assert self.output is not None
        begin = partial(
            repair_stack_events,
            image,
            slices,
            self.settings,
            out=self.output,
            overwrite=self.overwrite,
        )
        try:
            repaired = result(on_workers(begin, self.cluster), "slice", RepairedStack)
        except KeyboardInterrupt as stop:
            stop.args = ("stopped; nothing was written.",)
            raise
        for notice in repaired.notices:
            print_note(notice)
        self._save_run_file(table_file(self.output))
        done = repaired.indices(SliceState.REPAIRED)
        refused = repaired.indices(SliceState.REFUSED)
        print(f"{len(done)} of {len(done) + len(refused)} slices repaired: {self.output}")
        return 1 if refused else 0

    def _insert(self, image: Image) -> int:
        from napari_aeanet.cli.progress import on_workers, result
        from napari_aeanet.repair import FinerStack, insert_slices_events

        begin = partial(
            insert_slices_events,
            image,
            self.insert,
            texture=self.settings.texture,
            out=self.output,
            overwrite=self.overwrite,
        )
        made = result(on_workers(begin, self.cluster), "slice", FinerStack).image
        self._save_run_file()
        print(f"{len(made.interpolated)} slices inserted, {made.shape[0]} in all: {self.output}")
        return 0

    def _save_run_file(self, *beside: Path) -> None:
        from napari_aeanet.cli.options import save_run_file

        assert self.output is not None
        save_run_file("repair", self, [self.output, *beside], inputs=[self.stack])
