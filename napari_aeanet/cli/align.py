"""`napari-aeanet align`: align the sections of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.cluster.settings import ClusterSettings
from napari_aeanet.stacks.settings import AlignSettings


@dataclass(frozen=True, kw_only=True)
class Align:
    """Align a stack of serial sections: each is shifted and turned until neighbours fit.

    Local deformation is followed where the neighbours on both sides prove it (--deform).

    Write NAME.ome.zarr (section by section: stacks may be larger than memory) or NAME.ome.tif,
    NAME-transforms.json and, with a row for every section, NAME-sections.csv.

    Parameters
    ----------
    stack
        A stack (z, y, x), or a folder with a file for every section.
    output
        File for the aligned stack (.ome.zarr, .ome.tif, .tif).
    overwrite
        Replace the results of an earlier alignment.
    settings
        How to align.
    cluster
        Workers of dask, for a stack in a file and a result that ends in .ome.zarr.

    Examples
    --------
    napari-aeanet align sections.tif -o aligned.ome.zarr
    """

    stack: Positional[Path]
    output: Annotated[Path, arg(aliases=["-o"])]
    overwrite: FlagCreatePairsOff[bool] = False
    settings: Annotated[AlignSettings, arg(name="")] = field(default_factory=AlignSettings)
    cluster: Annotated[ClusterSettings, arg(name="")] = field(default_factory=ClusterSettings)

    def run(self) -> int:
        from napari_aeanet.cli.options import save_run_file
        from napari_aeanet.cli.progress import on_workers, print_note, result
        from napari_aeanet.stacks import AlignedStack, SectionState, align_stack_events, side_files

        begin = partial(
            align_stack_events,
            self.stack,
            self.settings,
            out=self.output,
            overwrite=self.overwrite,
        )
        try:
            aligned = result(on_workers(begin, self.cluster), "section", AlignedStack)
        except KeyboardInterrupt as stop:
            stop.args = ("stopped; nothing was written.",)
            raise
        for notice in aligned.notices:
            print_note(notice)
        outputs = [self.output, *side_files(self.output)]
        save_run_file("align", self, outputs, inputs=[self.stack])
        count = len(aligned.alignment.sections)
        found = count - len(aligned.alignment.indices(SectionState.INTERPOLATED))
        deformed = len(aligned.alignment.deformed())
        also = f", {deformed} of them deformed" if deformed else ""
        print(f"{found} of {count} sections aligned{also}: {self.output}")
        return 0 if found else 1
