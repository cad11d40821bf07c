"""Losses on features: distance of features, and balance of style between neighbours.

The features are those of VGG-16 after relu1_2, relu2_2, relu3_3 and relu4_3, of grey images
repeated to three channels, without a shift or scale of intensities. The weights come from a file
of the user's: the state of torchvision's `vgg16`. Without it a fixed network of random filters
takes their place (`random_features`): an eighth of the channels, weights from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.networks import losses

#: Channels of the convolutions of VGG-16 up to relu4_3, in blocks with a pooling in between, and
#: their numbers in torchvision's state.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
#: Channels of VGG-16 per channel of its substitute.
REDUCTION = 8
SEED = 0
#: Weights of the style balance against the section before, the middle one and that after, and of
#: the balance in the whole loss.
BALANCE = (0.1, 1.0, 0.1)
STYLE_WEIGHT = 1e6
KIND = "file of VGG-16 weights"
REMEDY = "save the state of torchvision's vgg16 with torch.save, or choose no file"


class LossFeatures(nn.Module):
    """Return the features of grey images (N, 1, H, W) after each of the four blocks."""

    def __init__(self, reduction: int = 1) -> None:
        super().__init__()
        widths = [3, *(width // reduction for block in BLOCKS for width in block)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        y = x.expand(-1, 3, -1, -1)
        convolutions = iter(self.convolutions)
        found: list[Tensor] = []
        for block in BLOCKS:
            if found:
                y = F.max_pool2d(y, 2)
            for _ in block:
                y = F.relu(next(convolutions)(y))
            found.append(y)
        return found


def random_features() -> LossFeatures:
    """Return the substitute of VGG-16: always the same random filters."""
    network = LossFeatures(REDUCTION)
    generator = torch.Generator().manual_seed(SEED)
    for convolution in network.convolutions:
        assert isinstance(convolution, nn.Conv2d)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return network


def load_features(path: str | Path) -> LossFeatures:
    """Return VGG-16 with the weights of a file; of its other entries nothing is used.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it holds anything but tensors, or a weight is missing, has another shape or is not
        finite.
    """
    path = as_path("path", path)
    network = LossFeatures()
    with in_one_sentence(path, KIND, REMEDY):
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights = _checked(state, network, path)
    network.load_state_dict(weights)
    return network


def _checked(state: Any, network: LossFeatures, path: Path) -> dict[str, Tensor]:
    """Return the weights of `network` from the content of a file."""
    weights = {}
    for name, expected in network.state_dict().items():
        _, index, kind = name.split(".")
        theirs = f"features.{NUMBERS[int(index)]}.{kind}"
        found = state.get(theirs) if isinstance(state, dict) else None
        if not isinstance(found, Tensor):
            raise ValueError(f"{path} is no {KIND} ('{theirs}' is missing): {REMEDY}.")
        if found.shape != expected.shape:
            shapes = f"{tuple(found.shape)}, expected {tuple(expected.shape)}"
            raise ValueError(f"{path} is no {KIND} ('{theirs}' has shape {shapes}): {REMEDY}.")
        if not found.isfinite().all():
            raise ValueError(f"{path}: '{theirs}' has values that are not finite: {REMEDY}.")
        weights[name] = found.float()
    return weights


def feature_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return Σ over the layers of Σ (φ₁ - φ₂)² / (C·H·W), a mean over the images."""
    return torch.stack([losses.mse(a, b) for a, b in zip(first, second, strict=True)]).sum()


def style_distances(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return Σ over the layers of mean((G₁ - G₂)²) of each image, (N,).

    G = φ φᵀ / (C·H·W) is the Gram matrix of the features φ (C, H·W).
    """
    squares = (gram(a).sub(gram(b)).square() for a, b in zip(first, second, strict=True))
    return torch.stack([one.mean((1, 2)) for one in squares]).sum(0)


def style_balance(
    result: Sequence[Tensor], truth: Sequence[Tensor], neighbours: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Return Σⱼ βⱼ · sign(L(result, j) - L(truth, j)) · L(result, j), a mean over the images.

    L is the style distance and j the section before, the truth, and the section after. The sign
    has no gradient. The result shall lie as far from the style of a neighbour as the truth does.

    Parameters
    ----------
    result, truth, neighbours
        Features of the interpolated section, of the true one, and of the two neighbours.
    """
    before, after = neighbours
    total = torch.zeros(())
    for weight, other in zip(BALANCE, (before, truth, after), strict=True):
        distance = style_distances(result, other)
        sign = torch.sign(distance.detach() - style_distances(truth, other))
        total = total.to(distance) + weight * (sign * distance).mean()
    return total


def gram(features: Tensor) -> Tensor:
    """Return φ φᵀ / (C·H·W) of features (N, C, H, W)."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


class PublishedLoss(nn.Module):
    """10⁶ · style balance + feature distance + Charbonnier (a mean), the loss of SSAN."""

    def __init__(self, features: LossFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, result: Tensor, truth: Tensor, neighbours: Tensor) -> Tensor:
        """Return the loss of sections (N, 1, H, W) between neighbours (N, 2, H, W)."""
        of_result = self.features(result)
        with torch.no_grad():
            of_truth = self.features(truth)
            of_neighbours = [self.features(one) for one in neighbours.split(1, dim=1)]
        style = style_balance(of_result, of_truth, of_neighbours)
        content = feature_distance(of_result, of_truth)
        return STYLE_WEIGHT * style + content + losses.charbonnier(result, truth)
