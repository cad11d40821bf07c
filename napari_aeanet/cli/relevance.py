"""`napari-aeanet relevance`: where each abstract pixel speaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Write the relevance maps of a model's abstract pixels as calibrated TIFF stacks.

    Parameters
    ----------
    inputs
        Image files.
    model
        A model file (.aeanet) with abstract pixels.
    output
        Folder to write NAME-relevance.ome.tif into; default: beside each input.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None

    def run(self) -> int:
        from napari_aeanet.cli.console import result
        from napari_aeanet.data.files import read_images, write_image
        from napari_aeanet.engine.bundle import load_model
        from napari_aeanet.engine.relevance import RelevanceMaps, relevance

        if not self.inputs:
            raise ValueError("name at least one image.")
        model = load_model(self.model)
        for path in self.inputs:
            folder = self.output or path.parent
            folder.mkdir(parents=True, exist_ok=True)
            for image in read_images(path):
                maps = result(relevance(image, model), "tile", RelevanceMaps)
                target = folder / f"{image.name}-relevance.ome.tif"
                write_image(maps.as_image(), target)
                print(target)
        return 0
