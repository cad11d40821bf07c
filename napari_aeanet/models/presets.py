"""The named presets: a network, the recipe it was published with, and when to use it.

Pure data without torch, so that menus and `napari-aeanet presets` list it at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_aeanet.core.intensity import Normalisation
from napari_aeanet.models.baseline_presets import BASELINES
from napari_aeanet.models.recipes import DENOISING, EM, LABEL_FREE, PROJECTION, Preset, Task
from napari_aeanet.networks import NetworkConfig, ProjectionConfig, UNetConfig

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
_FAST = "-fast"


def _with_references(config: UNetConfig) -> UNetConfig:
    """Return AEANet's form: with references, and divided by the number of keys."""
    return replace(config, references=_REFERENCES, divisor="keys")


def _fast(preset: Preset, when_to_use: str, blocks: int | tuple[int, ...]) -> Preset:
    """Return a preset that computes on blocks of pixels."""
    return replace(
        preset,
        name=f"{preset.name}{_FAST}",
        title=f"{preset.title}, fast",
        when_to_use=f"{when_to_use} Not a published network.",
        config=preset.config.with_changes(unshuffle=blocks),
        parameters=None,
        is_published=False,
    )


_IMAGES = (
    Preset(
        name="aeanet-2d",
        title="AEANet, 2D",
        when_to_use=(
            "The first choice for two-dimensional images that keep their pixel size. "
            "It learns 64 abstract pixels shared by all images, which the relevance maps show."
        ),
        task="super-resolution",
        config=replace(_with_references(_GVTNET_2D), batch_aware=True),
        recipe=EM,
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
        recipe=EM,
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
        recipe=EM,
        parameters=793_408,
    ),
)
_VOLUMES = (
    Preset(
        name="aeanet-3d",
        title="AEANet, 3D",
        when_to_use=(
            "AEANet for denoising volumes (light-sheet, confocal) at full resolution, with an "
            "uncertainty for every voxel."
        ),
        task="denoising",
        config=_with_references(_GVTNET_3D),
        recipe=DENOISING,
    ),
    Preset(
        name="gvtnet-3d",
        title="GVTNet, 3D",
        when_to_use=(
            "For the published denoising checkpoints (Planaria, Tribolium), and for comparison."
        ),
        task="denoising",
        config=_GVTNET_3D,
        recipe=DENOISING,
        parameters=1_347_360,
    ),
    Preset(
        name="unet-3d",
        title="U-Net, 3D",
        when_to_use="The baseline without attention for denoising volumes.",
        task="denoising",
        config=replace(_GVTNET_3D, bottom="block", up="transposed"),
        recipe=DENOISING,
    ),
)
_OTHERS = (
    Preset(
        name="aeanet-projection",
        title="AEANet, surface projection",
        when_to_use=(
            "The first choice for projecting a noisy volume onto the surface in it (an epithelium, "
            "say); also gives the height of the surface."
        ),
        task="projection",
        config=ProjectionConfig(references=_REFERENCES, image=_with_references(_GVTNET_FLAT)),
        recipe=PROJECTION,
    ),
    Preset(
        name="gvtnet-projection",
        title="GVTNet, surface projection",
        when_to_use="For the published projection checkpoint (Flywing), and for comparison.",
        task="projection",
        config=ProjectionConfig(divisor="queries", image=_GVTNET_FLAT),
        recipe=PROJECTION,
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
        recipe=PROJECTION,
    ),
    Preset(
        name="aeanet-label-free",
        title="AEANet, label-free staining",
        when_to_use=(
            "The first choice for predicting a fluorescent label from transmitted light, in 3D."
        ),
        task="label-free",
        config=_with_references(_GVTNET_LABEL_FREE),
        recipe=LABEL_FREE,
    ),
    Preset(
        name="gvtnet-label-free",
        title="GVTNet, label-free staining",
        when_to_use="For the published label-free checkpoints, and for comparison.",
        task="label-free",
        config=_GVTNET_LABEL_FREE,
        recipe=LABEL_FREE,
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
        recipe=LABEL_FREE,
        parameters=23_280_769,
    ),
)

