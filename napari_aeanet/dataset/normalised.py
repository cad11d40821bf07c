"""Detection of training images that are normalised already."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.pairs import ImagePair

# The CARE tools map percentiles of whole images to 0 and 1: those of their patches lie nearby.
PERCENTILES = (2.0, 99.8)
LARGEST_LOW, LEAST_HIGH, LARGEST_HIGH = 1.0, 0.1, 10.0
# Looked at: so many pairs, spread over the list.
LOOKED_AT = 32


def are_normalised(pairs: Collection[ImagePair]) -> bool:
    """Return True if all images are patches of floats from NPZ files, near 0 to 1.

    Patches of such files were normalised with the images that they were cut from. To normalise
    each of them again would turn the noise of empty ones into contrast.
    """
    images = [image for pair in pairs for image in (pair.source, pair.target)]
    if not all(_is_float_patch(image) for image in images):
        return False
    chosen = list(pairs)[:: -(-len(pairs) // LOOKED_AT)]
    return all(
        _is_near(np.concatenate([image.read().ravel() for image in side]))
        for side in ([pair.source for pair in chosen], [pair.target for pair in chosen])
    )


def _is_float_patch(image: Image) -> bool:
    in_npz = image.source is not None and image.source.suffix.lower() == ".npz"
    return in_npz and image.dtype.kind == "f"


def _is_near(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return False
    low, high = np.percentile(finite.astype(np.float64), PERCENTILES)
    return bool(abs(low) <= LARGEST_LOW and LEAST_HIGH <= high <= LARGEST_HIGH)
