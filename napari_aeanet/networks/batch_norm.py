"""Estimate the running statistics of batch normalisation on the path of prediction.

During training, the running averages lag behind the weights, and half of every batch passes
through batch-aware attention. In a short run that costs several dB.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def estimate_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set all running means and variances to their plain averages over `batches`.

    Attention runs as in prediction: each image by itself, with the references.
    """
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
        norm.train()
    for batch in batches:
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
