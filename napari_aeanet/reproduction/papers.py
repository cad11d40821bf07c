"""The papers' tables: methods, protocols and published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from napari_aeanet.evaluation import Matching
from napari_aeanet.restoration import RestoreSettings, Use

Layout = Literal["sem", "care", "label-free"]
Figures = dict[str, float]
Published = Mapping[tuple[str, str], Figures]

POOLED, SELF = "pooled", "self"
PLAIN = "result"
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
        Preset of the network; "nlm" and "lb-nlm" are classical; "" is the input itself.
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
    transfer
        True if it trains on one set and tests on another; the data folder then holds the sets.
    published
        Figures by method and column.
    """

    name: str
    title: str
    layout: Layout
    units: tuple[Unit, ...]
    metrics: tuple[str, ...]
    matching: Matching
    relative: bool = False
    transfer: bool = False
    published: Published = field(default_factory=dict)


def _em(psnr: float, ssim: float) -> Figures:
    return {"psnr": psnr, "ssim": ssim}


_TABLE1 = {
    ("VDSR", POOLED): _em(1.25, 0.047),
    ("VDSR", SELF): _em(2.07, 0.051) | {"foreground": 0.97, "background": 2.83},
    ("RCAN", POOLED): _em(1.59, 0.051),
    ("RCAN", SELF): _em(2.07, 0.050),
    ("EDSR", POOLED): _em(1.35, 0.051),
    ("EDSR", SELF): _em(2.06, 0.052),
    ("LB-NLM", POOLED): _em(0.78, 0.031),
    ("LB-NLM", SELF): _em(1.67, 0.037) | {"foreground": 0.23, "background": 2.65},
    ("U-Net", POOLED): _em(1.46, 0.074),
    ("U-Net", SELF): _em(1.42, 0.036),
    ("GVTNet", POOLED): _em(1.87, 0.086),
    ("GVTNet", SELF): _em(1.81, 0.078),
    ("AEANet", POOLED): _em(2.10, 0.087) | {"foreground": 1.15, "background": 2.42},
    ("AEANet", SELF): _em(1.06, 0.032),
}
_EM_METHODS = {
    "input": "",
    "NLM": "nlm",
    "LB-NLM": "lb-nlm",
    "VDSR": "vdsr-2d",
    "EDSR": "edsr-2d",
    "RCAN": "rcan-2d",
    "U-Net": "unet-2d",
    "GVTNet": "gvtnet-2d",
    "AEANet": "aeanet-2d",
}
_ABLATION = {
    "references only": ("aeanet-2d-references", _em(2.04, 0.085)),
    "batch-aware only": ("aeanet-2d-batch", _em(1.96, 0.084)),
    "both, r = 16": ("aeanet-2d-r16", _em(1.98, 0.085)),
    "both, r = 32": ("aeanet-2d-r32", _em(2.02, 0.085)),
    "both, r = 64": ("aeanet-2d", _em(2.10, 0.087)),
}
WHOLE = "whole image"
_PATCH_SIZES = {
    "128": _em(1.303, 0.0797),
    "256": _em(1.840, 0.0852),
    "384": _em(1.894, 0.0860),
    "512": _em(1.992, 0.0868),
    WHOLE: _em(2.099, 0.0866),
}
_DENOISING = {
    "input": _em(21.79, 0.188),
    "U-Net": _em(29.95, 0.718),
    "GVTNet": _em(30.49, 0.755),
    "AEANet": _em(30.56, 0.759),
}
_PROJECTION = {
    "input": _em(17.41, 0.098),
    "U-Net": _em(22.72, 0.588),
    "GVTNet": _em(24.15, 0.679),
    "AEANet": _em(24.36, 0.689),
}


def _units(
    methods: Mapping[str, str], column: str = PLAIN, *, each: bool = False
) -> tuple[Unit, ...]:
    return tuple(
        Unit(method=method, column=column, preset=preset, each=each)
        for method, preset in methods.items()
    )


def _three(suffix: str) -> dict[str, str]:
    return {
        "input": "",
        "U-Net": f"unet-{suffix}",
        "GVTNet": f"gvtnet-{suffix}",
        "AEANet": f"aeanet-{suffix}",
    }


def _averages(figures: Mapping[str, Figures]) -> Published:
    return {(method, PLAIN): values for method, values in figures.items()}


_PATCHES = RestoreSettings(use=Use.PATCHES, margin=32)
_EM_DELTA = ("psnr", "ssim")

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
            published=_TABLE1,
        ),
        Experiment(
            name="ablation",
            title="Ablation of AEANet: gain over the bicubic input",
            layout="sem",
            units=_units({"input": "", **{k: v[0] for k, v in _ABLATION.items()}}, POOLED),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            published={(name, POOLED): figures for name, (_, figures) in _ABLATION.items()},
        ),
        Experiment(
            name="patch-size",
            title="AEANet restored in patches of several sizes: gain over the bicubic input",
            layout="sem",
            units=(
                Unit(method="input", column=POOLED),
                *(
                    Unit(
                        method=size,
                        column=POOLED,
                        preset="aeanet-2d",
                        restore=RestoreSettings(context="whole")
                        if size == WHOLE
                        else replace(_PATCHES, patch_size=int(size)),
                    )
                    for size in _PATCH_SIZES
                ),
            ),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            published={(size, POOLED): figures for size, figures in _PATCH_SIZES.items()},
        ),
        Experiment(
            name="transfer",
            title="Trained on one set, tested on another: gain over the bicubic input",
            layout="sem",
            units=_units(_three("2d")),
            metrics=_EM_DELTA,
            matching=Matching.NONE,
            relative=True,
            transfer=True,
        ),
        Experiment(
            name="denoising",
            title="Denoising of volumes (CARE), published figures: Planaria",
            layout="care",
            units=_units(_three("3d")),
            metrics=("psnr", "ssim", "nrmse"),
            matching=Matching.CARE,
            published=_averages(_DENOISING),
        ),
        Experiment(
            name="projection",
            title="Surface projection (CARE), published figures: Flywing",
            layout="care",
            units=_units(_three("projection")),
            metrics=("psnr", "ssim", "nrmse"),
            matching=Matching.CARE,
            published=_averages(_PROJECTION),
        ),
        Experiment(
            name="label-free",
            title="Label-free staining: Pearson's r",
            layout="label-free",
            units=_units(_three("label-free")),
            metrics=("pearson",),
            matching=Matching.AFFINE,
        ),
    )
}
