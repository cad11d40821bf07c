"""The training images in one flat tensor, from which a batch of patches is cut in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from torch import Tensor

from napari_aeanet.training.patches import Area, PatchPositions, strided


class PatchSource:
    """Images of different sizes, end to end in one array.

    A patch, flipped and turned or not, is an offset and one stride per axis (see
    `napari_aeanet.training.patches.strided`), so all patches of a batch together are one gather.

    Parameters
    ----------
    flat
        The pixels of all images.
    shapes
        Shape (C, pixels...) of every image; all have the same number of channels.
    """

    def __init__(self, flat: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> None:
        self._shapes = [shape[1:] for shape in shapes]
        self._channels = shapes[0][0]
        self._planes = np.array([int(np.prod(shape)) for shape in self._shapes])
        self._first = np.append(0, np.cumsum(self._channels * self._planes)[:-1])
        self._flat = torch.from_numpy(flat)

    @property
    def bytes(self) -> int:
        return self._flat.nbytes

    def moved(self, device: torch.device) -> PatchSource:
        """The same pixels on another device."""
        other = copy(self)
        other._flat = self._flat.to(device)
        return other

    def cut(self, places: PatchPositions, patch: tuple[int, ...]) -> Tensor:
        """The patches at `places`: (n, C, *patch)."""
        offset, strides = strided(places, self._shapes, patch)
        index = self._column(self._first[places.image] + offset, len(patch) + 1)
        channel = torch.arange(self._channels, device=self._flat.device)
        index = index + self._column(self._planes[places.image], len(patch) + 1) * _along(
            channel, 1, len(patch) + 2
        )
        for axis, length in enumerate(patch):
            steps = torch.arange(length, device=self._flat.device)
            stride = self._column(strides[:, axis], len(patch) + 1)
            index = index + stride * _along(steps, axis + 2, len(patch) + 2)
        return self._flat[index]

    def area(self, area: Area) -> Tensor:
        """The pixels of one box: (1, C, *shape), a view."""
        image = area.image
        first, shape = int(self._first[image]), self._shapes[image]
        whole = self._flat[first : first + self._channels * int(self._planes[image])]
        box = (slice(None), slice(None), *area.slices)
        return whole.view(1, self._channels, *shape)[box]

    def _column(self, values: np.ndarray, axes: int) -> Tensor:
        """One value per patch, to be broadcast over `axes` further axes."""
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self._flat.device)
        return tensor.view(-1, *[1] * axes)


def _along(values: Tensor, axis: int, axes: int) -> Tensor:
    shape = [1] * axes
    shape[axis] = -1
    return values.view(shape)
