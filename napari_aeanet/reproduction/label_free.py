"""Label-free data as published: for each structure the lists train.csv and test.csv.

path_signal, path_target                     one image a file
path_czi, channel_signal, channel_target     both in a CZI file, channels numbered from 0

Files of a list are looked for beside it and in the two folders above, since published lists name
them by the folder of their structure. Images in CZI files are prepared as the authors do: z-scored,
Y and X resized, those of tests cut to multiples of 16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.table import listed_file, read_table
from napari_aeanet.io import read_image, read_images, write_image
from napari_aeanet.pairs import ImagePair

TRAIN, TEST = "train.csv", "test.csv"
# Folder of the lists in the authors' code.
LISTS = "csvs"
IMAGES = (("path_signal", "path_target"), ("source", "target"))
CZI = ("path_czi", "channel_signal", "channel_target")
# The authors take this many pairs from the beginning of each list.
COUNTS = {TRAIN: 30, TEST: 20}
# Factor in Y and X: 0.108 µm become 0.29 µm. Two structures were imaged with other pixels.
FACTOR = 0.37241
FACTORS = {"membrane_caax_63x": 0.29655, "dic_lamin_b1": 0.5931}
# Test images are cut, in their middle, to multiples of this, and to this many voxels.
MULTIPLE, MOST_VOXELS = 16, 9_732_096


def structure_folders(folder: Path) -> list[Path]:
    """Return the folders with the lists of a structure each: `folder` itself, or those in it."""
    for root in (folder, folder / LISTS):
        if not (folder / TRAIN).is_file() and root.is_dir():
            found = [one for one in sorted(root.iterdir()) if (one / TRAIN).is_file()]
            if found:
                return found
    return [folder]


def is_czi_list(folder: Path) -> bool:
    """Return True if the lists in the folder name CZI files."""
    rows = read_table(folder / TRAIN)
    return bool(rows) and set(CZI) <= rows[0].keys()


def listed_pairs(path: Path, work: Path) -> list[ImagePair]:
    """Return the pairs of a list; those from CZI files are kept in `work`.

    Raises
    ------
    ValueError
        If the list is missing or incomplete, or a file cannot be read; the message names it.
    """
    if not path.is_file():
        msg = f"{path} does not exist: label-free data need the lists {TRAIN} and {TEST}."
        raise ValueError(msg)
    rows = read_table(path)
    columns = rows[0].keys() if rows else set()
    if set(CZI) <= columns:
        lines = [_Line(path, number, row) for number, row in enumerate(rows[: COUNTS[path.name]])]
        return [line.prepared(work) for line in lines]
    names = next((names for names in IMAGES if set(names) <= columns), None)
    if names is None:
        msg = (
            f"{path} needs the columns {', '.join(IMAGES[0])}, or {', '.join(CZI)}, and a line for "
            "every pair."
        )
        raise ValueError(msg)
    pairs = []
    for number, row in enumerate(rows, start=1):
        files = [listed_file(row[name], path) for name in names]
        source, target = (read_images(file)[0] for file in files)
        pairs.append(ImagePair(source, target, name=f"{files[0].stem} ({number})"))
    return pairs


@dataclass(frozen=True)
class _Line:
    """A line of a list of CZI files."""

    path: Path
    number: int
    row: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.number + 2}"

    @property
    def structure(self) -> str:
        return self.path.parent.name

    @property
    def file(self) -> Path:
        """The CZI file.

        Raises
        ------
        ValueError
            If it lies in none of the folders where it is looked for.
        """
        name = self.row[CZI[0]]
        if not name:
            raise ValueError(f"{self.where}: {CZI[0]} is empty: name the file, or cut the line.")
        listed_file(name, self.path)  # refuses what can be no file
        folders = (self.path.parent, *self.path.parent.parents[:2])
        found = next((one / name for one in folders if (one / name).is_file()), None)
        if found is None:
            msg = (
                f"{self.where}: there is no {name} in {self.path.parent} or the two folders above: "
                "copy it there, or cut the line."
            )
            raise ValueError(msg)
        return found

    def channel(self, column: str) -> int:
        """Return the number of a channel, which a table program may have written as 6.0."""
        text = self.row[column]
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if value < 0 or value != int(value):
            msg = (
                f"{self.where}: {column} is '{text}', but must be the number of a channel, from 0: "
                "correct it, or cut the line."
            )
            raise ValueError(msg)
        return int(value)

    def prepared(self, work: Path) -> ImagePair:
        """Return the pair, prepared once and kept in `work`."""
        file, channels = self.file, [self.channel(column) for column in CZI[1:]]
        factor = FACTORS.get(self.structure, FACTOR)
        cut = self.path.name == TEST
        stamp = repr((str(file), file.stat().st_size, file.stat().st_mtime_ns, channels, cut))
        digest = hashlib.blake2b(stamp.encode(), digest_size=6).hexdigest()
        kept = [work / f"{file.stem}-{digest}-{side}.ome.tif" for side in ("signal", "target")]
        name = f"{file.stem} ({self.number + 1})"
        if not all(path.exists() for path in kept):
            work.mkdir(parents=True, exist_ok=True)
            image = read_images(file)[0]
            for channel, column, path in zip(channels, CZI[1:], kept, strict=True):
                volume = resized(self._volume(image, channel, column), factor)
                write_image(Image(in_multiples(volume) if cut else volume, "ZYX", name=name), path)
        source, target = (read_image(path) for path in kept)
        return ImagePair(source, target, name=name)

    def _volume(self, image: Image, channel: int, column: str) -> np.ndarray:
        """Return a channel of a stack, at its first time."""
        if "Z" not in image.axes:
            msg = f"{image.source} is no stack (axes {image.axes}): {self.where} needs one."
            raise ValueError(msg)
        count = image.sizes.get("C", 1)
        if channel >= count:
            channels = f"has {count} channel{'s' if count > 1 else ''}, numbered from 0"
            msg = f"{self.where}: {column} is {channel}, but {image.source} {channels}: correct it."
            raise ValueError(msg)
        at = {"T": 0, "C": channel}
        volume = image.read(tuple(at.get(axis, slice(None)) for axis in image.axes))
        if volume.min() == volume.max():
            msg = f"{self.where}: channel {channel} of {image.source} is constant: cut the line."
            raise ValueError(msg)
        return volume


def resized(volume: np.ndarray, factor: float) -> np.ndarray:
    """Return a volume z-scored, then resized in Y and X by cubic splines, as the authors do."""
    from scipy.ndimage import zoom

    values = volume.astype(np.float64)
    values = (values - values.mean()) / values.std()
    return zoom(values, (1, factor, factor), mode="nearest").astype(np.float32)


def in_multiples(volume: np.ndarray) -> np.ndarray:
    """Return the middle of a volume, its sides multiples of 16 (shorter sides stay as they are).

    From large ones 16 rows and 16 columns are cut in turn.
    """
    sizes = [n // MULTIPLE * MULTIPLE or n for n in volume.shape]
    axis = 1
    while np.prod(sizes) > MOST_VOXELS:
        sizes[axis] -= MULTIPLE
        axis = 3 - axis
    starts = [(n - size) // 2 for n, size in zip(volume.shape, sizes, strict=True)]
    return volume[tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))]
