"""A benchmark as a page in Markdown, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_aeanet.benchmark.settings import (
    JSON_NAME,
    PAGE_NAME,
    TITLES,
    BenchmarkReport,
    DeviceMeasured,
    Measurement,
    Part,
)
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import in_words
from napari_aeanet.core.schema import Document, to_plain

DOCUMENT = Document(
    kind=dict, title="benchmark of a computer", version=1, marker="napari-aeanet benchmark"
)
# Shares are printed as percent.
SHARES = ("share of the bare loop", "share of time busy")


def as_plain(report: BenchmarkReport) -> dict[str, Any]:
    """Return everything as the dicts, lists and numbers that JSON holds."""
    return {
        "passed": not report.failed,
        "seconds": round(report.seconds, 1),
        "versions": report.versions,
        "devices": [to_plain(device) for device in report.devices],
        "measurements": [{**to_plain(one), "failed": one.is_failed} for one in report.measurements],
    }


def _finite(value: float | None) -> float | None:
    """Return the value; None for infinity and NaN, which JSON cannot hold."""
    return None if value is None or not math.isfinite(value) else value


def save_report(report: BenchmarkReport, folder: Path) -> tuple[Path, Path]:
    """Write the figures as JSON and as a page into a folder, and return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / JSON_NAME, folder / PAGE_NAME
    write_bytes_atomically(paths[0], DOCUMENT.dump(as_plain(report)))
    write_bytes_atomically(paths[1], page_of(report).encode())
    return paths


def page_of(report: BenchmarkReport) -> str:
    """Return the page in Markdown."""
    versions = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    lines = ["# Benchmark of this computer", "", f"{report.summary} {_took(report)}", ""]
    lines += [f"{versions}.", ""]
    for device in report.devices:
        lines += [f"## {device.title} (`{device.name}`)", "", _sizes(device), ""]
        for part in Part:
            own = [
                one for one in report.measurements if one.device == device.name and one.part is part
            ]
            if own:
                lines += [f"### {TITLES[part]}", "", *_table(own), ""]
    return "\n".join(lines)


def _took(report: BenchmarkReport) -> str:
    return f"It took {in_words(report.seconds)}."


def _sizes(device: DeviceMeasured) -> str:
    edges = " and ".join(f"{edge} × {edge}" for edge in device.edges)
    return (
        f"Training: {device.batch} patches of {device.patch} × {device.patch} pixels a step. "
        f"Restoring: {edges} pixels."
    )


def _table(own: list[Measurement]) -> Iterator[str]:
    """Yield the lines of a table; checks have a limit and a verdict."""
    if any(one.limit is not None for one in own):
        yield "| check | error | limit | | |"
        yield "|---|---|---|---|---|"
        for one in own:
            limit = "" if one.limit is None else f"{one.limit:g}"
            yield f"| {one.name} | {_value(one)} | {limit} | {_verdict(one)} | {one.note} |"
        return
    yield "| | | |"
    yield "|---|---|---|"
    for one in own:
        yield f"| {one.name} | {_value(one)} | {one.note} |"


def _verdict(one: Measurement) -> str:
    if one.limit is None or one.is_left_out:
        return ""
    return "**FAILED**" if one.is_failed else "passed"


def _value(one: Measurement) -> str:
    if one.value is None:
        return "–"
    if one.name in SHARES:
        return f"{100 * one.value:.0f} %"
    digits = ".1e" if one.limit is not None else ".3g"
    return f"{one.value:{digits}} {one.unit}".rstrip()
