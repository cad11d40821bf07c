"""Missing parts of a TIFF file: pages beyond its end, planes and files that its OME text names.

tifffile reads missing planes as zeros, with a message in its log only.
"""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from napari_aeanet.io.ome_xml import OmeFiles

# Messages logged by tifffile for pages beyond the end of the file, which it leaves out; offsets
# below 8 are a quirk of some programs, not a missing end.
_BEYOND_END = re.compile(r"invalid (page|value) offset (\d{2,}|[89])\b")
# The same for a set of files of Micro-Manager, of which it returns a part.
_INCOMPLETE_SET = re.compile(r"missing files")
_NAMES = 3  # of missing files or planes in a message
# Bytes of pixels for a byte of file, in strips or tiles that would fill the memory (256 MB).
_MOST_COMPRESSED, _LARGE_PART = 5000, 2**28


@dataclass
class Told:
    """Messages of tifffile: about pages beyond the end, and incomplete sets of files."""

    beyond_end: list[str] = field(default_factory=list)
    incomplete_set: list[str] = field(default_factory=list)

    @property
    def notices(self) -> tuple[str, ...]:
        if not self.incomplete_set:
            return ()
        return ("Planes or files of its set are missing: only those there are read.",)


def refuse_endless(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise a ValueError if a page of the file names an earlier one as the next.

    tifffile would read such pages again and again.
    """
    layout, file = tif.tiff, tif.filehandle
    offset, seen = int(tif.pages.first.offset), set[int]()
    while 0 < offset < file.size:
        if offset in seen:
            msg = f"{path} is damaged (its pages run in a circle): copy or export it again."
            raise ValueError(msg)
        seen.add(offset)
        file.seek(offset)
        count = file.read(layout.tagnosize)
        if len(count) < layout.tagnosize:
            return
        (tags,) = struct.unpack(layout.tagnoformat, count)
        file.seek(offset + layout.tagnosize + tags * layout.tagsize)
        following = file.read(layout.offsetsize)
        if len(following) < layout.offsetsize:
            return
        (offset,) = struct.unpack(layout.offsetformat, following)


@contextmanager
def listening() -> Iterator[Told]:
    """Yield what tifffile tells in its log until the end of the block."""
    found = Told()
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.thread == thread and _BEYOND_END.search(message):
                found.beyond_end.append(message)
            if record.thread == thread and _INCOMPLETE_SET.search(message):
                found.incomplete_set.append(message)

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def is_truncated(series: tifffile.TiffPageSeries) -> bool:
    """Return True if pixels of the series lie beyond the end of the file, or nowhere."""
    page = series.keyframe
    if len(page.dataoffsets) < math.prod(page.chunked):  # tifffile reads such parts as zeros
        return True
    size = math.prod(page.chunks) * page.dtype.itemsize if page.dtype is not None else 0
    if size > _LARGE_PART and size > _MOST_COMPRESSED * max(page.databytecounts, default=0):
        return True
    if series.dataoffset is not None:
        return series.dataoffset + series.nbytes > series.parent.filehandle.size
    return any(
        offset + count > page.parent.filehandle.size
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    )


def complete_part(
    series: tifffile.TiffPageSeries, path: Path, files: OmeFiles, *, accept: bool = False
) -> tuple[tifffile.TiffPageSeries, tuple[str, ...]]:
    """Return the series without planes missing at its end, and a notice about them.

    An interrupted acquisition lacks the last positions along one axis. With `accept`, planes
    missing in other places are read as zeros, and named in the notice.

    Raises
    ------
    ValueError
        If planes are missing in other places and this is not accepted.
    """
    pages = list(series.pages)
    count = len(pages)
    there = np.array([page is not None and any(page.databytecounts) for page in pages])
    if series.kind != "mmstack":  # elsewhere a plane without bytes is one of zeros
        there = np.array([page is not None for page in pages])
    if there.all():
        return series, ()
    shape, axes = series.get_shape(squeeze=False), series.get_axes(squeeze=False)
    leading = _leading(shape, count)
    lacking = f"{count - int(there.sum())} of {count} planes"
    absent = [name for name in files.names if not (path.parent / name).exists()]
    reason = f" because files of its set are missing ({_listed(absent)})" if absent else ""
    axis, kept = _cut(there.reshape(leading))
    if not kept and accept:
        places = _places(there.reshape(leading), axes)
        return series, (f"{lacking} are missing{reason}: {_listed(places)} are read as 0.",)
    if not kept:
        msg = (
            f"{path} lacks {lacking}{reason}, not only at its end: copy all of it again, with the "
            "other files of its set, if any, into the same folder, or accept missing planes "
            "(--accept-missing), which are then read as 0."
        )
        raise ValueError(msg)
    notice = (
        f"{lacking} are missing{reason}: read as the first {kept} of {leading[axis]} along "
        f"{axes[axis]}."
    )
    grid = np.empty(count, object)
    grid[:] = pages
    region = (slice(None),) * axis + (slice(kept),)
    part = tifffile.TiffPageSeries(
        list(grid.reshape(leading)[region].ravel()),
        (*shape[:axis], kept, *shape[axis + 1 :]),
        series.dtype,
        axes,
        parent=series.parent,
        name=series.name,
        kind=series.kind,
        multifile=series.is_multifile,
    )
    return part, (notice,)


def _cut(there: np.ndarray) -> tuple[int, int]:
    """Return the outermost axis along which only the end is missing, and the length before it.

    The length is 0 if there is no such axis.
    """
    for axis in range(there.ndim):
        others = tuple(i for i in range(there.ndim) if i != axis)
        whole = np.atleast_1d(there.all(axis=others))
        first = int(np.argmin(whole))  # of the positions that are not whole
        if first and not whole[first:].any():
            return axis, first
    return 0, 0


def _places(there: np.ndarray, axes: str) -> list[str]:
    """Return the places of missing planes, such as "T 0 Z 4"; axes of one position are left out."""
    shown = [n for n, length in enumerate(there.shape) if length > 1]
    return [" ".join(f"{axes[n]} {place[n]}" for n in shown) for place in np.argwhere(~there)]


def _leading(shape: Sequence[int], count: int) -> tuple[int, ...]:
    """Return the lengths of the axes that run over pages."""
    number = next(i for i in range(len(shape) + 1) if math.prod(shape[:i]) == count)
    while number < len(shape) and shape[number] == 1:
        number += 1
    return tuple(shape[:number])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more
