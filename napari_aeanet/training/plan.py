"""Training plan: every number of a run, decided from the user's settings and kept on disk.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import cos, pi
from typing import Any

from napari_aeanet.core.intensity import AS_THEY_ARE, Normalisation, NormalisationKind
from napari_aeanet.core.intensity_range import TrainedRange
from napari_aeanet.dataset import size_in_words
from napari_aeanet.models import ModelCard, Task, first_choice, presets, presets_for
from napari_aeanet.networks import (
    NetworkConfig,
    config_from_json,
    config_to_json,
    read_config,
)
from napari_aeanet.training.decisions import decided
from napari_aeanet.training.settings import (
    AUTOMATIC,
    Intensities,
    Loss,
    Places,
    Profile,
    TrainSettings,
)

# Quick profile: measured on a CPU with registered SEM pairs (docs/training.md), where more but
# smaller steps give a better model. On a GPU, smaller steps than these take no less time.
QUICK_RATE = 1e-3
QUICK_BATCH = {"cpu": 4, "gpu": 8}
QUICK_EDGE = {
    "cpu": {"image": 96, "stack": 32, "projection": 64},
    "gpu": {"image": 128, "stack": 64, "projection": 64},
}
# Longest allowed gradient (2-norm over all parameters) of a quick run: at its high learning rate
# a single outlier batch could spoil the weights.
QUICK_GRADIENT = 1.0
# The rate rises linearly over these first steps, while Adam's averages form.
WARM_UP = 10
# Factor on the learning rate for a model that is already trained.
FINE_TUNING_RATE = 0.3
# Validations in a run, and the most steps between two of them.
CHECKS, LONGEST_WITHOUT_CHECK = 8, 1000
# Validations may take this share of the time of all steps; they and the end of the run together
# may take this share of a time budget.
CHECKS_SHARE = {Profile.QUICK: 0.1, Profile.PUBLISHED: 0.01}
CHECKS_AND_END_SHARE = 0.22
FEWEST_STEPS = 5
# Fewest steps between two validations in a time budget: one takes about as long as a step.
FEWEST_WITHOUT_CHECK = 5

_KINDS = {2: "image", 3: "stack"}
LOSSES = {"mae": Loss.MAE, "mse": Loss.MSE, "laplace": Loss.MAE, "gaussian": Loss.MSE}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a run does, every number decided. Kept as `plan.json`.

    Parameters
    ----------
    settings
        The user's settings; what was automatic is decided.
    network
        Network configuration, as JSON.
    normalisation
        Normalisation of intensities, of which the model makes use.
    is_normalised
        True if the training images were normalised already, so that they were taken as they are.
    patch, batch
        Patch shape on the target grid, and patches per step.
    steps
        Number of optimisation steps.
    learning_rate, beta1
        Options of the Adam optimiser.
    decay
        Factor on the learning rate, and the number of steps between two applications, as
        published; None for a cosine that falls to zero.
    loss
        Loss function; with a sigma head its probabilistic form.
    longest_gradient
        The gradient is scaled down to this 2-norm over all parameters; 0 for no limit.
    check_every
        Steps between two validations.
    replans
        Step after which the number of steps was planned anew, and the new number, to keep the time
        budget.
    left_out
        Numbers of the pairs that were not trained on.
    pairs
        Per sample: name, hash of its pixels, shape.
    split
        Boxes to train on and boxes kept out.
    start
        Name of the model that training starts from; empty for random weights.
    source_range, target_range
        Intensities of all sources and targets that full scale maps to 0 and 1.
    versions
        Versions of this program and of the numerical libraries.
    device, processes
        Device, in words, and number of processes at the start.
    differences
        What differs from the paper in a run of the published recipe.
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
    replans: tuple[tuple[int, int], ...] = ()
    left_out: tuple[int, ...] = ()
    pairs: tuple[Mapping[str, Any], ...] = ()
    split: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    source_range: TrainedRange | None = None
    target_range: TrainedRange | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    processes: int = 1
    differences: tuple[str, ...] = ()
    is_normalised: bool = False

    @property
    def config(self) -> NetworkConfig:
        return config_from_json(self.network)

    @property
    def budget(self) -> float:
        """Time budget in seconds; 0 where a number of steps decides."""
        return self.settings.budget

    @property
    def data_normalisation(self) -> Normalisation:
        """Normalisation of the training images."""
        return AS_THEY_ARE if self.is_normalised else self.normalisation

    def steps_at(self, step: int) -> int:
        """Return the number of steps of the run, as planned after `step` of them."""
        return next((total for at, total in reversed(self.replans) if at <= step), self.steps)

    def check_every_at(self, step: int) -> int:
        """Return the number of steps between two validations, as planned after `step` steps.

        It never falls: validations of the same pixels would take a larger share of the time.
        """
        return max(self.check_every, _check_every(self.steps_at(step)))

    def rate(self, step: int) -> float:
        """Return the learning rate of step number `step` (the first is 0).

        Published: rate · factor^(step // every). Quick: a linear rise, then half a cosine,
        rate · (1 + cos(π · step / steps)) / 2. With a new number of steps, the rest of the cosine
        is spread over the steps that are left.
        """
        if self.decay is not None:
            factor, every = self.decay
            return self.learning_rate * factor ** (step // every)
        rise = min(1.0, (step + 1) / WARM_UP)
        start, angle, total = 0, 0.0, self.steps
        for at, new in self.replans:
            if at <= step:
                angle += (pi - angle) * (at - start) / max(1, total - start)
                start, total = at, new
        angle += (pi - angle) * (step - start) / max(1, total - start)
        return self.learning_rate * rise * (1 + cos(angle)) / 2


def normalisation_for(settings: TrainSettings, eight_bit: bool) -> Normalisation:
    """Return the normalisation of intensities: the user's choice, else that of the recipe.

    A quick run does not divide images of more than 8 bits by their full scale, which they rarely
    fill, but uses percentiles.
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
    task: Task = "super-resolution",
    enlarged: bool = False,
    start: ModelCard | None = None,
    eight_bit: bool = True,
    on_gpu: bool = False,
) -> Plan:
    """Return the plan of a preset, profile and settings; 0 steps where a time budget decides.

    Parameters
    ----------
    task, enlarged
        Task of the pairs, and whether sources are enlarged; both decide on an automatic preset.
    start
        Card of the model that training starts from, if any; its preset, network and normalisation
        are kept.
    eight_bit
        True if all images have 8 bits.
    on_gpu
        True if a GPU trains.
    """
    quick = settings.profile == Profile.QUICK
    if start is not None:
        settings = replace(settings, preset=start.preset)
    elif settings.preset == AUTOMATIC:
        chosen = first_choice(task, enlarged=enlarged, published=not quick)
        settings = replace(settings, preset=chosen.name)
    settings = decided(settings)
    preset = presets.preset(settings.preset)
    recipe = preset.recipe
    if not quick and not preset.is_published:
        others = ", ".join(one.name for one in presets_for(preset.task, published=True))
        msg = f"{preset.name} was not published: choose {others}, or the quick profile."
        raise ValueError(msg)
    if settings.network and start is not None:
        raise ValueError("A model that is trained further keeps its network: leave network out.")
    if settings.network:
        config = read_config(settings.network)
        config = config.with_sigma(config.sigma or settings.uncertainty)
    elif start is None:
        config = presets.quick_config(preset) if quick else preset.config
        config = config.with_sigma(settings.uncertainty or recipe.loss in ("laplace", "gaussian"))
    else:
        config = start.config
    machine = "gpu" if on_gpu else "cpu"
    kind = "projection" if config.is_projection else _KINDS[config.dims]
    edge = settings.patch or (QUICK_EDGE[machine][kind] if quick else recipe.patch[-1])
    # A projection reads all planes of the stack, and its target has none.
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
        loss=LOSSES[recipe.loss] if settings.loss == Loss.AUTOMATIC else settings.loss,
        longest_gradient=QUICK_GRADIENT if quick else 0.0,
        check_every=_check_every(steps),
        start=start.name if start else "",
    )


