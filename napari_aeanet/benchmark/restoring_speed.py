"""Speed of restoring, exactly and patch by patch, and the memory that is kept afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter, process_time

import torch

from napari_aeanet.benchmark.busy import busy_share
from napari_aeanet.benchmark.devices import memory_in_use, wait_for
from napari_aeanet.benchmark.examples import noise, random_model
from napari_aeanet.benchmark.settings import Measurement, Part
from napari_aeanet.core.image import Image
from napari_aeanet.models import Model, presets
from napari_aeanet.restoration import Restored, RestoreSettings, Use, restore_events

PRESET = "aeanet-2d"
WARM_UP_EDGE = 256
NAMES = {Use.WHOLE_IMAGE: "whole image, exact", Use.PATCHES: "patches of 256, margin 32"}


def restoring_speed(
    device: torch.device, edges: tuple[int, ...], deadline: float
) -> Iterator[Measurement | None]:
    """Yield megapixels a second; what would end after `deadline` (perf_counter) is left out."""

    def figure(name: str, value: float | None, unit: str = "", note: str = "") -> Measurement:
        return Measurement(
            device=str(device), part=Part.RESTORING, name=name, value=value, unit=unit, note=note
        )

    model = random_model(PRESET, presets.preset(PRESET).config)
    for _ in restored(noise((WARM_UP_EDGE,) * 2), model, device, Use.WHOLE_IMAGE):
        yield None
    rates: dict[Use, float] = {}
    for edge in edges:
        image = noise((edge, edge))
        for use, name in NAMES.items():
            title, pixels = f"{edge} × {edge}, {name}", edge * edge / 1e6
            if use in rates and perf_counter() + pixels / rates[use] > deadline:
                yield figure(title, None, note="left out: it would take too long on this device")
                continue
            before, began, cpu = memory_in_use(device), perf_counter(), process_time()
            for _ in restored(image, model, device, use):
                yield None
            wait_for(device)
            seconds, cpu = perf_counter() - began, process_time() - cpu
            kept = memory_in_use(device) - before
            rates[use] = pixels / seconds
            note = (
                f"{seconds:.3g} s, {cpu / pixels:.2f} CPU s a megapixel; "
                f"{max(0, kept) / 1e6:.0f} MB of memory kept afterwards"
            )
            yield figure(title, rates[use], "MP/s", note)
    small = noise((edges[0],) * 2)

    def once() -> None:
        for _ in restored(small, model, device, Use.WHOLE_IMAGE):
            pass

    share = busy_share(device, once)
    note = "not measured" if share is None else f"{edges[0]} × {edges[0]}, exact"
    yield figure("share of time busy", share, note=note)


def restored(image: Image, model: Model, device: torch.device, use: Use) -> Iterator[None]:
    """Restore an image, with a stop after every tile, and keep nothing."""
    for event in restore_events(image, model, RestoreSettings(use=use, device=str(device))):
        if not isinstance(event, Restored):
            yield None
