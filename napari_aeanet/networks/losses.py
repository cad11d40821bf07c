"""Loss functions. Every loss is a mean over all pixels of the batch.

The two likelihoods take `beta`, as in the beta-NLL of Seitzer et al. ("On the pitfalls of
heteroscedastic uncertainty estimation with probabilistic neural networks", ICLR 2022): each pixel
has the weight σ^(2β), excluded from the gradient. With β = 0, the plain likelihood, the prediction
learns mostly where σ is already small. `EQUAL_BETA` is the β that removes σ from the gradient of
the prediction, which then equals that of the plain error up to a factor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Below this, two pixels of the Charbonnier loss count as equal.
CHARBONNIER_EPSILON = 1e-3


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error mean(|p - y|)."""
    return functional.l1_loss(prediction, target)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error mean((p - y)²)."""
    return functional.mse_loss(prediction, target)


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """Return a smooth absolute error, mean(sqrt((p - y)² + ε²))."""
    return torch.sqrt((prediction - target) ** 2 + CHARBONNIER_EPSILON**2).mean()


def laplace(prediction: Tensor, sigma: Tensor, target: Tensor, *, beta: float = 0.0) -> Tensor:
    """Return the negative log-likelihood of a Laplace distribution.

    mean(σ^(2β) · (|p - y| / σ + log σ)), the weight σ^(2β) held fixed.
    """
    likelihood = (prediction - target).abs() / sigma + sigma.log()
    return (likelihood * sigma.detach() ** (2 * beta)).mean()


def gaussian(prediction: Tensor, sigma: Tensor, target: Tensor, *, beta: float = 0.0) -> Tensor:
    """Return the negative log-likelihood of a normal distribution.

    mean(σ^(2β) · ((p - y)² / (2σ²) + log σ)), the weight σ^(2β) held fixed.
    """
    likelihood = (prediction - target) ** 2 / (2 * sigma**2) + sigma.log()
    return (likelihood * sigma.detach() ** (2 * beta)).mean()


EQUAL_BETA = {laplace: 0.5, gaussian: 1.0}
