"""`napari-aeanet reproduce`: compute the papers' tables on your copy of their data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from napari_aeanet.reproduction import ReproduceSettings, UnitDone

Table = Literal[
    "table1",
    "ablation",
    "patch-size",
    "patch-size-3d",
    "transfer",
    "transfer-sem",
    "denoising",
    "projection",
    "label-free",
    "slices",
]


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Compute a table of the papers, with the published figures beside the computed ones.

    Finished methods are kept: call the command again to continue.

    Parameters
    ----------
    table
        Table of the papers.
    data
        Folder of the data set. SEM: NAME10000.bmp and NAME20000.bmp; CARE: train_data and
        test_data; label-free: train.csv and test.csv, or a folder with them for each structure;
        transfer: two or more folders of CARE sets, transfer-sem of SEM sets; slices: files of
        CREMI or other stacks of serial sections.
    out
        Folder for prepared images, runs, results and the table.
    settings
        Profile, budget and methods.

    Examples
    --------
    napari-aeanet reproduce table1 --data EM --out reproduced --budget 10
    """

    table: Positional[Table]
    data: Annotated[Path, arg(aliases=["-d"])]
    out: Annotated[Path, arg(aliases=["-o"])] = Path("reproduced")
    settings: Annotated[ReproduceSettings, arg(name="")] = field(default_factory=ReproduceSettings)

    def run(self) -> int:
        return self._slices() if self.table == "slices" else self._pairs()

    def _slices(self) -> int:
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.evaluation import in_columns
        from napari_aeanet.reproduction import (
            SLICES_TITLE,
            SliceMethodDone,
            SlicesReproduced,
            reproduce_slices_events,
            save_slice_table,
            slice_remarks,
            slice_rows,
        )

        events = reproduce_slices_events(self.data, self.out, self.settings)
        for event in shown(events, "method"):
            match event:
                case SliceMethodDone(result=result, reused=reused):
                    print(self._done(result.method, result.stack, result.seconds, reused))
                case SlicesReproduced(results=results):
                    print(f"\n{SLICES_TITLE}\n")
                    print(in_columns(slice_rows(results)))
                    for remark in slice_remarks(results, self.settings):
                        print(remark)
                    print(save_slice_table(results, self.settings, self.out))
        return 0

    def _pairs(self) -> int:
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.evaluation import in_columns
        from napari_aeanet.reproduction import (
            EXPERIMENTS,
            Reproduced,
            remarks,
            reproduce_events,
            save_table,
            table_rows,
        )

        experiment = EXPERIMENTS[self.table]
        events = reproduce_events(experiment, self.data, self.out, self.settings)
        for event in shown(events, "method"):
            match event:
                case UnitDone():
                    result = event.result
                    tested = f"{result.column}: {len(result.cases)} images tested"
                    print(self._done(result.method, tested, result.seconds, event.reused))
                case Reproduced():
                    print(f"\n{experiment.title}\n")
                    print(in_columns(table_rows(experiment, event.results)))
                    for remark in remarks(experiment, event, self.settings):
                        print(remark)
                    for path in save_table(experiment, event, self.settings, self.out):
                        print(path)
        return 0

    def _done(self, method: str, what: str, seconds: float, reused: bool) -> str:
        from napari_aeanet.core.progress import in_words

        return f"{method}, {what}, {'done before' if reused else f'in {in_words(seconds)}'}"
