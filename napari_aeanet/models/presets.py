"""The named presets: a network, the recipe it was published with, and when to use it.

Pure data: nothing here imports torch, so menus, tables and `napari-aeanet presets` show it at
once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.networks import NetworkConfig, ProjectionConfig, SuperResConfig, UNetConfig

Task = Literal["super-resolution", "denoising", "projection", "label-free"]
Loss = Literal["mae", "mse", "laplace", "gaussian"]
Residual = TypeVar("Residual", UNetConfig, SuperResConfig)

QUICK_MOMENTUM = 0.05
"""The published momentum leaves the running statistics half initial after 200 steps."""
QUICK_SIGMA = 0.05
"""A usual error of restored images in the range of 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the published networks were trained.

    Parameters
    ----------
    patch
        Patch size along the input's spatial axes, in pixels.
    batch, steps
        Patches per step, and steps.
    learning_rate, beta1
        Of the Adam optimiser.
    decay
        The factor on the learning rate, and after how many steps each; None: constant.
    loss
        Mean absolute error, mean squared error, or a probabilistic form with a sigma head.
    normalisation
        Full scale divides by the data type's largest value, percentile maps the 2nd and 99.8th
        percentile to 0 and 1, z-score makes every image mean 0 and deviation 1.
    """

    patch: tuple[int, ...]
    batch: int
    steps: int
    learning_rate: float
    beta1: float
    decay: tuple[float, int] | None
    loss: Loss
    normalisation: NormalisationKind


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named network with its published recipe.

    Parameters
    ----------
    name, title, when_to_use
        The name to type, the name to read, and advice.
    task
        What it was published for.
    config
        The network, as published.
    recipe
        How it was trained, as published.
    parameters
        Trainable parameters as published; None where no figure was.
    """

    name: str
    title: str
    when_to_use: str
    task: Task
    config: NetworkConfig
    recipe: Recipe
    parameters: int | None = None


_EM = Recipe(
    patch=(256, 256),
    batch=8,
    steps=120_000,
    learning_rate=4e-4,
    beta1=0.9,
    decay=(0.5, 10_000),
    loss="mae",
    normalisation=NormalisationKind.FULL_SCALE,
)
_DENOISING = Recipe(
    patch=(16, 64, 64),
    batch=16,
    steps=53_100,
    learning_rate=4e-4,
    beta1=0.5,
    decay=(0.7, 10_000),
    loss="laplace",
    normalisation=NormalisationKind.PERCENTILE,
)
_PROJECTION = replace(_DENOISING, patch=(50, 64, 64), steps=52_800, loss="mae")
_LABEL_FREE = Recipe(
    patch=(32, 64, 64),
    batch=16,
    steps=100_000,
    learning_rate=1e-3,
    beta1=0.5,
    decay=None,
    loss="mse",
    normalisation=NormalisationKind.Z_SCORE,
)

_GVTNET_2D = UNetConfig()
_GVTNET_FLAT = UNetConfig(up="attention_v2", divisor="queries", batch_norm=False, offset=True)
_GVTNET_3D = replace(_GVTNET_FLAT, dims=3, sigma=True)
_GVTNET_LABEL_FREE = UNetConfig(
    dims=3,
    levels=4,
    encoder_blocks=(1, 0, 0, 0),
    decoder_blocks=(1, 1, 1),
    down="residual",
    up_kernel=3,
    skip="add",
    heads=1,
    out_kernel=3,
    out_bias=True,
)
_UNET_LABEL_FREE = UNetConfig(
    dims=3,
    levels=5,
    encoder_blocks=(1, 1, 1, 1, 1),
    decoder_blocks=(1, 1, 1, 1),
    block="plain",
    down_kernel=2,
    bottom="none",
    up_kernel=2,
    heads=1,
    out_kernel=3,
    out_bias=True,
)

_REFERENCES = 64


def _with_references(config: UNetConfig) -> UNetConfig:
    """AEANet's form: references are keys, and keys are what it divides by."""
    return replace(config, references=_REFERENCES, divisor="keys")


