"""`napari-aeanet restore`: apply a model to images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from napari_aeanet.restoration import RestoreSettings

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image

ENDING = "-restored.ome.tif"


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Restore images with a model; pixel size, axes and position are kept.

    With --tile 0 the size of the tiles follows the available memory.

    Parameters
    ----------
    inputs
        Image files.
    model
        Model file (.aeanet).
    out
        File for one image, or folder; default: NAME-restored.ome.tif beside each input. A file that
        ends in .ome.zarr is written tile by tile, for images larger than memory. A height map is
        written beside the result, as NAME-height.
    settings
        How to restore.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    settings: Annotated[RestoreSettings, arg(name="")] = field(default_factory=RestoreSettings)

    def run(self) -> int:
        from napari_aeanet.cli.progress import print_note, result
        from napari_aeanet.io import write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import STREAMED, Restored, height_path, restore_events

        images = self._images()
        model = load_model(self.model)
        for image, target in images:
            streamed = target if target.name.endswith(STREAMED) else None
            events = restore_events(image, model, self.settings, out=streamed)
            restored = result(events, "step", Restored)
            for notice in restored.notices:
                print_note(f"{image.name}: {notice}")
            files = {target: restored.image}
            if restored.height is not None:
                files[height_path(target)] = restored.height
            for file, pixels in files.items():
                if streamed is None:
                    write_image(pixels, file)
                print(file)
        return 0

    def _images(self) -> Iterator[tuple[Image, Path]]:
        """Return the input images, each with the file for its result."""
        from napari_aeanet.cli.console import input_images, refuse_replacing
        from napari_aeanet.io import read_images
        from napari_aeanet.restoration import height_path

        def files(target: Path) -> list[Path]:
            return [target, height_path(target)] if self.settings.height else [target]

        if len(self.inputs) == 1 and self.out is not None and self.out.suffix:
            images = read_images(self.inputs[0])
            if len(images) == 1:
                for file in files(self.out):
                    refuse_replacing(self.inputs[0], file, self.inputs)
                return iter([(images[0], self.out)])
        endings = [file.name for file in files(Path(ENDING))]
        found = input_images(self.inputs, self.out, endings)
        return ((image, folder / f"{image.name}{ENDING}") for image, folder in found)
