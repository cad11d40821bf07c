"""The papers' tables: methods, protocols and published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from napari_aeanet.evaluation import Matching
from napari_aeanet.reproduction import published_figures as published
from napari_aeanet.reproduction.published_figures import Figures
from napari_aeanet.restoration import RestoreSettings, Use

Layout = Literal["sem", "care", "label-free"]
Sets = Literal["one", "each", "transfer"]
Plot = Literal["", "curves", "boxes"]
Published = Mapping[tuple[str, str], Figures]

POOLED, SELF = "pooled", "self"
PLAIN = "result"
INPUT, UNET, GVTNET, AEANET = "input", "U-Net", "GVTNet", "AEANet"
# Training of the papers, printed beside the budget.
LONG_TRAINING = {
    "sem": "120,000 steps of 8 patches of 256 × 256 on a GPU",
    "care": "50 epochs (about 50,000 steps of 16 patches of 16 × 64 × 64) on a GPU",
    "label-free": "70,000 to 100,000 steps of 16 patches of 32 × 64 × 64 on a GPU",
}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One cell of a table: a method in one column.

    Parameters
    ----------
    method, column
        Names in the table.
    preset
        Preset of the network; "nlm", "lb-nlm" and "srsw" are classical; "" is the input itself.
    each
        One model for every image (self-training), instead of one for all.
    restore
        Options of the restoration.
    """

    method: str
    column: str
    preset: str = ""
    each: bool = False
    restore: RestoreSettings = field(default_factory=RestoreSettings)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A table of a paper.

    Parameters
    ----------
    layout
        Layout of its data on disk.
    metrics
        Names of its figures.
    relative
        True if figures are improvements over the input.
    sets
        The data folder holds one set; or several of which each makes a column; or several, where
        each is trained on and each is tested.
    plot
        Drawing beside the table: curves over the columns, or boxes of the first figure.
    column_title
        Title of the columns where the table has a row for each; "" where they are columns.
    compared
        Pairs of methods that are tested against each other; () for AEANet against all others.
    published
        Figures by method and column.
    source
        Where the published figures are from.
    digits
        Decimals of figures that were published with others than usual.
    remarks
        Sentences below the table.
    """

    name: str
    title: str
    layout: Layout
    units: tuple[Unit, ...]
    metrics: tuple[str, ...]
    matching: Matching
    relative: bool = False
    sets: Sets = "one"
    plot: Plot = ""
    column_title: str = ""
    compared: tuple[tuple[str, str], ...] = ()
    published: Published = field(default_factory=dict)
    source: str = ""
    digits: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


_EM_METHODS = {
    INPUT: "",
    "NLM": "nlm",
    "LB-NLM": "lb-nlm",
    "SRSW": "srsw",
    "VDSR": "vdsr-2d",
    "EDSR": "edsr-2d",
    "RCAN": "rcan-2d",
    UNET: "unet-2d",
    GVTNET: "gvtnet-2d",
    AEANET: "aeanet-2d",
}
_ABLATION = {
    INPUT: "",
    "RCAN": "rcan-2d",
    UNET: "unet-2d",
    GVTNET: "gvtnet-2d",
    "references only": "aeanet-2d-references",
    "batch-aware only": "aeanet-2d-batch",
    "both, r = 16": "aeanet-2d-r16",
    "both, r = 32": "aeanet-2d-r32",
    "both, r = 64": "aeanet-2d",
}
WHOLE = "whole image"
_CURVES = {
    "AEANet, r = 64": "aeanet-2d",
    "AEANet, r = 32": "aeanet-2d-r32",
    "AEANet, r = 16": "aeanet-2d-r16",
    GVTNET: "gvtnet-2d",
}
_PATCHES = RestoreSettings(use=Use.PATCHES, margin=32)
_EM_DELTA = ("psnr", "ssim")
_CARE = ("psnr", "ssim", "nrmse")
_CARE_UNET = (
    "CARE U-Net is the papers' U-Net; U-Net has the form of GVTNet, without its attention.",
)


def _units(
    methods: Mapping[str, str], column: str = PLAIN, *, each: bool = False
) -> tuple[Unit, ...]:
    return tuple(
        Unit(method=method, column=column, preset=preset, each=each)
        for method, preset in methods.items()
    )


def _sized(methods: Mapping[str, str], sizes: Sequence[str]) -> tuple[Unit, ...]:
    """Return units that restore in patches of every size, and as a whole."""
    whole = RestoreSettings(context="whole")
    units = (
        Unit(
            method=method,
            column=size,
            preset=preset,
            restore=whole if size == WHOLE else replace(_PATCHES, patch_size=int(size)),
        )
        for method, preset in methods.items()
        for size in (*sizes, WHOLE)
    )
    return (*units, Unit(method=INPUT, column=WHOLE))


def _networks(suffix: str, **others: str) -> dict[str, str]:
    names = {UNET: f"unet-{suffix}", GVTNET: f"gvtnet-{suffix}", AEANET: f"aeanet-{suffix}"}
    return {INPUT: "", **others, **names}


def _care(suffix: str) -> dict[str, str]:
    return _networks(suffix, **{"CARE U-Net": f"care-{suffix}"})


def _in_column(figures: Mapping[str, Figures], column: str) -> Published:
    return {(method, column): values for method, values in figures.items()}


EXPERIMENTS = {
    one.name: one
    for one in (
        Experiment(
            name="table1",
            title="EM super-resolution, all methods: gain over the bicubic input",
            layout="sem",
            units=(*_units(_EM_METHODS, POOLED), *_units(_EM_METHODS, SELF, each=True)),
            metrics=("psnr", "ssim", "foreground", "background"),
            matching=Matching.NONE,
            relative=True,
            published={
                **_in_column(published.POOLED_GAINS, POOLED),
                **_in_column(published.SELF_GAINS, SELF),
            },
            source=published.AEANET_TABLE_1,
            remarks=(
                "How the paper's SRSW was run is not in the sources at hand; see the manual.",
            ),
        ),
        Experiment(
            name="ablation",
            title="Ablation of AEANet: gain over the bicubic input",
            layout="sem",
            units=_units(_ABLATION, POOLED),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            published={
                key: figures
                for key, figures in _in_column(
                    published.POOLED_GAINS | published.ABLATION, POOLED
                ).items()
                if key[0] in _ABLATION
            },
            source=published.AEANET_TABLE_4,
        ),
        Experiment(
            name="patch-size",
            title="Restored in patches of several sizes: gain over the bicubic input",
            layout="sem",
            units=_sized(_CURVES, ("128", "256", "384", "512")),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            plot="curves",
            column_title="patch",
            published={
                (f"AEANet, r = {references}", size): figures
                for references, sizes in published.PATCH_SIZES.items()
                for size, figures in sizes.items()
            },
            source=published.AEANET_NOTEBOOK,
            digits={"psnr": 3, "ssim": 4},
        ),
        Experiment(
            name="patch-size-3d",
            title="Volumes restored in patches of several sizes",
            layout="care",
            units=_sized({GVTNET: "gvtnet-3d", AEANET: "aeanet-3d"}, ("64", "128", "256", "512")),
            metrics=_CARE,
            matching=Matching.CARE,
            plot="curves",
            column_title="patch",
            remarks=("Patches have all planes, and a margin of 32 pixels in the plane.",),
        ),
        Experiment(
            name="transfer",
            title="Trained on one set, tested on another (Planaria, Tribolium, Flywing)",
            layout="care",
            units=_units(_care("3d")),
            metrics=("ssim", "nrmse"),
            matching=Matching.CARE,
            sets="transfer",
            column_title="trained → tested",
            remarks=(
                *_CARE_UNET,
                "A network of volumes is tested on projections by the maximum of its result; a "
                "projection gives no volume to test.",
            ),
        ),
        Experiment(
            name="transfer-sem",
            title="Trained on one SEM set, tested on another: gain over the bicubic input",
            layout="sem",
            units=_units(_networks("2d")),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            sets="transfer",
            column_title="trained → tested",
        ),
        Experiment(
            name="denoising",
            title="Denoising of volumes (CARE), published figures: Planaria",
            layout="care",
            units=_units(_care("3d")),
            metrics=_CARE,
            matching=Matching.CARE,
            published=_in_column(published.PLANARIA, PLAIN),
            source=published.AEANET_TABLE_2,
            remarks=_CARE_UNET,
        ),
        Experiment(
            name="projection",
            title="Surface projection (CARE), published figures: Flywing",
            layout="care",
            units=_units(_care("projection")),
            metrics=_CARE,
            matching=Matching.CARE,
            published=_in_column(published.FLYWING, PLAIN),
            source=published.AEANET_TABLE_3,
            remarks=_CARE_UNET,
        ),
        Experiment(
            name="label-free",
            title="Label-free staining: Pearson's r",
            layout="label-free",
            units=_units(_networks("label-free")),
            metrics=("pearson",),
            matching=Matching.NONE,
            sets="each",
            plot="boxes",
            compared=((AEANET, UNET), (GVTNET, UNET)),
        ),
    )
}
