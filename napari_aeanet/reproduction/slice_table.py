"""The table of interpolated slices, with the published figures in brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isnan
from pathlib import Path

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.reproduction.settings import SLICES_TITLE, ReproduceSettings
from napari_aeanet.reproduction.slices import SliceResult

#: Scores, their titles and decimals.
COLUMNS = {
    "psnr": ("PSNR dB", 2),
    "ssim": ("SSIM", 4),
    "error": ("IE", 2),
    "agreement": ("membrane agreement", 3),
    "sharpness": ("sharpness", 2),
    "dice": ("membrane Dice", 3),
}
#: Published figures by method and CREMI sample. Kernel estimation is SepConv with the losses of
#: the paper.
PUBLISHED: dict[tuple[str, str], dict[str, float]] = {
    ("SSAN", "A"): {"psnr": 18.26, "ssim": 0.4374, "dice": 0.602},
    ("SSAN", "B"): {"psnr": 16.79, "ssim": 0.3712, "dice": 0.435},
    ("SSAN", "C"): {"psnr": 16.46, "ssim": 0.3575, "error": 28.38, "dice": 0.465},
    ("extractor: U-Net", "A"): {"psnr": 18.10, "ssim": 0.4295},
    ("extractor: siamese U-Net", "A"): {"psnr": 18.12, "ssim": 0.4352},
    ("extractor: dense blocks", "A"): {"psnr": 17.73, "ssim": 0.4448},
    ("layer: kernel estimation", "A"): {"psnr": 17.59, "ssim": 0.4354},
    ("layer: one-level attention", "A"): {"psnr": 18.12, "ssim": 0.4292},
}
LONG_TRAINING = "50 epochs of all sections in patches of 512 x 512 on a GPU"


def slice_rows(results: Sequence[SliceResult]) -> list[list[str]]:
    """Return the table as words, a row for each method on each stack, below a row of titles."""
    shown = [name for name in COLUMNS if any(not isnan(one.mean(name)) for one in results)]
    costs = ["sections", "parameters", "s/section"]
    head = ["stack", "method", *(COLUMNS[name][0] for name in shown), *costs]
    rows = [head]
    for one in results:
        published = PUBLISHED.get((one.method, _sample(one.stack)), {})
        cells = [_cell(one.mean(name), COLUMNS[name][1], published.get(name)) for name in shown]
        size = f"{one.parameters:,}" if one.parameters else ""
        seconds = "–" if one.per_section is None else f"{one.per_section:.2g}"
        rows.append([one.stack, one.method, *cells, str(len(one.sections)), size, seconds])
    return rows


def slice_remarks(results: Sequence[SliceResult], settings: ReproduceSettings) -> list[str]:
    """Return remarks on the conditions."""
    steps = f"{settings.steps} step{'s' if settings.steps > 1 else ''}"
    budget = steps if settings.steps else f"{settings.budget:g} min"
    how = f"for {budget}, by the Charbonnier loss"
    if settings.is_published:
        filters = "VGG-16" if settings.vgg_weights else "fixed random filters instead of VGG-16"
        long = f"{steps} instead of all" if settings.steps else "all steps"
        how = f"by the paper's recipe ({long}; features of {filters}), that guided by flow {how}"
    found = [
        f"In brackets: the published figure (SSAN paper), after {LONG_TRAINING}. Here every "
        f"network learnt {how}, seed {settings.seed}, from the first three fifths of each stack; "
        "the last fifth is tested.",
        "Neighbours are aligned to the tested section, and intensities matched. PSNR and SSIM "
        "reward blur: compare with the blurred flow.",
    ]
    if not (settings.published_sizes or settings.is_published):
        found.append("SSAN and its variants are small ones; --published-sizes trains the large.")
    if any(not isnan(one.mean("dice")) for one in results):
        found.append(
            "Membrane Dice: borders of the segmented cells against as many pixels of the strongest "
            "dark ridges. How the published figure segments is not stated."
        )
    return found


def save_slice_table(
    results: Sequence[SliceResult], settings: ReproduceSettings, folder: Path
) -> Path:
    """Write the table and the remarks to slices.md."""
    rows = ["| " + " | ".join(row) + " |" for row in slice_rows(results)]
    rows.insert(1, "|" + "---|" * (rows[0].count("|") - 1))
    remarks = [f"- {remark}" for remark in slice_remarks(results, settings)]
    text = "\n".join([f"# {SLICES_TITLE}", "", *rows, "", *remarks]) + "\n"
    path = folder / "slices.md"
    write_bytes_atomically(path, text.encode())
    return path


def _sample(name: str) -> str:
    """Return the letter of a CREMI sample by its file name: "A" of "sample_A_20160501"."""
    found = re.search(r"sample_?([ABC])", name)
    return found[1] if found else ""


def _cell(mean: float, decimals: int, published: float | None) -> str:
    if isnan(mean):
        return "–"
    text = f"{mean:.{decimals}f}"
    return text if published is None else f"{text} ({published:.{decimals}f})"
