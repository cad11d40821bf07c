"""Take an image for a stack of sections."""

from __future__ import annotations

from napari_aeanet.core.image import Image
from napari_aeanet.io import ImageSource, as_image


def as_stack(source: ImageSource) -> Image:
    """Return a stack (z, y, x); raise a ValueError if the image has other axes."""
    image = as_image(source)
    if image.axes != "ZYX":
        msg = (
            f"{image.name} has the axes '{image.axes}': a stack of sections has 'ZYX'. Choose one "
            "channel and one time point."
        )
        raise ValueError(msg)
    return image
