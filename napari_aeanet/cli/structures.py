"""`napari-aeanet structures`: fit kinds of structure to a model, and write maps of them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.structures import FitSettings, StructureSettings

if TYPE_CHECKING:
    from napari_aeanet.batch import Work
    from napari_aeanet.cluster.settings import ClusterSettings
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model
    from napari_aeanet.relevance import RelevanceSettings


@dataclass(frozen=True, kw_only=True)
class Structures:
    """Fit kinds of structure ("dark gaps", "bright rims") to a model, from pairs of images.

    The kinds are kept in the model file; its restoration stays as it is. Then `relevance
    --structures` shows where in an image they are.

    Parameters
    ----------
    inputs
        Registered pairs, best those of the training: a pair list (.json) written by `register`; or
        two folders, two stacks, a .csv or an .npz file.
    model
        Model file (.aeanet).
    output
        Model file to write; default: the model itself.
    overwrite
        Replace the structures of a model that has some, and their names; or an existing output.
    settings
        How to fit them.

    Examples
    --------
    napari-aeanet structures pairs.json -m sem.aeanet
    napari-aeanet structures pairs.json -m sem.aeanet -o structured.aeanet --kinds 8
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    overwrite: FlagCreatePairsOff[bool] = False
    settings: Annotated[FitSettings, arg(name="")] = field(default_factory=FitSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs, model_to_write
        from napari_aeanet.cli.progress import print_note, shown
        from napari_aeanet.models import load_model, save_model
        from napari_aeanet.structures import (
            StructuresFitted,
            fit_structures_events,
            structures_of,
        )

        model = load_model(self.model)
        held = "structures" if structures_of(model) is not None else ""
        output = model_to_write(model, self.output, overwrite=self.overwrite, held=held)
        pairs = collect_pairs(self.inputs).pairs
        *_, event = shown(fit_structures_events(model, pairs, self.settings), "step")
        assert isinstance(event, StructuresFitted)
        for notice in event.notices:
            print_note(notice)
        save_model(event.model, output)
        for name, share in zip(event.names, event.shares, strict=True):
            print(f"{100 * share:4.1f} %  {name}")
        if event.agreement is not None:
            percent = 100 * event.agreement
            print_note(f"{percent:.0f} % of places kept out have the kind of the target.")
        print(output)
        return 0


def write_structures(
    image: Image,
    outputs: tuple[Path, ...],
    model: Model,
    settings: RelevanceSettings,
    cluster: ClusterSettings,
) -> Work:
    """Check that the image suits the model, and return the generator that writes its structures.

    Parameters
    ----------
    outputs
        The picture and, if wanted, the stack of labels and probabilities.
    """
    from napari_aeanet.cli.progress import on_workers
    from napari_aeanet.io import write_image
    from napari_aeanet.structures import StructureMaps, save_structures, structure_events

    shared = {one.name: getattr(settings, one.name) for one in fields(StructureSettings)}
    begin = partial(structure_events, image, model, StructureSettings(**shared))
    events = on_workers(begin, cluster)

    def written() -> Work:
        for event in events:
            yield event
        assert isinstance(event, StructureMaps)
        save_structures(event, outputs[0])
        for stack in outputs[1:]:
            write_image(event.as_image(), stack)
        return event.notices

    return written()
