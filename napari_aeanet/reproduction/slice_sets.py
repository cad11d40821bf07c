"""Stacks of serial sections on which slice interpolation is compared.

CREMI: sample_NAME*.hdf with volumes/raw and, where it was segmented, volumes/labels/neuron_ids.
Others: any stack (z, y, x) as TIFF or OME-Zarr, without a segmentation.

The first three fifths of the sections are learnt from and the last fifth is tested, so that no
section is near one that was learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image
from napari_aeanet.core.names import natural_order
from napari_aeanet.io import Fingerprint, read_image
from napari_aeanet.stacks import as_stack

HDF5 = (".hdf", ".h5", ".hdf5")
STACKS = (".tif", ".tiff", ".zarr")
RAW, LABELS = "volumes/raw", "volumes/labels/neuron_ids"
#: Parts of a stack: learnt from, between, tested; as published.
LEARNT, PARTS = 3, 5
#: Fewest sections of a part.
FEWEST = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class SliceSet:
    """A stack, and the segmentation of its cells if there is one.

    Attributes
    ----------
    image
        All sections.
    labels
        Numbers of the cells (z, y, x), lazily read.
    """

    name: str
    image: Image
    labels: Image | None = None

    @property
    def learnt(self) -> Image:
        """The sections to learn from."""
        end = LEARNT * self.image.shape[0] // PARTS
        return self.image.with_array(self.image.read((slice(0, end),)))

    @property
    def tested(self) -> range:
        """The inner sections of the last part."""
        count = self.image.shape[0]
        return range((PARTS - 1) * count // PARTS + 1, count - 1)

    def fingerprint(self) -> str:
        return str(Fingerprint.of(self.image))


def read_slice_sets(folder: Path) -> list[SliceSet]:
    """Return the stacks in a folder, or the one at a file.

    Raises
    ------
    ValueError
        If there is none, or one has too few sections.
    """
    files = [folder]
    if folder.is_dir() and folder.suffix.lower() != ".zarr":
        known = (path for path in folder.iterdir() if path.suffix.lower() in (*HDF5, *STACKS))
        files = sorted(known, key=lambda path: natural_order(path.name))
    if not files or not folder.exists():
        msg = (
            f"{folder} holds no stack of sections: CREMI files (.hdf), TIFF or OME-Zarr are looked "
            "for."
        )
        raise ValueError(msg)
    found = [_read(path) for path in files]
    for one in found:
        if (count := one.image.shape[0]) < FEWEST * PARTS // (PARTS - LEARNT):
            raise ValueError(f"{one.name} has {count} sections, too few to learn from and to test.")
    return found


def _read(path: Path) -> SliceSet:
    if path.suffix.lower() not in HDF5:
        return SliceSet(name=path.stem, image=as_stack(read_image(path)))
    try:
        import h5py
    except ImportError as error:
        msg = f'{path} is HDF5, which needs one package more: pip install "napari-aeanet[hdf5]".'
        raise ValueError(msg) from error
    with in_one_sentence(path, "HDF5 file"):
        file = h5py.File(path, "r")
        if RAW not in file:
            raise ValueError(f"{path} lacks {RAW}: it is no CREMI volume.")
        image = Image(file[RAW], "ZYX", name=path.stem, source=path)
        labels = Image(file[LABELS], "ZYX", name=path.stem) if LABELS in file else None
    image = replace(image, array=image.read())
    if labels is not None and labels.shape != image.shape:
        raise ValueError(f"{path}: {LABELS} has another size than {RAW}.")
    return SliceSet(name=path.stem, image=image, labels=labels)


def borders_of(labels: np.ndarray) -> np.ndarray:
    """Return the pixels of a segmented section that touch another cell, or belong to none."""
    borders = labels == 0
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        before = [slice(None), slice(None)]
        after = list(before)
        before[axis], after[axis] = slice(0, -1), slice(1, None)
        borders[tuple(before)] |= differs
        borders[tuple(after)] |= differs
    return borders
