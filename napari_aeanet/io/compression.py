"""Compression of the pixels in a file, without loss."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np


class Compression(StrEnum):
    """Compression of the pixels in a file, without loss."""

    AUTOMATIC = "as usual"  # none in TIFF, zstd in OME-Zarr, deflate in PNG
    NONE = "none"
    DEFLATE = "deflate"
    ZLIB = DEFLATE
    LZW = "lzw"
    ZSTD = "zstd"


# By the end of the name of a file.
_POSSIBLE = {
    ".png": (Compression.DEFLATE,),
    ".zarr": (Compression.ZSTD, Compression.DEFLATE, Compression.NONE),
    ".tif": (Compression.NONE, Compression.DEFLATE, Compression.LZW, Compression.ZSTD),
}
_POSSIBLE[".tiff"] = _POSSIBLE[".tif"]


def check_compression(path: str | Path, compression: Compression) -> None:
    """Raise a ValueError if the format of `path` has no such compression."""
    possible = _POSSIBLE.get(Path(path).suffix.lower(), tuple(Compression))
    if compression not in (Compression.AUTOMATIC, *possible):
        listed = ", ".join(possible)
        msg = f"{path} cannot be written with {compression} compression: this format has {listed}."
        raise ValueError(msg)


def tiff_compression(compression: Compression, dtype: np.dtype) -> dict[str, Any]:
    """Return the options of `tifffile.imwrite`."""
    if compression in (Compression.AUTOMATIC, Compression.NONE):
        return {}
    # Differences of neighbours are smaller; many programs read them for integers only.
    predictor = dtype.kind in "iu" and compression is not Compression.ZSTD
    # tifffile's "deflate" is an old code (32946) that fewer programs know than "zlib" (8).
    name = "zlib" if compression is Compression.DEFLATE else compression.value
    return {"compression": name, "predictor": 2 if predictor else None}


def zarr_compression(compression: Compression) -> dict[str, Any]:
    """Return the options of `zarr.Group.create_array`, for OME-Zarr 0.5."""
    from zarr.codecs import GzipCodec, ZstdCodec

    codecs = {
        Compression.NONE: None,
        Compression.DEFLATE: GzipCodec(),
        Compression.ZSTD: ZstdCodec(),
    }
    if compression is Compression.AUTOMATIC:
        return {}
    if compression not in codecs:
        raise ValueError(f"OME-Zarr has no {compression} compression, only {', '.join(codecs)}.")
    return {"compressors": codecs[compression]}