def as_given(plan: Plan, shapes: set[tuple[int, ...]], count: int) -> Plan:
    """Return the plan with the patches as they are given, if that is asked for or published.

    Then the published number of epochs decides on the number of steps.

    Parameters
    ----------
    shapes, count
        Shapes and number of the boxes to train on.
    """
    settings = plan.settings
    if settings.places == Places.AUTOMATIC:
        is_usual = settings.profile == Profile.PUBLISHED and settings.background == 1
        given = is_usual and shapes == {plan.patch}
        settings = replace(settings, places=Places.GIVEN if given else Places.RANDOM)
    if settings.places == Places.RANDOM:
        return replace(plan, settings=settings)
    if len(shapes) > 1:
        sizes = " and ".join(map(size_in_words, sorted(shapes)[:2]))
        msg = f"Patches as they are given must have one size, got {sizes} pixels: cut them anew."
        raise ValueError(msg)
    epochs = presets.preset(settings.preset).recipe.epochs
    steps = plan.steps
    if settings.profile == Profile.PUBLISHED and epochs and not settings.steps:
        steps = max(1, epochs * count // plan.batch)
    patch = next(iter(shapes))
    return replace(
        plan, settings=settings, patch=patch, steps=steps, check_every=_check_every(steps)
    )


def with_steps(plan: Plan, seconds_per_step: float, seconds_used: float = 0.0) -> Plan:
    """Return the plan with what is left of its time budget converted to steps.

    A first guess: it is planned anew while the run goes on (`napari_aeanet.training.pace`).
    """
    seconds = (plan.budget - seconds_used) * (1 - CHECKS_AND_END_SHARE)
    steps = max(FEWEST_STEPS, int(seconds / seconds_per_step))
    check_every = max(FEWEST_WITHOUT_CHECK, _check_every(steps))
    return replace(plan, steps=steps, check_every=check_every)


def fitted_patch(
    patch: tuple[int, ...], shapes: list[tuple[int, ...]], grid: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the patch, shrunk to fit boxes of all these shapes and to a multiple of the grid."""
    smallest = [min(sizes) for sizes in zip(*shapes, strict=True)]
    fitted = [
        min(wanted, available) // multiple * multiple
        for wanted, available, multiple in zip(patch, smallest, grid[-len(patch) :], strict=True)
    ]
    if min(fitted) == 0:
        msg = (
            f"The part of the images to train on is too small ({size_in_words(smallest)} pixels). "
            "Keep out whole images instead, or leave small images out."
        )
        raise ValueError(msg)
    if patch[-1] == patch[-2]:  # quarter turns need a square
        fitted[-2:] = [min(fitted[-2:])] * 2
    return tuple(fitted)


def _check_every(steps: int) -> int:
    return max(1, min(LONGEST_WITHOUT_CHECK, -(-steps // CHECKS)))
