"""Commands to be killed, and the check that the next run completes their work."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faults.kill_server import Ended, KillServer
from helpers import blurred_pairs, micrograph, model_of, small_network
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.io.files import write_image
from napari_aeanet.models.model_file import load_model, save_model

# Their content depends on how often a run was interrupted, or on the time.
NOT_COMPARED = (".run.yaml", "outcomes.csv", ".pdf", "log.csv", ".state", "plan.json", ".png")
# Folders of an OME-Zarr result that lie in it until its run ends.
NOTES = "restoration"


@dataclass(frozen=True)
class Case:
    """A command: its words, those that a run after an interruption has besides, and its result.

    {in} stands for the folder of the inputs, {out} for an empty one.
    """

    name: str
    words: str
    again: str = ""
    resumes: str = ""  # a file in {out}: the words `again` are used if it exists

    def run(self, server: KillServer, inputs: Path, out: Path, **options: Any) -> Ended:
        words = self.words
        if not self.resumes or (out / self.resumes).exists():
            words = f"{words} {self.again}"
        return server.run(
            *(word.format(**{"in": inputs, "out": out}) for word in words.split()), **options
        )


MODEL = "-m {in}/m.aeanet"
CASES = {
    case.name: case
    for case in (
        Case(
            "restore to TIFF", f"restore {{in}}/S.tif {MODEL} -o {{out}}/R.tif", "--skip-existing"
        ),
        Case(
            "restore to OME-Zarr",
            f"restore {{in}}/S.tif {MODEL} -o {{out}}/R.ome.zarr --tile 32",
            "--skip-existing",
        ),
        Case(
            "restore with a height map",
            "restore {in}/stack.tif -m {in}/projection.aeanet -o {out}/R.ome.zarr --height",
            "--skip-existing",
        ),
        Case("restore a folder", f"restore {{in}}/many {MODEL} -o {{out}}/R"),
        Case("relevance", f"relevance {{in}}/many {MODEL} -o {{out}} --table"),
        Case("trust", f"trust {{in}}/many {MODEL} -o {{out}}"),
        Case(
            "evaluate",
            "evaluate {in}/lr --truth {in}/hr -o {out}/E --error-maps",
            "--overwrite",
        ),
        Case("register", "register {in}/lr {in}/hr -o {out}/P", "--overwrite"),
        Case(
            "train",
            "train {in}/lr {in}/hr -o {out}/run --steps 4 --patch 16 --batch 2 --force",
            "--resume",
            resumes="run/plan.json",
        ),
        Case("align to TIFF", "align {in}/sections.tif -o {out}/A.ome.tif", "--overwrite"),
        Case("align to OME-Zarr", "align {in}/sections.tif -o {out}/A.ome.zarr", "--overwrite"),
        Case(
            "repair to TIFF",
            "repair {in}/sections.tif -o {out}/D.ome.tif --slices 1 --checks 0",
            "--overwrite",
        ),
        Case(
            "repair to OME-Zarr",
            "repair {in}/sections.tif -o {out}/D.ome.zarr --slices 1 --checks 0",
            "--overwrite",
        ),
    )
}


def make_inputs(folder: Path) -> Path:
    """Fill a folder with images, pairs and models."""
    write_image(micrograph((70, 70)), folder / "S.tif")
    stack = np.random.default_rng(0).random((3, 50, 60), np.float32)
    write_image(Image(stack, "ZYX"), folder / "stack.tif")
    texture = gaussian_filter(np.random.default_rng(0).random((110, 110), np.float32), 2)
    sections = [texture[n : n + 96, 3 * n : 3 * n + 96] for n in range(3)]
    write_image(Image(np.array(sections), "ZYX"), folder / "sections.tif")
    for name in ("many", "lr", "hr"):
        (folder / name).mkdir()
    for number, name in enumerate("AB"):
        write_image(micrograph((30, 40), seed=number), folder / "many" / f"{name}.tif")
    for number, pair in enumerate(blurred_pairs()):
        write_image(pair.source, folder / "lr" / f"S{number}.tif")
        write_image(pair.target, folder / "hr" / f"S{number}.tif")
    for name, preset in (("m", "aeanet-2d"), ("projection", "gvtnet-projection")):
        save_model(model_of(small_network(preset, features=2)), folder / f"{name}.aeanet")
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """Return all files and folders by name, hidden ones too, with the content of most files."""
    return {
        path.relative_to(folder).as_posix(): _content(path) for path in sorted(folder.rglob("*"))
    }


def check(
    case: Case,
    server: KillServer,
    inputs: Path,
    folder: Path,
    expected: Mapping[str, Any],
    **options: Any,
) -> str:
    """Kill a command, run it again, and return what is wrong; an empty text if nothing is.

    Parameters
    ----------
    folder
        For the results; emptied first.
    expected
        `contents` of a run that was not killed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    killed = case.run(server, inputs, folder, **options)
    where = f"{case.name}, killed at {options}: {(killed.operations or ('nothing',))[-1]}"
    for name, content in contents(folder).items():
        if name in expected and content != expected[name] and case.name != "train":
            return f"mixed: {where}: {name}"
    again = case.run(server, inputs, folder)
    if again.code != 0:
        return f"failed: {where}: {again.text}"
    found = contents(folder)
    if lost := expected.keys() - found.keys():
        return f"lost: {where}: {sorted(lost)}"
    if left := found.keys() - expected.keys():
        return f"left: {where}: {sorted(left)}"
    if mixed := [name for name in expected if found[name] != expected[name]]:
        return f"mixed: {where}: {mixed}"
    return ""


def _content(path: Path) -> Any:
    is_temporary = path.name.startswith(".")  # and may be cut
    if path.is_dir() or is_temporary or path.name.endswith(NOT_COMPARED):
        return b""
    if path.name.endswith(".aeanet"):  # whose card tells the duration
        return {name: values.tobytes() for name, values in load_model(path).weights.items()}
    return path.read_bytes()
