"""The outcome of many registrations as a table and as a contact sheet of checkerboards."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration import Registration, Verdict, resample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "pair",
    "verdict",
    "reason",
    "method",
    "inliers",
    "candidates",
    "scale",
    "rotation_degrees",
    "shift_y_px",
    "shift_x_px",
    "expected_error_px",
    "drift_px",
    "residual_px",
    "target_pixel_size",
    "unit",
    "correlation_before",
    "correlation_after",
    "coverage",
)
#: Squares of a checkerboard along the shorter side.
SQUARES = 8
#: Longest side of a checkerboard on the contact sheet, in pixels.
THUMBNAIL = 480


def table(pairs: Sequence[ImagePair]) -> str:
    """The registrations as CSV text, one row per pair; what is unknown stays empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in pairs:
        if pair.registration is not None:
            writer.writerow([pair.name, *_row(pair.registration)])
    return text.getvalue()


def save_table(pairs: Sequence[ImagePair], path: str | Path) -> None:
    """Write `table` to a file that spreadsheet programs open with its characters intact."""
    write_bytes_atomically(path, table(pairs).encode("utf-8-sig"))


def checkerboard(first: np.ndarray, second: np.ndarray, squares: int = SQUARES) -> np.ndarray:
    """Two images of one size in alternating squares; edges run on across them where they fit.

    Each is stretched to 0..1 between its 0.5 and 99.5 % quantiles.
    """
    side = max(1, min(first.shape) // squares)
    y, x = np.ogrid[: first.shape[0], : first.shape[1]]
    return np.where((y // side + x // side) % 2 == 0, _stretched(first), _stretched(second))


def contact_sheet(pairs: Sequence[ImagePair], columns: int = 4) -> Figure:
    """A figure with the checkerboard of every registered pair, its verdict above it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [pair for pair in pairs if pair.registration is not None]
    columns = max(1, min(columns, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(4 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, pair in enumerate(shown):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.set_axis_off()
        registration = pair.registration
        assert registration is not None
        axes.set_title(f"{pair.name}: {registration.verdict}", fontsize=9)
        if registration.verdict is Verdict.FAILED:
            axes.text(0.5, 0.5, "failed", ha="center", va="center", transform=axes.transAxes)
        else:
            axes.imshow(_thumbnail(pair, registration), cmap="gray", vmin=0, vmax=1)
    return figure


def save_contact_sheet(pairs: Sequence[ImagePair], path: str | Path) -> None:
    """Write `contact_sheet` to an image file."""
    figure = contact_sheet(pairs)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _row(registration: Registration) -> list[str | int | float | None]:
    def rounded(value: float | None, digits: int = 4) -> float | None:
        return None if value is None or not np.isfinite(value) else round(value, digits)

    is_found = registration.verdict is not Verdict.FAILED
    return [
        str(registration.verdict),
        registration.reason,
        None if registration.method is None else str(registration.method),
        registration.inliers,
        registration.candidates,
        *(
            rounded(value, 6) if is_found else None
            for value in (registration.scale, registration.rotation, *registration.shift)
        ),
        rounded(registration.expected_error),
        rounded(registration.drift),
        rounded(registration.residual),
        registration.target_pixel_size,
        registration.unit,
        rounded(registration.correlation_before),
        rounded(registration.correlation_after),
        rounded(registration.coverage),
    ]


def _thumbnail(pair: ImagePair, registration: Registration) -> np.ndarray:
    """Checkerboard of source and target in the middle of the target, in full resolution."""
    side = [min(n, THUMBNAIL) for n in pair.target.shape[-2:]]
    region = tuple(
        slice((n - s) // 2, (n - s) // 2 + s)
        for n, s in zip(pair.target.shape[-2:], side, strict=True)
    )
    leading = (pair.target.shape[0] // 2,) if "Z" in pair.target.axes else ()
    target = pair.target.read((*leading, *region)).astype(np.float32)
    source = resample(pair.source, registration, pair.target, region).array
    if source.ndim == 3:
        source = source[len(source) // 2]
    if registration.inverted:
        source = -source.astype(np.float32)
    return checkerboard(source.astype(np.float32), target)


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.nanquantile(values, (0.005, 0.995))
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)
