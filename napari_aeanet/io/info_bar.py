"""The band with scale bar and text that electron microscopes write below an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image

_TALLEST = 0.25  # of the image height
_SHORTEST = 8  # rows: less does not hold a line of text
_TOLERANCE = 0.01  # of the range of values: lossy compression ripples a flat band
_FLAT = 0.95  # share of a row at one value that makes it empty band
_BAND = 0.4  # the same for a row with text in it
_IMAGE = 0.3  # ... and at most this of the band's colour in the last row of the image proper
_CONTRAST = 0.3  # of the range of values, between text and band
_FRAME = 4  # rows: a thicker line is part of the image


def find_text_band(array: Any) -> int | None:
    """The row where a text band begins below the image, or None.

    A band is a run of rows at the bottom, each mostly of one value, with text in some, that
    begins abruptly: its first row is flat, the row above it is not of its colour.

    Parameters
    ----------
    array
        A 2D image (y, x); of a lazy one only the lowest rows are read.
    """
    height = array.shape[0]
    bottom = np.asarray(array[max(int(height * (1 - _TALLEST)) - 1, 0) :], dtype=np.float32)
    spread = float(np.ptp(bottom))
    if len(bottom) <= _SHORTEST or not np.isfinite(spread) or spread == 0:
        return None
    tolerance = _TOLERANCE * spread
    middle = np.median(bottom, axis=1)
    flat = (np.abs(bottom - middle[:, None]) <= tolerance).mean(axis=1) >= _FLAT
    if not flat.any():
        return None
    paper = np.median(middle[flat][-_SHORTEST:])
    blank = (np.abs(bottom - paper) <= tolerance).mean(axis=1)  # share of each row that is empty
    line = flat & (np.abs(middle - paper) > _CONTRAST * spread)  # drawn from side to side
    first = _first_row(blank, line)
    if first is None:
        return None
    text = np.abs(bottom[first:] - paper) > _CONTRAST * spread
    if not 0.002 < text.mean() < 0.6:
        return None
    return height - (len(bottom) - first)


def _first_row(blank: np.ndarray, line: np.ndarray) -> int | None:
    """The first row of the band, its frame included, from what the rows look like."""
    rows = len(blank)
    run = rows - int(np.argmin(np.append(((blank >= _BAND) | line)[::-1], False)))
    # The run may reach into a dark part of the image: the band begins at its first empty row.
    empty = np.flatnonzero(blank[run:] >= _FLAT)
    if not empty.size:
        return None
    first = frame = run + int(empty[0])
    while frame > run and line[frame - 1]:
        frame -= 1
    if first - frame <= _FRAME:
        first = frame
    if first == 0 or blank[first - 1] > _IMAGE or rows - first < _SHORTEST:
        return None
    return first


def crop_text_band(image: Image) -> Image:
    """The image without its text band; unchanged if none is found."""
    row = _band_of(image)
    if row is None:
        return image
    notice = f"The text band below row {row} was cut off."
    return image.with_array(image.array[:row], notices=(*image.notices, notice))


def with_notice(image: Image) -> Image:
    """The image, with a notice if there is a text band below it."""
    # What was left on disk for its size is not read just to look for a band.
    row = _band_of(image) if type(image.array) is np.ndarray else None
    if row is None:
        return image
    notice = f"A text band was found from row {row} on: cut it off before training."
    return replace(image, notices=(*image.notices, notice))


def _band_of(image: Image) -> int | None:
    return find_text_band(image.array) if image.axes == "YX" else None
