"""Take an image, a file of pages, or a folder with a file for every section for a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_aeanet.batch import find_inputs
from napari_aeanet.core.image import Image
from napari_aeanet.io import ImageSource, as_image, read_image

#: Folders that are an image.
IMAGE_FOLDER = ".zarr"


def as_stack(source: ImageSource) -> Image:
    """Return a stack (z, y, x).

    Pages without a meaning are sections, as are time points where there is no z. A folder is a
    stack of the images in it, in the natural order of their names, read one at a time.

    Raises
    ------
    ValueError
        If the image has other axes, or the images of a folder do not fit together.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        is_folder = path.is_dir() and path.suffix.lower() != IMAGE_FOLDER
        image = _folder(path) if is_folder else read_image(path, stack_axis="Z")
    else:
        image = as_image(source)
    if image.axes == "TYX":
        notices = (*image.notices, "Its time points are taken as sections.")
        return replace(
            image,
            axes="ZYX",
            pixel_size=(None, *image.pixel_size),
            origin=(0.0, *image.origin),
            time_interval=None,
            notices=notices,
        )
    if image.axes != "ZYX":
        msg = (
            f"{image.name} has the axes '{image.axes}': a stack of sections has 'ZYX'. Choose one "
            "channel and one time point."
        )
        raise ValueError(msg)
    return image


class SectionFiles:
    """A stack whose sections are files, as a lazy array; the last one read is kept.

    Parameters
    ----------
    files
        Images (y, x) of one size and number type.
    first
        The first of them.
    """

    def __init__(self, files: Sequence[Path], first: Image) -> None:
        self._files, self._first = files, first
        self.shape = (len(files), *first.shape)
        self.ndim, self.dtype = 3, first.dtype
        #: All files, by which a change is noticed.
        self.store = SimpleNamespace(files=list(files))
        self._kept: tuple[int, np.ndarray] | None = None

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a region: whole numbers and slices along z, y and x, of which y and x may lack."""
        parts = key if isinstance(key, tuple) else (key,)
        along_z, rest = (slice(None) if parts[0] is ... else parts[0]), parts[1:]
        if not isinstance(along_z, slice):
            return self._section(int(along_z))[rest]
        indices = range(*along_z.indices(len(self._files)))
        if not indices:
            return np.empty((0, *self._first.shape), self.dtype)[:, *rest]
        return np.stack([self._section(index)[rest] for index in indices])

    def _section(self, index: int) -> np.ndarray:
        if self._kept is None or self._kept[0] != index:
            image = self._first if index == 0 else read_image(self._files[index])
            if (image.axes, image.shape, image.dtype) != ("YX", self._first.shape, self.dtype):
                raise ValueError(_misfit(self._files[index], image, self._first))
            self._kept = index, image.read()
        return self._kept[1]


def _folder(folder: Path) -> Image:
    """Return the images of a folder as a stack; all are looked at when they are read."""
    files = [one.path for one in find_inputs([folder]).files]
    first = read_image(files[0])
    if first.axes != "YX":
        msg = (
            f"{files[0]} has the axes '{first.axes}': in a folder of sections each file is one "
            "plane (y, x). Name one file to take it as the stack."
        )
        raise ValueError(msg)
    return Image(
        SectionFiles(files, first),
        "ZYX",
        pixel_size=(None, *first.pixel_size),
        unit=first.unit,
        origin=(0.0, *first.origin),
        name=folder.name,
        source=folder,
        intensity_range=first.intensity_range,
    )


def _misfit(path: Path, image: Image, first: Image) -> str:
    """Return why a section does not fit the first one."""
    if image.axes != "YX":
        return f"{path} has the axes '{image.axes}', and is no section: take it out of the folder."
    found, wanted = (
        f"{' x '.join(map(str, one.shape))} pixels of type {one.dtype}" for one in (image, first)
    )
    return (
        f"{path} has {found}, but the first section {wanted}: take it out of the folder, or save "
        "all sections alike."
    )
