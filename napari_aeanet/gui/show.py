"""`python -m napari_aeanet.gui.show FILE...`: open calibrated images in a napari window."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import napari

from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.io import read_images


def main(files: Sequence[str]) -> None:
    viewer = napari.Viewer(title="napari-aeanet")
    for file in files:
        for image in read_images(Path(file)):
            viewer.add_layer(image_to_layer(image))
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1:])
