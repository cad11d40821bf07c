"""Resume an interrupted restoration: only with the same image, model and settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.schema import Document
from napari_aeanet.models import Model
from napari_aeanet.restoration.layout import Layout
from napari_aeanet.restoration.output import FileOutputStore, partial_path, stored_plan
from napari_aeanet.restoration.prepare import PreparedRun
from napari_aeanet.restoration.settings import RestoreSettings, height_path

# Settings that do not change the result, so they may differ when a restoration is resumed.
RESULT_NEUTRAL_SETTINGS = ("device", "memory", "tile")
# Tiles are restored block after block of about this edge, so that chunks of a file fill up early.
BLOCK = 1024


@dataclass(frozen=True)
class Fingerprint:
    """Properties that identify an image, and change when its file changes."""

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


@dataclass(frozen=True, kw_only=True)
class RestorationPlan:
    """The task of an unfinished file, and what it was begun with.

    That is the tiles (starts and stops), and the intensity range of each channel, which may depend
    on the other images of a batch.

    `model` is a digest of the network and its weights. Settings that do not change the result
    have their defaults.
    """

    source: Fingerprint
    model: str
    settings: RestoreSettings
    tiles: tuple[tuple[tuple[int, int], ...], ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()


PLAN = Document(kind=RestorationPlan, title="restoration plan", version=1)


def open_files(
    path: Path, prepared: PreparedRun, source: Fingerprint
) -> tuple[FileOutputStore, FileOutputStore | None, Layout]:
    """Return the files of a result and its height map, new or unfinished, and their layout.

    An unfinished file is resumed with the tiles that it was begun with.
    """
    layout = prepared.layout
    defaults = {name: getattr(RestoreSettings(), name) for name in RESULT_NEUTRAL_SETTINGS}
    settings = replace(prepared.settings, **defaults)
    plan = RestorationPlan(source=source, model=_digest(prepared.model), settings=settings)
    outputs = {path: layout.output}
    if layout.height is not None:
        outputs[height_path(path)] = layout.height
    stored = [found for file in outputs if (found := _begun_plan(file, plan)) is not None]
    if stored:
        # The sums of an interrupted run lie beside the result, so its tiles come first.
        plan = stored[0]
        tiles = tuple(tuple(slice(*span) for span in tile) for tile in plan.tiles)
    else:
        tiles = tuple(sorted(layout.tiles, key=_block_after_block))
        spans = tuple(tuple((s.start, s.stop) for s in tile) for tile in tiles)
        ranges = tuple((one.low, one.high) for one in layout.intensities.ranges)
        plan = replace(plan, tiles=spans, ranges=ranges)
    stores = [
        FileOutputStore(file, output, PLAN.dump(plan), settings.compression)
        for file, output in outputs.items()
    ]
    layout = replace(layout, tiles=tiles).with_ranges(plan.ranges)
    return stores[0], stores[1] if layout.height is not None else None, layout


def _begun_plan(path: Path, plan: RestorationPlan) -> RestorationPlan | None:
    """Return the plan of the unfinished file that is to become `path`; None if there is none."""
    data = stored_plan(path)
    if data is None:
        return None
    stored = PLAN.load(data, partial_path(path))
    if replace(stored, tiles=(), ranges=()) != plan:
        msg = (
            f"{partial_path(path)} is an unfinished restoration of another image, or with "
            "another model or other settings: finish that one, or remove the folder to begin "
            "anew."
        )
        raise ValueError(msg)
    return stored


def _digest(model: Model) -> str:
    """Return one number for the weights and the network."""
    found = hashlib.sha256(json.dumps(dict(model.card.network), sort_keys=True).encode())
    for name in sorted(model.weights):
        found.update(np.ascontiguousarray(model.weights[name]).tobytes())
    return found.hexdigest()


def _block_after_block(region: Region) -> tuple[int, ...]:
    return (*(s.start // BLOCK for s in region), *(s.start for s in region))
