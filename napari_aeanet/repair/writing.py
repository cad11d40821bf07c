"""Check where a repaired stack is to be written."""

from __future__ import annotations

from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.repair.outputs import table_file
from napari_aeanet.stacks import check_stack_output

#: Endings of a repaired stack: the formats that hold which slices were made.
ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr")


def check_output(image: Image, path: Path, overwrite: bool) -> None:
    """Raise an error in words if the stack cannot be written to `path`."""
    if not path.name.lower().endswith(ENDINGS):
        msg = (
            f"{path} cannot hold which slices were repaired: choose a name that ends in .ome.tif "
            "or .ome.zarr."
        )
        raise ValueError(msg)
    check_stack_output(image, path, [table_file(path)], overwrite)
