"""Image pairs in the format of the published tools: an NPZ file with arrays "X" and "Y"."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image

# Samples, channels, planes, rows, columns.
ORDER = "SCZYX"
# A second axis of more than this holds planes, not channels, where nothing names it.
MOST_CHANNELS = 4


def read_npz(path: Path) -> tuple[list[Image], list[Image]]:
    """Return sources "X" and targets "Y" of an NPZ file, each of shape (n, c, [z,] y, x).

    The array "axes" of the CARE tools, as "SCZYX", says otherwise. Without it, one array (1, z, y,
    x) of more planes than an image has channels is one stack. The images are uncalibrated. A
    single channel axis is dropped.
    """
    with in_one_sentence(path, "NPZ file of numbers", "copy or save it again"):
        content, named = _content(path)
    axes = _axes(content["X"].shape, named)
    sources, targets = (_images(content[key], key, path, axes) for key in ("X", "Y"))
    if len(sources) != len(targets):
        msg = (
            f"{path} holds {len(sources)} sources in 'X' and {len(targets)} targets in 'Y': "
            "save an equal number of both."
        )
        raise ValueError(msg)
    return sources, targets


def _content(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Return the arrays "X" and "Y", and the text of "axes" ("" without it)."""
    text = ""
    # np.load would leave a file open that it has opened and cannot read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        missing = [key for key in ("X", "Y") if key not in arrays]
        if missing:
            msg = f"{path} holds no array '{missing[0]}': it needs 'X' (sources) and 'Y' (targets)."
            raise ValueError(msg)
        content = {key: arrays[key] for key in ("X", "Y")}
        with suppress(ValueError):  # of a kind that only pickle reads
            text = str(np.array(arrays.get("axes", ""))).strip().upper()
    for key, array in content.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
            msg = f"{path}: '{key}' is not an array of numbers: save it again."
            raise ValueError(msg)
    return content, text


def _axes(shape: tuple[int, ...], text: str) -> str:
    """Return the axes that the file names, or those of its arrays by their shape."""
    if len(text) == len(shape) == len(set(text)) and set("YX") <= set(text) <= set(ORDER):
        return text
    if len(shape) == 4 and shape[0] == 1 and shape[1] > MOST_CHANNELS:
        return "SZYX"
    return {4: "SCYX", 5: "SCZYX"}.get(len(shape), "")


def _images(array: np.ndarray, key: str, path: Path, axes: str) -> list[Image]:
    if array.ndim != len(axes):
        msg = (
            f"{path}: '{key}' has shape {array.shape}, but {_in_words(axes)} is needed: save it "
            "with these axes."
        )
        raise ValueError(msg)
    letters = [letter for letter in ORDER if letter in axes]
    pages = array.transpose([axes.index(letter) for letter in letters])
    if "S" not in letters:
        pages = pages[None]
    image_axes = "".join(letters).removeprefix("S")
    if image_axes[0] == "C" and pages.shape[1] == 1:
        pages, image_axes = pages[:, 0], image_axes[1:]
    return [
        Image(page, image_axes, name=f"{path.stem} [{index}]", source=path, source_index=index)
        for index, page in enumerate(pages)
    ]


def _in_words(axes: str) -> str:
    """Return for instance "(n, c, y, x)"."""
    if not axes:
        return "(n, c, y, x) or (n, c, z, y, x)"
    return f"({', '.join(axes.lower().replace('s', 'n'))})"
