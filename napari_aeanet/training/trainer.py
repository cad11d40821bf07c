"""A network that learns: one optimisation step at a time, with a state that can be put on disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from napari_aeanet import networks
from napari_aeanet.networks import Network, UNet, losses, mixed_precision
from napari_aeanet.restoration import channels_last, is_out_of_memory
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.settings import Loss, Profile

# Batch-aware attention and batch normalisation need more than one image.
SMALLEST_PART = 2
# How much of the averaged weights stays in a step.
AVERAGE_DECAY = 0.999


class Trainer:
    """Network and optimiser on one device.

    A step has two halves, so that the next batch can be drawn while the device computes:
    `launch` sends off the loss and its gradient, `complete` waits for them and changes the
    weights.

    Parameters
    ----------
    plan
        What to learn and how.
    device
        Where.
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan = plan
        self.device = device
        self.network = _built(plan, device)
        self.projects = len(self.network.input_axes) > len(self.network.output_axes)
        self.parts = 1
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=plan.learning_rate,
            betas=(plan.beta1, 0.999),
            weight_decay=plan.settings.weight_decay,
            fused=device.type == "cuda",
        )
        self._loss = torch.zeros(())
        self._before: list[Tensor] = []
        self._average = (
            {name: p.detach().clone() for name, p in self.network.named_parameters()}
            if plan.settings.average
            else {}
        )

    def launch(self, source: Tensor, target: Tensor) -> None:
        """Send off the loss of a batch and its gradient, in parts if memory has run out before.

        Raises
        ------
        MemoryError
            If there is too little memory even for parts of two images.
        """
        self.network.train()
        # A batch that is not finite would stay in the running statistics.
        self._before = [buffer.clone() for buffer in self.network.buffers()]
        try:
            self._loss = self._accumulate(source, target)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the error would keep the tensors alive that have to go.
        self._restore_buffers()
        self._cut_further(len(source))
        self.launch(source, target)

    def complete(self, rate: float) -> float:
        """Change the weights by what was launched; the loss, which may not be finite.

        If the loss or its gradient is not finite, nothing is changed and NaN is returned.
        """
        longest = self.plan.longest_gradient or math.inf
        length = nn.utils.clip_grad_norm_(self.network.parameters(), longest)
        loss = float(self._loss)
        if not (math.isfinite(loss) and math.isfinite(length)):
            self._restore_buffers()
            return math.nan
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        if self._average:
            self._update_average()
        return loss

    @torch.no_grad()
    def predict(self, source: Tensor) -> Tensor:
        """The prediction for source pixels (N, C, pixels...), as after the training."""
        self.network.eval()
        return self.network(self.as_input(source))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """With the averaged weights in the network, if the plan says so, while the block lasts."""
        if not self._average:
            yield
            return
        own = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    def state(self) -> dict[str, Tensor]:
        """A copy, on the host, of everything that going on needs, by name."""
        found = {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
        found |= {f"average/{name}": tensor for name, tensor in self._average.items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self._optimiser.state.get(parameter, {}).items():
                found[f"optimiser/{key}/{name}"] = value
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave."""
        self.network.load_state_dict(dict(_under("network/", state)))
        for name, tensor in _under("average/", state):
            self._average[name].copy_(tensor)
        self._optimiser.state.clear()
        for name, parameter in self.network.named_parameters():
            moments = {
                key: state[f"optimiser/{key}/{name}"].clone().to(_home(key, parameter))
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"optimiser/{key}/{name}" in state
            }
            if moments:
                self._optimiser.state[parameter] = moments

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over parameters and buffers, as a bundle holds them."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        self.network.load_state_dict(tensors)
        self._average = {
            name: p.detach().clone()
            for name, p in self.network.named_parameters()
            if name in self._average
        }

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of parameters and buffers, as a bundle holds them."""
        return {
            name: tensor.detach().cpu().contiguous().numpy().copy()
            for name, tensor in self.network.state_dict().items()
        }

    @property
    def is_identity(self) -> bool:
        """Whether the network, not trained yet, gives its input back, as quick ones do at first."""
        if not isinstance(self.network, UNet) or not self.network.config.offset:
            return False
        return not bool(self.network.output.conv.weight.any())

    def as_input(self, source: Tensor) -> Tensor:
        """Planes, which are cut as channels, become an axis again where they are projected."""
        return source.unsqueeze(1) if self.projects else source

    def _accumulate(self, source: Tensor, target: Tensor) -> Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for x, y in zip(
            source.tensor_split(self.parts), target.tensor_split(self.parts), strict=True
        ):
            with mixed_precision(self.device):
                outputs = self.network.outputs(self.as_input(x))
            loss = loss_of(self.plan, outputs, y) * (len(x) / len(source))
            loss.backward()
            total += loss.detach()
        return total

    def _cut_further(self, batch: int) -> None:
        """Twice as many parts, each of at least two images: half of them attend to each other."""
        if batch // (2 * self.parts) < SMALLEST_PART:
            msg = (
                f"There is too little memory for patches of "
                f"{' × '.join(map(str, self.plan.patch))} pixels: choose smaller patches."
            )
            raise MemoryError(msg)
        self.parts *= 2
        self._optimiser.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _restore_buffers(self) -> None:
        for buffer, before in zip(self.network.buffers(), self._before, strict=True):
            buffer.copy_(before)

    @torch.no_grad()
    def _update_average(self) -> None:
        """average <- d · average + (1 - d) · weights, with a shorter memory in the beginning."""
        step = int(next(iter(self._optimiser.state.values()))["step"])
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        for name, parameter in self.network.named_parameters():
            self._average[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.copy_(values[name])


def loss_of(plan: Plan, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """The loss of a network's outputs, in float32; with a sigma among them its likelihood form."""
    prediction = outputs["prediction"].float()
    if "sigma" in outputs:
        sigma, even = outputs["sigma"].float(), plan.settings.profile == Profile.QUICK
        likelihood = losses.gaussian if plan.loss == Loss.MSE else losses.laplace
        return likelihood(prediction, sigma, target, even=even)
    plain = {Loss.MAE: losses.mae, Loss.MSE: losses.mse, Loss.CHARBONNIER: losses.charbonnier}
    return plain[plan.loss](prediction, target)


def _built(plan: Plan, device: torch.device) -> Network:
    """A network whose first weights depend on the seed alone, whatever else draws numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.settings.seed)
        network = networks.build(plan.config).to(device)
    # On a CPU this makes training no faster.
    return channels_last(network) if device.type == "cuda" else network


def _under(prefix: str, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in state.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), tensor


def _home(key: str, parameter: nn.Parameter) -> torch.device:
    """Adam counts its steps on the host."""
    return torch.device("cpu") if key == "step" else parameter.device
