"""Resume an interrupted restoration: only with the same image, model and settings."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.schema import Document
from napari_aeanet.io import Fingerprint
from napari_aeanet.models import Model
from napari_aeanet.restoration.layout import Layout
from napari_aeanet.restoration.output import FileOutputStore
from napari_aeanet.restoration.partial import PartialFolder, take_back, unfinished_plan
from napari_aeanet.restoration.preparation import PreparedRun
from napari_aeanet.restoration.settings import RestoreSettings, height_path

# Settings that do not change the result, so they may differ when a restoration is resumed.
RESULT_NEUTRAL_SETTINGS = ("device", "memory", "tile")
# Tiles are restored block after block of about this edge, so that chunks of a file fill up early.
BLOCK = 1024


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
    path: Path, prepared: PreparedRun, source: Fingerprint, *, overwrite: bool = False
) -> tuple[FileOutputStore, FileOutputStore | None, Layout]:
    """Return the files of a result and its height map, new or unfinished, and their layout.

    An unfinished file is resumed with the tiles that it was begun with. With `overwrite`, results
    that exist are replaced in the end.
    """
    layout = prepared.layout
    defaults = {name: getattr(RestoreSettings(), name) for name in RESULT_NEUTRAL_SETTINGS}
    settings = replace(prepared.settings, **defaults)
    plan = RestorationPlan(source=source, model=_digest(prepared.model), settings=settings)
    outputs = {path: layout.output}
    if layout.height is not None:
        outputs[height_path(path)] = layout.height
    with ExitStack() as on_error:
        folders = []
        for file in outputs:
            killed_at_the_end = unfinished_plan(file)
            if killed_at_the_end and _differs(PLAN.load(killed_at_the_end, file), plan) is None:
                take_back(file)
            folders.append(PartialFolder(file, overwrite=overwrite))
            on_error.callback(folders[-1].release, discard=True)
        stored = [found for folder in folders if (found := _begun_plan(folder, plan)) is not None]
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
            FileOutputStore(folder, output, PLAN.dump(plan), settings.compression)
            for folder, output in zip(folders, outputs.values(), strict=True)
        ]
        on_error.pop_all()
    layout = replace(layout, tiles=tiles).with_ranges(plan.ranges)
    return stores[0], stores[1] if layout.height is not None else None, layout


def _begun_plan(folder: PartialFolder, plan: RestorationPlan) -> RestorationPlan | None:
    """Return the plan of an unfinished folder; None if there is none."""
    data = folder.stored_plan()
    if data is None:
        return None
    stored = PLAN.load(data, folder.path)
    difference = _differs(stored, plan)
    if difference is not None:
        msg = (
            f"{folder.path} is an unfinished restoration {difference}: finish that one, or remove "
            "the folder to begin anew."
        )
        raise ValueError(msg)
    return stored


def _differs(stored: RestorationPlan, plan: RestorationPlan) -> str | None:
    """Return what makes an unfinished restoration unlike the plan; None if nothing does."""
    if not stored.source.content:  # of version 0.1.0
        plan = replace(plan, source=replace(plan.source, content=""))
    stored = replace(stored, tiles=(), ranges=())
    if stored == plan:
        return None
    ours, theirs = plan.source, stored.source
    same_file = (ours.source, ours.name) == (theirs.source, theirs.name) and ours.source
    if same_file and replace(stored, source=ours) == plan:
        return f"of {ours.source} before that was changed"
    return "of another image, or with another model or other settings"


def _digest(model: Model) -> str:
    """Return one number for the weights and the network."""
    found = hashlib.sha256(json.dumps(dict(model.card.network), sort_keys=True).encode())
    for name in sorted(model.weights):
        found.update(np.ascontiguousarray(model.weights[name]).tobytes())
    return found.hexdigest()


def _block_after_block(region: Region) -> tuple[int, ...]:
    return (*(s.start // BLOCK for s in region), *(s.start for s in region))
