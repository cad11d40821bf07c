"""`napari-aeanet trust`: how far to trust a restored image."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_aeanet.trust import TrustSettings


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Say how far restored images can be trusted, and write the maps that say where.

    The stack holds, along C: the light (0 green, 1 amber, 2 red), the doubt behind it, and the maps
    there are of uncertainty, disagreement, unlike the training, and consistency with the input.

    Parameters
    ----------
    inputs
        Image files.
    model
        A model file (.aeanet).
    output
        Folder to write NAME-trust.ome.tif into; default: beside each input.
    settings
        How to find out.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    settings: Annotated[TrustSettings, arg(name="")] = field(default_factory=TrustSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import result
        from napari_aeanet.io import read_images, write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.trust import DISCLAIMER, TrustMaps, trust_events

        if not self.inputs:
            raise ValueError("name at least one image.")
        model = load_model(self.model)
        for path in self.inputs:
            folder = self.output or path.parent
            folder.mkdir(parents=True, exist_ok=True)
            for image in read_images(path):
                found = result(trust_events(image, model, self.settings), "step", TrustMaps)
                for notice in found.notices:
                    print(f"note: {image.name}: {notice}", file=sys.stderr)
                target = folder / f"{image.name}-trust.ome.tif"
                write_image(found.as_image(), target)
                print(f"{target}: {found.summary}")
        print(f"note: {DISCLAIMER}", file=sys.stderr)
        return 0
