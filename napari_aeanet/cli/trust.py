"""`napari-aeanet trust`: maps of the trustworthiness of a restored image."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_aeanet.trust import TrustSettings

ENDING = "-trust.ome.tif"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Estimate how far restored images can be trusted, and write maps of it.

    The stack holds, along C: the traffic light (0 green, 1 amber, 2 red), the doubt behind it, and
    the available maps of uncertainty, disagreement, distance from the training data, and
    consistency with the input.

    Parameters
    ----------
    inputs
        Image files.
    model
        Model file (.aeanet).
    output
        Folder for NAME-trust.ome.tif; default: beside each input.
    settings
        How to estimate it.
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    settings: Annotated[TrustSettings, arg(name="")] = field(default_factory=TrustSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import input_images
        from napari_aeanet.cli.progress import print_note, result
        from napari_aeanet.io import write_image
        from napari_aeanet.models import load_model
        from napari_aeanet.trust import DISCLAIMER, TrustMaps, trust_events

        images = input_images(self.inputs, self.output, [ENDING])
        model = load_model(self.model)
        for image, folder in images:
            found = result(trust_events(image, model, self.settings), "step", TrustMaps)
            for notice in found.notices:
                print_note(f"{image.name}: {notice}")
            target = folder / f"{image.name}{ENDING}"
            write_image(found.as_image(), target)
            print(f"{target}: {found.summary}")
        print_note(DISCLAIMER)
        return 0
