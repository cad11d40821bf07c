"""`napari-aeanet info`: describe image files and models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff, Positional


@dataclass(frozen=True, kw_only=True)
class Info:
    """Describe image files: shape, axes, pixel size, range, saturation, text band; and models.

    Parameters
    ----------
    files
        Image files (TIFF, OME-TIFF, OME-Zarr, PNG, BMP, NPY), folders, globs, or lists of
        files (.txt); model files (.aeanet).
    recursive
        Also take the images in the folders below a given folder.
    json
        Print a JSON list with an object for each image.

    Examples
    --------
    napari-aeanet info S05.tif
    napari-aeanet info lr hr --json
    """

    files: Positional[tuple[Path, ...]]
    recursive: FlagCreatePairsOff[bool] = False
    json: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.batch import find_inputs
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.cli.streams import data_out, print_error, print_json
        from napari_aeanet.io import describe_image, image_facts, read_images
        from napari_aeanet.models import SUFFIX, describe_model, model_facts, read_card

        found = find_inputs(self.files, recursive=self.recursive, results=True)
        failed, facts = 0, []
        for file in found.files:
            try:
                if file.path.suffix.lower() == SUFFIX:
                    card = read_card(file.path)
                    if self.json:
                        facts.append({"file": str(file.path)} | model_facts(card))
                    else:
                        print("\n".join(describe_model(card)), file=data_out())
                    continue
                images = read_images(file.path)
            except (ValueError, OSError) as error:
                if not found.is_batch:
                    raise
                print_error(f"napari-aeanet: {error}")  # the other files are still described
                failed += 1
                facts.append({"file": str(file.path), "error": str(error)})
                continue
            for image in images:
                if self.json:
                    facts.append({"file": str(file.path)} | image_facts(image))
                    continue
                lines = describe_image(image)
                if found.is_batch:  # files of several folders may have one name
                    lines[0] = f"{file.path}: {lines[0]}" if len(images) > 1 else str(file.path)
                print("\n".join(lines), file=data_out())
        if self.json:
            print_json(facts)
        for note in found.notes:
            print_note(note)
        if failed:
            print_error(f"napari-aeanet: {failed} of {len(found.files)} files cannot be read.")
        return 1 if failed else 0
