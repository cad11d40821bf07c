"""Training images in one flat tensor, from which a batch of patches is cut in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from torch import Tensor

from napari_aeanet.dataset.patches import Area, PatchPositions, strided


class PatchSource:
    """Images of different sizes, end to end in one array.

    A patch, flipped and turned or not, is an offset and one stride per axis (see
    `napari_aeanet.dataset.patches.strided`), so all patches of a batch are one gather operation.

    Parameters
    ----------
    flat
        Pixels of all images.
    shapes
        Shape (C, pixels...) of every image; all have the same number of channels.
    """

    def __init__(self, flat: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> None:
        self._shapes = [shape[1:] for shape in shapes]
        self._channels = shapes[0][0]
        self._pixels = np.array([int(np.prod(shape)) for shape in self._shapes])  # per channel
        self._first = np.append(0, np.cumsum(self._channels * self._pixels)[:-1])
        self._flat = torch.from_numpy(flat)

    @property
    def bytes(self) -> int:
        return self._flat.nbytes

    def to(self, device: torch.device) -> PatchSource:
        """Return the same pixels on another device."""
        other = copy(self)
        other._flat = self._flat.to(device)
        return other

    def release(self) -> None:
        """Drop the pixels."""
        self._flat = torch.empty(0)

    def cut(self, positions: PatchPositions, patch: tuple[int, ...]) -> Tensor:
        """Return the patches at `positions`: (n, C, *patch)."""
        device, count = self._flat.device, len(positions)
        offset, steps = strided(positions, self._shapes, patch)
        host = (self._first[positions.image] + offset, steps, self._pixels[positions.image])
        first, strides, pixels = (torch.from_numpy(values).to(device) for values in host)
        index = first[:, None] + pixels[:, None] * torch.arange(self._channels, device=device)
        for axis, length in enumerate(patch):
            along = strides[:, axis, None] * torch.arange(length, device=device)
            index = index[..., None] + along.view(count, *[1] * (axis + 1), length)
        return self._flat[index]

    def area(self, area: Area) -> Tensor:
        """Return the pixels of one box: (1, C, *shape), a view."""
        first, pixels = int(self._first[area.image]), int(self._pixels[area.image])
        image = self._flat[first : first + self._channels * pixels]
        image = image.view(1, self._channels, *self._shapes[area.image])
        return image[(slice(None), slice(None), *area.box)]
