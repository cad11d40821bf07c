"""`napari-aeanet info`: describe image files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Info:
    """Describe image files: shape, axes, pixel size, range, saturation, text band.

    Parameters
    ----------
    files
        Image files (TIFF, OME-TIFF, OME-Zarr, PNG, BMP, NPY).
    """

    files: Positional[tuple[Path, ...]]

    def run(self) -> int:
        from napari_aeanet.io import describe_image, read_images

        if not self.files:
            raise ValueError("name at least one image file.")
        code = 0
        for file in self.files:
            try:
                images = read_images(file)
            except (ValueError, OSError) as error:
                # The other files are still described.
                print(f"napari-aeanet: {error}", file=sys.stderr)
                code = 2
                continue
            for image in images:
                print("\n".join(describe_image(image)))
        return code
