"""`napari-aeanet repair`: find and replace damaged slices of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.repair import DamageSettings, RepairSettings

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Replace damaged slices of a stack of serial sections by ones made from their neighbours.

    Without --slices or --repair-found, look for damaged slices, say what is found, and change
    nothing. Slices are counted from 0, as in napari. All other slices stay exactly as they are.
    NAME-slices.csv, with a row for every slice, is written beside the repaired stack.

    Parameters
    ----------
    stack
        A stack (z, y, x).
    output
        File for the repaired stack (.ome.zarr, .ome.tif).
    slices
        The slices to repair.
    repair_found
        Repair the slices that are found.
    overwrite
        Replace the results of an earlier repair.
    damage
        How to find damaged slices.
    settings
        How to repair.

    Examples
    --------
    napari-aeanet repair sections.tif
    napari-aeanet repair sections.tif -o repaired.ome.zarr --slices 3 6
    """

    stack: Positional[Path]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    slices: tuple[int, ...] = ()
    repair_found: FlagCreatePairsOff[bool] = False
    overwrite: FlagCreatePairsOff[bool] = False
    damage: Annotated[DamageSettings, arg(name="")] = field(default_factory=DamageSettings)
    settings: Annotated[RepairSettings, arg(name="")] = field(default_factory=RepairSettings)

    def run(self) -> int:
        from napari_aeanet.io import read_image

        if self.slices and self.repair_found:
            raise ValueError("--slices and --repair-found exclude each other: choose one.")
        repairs = bool(self.slices) or self.repair_found
        if repairs and self.output is None:
            raise ValueError("Name a file for the repaired stack: -o NAME.ome.zarr.")
        if self.output is not None and not repairs:
            msg = (
                "Say what to repair: --slices and their numbers, or --repair-found. Without -o, "
                "damaged slices are looked for and nothing is changed."
            )
            raise ValueError(msg)
        image = read_image(self.stack)
        slices = self.slices or self._find(image)
        if not repairs or not slices:
            return 0
        return self._repair(image, slices)

    def _find(self, image: Image) -> tuple[int, ...]:
        """Look for damaged slices and print what is found."""
        from napari_aeanet.cli.progress import result
        from napari_aeanet.repair import DamageFound, find_damage_events

        found = result(find_damage_events(image, self.damage), "slice", DamageFound)
        count = len(found.slices)
        print(f"{count or 'no'} damaged slice{'s' * (count != 1)} of {len(found.scores)} found")
        for one in found.slices:
            print(f"slice {one.index}: {one.reason} (score {one.score:.1f})")
        return found.indices

    def _repair(self, image: Image, slices: tuple[int, ...]) -> int:
        from napari_aeanet.cli.progress import print_note, result
        from napari_aeanet.repair import RepairedStack, SliceState, repair_stack_events

        events = repair_stack_events(
            image, slices, self.settings, out=self.output, overwrite=self.overwrite
        )
        try:
            repaired = result(events, "slice", RepairedStack)
        except KeyboardInterrupt as stop:
            stop.args = ("stopped; nothing was written.",)
            raise
        for notice in repaired.notices:
            print_note(notice)
        self._save_run_file()
        done = repaired.indices(SliceState.REPAIRED)
        refused = repaired.indices(SliceState.REFUSED)
        print(f"{len(done)} of {len(done) + len(refused)} slices repaired: {self.output}")
        return 1 if refused else 0

    def _save_run_file(self) -> None:
        from napari_aeanet.cli.options import save_run_file
        from napari_aeanet.repair import table_file

        assert self.output is not None
        save_run_file("repair", self, [self.output, table_file(self.output)], inputs=[self.stack])
