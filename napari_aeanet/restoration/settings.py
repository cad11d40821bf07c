"""Options and events of a restoration.

No torch here: forms and the command line are made from these before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.intensity_range import RangeChoice, checked_choice
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.io import Compression, stem

# Results can be written to files of this ending block by block, so they may exceed the memory.
STREAMED = ".ome.zarr"
# Of the results of files: NAME-restored.ome.tif.
ENDING = "-restored.ome.tif"


# Smallest field of a context in pixels, and the digits of none.
SMALLEST_FIELD, MOST_DIGITS = 16, 10


class Use(StrEnum):
    """Pixels that contribute to the context of an attention."""

    WHOLE_IMAGE = "whole image"  # exact, in tiles, at the memory of one tile
    PATCHES = "patches"  # each patch by itself, as in the papers


class Output(StrEnum):
    """Number type of the result."""

    AS_INPUT = "as input"
    FLOAT32 = "32-bit float"
    UINT16 = "16 bit"


class Seams(StrEnum):
    """Treatment of the overlap of neighbouring patches."""

    CROP = "cut"  # the margins are dropped, as in the papers
    BLEND = "blended"  # weighted means over the overlap


@dataclass(frozen=True, kw_only=True)
class RestoreSettings:
    """Options of `restore`. Zero means: chosen automatically.

    Parameters
    ----------
    use
        Context of the whole image (exact), or of each patch alone.
    context
        "best" (as measured at the end of training), "whole", or a field in pixels such as "512".
    patch_size
        Edge of a patch in the plane, in pixels of the model's grid.
    patch_depth
        Planes of a patch, for stacks; 0 for all.
    margin
        Rim of a patch that is discarded, in pixels.
    seams
        Cut off the margins, or blend neighbouring patches.
    output
        Number type of the result.
    compression
        Compression of the result in its file, without loss: TIFF has none, deflate, lzw and zstd,
        OME-Zarr none, deflate and zstd.
    range
        Intensities of black and white, such as 0 4095: "auto", "full" for all that the file's
        number type can hold, or two numbers. Models with another normalisation than full scale
        need none.
    resample
        Resample an image of another pixel size to the one the model was trained at.
    force
        Restore although the pixel size differs.
    tile
        Edge of the tiles of a whole-image restoration.
    memory
        Memory that may be used, in GB; 0 for what is worth it, up to half of what is free and 3.
        Less means smaller tiles and more time, but the same result.
    symmetries
        Restore all eight flips and quarter turns of the image and average them: eight times the
        time, and usually a little better.
    height
        Also make the height map of a projection: for each pixel the plane of the stack it shows.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    use: Use = Use.WHOLE_IMAGE
    context: str = "best"
    patch_size: int = 256
    patch_depth: int = 0
    margin: int = 32
    seams: Seams = Seams.CROP
    output: Output = Output.AS_INPUT
    compression: Compression = Compression.AUTOMATIC
    range: RangeChoice = "auto"
    resample: bool = False
    force: bool = False
    tile: int = 0
    memory: float = 0.0
    symmetries: bool = False
    height: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)
        # Past `frozen`: lists, as JSON has them, become tuples.
        object.__setattr__(self, "range", checked_choice(self.range))
        is_field = self.context.isdecimal() and len(self.context) < MOST_DIGITS
        if self.context not in ("best", "whole") and not (
            is_field and int(self.context) >= SMALLEST_FIELD
        ):
            msg = (
                'The context is "best", "whole" or a number of pixels such as "512", at least '
                f'{SMALLEST_FIELD}, got "{self.context[:20]}".'
            )
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """Options that all analyses of a whole image share (relevance, trust).

    Parameters
    ----------
    range
        Intensities of black and white, as for `restore`: "auto", "full" or two numbers.
    resample
        Resample an image of another pixel size to the one the model was trained at.
    force
        Proceed although the pixel size differs.
    tile
        Edge of the tiles in which the image is passed through the network; 0 for automatic.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    range: RangeChoice = "auto"
    resample: bool = False
    force: bool = False
    tile: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)
        # Past `frozen`: lists, as JSON has them, become tuples.
        object.__setattr__(self, "range", checked_choice(self.range))


@dataclass(frozen=True, eq=False)
class TileDone:
    """A part of the result: `block` belongs at `region` of the output array.

    A provisional block was made with the context of its neighbourhood only; it is followed by
    the final one, with the full context.
    """

    region: Region
    block: np.ndarray
    progress: Progress
    provisional: bool = False


@dataclass(frozen=True, eq=False)
class Restored:
    """The whole result, with its place, scale, number type, and notices for the user.

    `provenance` holds model, source, settings and versions as plain values for JSON. `height` is
    the height map of a projection, if wanted: for each pixel the position along Z of the plane it
    shows, in the unit of the image, or the plane number where the plane distance is unknown.
    """

    image: Image
    notices: tuple[str, ...]
    progress: Progress
    provenance: Mapping[str, Any] = field(default_factory=dict)
    height: Image | None = None


RestoreEvent = Progressed | TileDone | Restored


def height_path(path: Path) -> Path:
    """Return the file of the height map beside the result in `path`: "NAME-height"."""
    name = stem(path)
    ending = path.name[len(name) :]
    if ending.lower() == ".png":  # holds no decimal numbers
        ending = ".tif"
    return path.with_name(f"{name}-height{ending}")


def result_files(path: Path, settings: RestoreSettings) -> tuple[Path, ...]:
    """Return all files of the result in `path`."""
    return (path, height_path(path)) if settings.height else (path,)
