"""`napari-aeanet restore`: apply a model to images."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_aeanet.restoration import RestoreSettings


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Restore images with a model; pixel size, axes and place are carried over.

    Parameters
    ----------
    inputs
        Image files.
    model
        A model file (.aeanet).
    out
        A file for one image, or a folder; default: NAME-restored.ome.tif beside each input. A file
        that ends in .ome.zarr is written as the result comes, for images larger than memory.
        A height map goes beside the result, as NAME-height.
    settings
        How to restore.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    settings: Annotated[RestoreSettings, arg(name="")] = field(default_factory=RestoreSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import result
        from napari_aeanet.io import read_images, write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import STREAMED, Restored, height_path, restore_events

        if not self.inputs:
            raise ValueError("name at least one image to restore.")
        model = load_model(self.model)
        for path in self.inputs:
            images = read_images(path)
            for image in images:
                target = self._target(path, image.name, single=len(self.inputs) * len(images) == 1)
                streamed = target if target.name.endswith(STREAMED) else None
                work = restore_events(image, model, self.settings, out=streamed)
                restored = result(work, "step", Restored)
                for notice in restored.notices:
                    print(f"note: {image.name}: {notice}", file=sys.stderr)
                files = {target: restored.image}
                if restored.height is not None:
                    files[height_path(target)] = restored.height
                for file, pixels in files.items():
                    if streamed is None:
                        write_image(pixels, file)
                    print(file)
        return 0

    def _target(self, source: Path, name: str, *, single: bool) -> Path:
        file = f"{name}-restored.ome.tif"
        if self.out is None:
            return source.parent / file
        if single and self.out.suffix:
            return self.out
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out / file
