"""`napari-aeanet samples`: write synthetic paired micrographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

KINDS = ("lr", "hr", "truth")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Write synthetic SEM pairs with known answers: OUTPUT/lr, OUTPUT/hr and OUTPUT/truth.

    Parameters
    ----------
    output
        Folder for the images.
    count
        Number of specimens.
    seed
        Random seed; the same seed gives the same specimens.
    overwrite
        Replace files of these names.

    Examples
    --------
    napari-aeanet samples -o sem --count 2
    """

    output: Annotated[Path, arg(aliases=["-o"])]
    count: int = 6
    seed: int = 0
    overwrite: FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}.")

    def run(self) -> int:
        from napari_aeanet.batch import refuse_existing

        files = [_file(self.output, kind, n + 1) for kind in KINDS for n in range(self.count)]
        refuse_existing(files, overwrite=self.overwrite)
        write_specimens(self.output, self.count, self.seed)
        print(f"{self.count} specimens in {self.output}")
        return 0


def write_specimens(
    folder: Path, count: int, seed: int, shape: tuple[int, int] = (944, 1280)
) -> None:
    """Write specimens S01, S02, ... into the folders lr, hr and truth."""
    from napari_aeanet.io import write_image
    from napari_aeanet.samples import paired_sem

    for number, specimen in enumerate(paired_sem(count, seed, shape), start=1):
        images = (specimen.source, specimen.target, specimen.truth)
        for kind, image in zip(KINDS, images, strict=True):
            file = _file(folder, kind, number)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_image(image, file)


def _file(folder: Path, kind: str, number: int) -> Path:
    return folder / kind / f"S{number:02d}.tif"
