"""`napari-aeanet teach`: teach a model a kind of structure from marked images."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.structures import StructureSettings


@dataclass(frozen=True, kw_only=True)
class Teach:
    """Teach a model a kind of structure from a region that is marked in one or several images.

    The kind is kept in the model file. Then `relevance --structures --probabilities` writes its map
    for any image, above zero where it is likely.

    Parameters
    ----------
    inputs
        Images (y, x).
    marks
        For each image a file of the same size with labels: marked is what is not zero, all other
        pixels count as something else.
    name
        Name of the kind; one of the same name is replaced with --overwrite.
    model
        Model file (.aeanet) with structures.
    output
        Model file to write; default: the model itself.
    overwrite
        Replace a kind of this name; or an existing output.
    settings
        How to read the images.

    Examples
    --------
    napari-aeanet teach S05.tif --marks S05-labels.tif --name clusters -m mine.aeanet
    """

    inputs: Positional[tuple[Path, ...]]
    marks: tuple[Path, ...]
    name: str
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    overwrite: FlagCreatePairsOff[bool] = False
    settings: Annotated[StructureSettings, arg(name="")] = field(default_factory=StructureSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import model_to_write
        from napari_aeanet.cli.progress import print_note, shown
        from napari_aeanet.io import read_image
        from napari_aeanet.models import load_model, save_model
        from napari_aeanet.structures import StructureTaught, teach_events

        model = load_model(self.model)
        held = f"a kind '{self.name}'" if self.name.strip() in model.card.taught else ""
        output = model_to_write(model, self.output, overwrite=self.overwrite, held=held)
        images = [read_image(path) for path in self.inputs]
        marks = [read_image(path).read() for path in self.marks]
        events = teach_events(model, images, marks, self.name, self.settings)
        *_, event = shown(events, "tile")
        assert isinstance(event, StructureTaught)
        save_model(event.model, output)
        for notice in event.notices:
            print_note(notice)
        for title, score in (
            ("taught on one half, found in the other", event.other_half),
            ("taught on the other images, found in each", event.other_images),
            ("the same with mirrored marks, which mean nothing", event.null),
        ):
            if not isnan(score):
                print(f"{score:.2f}  {title}")
        print_note("1 is perfect, 0.5 is chance.")
        print(output)
        return 0
