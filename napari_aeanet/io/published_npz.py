"""Image pairs in the format of the published tools: an NPZ file with arrays "X" and "Y"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image


def read_npz(path: Path) -> tuple[list[Image], list[Image]]:
    """Return sources "X" and targets "Y" of an NPZ file, each of shape (n, c, [z,] y, x).

    The images are uncalibrated. A single channel axis is dropped.
    """
    with in_one_sentence(path, "NPZ file of numbers", "copy or save it again"):
        content = _content(path)
    sources, targets = (_images(content[key], key, path) for key in ("X", "Y"))
    if len(sources) != len(targets):
        msg = (
            f"{path} holds {len(sources)} sources in 'X' and {len(targets)} targets in 'Y': "
            "save an equal number of both."
        )
        raise ValueError(msg)
    return sources, targets


def _content(path: Path) -> dict[str, np.ndarray]:
    # np.load would leave a file open that it has opened and cannot read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        missing = [key for key in ("X", "Y") if key not in arrays]
        if missing:
            msg = f"{path} holds no array '{missing[0]}': it needs 'X' (sources) and 'Y' (targets)."
            raise ValueError(msg)
        content = {key: arrays[key] for key in ("X", "Y")}
    for key, array in content.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
            msg = f"{path}: '{key}' is not an array of numbers: save it again."
            raise ValueError(msg)
    return content


def _images(array: np.ndarray, key: str, path: Path) -> list[Image]:
    if array.ndim not in (4, 5):
        msg = (
            f"{path}: '{key}' has shape {array.shape}, but (n, c, y, x) or (n, c, z, y, x) "
            "is needed: save it with these axes."
        )
        raise ValueError(msg)
    pages, axes = array, "CYX" if array.ndim == 4 else "CZYX"
    if array.shape[1] == 1:
        pages, axes = array[:, 0], axes[1:]
    return [
        Image(page, axes, name=f"{path.stem} [{index}]", source=path, source_index=index)
        for index, page in enumerate(pages)
    ]
