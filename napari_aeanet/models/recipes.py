"""Types of presets, and the published training recipes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from napari_aeanet.core.intensity import NormalisationKind
from napari_aeanet.networks import NetworkConfig

Task = Literal["super-resolution", "denoising", "projection", "label-free"]
PublishedLoss = Literal["mae", "mse", "laplace", "gaussian"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training settings of the published networks.

    Parameters
    ----------
    patch
        Patch size along the input's spatial axes, in pixels.
    batch, steps
        Patches per step, and steps.
    learning_rate, beta1
        Adam optimiser.
    decay
        Factor on the learning rate, and the number of steps between two; None: constant.
    loss
        Mean absolute error, mean squared error, or a probabilistic form with a sigma head.
    normalisation
        Full scale divides by the data type's largest value, percentile maps the 2nd and 99.8th
        percentile to 0 and 1, z-score makes every image mean 0 and deviation 1.
    epochs
        Published length in epochs, where the number of steps follows from the data; None: steps.
    differences
        What differs from the paper by necessity, in sentences.
    """

    patch: tuple[int, ...]
    batch: int
    steps: int
    learning_rate: float
    beta1: float
    decay: tuple[float, int] | None
    loss: PublishedLoss
    normalisation: NormalisationKind
    epochs: int | None = None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named network with its published recipe.

    Parameters
    ----------
    name, title, when_to_use
        Identifier, text for people, and advice.
    task
        Task of the publication.
    config
        Network, as published.
    recipe
        Training, as published.
    parameters
        Trainable parameters as published; None without a published figure.
    is_published
        False for a network that was not published in this form.
    """

    name: str
    title: str
    when_to_use: str
    task: Task
    config: NetworkConfig
    recipe: Recipe
    parameters: int | None = None
    is_published: bool = True


_EVERYWHERE = (
    "Initial weights and patches come from another random number generator.",
    "Adam adds its epsilon (1e-8) to the root of the corrected second moment; the authors' "
    "framework adds it before the correction.",
    "A step whose loss is not finite changes nothing.",
)
EM = Recipe(
    patch=(256, 256),
    batch=8,
    steps=120_000,
    learning_rate=4e-4,
    beta1=0.9,
    decay=(0.5, 10_000),
    loss="mae",
    normalisation=NormalisationKind.FULL_SCALE,
    differences=(
        *_EVERYWHERE,
        "The images are registered and enlarged by this program, where the pairs are not yet.",
    ),
)
DENOISING = Recipe(
    patch=(16, 64, 64),
    batch=16,
    steps=53_100,
    learning_rate=4e-4,
    beta1=0.5,
    decay=(0.7, 10_000),
    loss="laplace",
    normalisation=NormalisationKind.PERCENTILE,
    epochs=50,
    differences=(
        *_EVERYWHERE,
        "50 epochs were published. They set the number of steps where the images are patches of "
        "the published size; where patches are cut from larger images, it is that of the "
        "published data.",
    ),
)
PROJECTION = replace(DENOISING, patch=(50, 64, 64), steps=52_800, loss="mae")
LABEL_FREE = Recipe(
    patch=(32, 64, 64),
    batch=16,
    steps=100_000,
    learning_rate=1e-3,
    beta1=0.5,
    decay=None,
    loss="mse",
    normalisation=NormalisationKind.Z_SCORE,
    differences=(
        *_EVERYWHERE,
        "The length was 70,000 to 100,000 steps, by structure; here it is 100,000.",
    ),
)
