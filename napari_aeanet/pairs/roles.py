"""Guess which of two images is the source where their names do not say it."""

from __future__ import annotations

from math import prod

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.noise import noise_level

# Edge of the square in the middle of a plane in which noise is compared.
LOOKED_AT = 512
# Images whose noise differs by less look alike.
NOTABLE_RATIO = 1.2


def is_reversed(first: Image, second: Image) -> bool:
    """Return True if `second` seems to be the source, and `first` the target.

    A stack is the source of a plane, the image of fewer pixels that of the larger one, and of two
    images of one size the noisier one, where the difference is clear.
    """
    depths = [image.sizes.get("Z", 1) for image in (first, second)]
    if (depths[0] == 1) != (depths[1] == 1):
        return depths[0] == 1
    if first.shape != second.shape:
        return prod(first.shape) > prod(second.shape)
    return _relative_noise(second) > NOTABLE_RATIO * _relative_noise(first)


def _relative_noise(image: Image) -> float:
    """Return the noise of the middle of an image as a share of its contrast."""
    where: list[slice | int] = [n // 2 for n in image.shape[:-2]]
    for n in image.shape[-2:]:
        first = max(0, (n - LOOKED_AT) // 2)
        where.append(slice(first, min(n, first + LOOKED_AT)))
    plane = image.read(tuple(where)).astype(np.float32)
    plane = np.nan_to_num(plane, posinf=0.0, neginf=0.0)
    low, high = np.percentile(plane, (1, 99))
    return noise_level(plane) / (float(high - low) or 1.0)
