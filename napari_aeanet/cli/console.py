"""Read pairs as input of a command, and choose the model file to write."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aeanet.batch import find_inputs
from napari_aeanet.cli.progress import print_note
from napari_aeanet.cli.streams import print_error
from napari_aeanet.io import StackAxis
from napari_aeanet.pairs import (
    PairList,
    load_pairs,
    pairs_from_csv,
    pairs_from_files,
    pairs_from_folders,
    pairs_from_npz,
    pairs_from_stacks,
)

if TYPE_CHECKING:
    from napari_aeanet.models import Model


def model_to_write(model: Model, output: Path | None, *, overwrite: bool, held: str) -> Path:
    """Return the model file to write, which holds nothing that would be lost unasked.

    Parameters
    ----------
    output
        The file that was asked for; None for that of the model.
    held
        What the model has already of that which is added; empty if nothing.
    """
    from napari_aeanet.batch import refuse_existing
    from napari_aeanet.models import SUFFIX, demo_model

    assert model.path is not None
    output = output or model.path
    if output.suffix.lower() != SUFFIX:
        raise ValueError(f"{output}: a model is a file {SUFFIX}.")
    if output.resolve() == demo_model().resolve():
        raise ValueError("The model of the program stays as it is: name another file (-o).")
    if output.resolve() != model.path.resolve():
        refuse_existing([output], overwrite=overwrite)
    elif held and not overwrite:
        raise ValueError(f"{output} has {held} already: add --overwrite to replace it.")
    return output


def collect_pairs(inputs: tuple[Path, ...], stack_axis: StackAxis | None = None) -> PairList:
    """Return pairs from a pair list, a CSV or NPZ file, two folders, globs, lists or image files.

    Images without a partner (as notes) and pairs that cannot be read are printed on standard error.
    `stack_axis` is the meaning of pages without a meaning in two folders, globs, lists or files.

    Raises
    ------
    ValueError
        If the inputs are none of these, or hold no pair.
    """
    readers = {".json": load_pairs, ".csv": pairs_from_csv, ".npz": pairs_from_npz}
    if len(inputs) == 1 and inputs[0].suffix.lower() in readers:
        found = readers[inputs[0].suffix.lower()](inputs[0])
    elif len(inputs) == 2 and all(path.is_dir() and path.suffix != ".zarr" for path in inputs):
        found = pairs_from_folders(*inputs, stack_axis=stack_axis)
    elif len(inputs) == 2 and any(_is_glob_or_list(path) for path in inputs):
        sides = [find_inputs([path]) for path in inputs]
        for note in (note for side in sides for note in side.notes):
            print_note(note)
        files = ([file.path for file in side.files] for side in sides)
        found = pairs_from_files(*files, stack_axis=stack_axis)
    elif len(inputs) == 2:
        found = pairs_from_stacks(*inputs, stack_axis=stack_axis)
    else:
        if len(inputs) == 1 and (lists := sorted(inputs[0].glob("*.json"))):
            raise ValueError(f"{inputs[0]} is a folder: name the pair list in it, {lists[0]}.")
        raise ValueError(
            "pairs are given as a pair list (.json), a table (.csv), an .npz file, or two folders, "
            f"globs, lists or image files: got {', '.join(map(str, inputs)) or 'nothing'}."
        )
    for note in found.unmatched:
        print_note(note)
    for problem in found.problems:
        print_error(f"napari-aeanet: {problem}")
    if not found.pairs and found.problems:
        raise ValueError(f"none of {len(found.problems)} pairs can be read.")
    if not found.pairs:
        raise ValueError(
            "no pairs were found: give both files of a pair the same name, apart from words that "
            "all files of a folder have."
        )
    return found


def _is_glob_or_list(path: Path) -> bool:
    return path.suffix.lower() == ".txt" or (not path.exists() and has_magic(str(path)))
