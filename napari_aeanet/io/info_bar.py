"""Detection of the band with scale bar and text that electron microscopes add to an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image

_TALLEST = 0.25  # of the image height
_SHORTEST = 8  # rows: the height of a line of text
_TOLERANCE = 0.01  # of the range of values, for ripples of lossy compression
_FLAT = 0.95  # share of a row at the value of the band in an empty row
_BAND = 0.4  # the same for a row with text
_IMAGE = 0.3  # largest such share in the last row of the image proper
_CONTRAST = 0.3  # of the range of values, between text and band
_LARGEST_SPREAD = 1e30  # of values; sums of larger ones overflow
_FRAME = 4  # rows: thicker lines are part of the image


def find_text_band(array: Any) -> int | None:
    """Return the first row of the text band below an image, or None.

    A band is a run of rows at the bottom, each mostly of one value, some with text, that begins
    abruptly: its first row is flat, the row above has other values.

    Parameters
    ----------
    array
        A 2D image (y, x); only its lowest rows are read.
    """
    height = array.shape[0]
    bottom = np.asarray(array[max(int(height * (1 - _TALLEST)) - 1, 0) :])
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are not grey values
        bottom = bottom.astype(np.float32)
        spread = float(np.ptp(bottom))
    if len(bottom) <= _SHORTEST or not 0 < spread < _LARGEST_SPREAD:
        return None
    tolerance = _TOLERANCE * spread
    middle = np.median(bottom, axis=1)
    flat = (np.abs(bottom - middle[:, None]) <= tolerance).mean(axis=1) >= _FLAT
    if not flat.any():
        return None
    paper = np.median(middle[flat][-_SHORTEST:])
    blank = (np.abs(bottom - paper) <= tolerance).mean(axis=1)  # empty share of each row
    line = flat & (np.abs(middle - paper) > _CONTRAST * spread)  # lines across the whole width
    first = _first_row(blank, line)
    if first is None:
        return None
    text = np.abs(bottom[first:] - paper) > _CONTRAST * spread
    if not 0.002 < text.mean() < 0.6:
        return None
    return height - (len(bottom) - first)


def _first_row(blank: np.ndarray, line: np.ndarray) -> int | None:
    """Return the first row of the band, including its frame."""
    rows = len(blank)
    run = rows - int(np.argmin(np.append(((blank >= _BAND) | line)[::-1], False)))
    # The run may extend into a dark part of the image; the band begins with an empty row.
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
    """Return the image without its text band, or unchanged if it has none."""
    row = _band_of(image)
    if row is None:
        return image
    notice = f"The text band below row {row} was cut off."
    return image.with_array(image.array[:row], notices=(*image.notices, notice))


def with_notice(image: Image) -> Image:
    """Return the image, with a notice if it has a text band."""
    # Lazy images are not read just to search for a band.
    row = _band_of(image) if type(image.array) is np.ndarray else None
    if row is None:
        return image
    notice = (
        f"A text band was found from row {row} on, which is trained on and restored like the rest: "
        f"keep the {row} rows above it (in Python: read_image(FILE, crop_text_band=True))."
    )
    return replace(image, notices=(*image.notices, notice))


def _band_of(image: Image) -> int | None:
    return find_text_band(image.array) if image.axes == "YX" else None
