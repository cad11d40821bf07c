"""Table and contact sheet of the registrations of many pairs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.figures import write_figure
from napari_aeanet.pairs.pair import ImagePair, PairProblem
from napari_aeanet.registration import Registration, Verdict, resample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    "drift_before_px",
    "drift_after_px",
    "residual_px",
    "target_pixel_size",
    "unit",
    "correlation_before",
    "correlation_after",
    "coverage",
)
#: Squares of a checkerboard along the longer side.
SQUARES = 10
#: Longest side of a checkerboard on the contact sheet, in pixels.
THUMBNAIL = 480
#: Colours of the drift on the contact sheet, before it is followed and after; how much longer than
#: it is it may be drawn, and the longest arrows, in pixels.
BEFORE, AFTER = "#ff8c42", "#4fd1c5"
MAGNIFIED, LONGEST = (100, 50, 20, 10, 5, 2, 1), 40


def table(pairs: Sequence[ImagePair], unread: Sequence[PairProblem] = ()) -> str:
    """Return the registrations as CSV text, one row per pair; unknown values stay empty.

    Pairs that could not be read have failed, with the reason.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in pairs:
        if pair.registration is not None:
            writer.writerow([pair.name, *_row(pair.registration)])
    empty = [None] * (len(COLUMNS) - 3)
    writer.writerows([one.pair, Verdict.FAILED, one.message, *empty] for one in unread)
    return text.getvalue()


def save_table(
    pairs: Sequence[ImagePair], path: str | Path, unread: Sequence[PairProblem] = ()
) -> None:
    """Write `table` as UTF-8 without an encoding mark, which would spoil the first column's name.

    Spreadsheet programs that need the mark read all but unusual names without it: units are
    written in plain letters.
    """
    write_bytes_atomically(path, table(pairs, unread).encode("utf-8"))


def registration_as_plain(name: str, registration: Registration) -> dict[str, Any]:
    """Return a registration as plain values; lengths in target pixels."""
    return {
        "pair": name,
        "verdict": registration.verdict.value,
        "usable": registration.verdict.is_usable,
        "reason": registration.reason,
        "scale": registration.scale,
        "rotation_degrees": registration.rotation,
        "shift_px": list(registration.shift),
        "expected_error_px": registration.expected_error,
        "drift_px": registration.drift,
        "follows_drift": registration.is_deformed,
        "drift_before_px": registration.deformation and registration.deformation.before,
        "drift_after_px": registration.deformation and registration.deformation.after,
        "correlation_before": registration.correlation_before,
        "correlation_after": registration.correlation_after,
        "coverage": registration.coverage,
        "matrix": registration.matrix.tolist(),
    }


def checkerboard(source: np.ndarray, target: np.ndarray, squares: int = SQUARES) -> np.ndarray:
    """Alternate squares of two images of one size; where they fit, edges run on across squares.

    The source takes the mean and the standard deviation of the target.
    """
    height, width = target.shape[-2:]
    side = max(1, max(height, width) // squares)
    y, x = np.ogrid[:height, :width]
    gain = np.nanstd(target) / (np.nanstd(source) or 1.0)
    adapted = (source - np.nanmean(source)) * gain + np.nanmean(target)
    return np.where((y // side + x // side) % 2 == 0, adapted, target)


def pair_checkerboard(pair: ImagePair) -> np.ndarray:
    """Return the checkerboard of source and target, float32, on the target grid.

    Of a stack with its projection, it is that of the brightest pixels and the projection.
    """
    pair = pair.flat()
    source = pair.on_target_grid().read().astype(np.float32)
    if pair.registration is not None and pair.registration.inverted:
        source = -source
    return checkerboard(source, pair.target.read().astype(np.float32))


def contact_sheet(pairs: Sequence[ImagePair], columns: int = 4) -> Figure:
    """Draw the checkerboard of every registered pair, titled with its verdict.

    Where local drift is followed, arrows show it block by block, before and after, magnified.
    """
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
        title = f"{pair.name}: {registration.verdict}"
        if registration.deformation is not None:
            drift = registration.deformation
            title += f"; follows drift, {drift.before:.1f} px -> {drift.after:.1f} px"
        axes.set_title(title, fontsize=9)
        if registration.verdict is Verdict.FAILED:
            axes.text(0.5, 0.5, "failed", ha="center", va="center", transform=axes.transAxes)
        else:
            board = _thumbnail(pair, registration)
            low, high = np.nanquantile(board, (0.005, 0.995))
            axes.imshow(board, cmap="gray", vmin=low, vmax=high)
            if registration.deformation is not None:
                _draw_drift(axes, pair, registration)
    return figure


def save_contact_sheet(pairs: Sequence[ImagePair], path: str | Path) -> None:
    """Write `contact_sheet` to an image file."""
    figure = contact_sheet(pairs)
    write_figure(figure, Path(path), dpi=110)


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
        *(
            (None, None)
            if registration.deformation is None
            else (rounded(registration.deformation.before), rounded(registration.deformation.after))
        ),
        rounded(registration.residual),
        registration.target_pixel_size,
        registration.unit and registration.unit.replace("µ", "u"),
        rounded(registration.correlation_before),
        rounded(registration.correlation_after),
        rounded(registration.coverage),
    ]


def _thumbnail(pair: ImagePair, registration: Registration) -> np.ndarray:
    """Return the checkerboard of the middle of the target (of its middle plane)."""
    pair = pair.flat()
    region = _middle(pair)
    middle = pair.target.sizes.get("Z", 1) // 2
    leading = (middle,) if "Z" in pair.target.axes else ()
    target = pair.target.read((*leading, *region)).astype(np.float32)
    source = resample(pair.source, registration, pair.target, region).array.astype(np.float32)
    if source.ndim == 3:
        source = source[len(source) // 2]
    return checkerboard(-source if registration.inverted else source, target)


def _middle(pair: ImagePair) -> tuple[slice, slice]:
    """Return the region of the target that the contact sheet shows."""
    (top, height), (left, width) = (
        ((n - min(n, THUMBNAIL)) // 2, min(n, THUMBNAIL)) for n in pair.target.shape[-2:]
    )
    return slice(top, top + height), slice(left, left + width)


def _draw_drift(axes: Axes, pair: ImagePair, registration: Registration) -> None:
    """Draw the drift of the blocks that are shown, before it is followed and after."""
    rows, columns = _middle(pair)
    kinds = {"drift": (registration.drift_vectors, BEFORE)}
    kinds["what remains"] = (registration.remaining_vectors, AFTER)
    lengths = np.linalg.norm(registration.drift_vectors[:, 1], axis=1)
    longest = max(float(lengths.max(initial=0)), 1e-6)
    factor = next((one for one in MAGNIFIED if one * longest <= LONGEST), 1)
    for name, (vectors, colour) in kinds.items():
        y, x = (vectors[:, 0] - (rows.start, columns.start)).T
        inside = (y >= 0) & (y < rows.stop - rows.start)
        inside &= (x >= 0) & (x < columns.stop - columns.start)
        down, along = factor * vectors[inside, 1].T
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008}
        label = f"{name} (× {factor})"
        axes.quiver(x[inside], y[inside], along, down, color=colour, label=label, **arrows)
    axes.legend(loc="lower center", ncols=2, fontsize=7, framealpha=0.8)
