"""Going on with an interrupted restoration: only with the same image, model and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.models import Model
from napari_aeanet.restoration.layout import Layout
from napari_aeanet.restoration.output import FileOutputStore, partial_path, stored_plan
from napari_aeanet.restoration.settings import RestoreSettings, height_path

FORMAT = 1
# Settings that do not change the result, so they may differ when a restoration goes on.
RESULT_NEUTRAL_SETTINGS = ("device", "memory", "tile")
# Tiles are restored block after block of about this edge, so that chunks of a file fill up early.
BLOCK = 1024


@dataclass(frozen=True)
class Fingerprint:
    """What tells an image from another, and from itself after a change."""

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    source: str
    bytes: int
    modified: int

    @classmethod
    def of(cls, image: Image) -> Fingerprint:
        exists = image.source is not None and image.source.exists()
        status = image.source.stat() if exists and image.source is not None else None
        return cls(
            name=image.name,
            axes=image.axes,
            shape=image.shape,
            dtype=str(image.dtype),
            source=str(image.source or ""),
            bytes=status.st_size if status else 0,
            modified=status.st_mtime_ns if status else 0,
        )

    def check(self, image: Image) -> None:
        """Refuse a result whose source was changed while it was read bit by bit."""
        in_memory = type(image.array) is np.ndarray
        if not in_memory and Fingerprint.of(image) != self:
            msg = f"{image.source} was changed while it was being restored: restore it again."
            raise ValueError(msg)


def open_files(
    path: Path, layout: Layout, source: Fingerprint, model: Model, settings: RestoreSettings
) -> tuple[FileOutputStore, FileOutputStore | None, Layout]:
    """The files of a result and its height map, new or unfinished, and the layout to go on with.

    An unfinished file is continued with the tiles that it was begun with.
    """
    job = {
        "format": FORMAT,
        "source": asdict(source),
        "model": _digest(model),
        "settings": {k: v for k, v in asdict(settings).items() if k not in RESULT_NEUTRAL_SETTINGS},
    }
    job = json.loads(json.dumps(job))  # as it will be read back: tuples are lists
    outputs = {path: layout.output}
    if layout.height is not None:
        outputs[height_path(path)] = layout.height
    begun = [tiles for file in outputs if (tiles := _tiles_begun_with(file, job)) is not None]
    # The sums that an interrupted run kept lie beside the result, so its tiles come first.
    tiles = begun[0] if begun else tuple(sorted(layout.tiles, key=_block_after_block))
    layout = replace(layout, tiles=tiles)
    plan = job | {"tiles": _numbers_from_regions(tiles)}
    canvas, *heights = (FileOutputStore(file, output, plan) for file, output in outputs.items())
    return canvas, heights[0] if heights else None, layout


def _tiles_begun_with(path: Path, job: dict[str, Any]) -> tuple[Region, ...] | None:
    """The tiles of the unfinished file that is to become `path`; None if there is none."""
    stored = stored_plan(path)
    if stored is None:
        return None
    tiles = _regions_from_numbers(stored.pop("tiles"))
    if stored != job:
        msg = (
            f"{partial_path(path)} is an unfinished restoration of another image, or with "
            "another model or other settings: finish that one, or remove the folder to begin "
            "anew."
        )
        raise ValueError(msg)
    return tiles


def _digest(model: Model) -> str:
    """One number for the weights and the network."""
    found = hashlib.sha256(json.dumps(dict(model.card.network), sort_keys=True).encode())
    for name in sorted(model.weights):
        found.update(np.ascontiguousarray(model.weights[name]).tobytes())
    return found.hexdigest()


def _block_after_block(region: Region) -> tuple[int, ...]:
    return (*(s.start // BLOCK for s in region), *(s.start for s in region))


def _numbers_from_regions(regions: Sequence[Region]) -> list[Any]:
    return [[[s.start, s.stop] for s in region] for region in regions]


def _regions_from_numbers(numbers: Sequence[Any]) -> tuple[Region, ...]:
    return tuple(tuple(slice(start, stop) for start, stop in region) for region in numbers)