_PRESETS = (
    Preset(
        name="aeanet-2d",
        title="AEANet, 2D",
        when_to_use=(
            "The first choice for two-dimensional images, such as electron micrographs. "
            "It learns 64 abstract pixels shared by all images, which the relevance maps show."
        ),
        task="super-resolution",
        config=replace(_with_references(_GVTNET_2D), batch_aware=True),
        recipe=_EM,
        parameters=572_480,
    ),
    Preset(
        name="gvtnet-2d",
        title="GVTNet, 2D",
        when_to_use=(
            "For comparison with AEANet: each image attends to itself only; no abstract pixels."
        ),
        task="super-resolution",
        config=_GVTNET_2D,
        recipe=_EM,
        parameters=564_288,
    ),
    Preset(
        name="unet-2d",
        title="U-Net, 2D",
        when_to_use=(
            "The baseline without attention: a pixel sees 30 pixels around it. Try it where few "
            "pairs are at hand, and to learn what attention adds."
        ),
        task="super-resolution",
        config=replace(_GVTNET_2D, bottom="block"),
        recipe=_EM,
        parameters=793_408,
    ),
    Preset(
        name="aeanet-3d",
        title="AEANet, 3D",
        when_to_use=(
            "The first choice for denoising volumes (light-sheet, confocal), with an uncertainty "
            "for every voxel."
        ),
        task="denoising",
        config=_with_references(_GVTNET_3D),
        recipe=_DENOISING,
    ),
    Preset(
        name="gvtnet-3d",
        title="GVTNet, 3D",
        when_to_use=(
            "For the published denoising checkpoints (Planaria, Tribolium), and for comparison."
        ),
        task="denoising",
        config=_GVTNET_3D,
        recipe=_DENOISING,
        parameters=1_347_360,
    ),
    Preset(
        name="unet-3d",
        title="U-Net, 3D",
        when_to_use="The baseline without attention for denoising volumes.",
        task="denoising",
        config=replace(_GVTNET_3D, bottom="block", up="transposed"),
        recipe=_DENOISING,
    ),
    Preset(
        name="aeanet-projection",
        title="AEANet, surface projection",
        when_to_use=(
            "The first choice for projecting a noisy volume onto the surface in it (an epithelium, "
            "say); also gives the height of the surface."
        ),
        task="projection",
        config=ProjectionConfig(references=_REFERENCES, image=_with_references(_GVTNET_FLAT)),
        recipe=_PROJECTION,
    ),
    Preset(
        name="gvtnet-projection",
        title="GVTNet, surface projection",
        when_to_use="For the published projection checkpoint (Flywing), and for comparison.",
        task="projection",
        config=ProjectionConfig(divisor="queries", image=_GVTNET_FLAT),
        recipe=_PROJECTION,
        parameters=538_873,
    ),
    Preset(
        name="unet-projection",
        title="U-Net, surface projection",
        when_to_use="The baseline without attention for surface projection.",
        task="projection",
        config=ProjectionConfig(
            attention=False, image=replace(_GVTNET_FLAT, bottom="block", up="transposed")
        ),
        recipe=_PROJECTION,
    ),
    Preset(
        name="aeanet-label-free",
        title="AEANet, label-free staining",
        when_to_use=(
            "The first choice for predicting a fluorescent label from transmitted light, in 3D."
        ),
        task="label-free",
        config=_with_references(_GVTNET_LABEL_FREE),
        recipe=_LABEL_FREE,
    ),
    Preset(
        name="gvtnet-label-free",
        title="GVTNet, label-free staining",
        when_to_use="For the published label-free checkpoints, and for comparison.",
        task="label-free",
        config=_GVTNET_LABEL_FREE,
        recipe=_LABEL_FREE,
        parameters=6_172_225,
    ),
    Preset(
        name="unet-label-free",
        title="U-Net, label-free staining",
        when_to_use=(
            "The published baseline of label-free staining; large (23 million parameters) and "
            "without attention."
        ),
        task="label-free",
        config=_UNET_LABEL_FREE,
        recipe=_LABEL_FREE,
        parameters=23_280_769,
    ),
)

