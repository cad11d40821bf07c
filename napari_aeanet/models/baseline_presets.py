"""Presets of other networks, for comparison."""

from __future__ import annotations

from dataclasses import replace

from napari_aeanet.models.recipes import DENOISING, EM, PROJECTION, Preset, Recipe, Task
from napari_aeanet.networks import CareConfig, NetworkConfig, SuperResConfig

_VDSR = SuperResConfig(architecture="vdsr", blocks=18, offset=True)
_EDSR = SuperResConfig(architecture="edsr", features=256, blocks=32, residual_scale=0.1)
_RCAN = SuperResConfig(architecture="rcan", groups=10, blocks=20)


def _baseline(
    name: str,
    title: str,
    when_to_use: str,
    config: NetworkConfig,
    task: Task = "super-resolution",
    recipe: Recipe = EM,
) -> Preset:
    return Preset(
        name=name,
        title=title,
        when_to_use=f"For comparison with AEANet: {when_to_use}",
        task=task,
        config=config,
        recipe=recipe,
    )


BASELINES = (
    _baseline(
        "vdsr-2d", "VDSR", "20 plain convolutions of 64 features, of the published size.", _VDSR
    ),
    _baseline(
        "vdsr-2d-small",
        "VDSR, small",
        "10 plain convolutions of 32 features, for computers without a GPU.",
        replace(_VDSR, features=32, blocks=8),
    ),
    _baseline(
        "edsr-2d",
        "EDSR",
        "32 residual blocks of 256 features, of the published size. It needs a GPU.",
        _EDSR,
    ),
    _baseline(
        "edsr-2d-small",
        "EDSR, small",
        "8 residual blocks of 64 features, for computers without a GPU.",
        replace(_EDSR, features=64, blocks=8, residual_scale=1.0),
    ),
    _baseline(
        "rcan-2d",
        "RCAN",
        "10 groups of 20 residual blocks with channel attention, of the published size. It needs "
        "a GPU.",
        _RCAN,
    ),
    _baseline(
        "rcan-2d-small",
        "RCAN, small",
        "2 groups of 4 residual blocks with channel attention, for computers without a GPU.",
        replace(_RCAN, groups=2, blocks=4),
    ),
    _baseline(
        "care-2d",
        "CARE U-Net, 2D",
        "the U-Net of CARE with max-pooling, plain up-sampling, ReLU and 5 × 5 convolutions.",
        CareConfig(dims=2, kernel=5),
    ),
    _baseline(
        "care-3d",
        "CARE U-Net, 3D",
        "the U-Net of CARE with max-pooling, plain up-sampling and ReLU, for denoising volumes.",
        CareConfig(sigma=True),
        "denoising",
        DENOISING,
    ),
    _baseline(
        "care-projection",
        "CARE U-Net, surface projection",
        "the projection of CARE, by the probability of the surface, and its U-Net in 2D.",
        CareConfig(projects=True),
        "projection",
        PROJECTION,
    ),
)
