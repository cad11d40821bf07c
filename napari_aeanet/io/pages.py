"""Pages of a TIFF file that do not say what they are: images of their own, or a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.image import Image

if TYPE_CHECKING:
    from napari_aeanet.io.axes import StackAxis

ENDINGS = (".tif", ".tiff")


def could_be_stack(images: Sequence[Image]) -> bool:
    """Return True for several pages of a TIFF file that are alike and have no meaning."""
    source = images[0].source
    if len(images) < 2 or source is None or source.suffix.lower() not in ENDINGS:
        return False
    kinds = {(image.axes, image.shape, image.dtype) for image in images}
    is_named = source.name.lower().endswith((".ome.tif", ".ome.tiff"))  # its images have a meaning
    return len(kinds) == 1 and images[0].axes == "YX" and not is_named


def as_stack(images: Sequence[Image], axis: StackAxis, name: str) -> Image:
    """Return pages as one image with a stack axis; the distance of planes is unknown."""
    first = images[0]
    is_spatial = axis == "Z"
    return replace(
        first,
        array=np.stack([image.read() for image in images]),
        axes=f"{axis}YX",
        pixel_size=((None,) if is_spatial else ()) + first.pixel_size,
        origin=((0.0,) if is_spatial else ()) + first.origin,
        name=name,
        source_index=0,
        channels=(),
    )