_VDSR = SuperResConfig(architecture="vdsr", blocks=18, offset=True)
_EDSR = SuperResConfig(architecture="edsr", features=256, blocks=32, residual_scale=0.1)
_RCAN = SuperResConfig(architecture="rcan", groups=10, blocks=20)


def _baseline(name: str, title: str, when_to_use: str, config: SuperResConfig) -> Preset:
    return Preset(
        name=name,
        title=title,
        when_to_use=f"For comparison with AEANet: {when_to_use}",
        task="super-resolution",
        config=config,
        recipe=_EM,
    )


_BASELINES = (
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
)


def _ablation(name: str, title: str, when_to_use: str, **changes: Any) -> Preset:
    aeanet = _PRESETS[0]
    return replace(
        aeanet,
        name=name,
        title=title,
        when_to_use=f"To learn what the parts of AEANet are worth: {when_to_use}",
        config=replace(aeanet.config, **changes),
        parameters=None,
    )


_ABLATIONS = (
    _ablation(
        "aeanet-2d-references",
        "AEANet, 2D, references only",
        "shared references, but no batch-aware training.",
        batch_aware=False,
    ),
    _ablation(
        "aeanet-2d-batch",
        "AEANet, 2D, batch-aware only",
        "batch-aware training, but no shared references.",
        references=0,
    ),
    _ablation("aeanet-2d-r16", "AEANet, 2D, r = 16", "16 shared references.", references=16),
    _ablation("aeanet-2d-r32", "AEANet, 2D, r = 32", "32 shared references.", references=32),
)


def all_presets() -> tuple[Preset, ...]:
    """All presets to work with: by task, the first choice first."""
    return _PRESETS


def baselines() -> tuple[Preset, ...]:
    """Other networks, to compare with."""
    return _BASELINES


def ablations() -> tuple[Preset, ...]:
    """AEANet without some of its parts, to learn what they are worth."""
    return _ABLATIONS


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = (*_PRESETS, *_BASELINES, *_ABLATIONS)
    for found in known:
        if found.name == name:
            return found
    msg = f"There is no preset '{name}'; there are {', '.join(p.name for p in known)}."
    raise ValueError(msg)


def quick_config(preset: Preset) -> NetworkConfig:
    """The preset's network, set up for a training of minutes instead of days.

    It begins as the identity and learns what to add to its input (a global residual), except for
    label-free staining, whose two images have nothing in common; a sigma begins as small as
    errors are; and its running statistics follow faster. The published figures were not made this
    way: see `quick_note`.
    """
    config = preset.config
    if isinstance(config, ProjectionConfig):
        image = replace(config.image, batch_norm_momentum=QUICK_MOMENTUM)
        return replace(config, image=_residual(image))
    if isinstance(config, SuperResConfig):
        return _residual(config)
    config = replace(config, batch_norm_momentum=QUICK_MOMENTUM)
    return config if preset.task == "label-free" else _residual(config)


def quick_note(preset: Preset) -> str:
    """What a quick profile changes, in a sentence for the user."""
    statistics = "running statistics follow faster than published"
    residual = (
        "the network starts as the identity and learns what to add to its input (a global residual)"
    )
    if preset.task == "label-free":
        return f"Quick profile: {statistics}."
    parts = [residual]
    if preset.config.sigma:
        parts.append(
            "the uncertainty (sigma) begins small, and pixels count the same whatever theirs is"
        )
    if not isinstance(preset.config, SuperResConfig):
        parts.append(statistics)
    return f"Quick profile: {'; '.join(parts)}."


def _residual(config: Residual) -> Residual:
    return replace(config, offset=True, zero_output=True, sigma_start=QUICK_SIGMA)


def published_normalisation(name: str) -> Normalisation:
    """Return the normalisation of a preset's published recipe."""
    return Normalisation(kind=preset(name).recipe.normalisation)
