"""Network, optimiser and data of a learning run; a state from which it goes on bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_aeanet.core.tiles import extent, whole
from napari_aeanet.dataset import Area, PatchSampler, PatchSource, ScratchArray
from napari_aeanet.interpolation.config import InterpolationConfig
from napari_aeanet.interpolation.feature_losses import (
    PublishedLoss,
    load_features,
    random_features,
)
from napari_aeanet.interpolation.hidden import HiddenSection
from napari_aeanet.interpolation.learning_settings import (
    PUBLISHED_FACTOR,
    PUBLISHED_SHARE,
    LearnSettings,
    Schedule,
    SectionLoss,
)
from napari_aeanet.interpolation.section_model import build_network
from napari_aeanet.interpolation.triplets import network_planes
from napari_aeanet.networks import losses

#: Planes of a training section: both neighbours as aligned, both as warped, and the truth.
PLANES, TRUTH = 5, 4
#: The same with the order of the neighbours exchanged.
SWAPPED = [1, 0, 3, 2, TRUTH]
#: Steps over which the learning rate rises from 0, and longest gradient.
WARM_UP, LONGEST_GRADIENT = 20, 1.0
#: Adam's state of a parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
#: Percentiles of the true sections that are 0 and 1 for the network, and pixels looked at of each.
PERCENTILES, EVERY = (0.1, 99.9), 4


class Patches:
    """Training sections, from which batches of patches are drawn.

    Step n of a run always draws the same batch.
    """

    def __init__(
        self,
        sections: Sequence[HiddenSection],
        bounds: tuple[float, float],
        settings: LearnSettings,
        scratch: Path,
    ) -> None:
        low, high = bounds
        shapes = [extent(section.inside) for section in sections]
        flat = ScratchArray(sum(PLANES * math.prod(shape) for shape in shapes), scratch)
        for section in sections:
            planes = np.stack([*network_planes(section.neighbours), section.truth])
            flat.put((planes[:, *section.inside] - low) / (high - low))
        self._source = PatchSource(flat.flat, [(PLANES, *shape) for shape in shapes])
        self._settings = settings
        self._patch = (min(settings.patch, *(min(shape) for shape in shapes)),) * 2
        areas = [Area(number, whole(shape)) for number, shape in enumerate(shapes)]
        self._sampler = PatchSampler(areas, self._patch)

    def batch(self, step: int) -> Tensor:
        """Return the patches (N, 5, y, x) of a step, flipped, turned and swapped at random."""
        count = self._settings.batch
        rng = np.random.default_rng((self._settings.seed, step))
        patches = self._source.cut(self._sampler.draw(count, rng), self._patch)
        swapped = torch.from_numpy(rng.integers(0, 2, count).astype(bool))
        return torch.where(swapped.view(-1, 1, 1, 1), patches[:, SWAPPED], patches)


class Learner:
    """Network and optimiser on one device."""

    def __init__(
        self, config: InterpolationConfig, settings: LearnSettings, device: torch.device
    ) -> None:
        self.settings, self.device = settings, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network = build_network(config).to(device)
        self._optimiser = torch.optim.Adam(self.network.parameters())
        self._published = self._published_loss()

    def step(self, patches: Tensor, rate: float) -> float:
        """Make a step with a learning rate; return the loss.

        Raises
        ------
        ValueError
            If the loss is not finite.
        """
        self.network.train()
        self._optimiser.zero_grad(set_to_none=True)
        patches = patches.to(self.device)
        images, truth = patches[:, :TRUTH], patches[:, TRUTH:]
        loss = self._loss(self.network(images[:, : self.network.in_channels]), truth, images)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        if not math.isfinite(value := loss.item()):
            msg = (
                "The learning does not stay finite: choose a lower learning rate, and look for "
                "outliers in the intensities of the stack."
            )
            raise ValueError(msg)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        return value

    def state(self) -> dict[str, Tensor]:
        """Return a copy of everything that going on needs, on the host, by name."""
        found = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self._optimiser.state.get(parameter, {}).items():
                found[f"optimiser/{key}/{name}"] = value
        return {name: value.detach().cpu().clone() for name, value in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the result of `state`."""
        prefix = "network/"
        self.network.load_state_dict(
            {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}
        )
        optimiser = self._optimiser.state_dict()
        optimiser["state"] = {
            number: {key: state[f"optimiser/{key}/{name}"].clone() for key in MOMENTS}
            for number, (name, _) in enumerate(self.network.named_parameters())
            if f"optimiser/step/{name}" in state
        }
        self._optimiser.load_state_dict(optimiser)

    def _loss(self, result: Tensor, truth: Tensor, images: Tensor) -> Tensor:
        if self._published is None:
            return losses.charbonnier(result, truth)
        return self._published(result, truth, images[:, :2])

    def _published_loss(self) -> PublishedLoss | None:
        if self.settings.loss is not SectionLoss.PUBLISHED:
            return None
        path = self.settings.vgg_weights
        features = load_features(path) if path else random_features()
        return PublishedLoss(features).to(self.device)


def learning_rate(settings: LearnSettings, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    warm = min(1.0, (step + 1) / WARM_UP)
    if settings.schedule is Schedule.PUBLISHED:
        late = step >= PUBLISHED_SHARE * steps
        return settings.learning_rate * (PUBLISHED_FACTOR if late else warm)
    return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def intensity_range(sections: Sequence[HiddenSection]) -> tuple[float, float]:
    """Return the intensities that are 0 and 1 for the network."""
    pixels = [one.truth[one.inside][::EVERY, ::EVERY].ravel() for one in sections]
    low, high = np.percentile(np.concatenate(pixels), PERCENTILES)
    return float(low), float(max(high, low + 1e-6))
