"""What a training makes small. Every loss is a mean over all pixels of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Below this, two pixels of the Charbonnier loss count as equal.
CHARBONNIER_EPSILON = 1e-3


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error: mean(|p - y|)."""
    return functional.l1_loss(prediction, target)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error: mean((p - y)²)."""
    return functional.mse_loss(prediction, target)


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """A smooth absolute error: mean(sqrt((p - y)² + ε²))."""
    return torch.sqrt((prediction - target) ** 2 + CHARBONNIER_EPSILON**2).mean()


def laplace(prediction: Tensor, sigma: Tensor, target: Tensor, *, even: bool = False) -> Tensor:
    """Negative log-likelihood of a Laplace distribution: mean(|p - y| / σ + log σ).

    `even`: each pixel counts σ times, which takes no part in the gradient. The prediction then
    learns as from `mae`, instead of mostly where σ is small already.
    """
    likelihood = (prediction - target).abs() / sigma + sigma.log()
    return (likelihood * sigma.detach() if even else likelihood).mean()


def gaussian(prediction: Tensor, sigma: Tensor, target: Tensor, *, even: bool = False) -> Tensor:
    """Negative log-likelihood of a normal distribution: mean((p - y)² / (2σ²) + log σ).

    `even`: as in `laplace`, with σ², so that the prediction learns as from `mse`.
    """
    likelihood = (prediction - target) ** 2 / (2 * sigma**2) + sigma.log()
    return (likelihood * sigma.detach() ** 2 if even else likelihood).mean()
