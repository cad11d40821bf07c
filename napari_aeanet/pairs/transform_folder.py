"""The transforms of pairs as a folder of files for other programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_aeanet.core.atomic import replacing
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.transform_files import lengths_of, save_itk, save_scene


def save_transforms(
    pairs: Sequence[ImagePair], folder: Path, *, as_scenes: bool
) -> tuple[list[Path], list[str]]:
    """Write the transform of every pair into a folder, which is replaced as a whole.

    OME-Zarr scenes are in lengths if both images are calibrated, ITK files in pixels.

    Returns
    -------
    list of Path, list of str
        What was written, and a sentence for every pair that has no such file.
    """
    written, problems = [], []
    ending = "zarr" if as_scenes else "tfm"
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, pair in enumerate(pairs):
            assert pair.registration is not None
            stem = re.sub(r"[^\w.-]+", "_", pair.name)
            path = temporary / f"{stem}.{ending}"
            if path.exists():
                path = temporary / f"{stem}-{number}.{ending}"
            try:
                if as_scenes:
                    lengths = lengths_of(pair.source, pair.target)
                    save_scene(pair.registration, path, **lengths)
                else:
                    save_itk(pair.registration, path)
            except ValueError as error:
                problems.append(f"{pair.name}: {error}")
            else:
                written.append(folder / path.name)
    return written, problems
