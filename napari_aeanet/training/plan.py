"""From the few choices of a user to everything a training run does: the plan that is kept on disk.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import cos, pi
from typing import Any

from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.models import ModelCard, presets
from napari_aeanet.networks import NetworkConfig, ProjectionConfig, config_from_json, config_to_json
from napari_aeanet.training.settings import Intensities, KeptOut, Loss, Profile, TrainSettings

# Quick profile: measured on a CPU with registered SEM pairs (docs/training.md), where more but
# smaller steps learn more. On a GPU steps of this size take no less time than larger ones.
QUICK_RATE = 1e-3
QUICK_BATCH = {"cpu": 4, "gpu": 8}
QUICK_EDGE = {
    "cpu": {"image": 96, "stack": 32, "projection": 64},
    "gpu": {"image": 128, "stack": 64, "projection": 64},
}
# Longest allowed gradient (2-norm over all parameters) of a quick run: at its high learning rate
# one odd batch could do harm.
QUICK_GRADIENT = 1.0
# The rate rises linearly over these first steps, while Adam's averages form.
WARM_UP = 10
# A model that is already trained is changed more carefully.
FINE_TUNING_RATE = 0.3
# How often the kept-out data are restored: about this many times in a run, but at the latest after
# so many steps.
CHECKS, LONGEST_WITHOUT_CHECK = 8, 1000
# Of the time of all steps, the share that checks may take, and of a time budget, what they and the
# end of the run may.
CHECKS_SHARE = {Profile.QUICK: 0.1, Profile.PUBLISHED: 0.01}
CHECKS_AND_END_SHARE = 0.22
FEWEST_STEPS = 20

_KINDS = {2: "image", 3: "stack"}
_LOSSES = {"mae": Loss.MAE, "mse": Loss.MSE, "laplace": Loss.MAE, "gaussian": Loss.MSE}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does, every number decided. It is kept as `plan.json`.

    Parameters
    ----------
    settings
        What was asked for.
    network
        The network's configuration, as JSON.
    normalisation
        How intensities are brought to the network's range.
    patch, batch
        Patch shape on the target grid, and patches per step.
    steps
        How many optimisation steps.
    learning_rate, beta1
        Of the Adam optimiser.
    decay
        The factor on the learning rate and after how many steps each, as published; None falls
        to zero along a cosine.
    loss
        What the training makes small; with a sigma head its probabilistic form.
    longest_gradient
        The gradient is scaled down to this 2-norm over all parameters; 0 leaves it as it is.
    check_every
        Steps between two checks on the kept-out data.
    pairs
        Per sample: name, hash of its pixels, shape.
    split
        Boxes to learn from and boxes kept out.
    start
        Name of the model that training starts from; empty: from scratch.
    versions
        Of this program and of what it computes with.
    device
        Where it ran first, in words.
    """

    settings: TrainSettings
    network: Mapping[str, Any]
    normalisation: Normalisation
    patch: tuple[int, ...]
    batch: int
    steps: int
    learning_rate: float
    beta1: float
    decay: tuple[float, int] | None
    loss: Loss
    longest_gradient: float
    check_every: int
    pairs: tuple[Mapping[str, Any], ...] = ()
    split: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""

    @property
    def config(self) -> NetworkConfig:
        return config_from_json(dict(self.network))

    def rate(self, step: int) -> float:
        """Learning rate of step number `step` (the first is 0).

        Published: rate · factor^(step // every). Quick: a linear rise, then half a cosine,
        rate · (1 + cos(π · step / steps)) / 2.
        """
        if self.decay is not None:
            factor, every = self.decay
            return self.learning_rate * factor ** (step // every)
        rise = min(1.0, (step + 1) / WARM_UP)
        return self.learning_rate * rise * (1 + cos(pi * step / max(1, self.steps))) / 2

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote, after a way through JSON."""
        values = dict(values)
        settings = dict(values["settings"])
        settings |= {
            "profile": Profile(settings["profile"]),
            "kept_out": KeptOut(settings["kept_out"]),
            "loss": Loss(settings["loss"]),
            "intensities": Intensities(settings["intensities"]),
            "region": tuple(settings["region"]),
        }
        normalisation = dict(values["normalisation"])
        normalisation["kind"] = NormalisationKind(normalisation["kind"])
        values |= {
            "settings": TrainSettings(**settings),
            "normalisation": Normalisation(**normalisation),
            "loss": Loss(values["loss"]),
            "patch": tuple(values["patch"]),
            "decay": tuple(values["decay"]) if values["decay"] else None,
            "pairs": tuple(values["pairs"]),
        }
        return cls(**values)


def normalisation_for(settings: TrainSettings, eight_bit: bool) -> Normalisation:
    """How intensities are normalised.

    As the recipe says, except that a quick run does not divide images of more than 8 bits by their
    full scale: they rarely fill it.
    """
    if settings.intensities != Intensities.AUTOMATIC:
        return Normalisation(kind=NormalisationKind(settings.intensities))
    published = presets.published_normalisation(settings.preset)
    quick = settings.profile == Profile.QUICK
    if quick and published.kind == NormalisationKind.FULL_SCALE and not eight_bit:
        return Normalisation(kind=NormalisationKind.PERCENTILE)
    return published


def first_plan(
    settings: TrainSettings,
    *,
    start: ModelCard | None = None,
    eight_bit: bool = True,
    on_gpu: bool = False,
) -> Plan:
    """The plan as preset, profile and settings say; steps that a time budget decides are 0.

    Parameters
    ----------
    start
        The model that training starts from, if any; its preset, network and normalisation are
        kept.
    eight_bit
        Whether all images are of 8 bits.
    on_gpu
        Whether a GPU will train.
    """
    if start is not None:
        settings = replace(settings, preset=start.preset)
    preset = presets.preset(settings.preset)
    recipe, quick = preset.recipe, settings.profile == Profile.QUICK
    if start is None:
        config = presets.quick_config(preset) if quick else preset.config
        config = _with_sigma(config, settings.uncertainty or recipe.loss in ("laplace", "gaussian"))
    else:
        config = config_from_json(dict(start.network))
    machine = "gpu" if on_gpu else "cpu"
    kind = "projection" if isinstance(config, ProjectionConfig) else _KINDS[config.dims]
    edge = settings.patch or (QUICK_EDGE[machine][kind] if quick else recipe.patch[-1])
    # Of a stack that is projected all planes go in, and the target has none.
    depth = () if kind == "projection" else recipe.patch[:-2]
    rate = settings.learning_rate or (QUICK_RATE if quick else recipe.learning_rate)
    if start is not None and not settings.learning_rate:
        rate *= FINE_TUNING_RATE
    steps = settings.steps or (0 if quick else recipe.steps)
    return Plan(
        settings=settings,
        network=config_to_json(config),
        normalisation=start.normalisation if start else normalisation_for(settings, eight_bit),
        patch=(*depth, edge, edge),
        batch=settings.batch or (QUICK_BATCH[machine] if quick else recipe.batch),
        steps=steps,
        learning_rate=rate,
        beta1=0.9 if quick else recipe.beta1,
        decay=None if quick else recipe.decay or (1.0, max(1, steps)),
        loss=_LOSSES[recipe.loss] if settings.loss == Loss.AUTOMATIC else settings.loss,
        longest_gradient=QUICK_GRADIENT if quick else 0.0,
        check_every=_check_every(steps),
        start=start.name if start else "",
    )


def with_steps(plan: Plan, seconds_per_step: float) -> Plan:
    """The plan with its time budget turned into steps, from the measured pace."""
    seconds = 60 * plan.settings.minutes * (1 - CHECKS_AND_END_SHARE)
    steps = max(FEWEST_STEPS, int(seconds / seconds_per_step))
    return replace(plan, steps=steps, check_every=_check_every(steps))


def fitted_patch(
    patch: tuple[int, ...], shapes: list[tuple[int, ...]], grid: tuple[int, ...]
) -> tuple[int, ...]:
    """The patch, shrunk to fit into boxes of all these shapes and to a multiple of the grid."""
    smallest = [min(sizes) for sizes in zip(*shapes, strict=True)]
    fitted = [
        min(wanted, room) // multiple * multiple
        for wanted, room, multiple in zip(patch, smallest, grid[-len(patch) :], strict=True)
    ]
    if min(fitted) == 0:
        msg = (
            f"The part of the images to learn from is too small ({' × '.join(map(str, smallest))} "
            "pixels). Keep out whole images instead, or leave small images out."
        )
        raise ValueError(msg)
    if patch[-1] == patch[-2]:  # only a square can be turned by a quarter
        fitted[-2:] = [min(fitted[-2:])] * 2
    return tuple(fitted)


def _check_every(steps: int) -> int:
    return max(1, min(LONGEST_WITHOUT_CHECK, -(-steps // CHECKS)))


def _with_sigma(config: NetworkConfig, sigma: bool) -> NetworkConfig:
    if isinstance(config, ProjectionConfig):
        return replace(config, image=replace(config.image, sigma=sigma))
    return replace(config, sigma=sigma)
