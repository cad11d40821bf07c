"""Figures that were published, with their sources.

Only figures at hand are here; a table says which of its cells have none.
"""

from __future__ import annotations

from collections.abc import Mapping

Figures = Mapping[str, float]

AEANET_TABLE_1 = "AEANet paper, Table 1"
AEANET_TABLE_2 = "AEANet paper, Table 2"
AEANET_TABLE_3 = "AEANet paper, Table 3"
AEANET_TABLE_4 = "AEANet paper, Table 4"
AEANET_NOTEBOOK = "the notebook of AEANet's authors, not the paper"


def em(psnr: float, ssim: float) -> Figures:
    return {"psnr": psnr, "ssim": ssim}


#: Gains over the bicubic input: pooled, and one model for each image (self-training).
POOLED_GAINS: dict[str, Figures] = {
    "VDSR": em(1.25, 0.047),
    "RCAN": em(1.59, 0.051),
    "EDSR": em(1.35, 0.051),
    "LB-NLM": em(0.78, 0.031),
    "U-Net": em(1.46, 0.074),
    "GVTNet": em(1.87, 0.086),
    "AEANet": {**em(2.10, 0.087), "foreground": 1.15, "background": 2.42},
}
SELF_GAINS: dict[str, Figures] = {
    "VDSR": {**em(2.07, 0.051), "foreground": 0.97, "background": 2.83},
    "RCAN": em(2.07, 0.050),
    "EDSR": em(2.06, 0.052),
    "LB-NLM": {**em(1.67, 0.037), "foreground": 0.23, "background": 2.65},
    "SRSW": {"foreground": -0.25, "background": 2.15},
    "U-Net": em(1.42, 0.036),
    "GVTNet": em(1.81, 0.078),
    "AEANet": em(1.06, 0.032),
}
ABLATION: dict[str, Figures] = {
    "references only": em(2.04, 0.085),
    "batch-aware only": em(1.96, 0.084),
    "both, r = 16": em(1.98, 0.085),
    "both, r = 32": em(2.02, 0.085),
    "both, r = 64": em(2.10, 0.087),
}
#: By number of references and size of the patches; for r = 32 the authors give none for 128.
PATCH_SIZES: dict[int, dict[str, Figures]] = {
    64: {
        "128": em(1.303, 0.0797),
        "256": em(1.840, 0.0852),
        "384": em(1.894, 0.0860),
        "512": em(1.992, 0.0868),
        "whole image": em(2.099, 0.0866),
    },
    32: {
        "256": em(1.797, 0.0843),
        "384": em(1.942, 0.0853),
        "512": em(1.988, 0.0855),
        "whole image": em(2.016, 0.0849),
    },
    16: {
        "128": em(1.298, 0.0799),
        "256": em(1.690, 0.0833),
        "384": em(1.857, 0.0854),
        "512": em(1.983, 0.0863),
        "whole image": em(2.017, 0.0853),
    },
}
#: Means over the three conditions. The U-Net of the papers is that of CARE.
PLANARIA: dict[str, Figures] = {
    "input": em(21.79, 0.188),
    "CARE U-Net": em(29.95, 0.718),
    "GVTNet": em(30.49, 0.755),
    "AEANet": em(30.56, 0.759),
}
FLYWING: dict[str, Figures] = {
    "input": em(17.41, 0.098),
    "CARE U-Net": em(22.72, 0.588),
    "GVTNet": em(24.15, 0.679),
    "AEANet": em(24.36, 0.689),
}