_FAST_IMAGES = (
    _fast(
        _IMAGES[0],
        "The first choice for images that are enlarged, such as electron micrographs of two "
        "magnifications: AEANet at four times the speed. Its relevance maps have a value for every "
        "8th pixel instead of every 4th.",
        2,
    ),
    _fast(_IMAGES[1], "GVTNet at four times the speed, for comparison; no abstract pixels.", 2),
    _fast(
        _IMAGES[2],
        "The baseline without attention at four times the speed; a pixel sees 60 pixels around it.",
        2,
    ),
)
_FLAT = (1, 2, 2)  # planes of a stack are often further apart than its pixels
_FAST_VOLUMES = (
    _fast(
        _VOLUMES[0],
        "The first choice for denoising volumes: AEANet at four times the speed.",
        _FLAT,
    ),
    _fast(_VOLUMES[1], "GVTNet for volumes at four times the speed, for comparison.", _FLAT),
    _fast(_VOLUMES[2], "The baseline for volumes at four times the speed.", _FLAT),
)
_PRESETS = (*_IMAGES, *_FAST_IMAGES, *_VOLUMES, *_FAST_VOLUMES, *_OTHERS)


def _ablation(name: str, title: str, when_to_use: str, **changes: Any) -> Preset:
    aeanet = _PRESETS[0]
    return replace(
        aeanet,
        name=name,
        title=title,
        when_to_use=f"To measure the effect of the parts of AEANet: {when_to_use}",
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
    """Return the presets of AEANet, GVTNet and U-Net by task, the first choice first."""
    return _PRESETS


def presets_for(task: Task, *, published: bool = False) -> tuple[Preset, ...]:
    """Return the presets for a task, the first choice first; with `published`, no others."""
    own = (preset for preset in _PRESETS if preset.task == task)
    return tuple(preset for preset in own if preset.is_published or not published)


def first_choice(task: Task, *, enlarged: bool = False, published: bool = False) -> Preset:
    """Return the network that trains unless the user chooses another.

    A fast network where that restored as well in the same computing time: volumes, and images
    that are enlarged first (docs/benchmarks.md). It lost detail in images of the target's grid.
    """
    first = presets_for(task, published=published)[0]
    is_fast_as_good = task == "denoising" or (task == "super-resolution" and enlarged)
    return (is_fast_as_good and not published and other_detail(first.name)) or first


def baselines() -> tuple[Preset, ...]:
    """Return other networks, for comparison."""
    return BASELINES


def ablations() -> tuple[Preset, ...]:
    """Return AEANet without some of its parts, to measure the effect of each."""
    return _ABLATIONS


def comparisons_for(task: Task) -> tuple[Preset, ...]:
    """Return the baselines and ablations for a task, which serve for comparison only."""
    return tuple(preset for preset in (*BASELINES, *_ABLATIONS) if preset.task == task)


def preset(name: str) -> Preset:
    """Return the preset of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = {p.name: p for p in (*_PRESETS, *BASELINES, *_ABLATIONS)}
    if name not in known:
        raise ValueError(f"There is no preset '{name}'; there are {', '.join(known)}.")
    return known[name]


def other_detail(name: str) -> Preset | None:
    """Return the fast form of a network of full resolution, or the reverse; None without one."""
    other = name.removesuffix(_FAST) if name.endswith(_FAST) else f"{name}{_FAST}"
    return next((preset for preset in _PRESETS if preset.name == other), None)


def is_fast(name: str) -> bool:
    """Return True if this preset computes on blocks of pixels."""
    return name.endswith(_FAST)


def quick_config(preset: Preset) -> NetworkConfig:
    """Return the preset's network, set up for a training of minutes instead of days.

    See `quick_note` for the changes. The two images of label-free staining have nothing in common,
    so that there the network predicts the image itself. The published figures were not made this
    way.
    """
    return preset.config.quick(residual=preset.task != "label-free")


def quick_note(preset: Preset) -> str:
    """Return the changes of a quick profile, in a sentence for the user."""
    parts = []
    if preset.task != "label-free":
        parts.append(
            "the network starts as the identity and learns what to add to its input (a global "
            "residual)"
        )
        if preset.config.sigma:
            parts.append(
                "the uncertainty (sigma) begins small, and all pixels have equal weight in the loss"
            )
    if preset.config.batch_norm:
        parts.append("running statistics follow faster than published")
    return f"Quick profile: {'; '.join(parts)}."


def published_normalisation(name: str) -> Normalisation:
    """Return the normalisation of a preset's published recipe."""
    return Normalisation(kind=preset(name).recipe.normalisation)
