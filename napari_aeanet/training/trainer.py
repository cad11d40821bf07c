"""Network and optimiser: one optimisation step at a time, with a state for the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_aeanet import networks
from napari_aeanet.core.memory import is_out_of_memory
from napari_aeanet.dataset import size_in_words
from napari_aeanet.networks import (
    Network,
    UNet,
    channels_last,
    losses,
    mixed_precision,
    release_memory,
)
from napari_aeanet.processes import ALONE, ProcessGroup, joint_norms
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.settings import Loss, Precision, Profile

# Batch-aware attention and batch normalisation need more than one image.
SMALLEST_PART = 2
# Copies of the weights while a run is saved: weights, Adam's moments, average, all as bytes.
COPIES, BYTES_OF_LIBRARIES = 8, 64 * 2**20
# Share of the averaged weights that a step keeps.
AVERAGE_DECAY = 0.999
# Adam's state of a parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Trainer:
    """Network and optimiser on one device.

    A step has two halves, so that the next batch can be drawn while the device computes:
    `launch` starts the computation of the loss and its gradient, `complete` waits for them and
    updates the weights. Of several processes each computes its share of the batch, and their
    gradients are added.
    """

    def __init__(self, plan: Plan, device: torch.device, group: ProcessGroup = ALONE) -> None:
        self.plan = plan
        self.device = device
        self.group = group
        self.share = group.share(plan.batch)
        self.network = _build(plan, device)
        self.projects = len(self.network.input_axes) > len(self.network.output_axes)
        self.parts = 1
        self._is_mixed = plan.settings.precision in (Precision.AUTOMATIC, Precision.MIXED)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=plan.learning_rate,
            betas=(plan.beta1, 0.999),
            weight_decay=plan.settings.weight_decay,
            fused=device.type == "cuda",
        )
        self._loss = torch.zeros(())
        self._buffers: list[Tensor] | None = None  # as they were before the step that is made
        self._average = self._new_average()

    @property
    def bytes_to_save(self) -> int:
        """Memory for writing the state and the model: copies, and what the libraries need."""
        weights = sum(value.numel() * value.element_size() for value in self.network.parameters())
        return COPIES * weights + BYTES_OF_LIBRARIES

    def launch(self, source: Tensor, target: Tensor) -> None:
        """Start computing the loss of a batch and its gradient, in parts if memory has run out.

        Raises
        ------
        MemoryError
            If there is too little memory even for parts of two images, or for the share of one of
            several processes.
        """
        self.network.train()
        # A non-finite batch would spoil the running statistics for good.
        self._buffers = [buffer.clone() for buffer in self.network.buffers()]
        try:
            self._loss = self._accumulate(source, target)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self.group.size > 1:
                raise
        # Outside the handler, since the error keeps tensors alive that have to be freed.
        self._restore_buffers()
        self._halve_parts(len(source))
        self.launch(source, target)

    def complete(self, rate: float) -> float:
        """Update the weights after `launch` and return the loss.

        If the loss or its gradient is not finite, nothing is changed and NaN is returned.
        """
        gradients = (p.grad for p in self.network.parameters())
        self.group.add([*(one for one in gradients if one is not None), self._loss])
        self.group.wait(self.device)
        longest = self.plan.longest_gradient or math.inf
        length = nn.utils.clip_grad_norm_(self.network.parameters(), longest)
        loss = float(self._loss)
        if not (math.isfinite(loss) and math.isfinite(length)):
            self._restore_buffers()
            return math.nan
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        if self._average is not None:
            self._average.update_parameters(self.network)
        self._buffers = None
        return loss

    def abandon_step(self) -> None:
        """Undo what a step without its `complete` has changed, so that the state can be saved."""
        if self._buffers is not None:
            self.group.abandon()
            self._restore_buffers()

    @torch.no_grad()
    def predict(self, source: Tensor) -> Tensor:
        """Return the prediction for source pixels (N, C, pixels...) in evaluation mode."""
        self.network.eval()
        return self.network(self.as_input(source))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the averaged weights, if the plan has them, while the block lasts."""
        if self._average is None:
            yield
            return
        trained, self.network = self.network, cast(Network, self._average.module)
        for buffer, current in zip(self.network.buffers(), trained.buffers(), strict=True):
            buffer.copy_(current)
        try:
            yield
        finally:
            self.network = trained

    def state(self) -> dict[str, Tensor]:
        """Return a copy, on the host, of everything that resuming needs, by name."""
        found = {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
        if self._average is not None:
            found |= {f"average/{name}": p for name, p in self._average.module.named_parameters()}
        for name, parameter in self.network.named_parameters():
            for key, value in self._optimiser.state.get(parameter, {}).items():
                found[f"optimiser/{key}/{name}"] = value
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the result of `state`."""
        self.network.load_state_dict(_with_prefix("network/", state))
        optimiser = self._optimiser.state_dict()
        optimiser["state"] = {
            number: {key: state[f"optimiser/{key}/{name}"].clone() for key in MOMENTS}
            for number, (name, _) in enumerate(self.network.named_parameters())
            if f"optimiser/step/{name}" in state
        }
        # Moves the moments to where the optimiser needs them: fused Adam counts on the GPU.
        self._optimiser.load_state_dict(optimiser)
        if self._average is not None:
            self._average.module.load_state_dict(_with_prefix("average/", state), strict=False)
            steps = next(iter(self._optimiser.state.values()), {"step": 0})["step"]
            self._average.n_averaged.fill_(1 + int(steps))

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Load parameters and buffers from a model file, and restart the average."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        self.network.load_state_dict(tensors)
        self._average = self._new_average()

    def weights(self) -> dict[str, np.ndarray]:
        """Return a copy of parameters and buffers for a model file."""
        return {
            name: tensor.detach().cpu().contiguous().numpy().copy()
            for name, tensor in self.network.state_dict().items()
        }

    def release(self) -> None:
        """Move the network to the host and drop everything else."""
        self.network.cpu()
        self._optimiser.zero_grad(set_to_none=True)
        self._optimiser.state.clear()
        self._average, self._buffers, self._loss = None, None, torch.zeros(())

    @property
    def is_identity(self) -> bool:
        """True if the network returns its input, as quick ones do before the first step."""
        if not isinstance(self.network, UNet) or not self.network.config.offset:
            return False
        return not bool(self.network.output.conv.weight.any())

    def as_input(self, source: Tensor) -> Tensor:
        """Return source pixels as network input: planes of a projection become an axis again."""
        source = source.to(next(self.network.parameters()).dtype)
        return source.unsqueeze(1) if self.projects else source

    def _accumulate(self, source: Tensor, target: Tensor) -> Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for x, y in zip(
            source.tensor_split(self.parts), target.tensor_split(self.parts), strict=True
        ):
            with joint_norms(self.network, self.group):
                with mixed_precision(self.device, self._is_mixed):
                    outputs = self.network.outputs(self.as_input(x))
                loss = loss_of(self.plan, outputs, y) * (len(x) / self.plan.batch)
                loss.backward()
            total += loss.detach()
        return total

    def _halve_parts(self, batch: int) -> None:
        """Double the number of parts; each keeps two images, half of which attend to each other."""
        if batch // (2 * self.parts) < SMALLEST_PART:
            msg = (
                f"There is too little memory for patches of {size_in_words(self.plan.patch)} "
                "pixels: choose smaller patches."
            )
            raise MemoryError(msg)
        self.parts *= 2
        self._optimiser.zero_grad(set_to_none=True)
        release_memory(self.device)

    def _restore_buffers(self) -> None:
        for buffer, before in zip(self.network.buffers(), self._buffers or (), strict=True):
            buffer.copy_(before)
        self._buffers = None

    def _new_average(self) -> AveragedModel | None:
        """Return the current weights as the start of the average, if the plan has one."""
        if not self.plan.settings.average:
            return None
        average = AveragedModel(self.network, multi_avg_fn=_update_average)
        average.update_parameters(self.network)  # torch copies the first weights, with no decay
        return average


@torch.no_grad()
def _update_average(
    averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int
) -> None:
    """average <- d · average + (1 - d) · weights, with a smaller d in the beginning."""
    decay = min(AVERAGE_DECAY, (1 + int(count)) / (10 + int(count)))
    for average, weight in zip(averages, weights, strict=True):
        average.lerp_(weight, 1 - decay)


def loss_of(plan: Plan, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """Return the loss of a network's outputs; with a sigma its likelihood form.

    It is computed in float32 at least.
    """
    outputs = {
        name: value.to(torch.promote_types(value.dtype, torch.float32))
        for name, value in outputs.items()
    }
    prediction = outputs["prediction"]
    if "sigma" in outputs:
        likelihood = losses.gaussian if plan.loss == Loss.MSE else losses.laplace
        beta = losses.EQUAL_BETA[likelihood] if plan.settings.profile == Profile.QUICK else 0.0
        return likelihood(prediction, outputs["sigma"], target, beta=beta)
    plain = {Loss.MAE: losses.mae, Loss.MSE: losses.mse, Loss.CHARBONNIER: losses.charbonnier}
    return plain[plan.loss](prediction, target)


def _build(plan: Plan, device: torch.device) -> Network:
    """Build a network whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.settings.seed)
        network = networks.build(plan.config)
    if plan.settings.precision == Precision.FLOAT64:
        if device.type == "mps":
            raise ValueError("Apple GPUs do not compute in float64: choose the CPU.")
        network = network.double()
    network = network.to(device)
    # On a CPU this layout makes training no faster.
    return channels_last(network) if device.type == "cuda" else network


def _with_prefix(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
