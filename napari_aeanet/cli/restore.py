"""`napari-aeanet restore`: apply a model to images."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.batch import BatchSettings
from napari_aeanet.cluster.settings import ClusterSettings
from napari_aeanet.restoration import STREAMED, RestoreSettings

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Restore images with a model; pixel size, axes and position are kept.

    Of several images, one that fails is reported and the others go on; results that are complete
    are skipped. With --tile 0 the size of the tiles follows the available memory.

    Parameters
    ----------
    inputs
        Image files, folders, globs ("data/*.tif"), lists of files (.txt), or job files (.csv with
        the columns input and output).
    model
        Model file (.aeanet).
    out
        File for one image, or folder; default: NAME-restored.ome.tif beside each input. A file that
        ends in .ome.zarr is written tile by tile, for images larger than memory. A height map is
        written beside the result, as NAME-height. With "-" the result of one image is written to
        standard output, as OME-TIFF.
    dry_run
        Print the results, sizes, time and memory that are to be expected, and do nothing.
    job_script
        Print the script of the jobs that --dask slurm would send, and do nothing.
    settings
        How to restore.
    batch
        Which images, and what to do with results that exist.
    cluster
        Workers of dask, for one image and a result that ends in .ome.zarr.

    Examples
    --------
    napari-aeanet restore S05.tif -m sem.aeanet
    napari-aeanet restore "lr/*.tif" -m sem.aeanet -o restored
    napari-aeanet restore S05.tif -m demo --use patches -o S05-patches.ome.tif
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    dry_run: FlagCreatePairsOff[bool] = False
    job_script: FlagCreatePairsOff[bool] = False
    settings: Annotated[RestoreSettings, arg(name="")] = field(default_factory=RestoreSettings)
    batch: Annotated[BatchSettings, arg(name="")] = field(default_factory=BatchSettings)
    cluster: Annotated[ClusterSettings, arg(name="")] = field(default_factory=ClusterSettings)

    def run(self) -> int:
        from napari_aeanet.cli.batch import follow, planned, print_plan
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import (
            ENDING,
            dry_run_events,
            prepare,
            restore_planned,
            restore_treatment,
            result_files,
        )

        if self.job_script:
            return self._print_job_script()
        if self.cluster.dask:
            return self._on_cluster()
        if self.out == STANDARD_OUTPUT:
            return self._to_standard_output()
        parts = partial(result_files, settings=self.settings)
        plan = planned(self.inputs, self.out, ENDING, self.batch, parts)
        if self.dry_run:
            run = partial(prepare, model=load_model(self.model), settings=self.settings)
            treatment = restore_treatment(self.model, self.settings, plan)
            return print_plan(dry_run_events(plan, treatment, self.batch, run))
        return follow(restore_planned(plan, self.model, self.settings, self.batch), plan)

    def _print_job_script(self) -> int:
        from napari_aeanet.cluster import job_script, read_site

        if self.cluster.site is None:
            raise ValueError("--job-script needs --dask slurm and --site FILE.yaml.")
        print(job_script(read_site(self.cluster.site)), end="")
        return 0

    def _on_cluster(self) -> int:
        from napari_aeanet.batch import find_inputs
        from napari_aeanet.cli.options import save_run_file
        from napari_aeanet.cli.progress import print_note, shown, telling
        from napari_aeanet.cluster import restore_on_cluster_events
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import result_files

        files = find_inputs(self.inputs, recursive=self.batch.recursive).files
        out = self.out
        if len(files) != 1 or out is None or not out.name.endswith(STREAMED) or self.dry_run:
            raise ValueError(
                f"--dask restores one image: give one, and a result -o NAME{STREAMED}, without "
                "--dry-run."
            )
        model = load_model(self.model)
        events = restore_on_cluster_events(
            files[0].path, model, out, self.settings, self.cluster, overwrite=self.batch.overwrite
        )
        notices: tuple[str, ...] = ()
        for event in telling(shown(events, "tile")):
            notices = getattr(event, "notices", ())
        for notice in notices:
            print_note(notice)
        results = result_files(out, self.settings)
        save_run_file("restore", self, results, inputs=[files[0].path], models=[self.model])
        print(*results, sep="\n")
        return 0

    def _to_standard_output(self) -> int:
        from napari_aeanet.batch import find_inputs
        from napari_aeanet.cli.streams import data_out

        count = len(find_inputs(self.inputs, recursive=self.batch.recursive).files)
        if count != 1 or self.dry_run:
            raise ValueError(f"-o - writes the result of one image: got {count} images.")
        out = data_out()
        if out.isatty():
            raise ValueError("-o - writes an image: send it to a file or to another program.")
        with TemporaryDirectory() as folder:
            file = Path(folder) / "result.ome.tif"
            with redirect_stdout(StringIO()):
                code = replace(self, out=file).run()
            if file.exists():
                out.buffer.write(file.read_bytes())
                out.flush()
        return code
