"""Pairs as input of a command."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path

from napari_aeanet.batch import find_inputs
from napari_aeanet.cli.progress import print_note
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


def collect_pairs(inputs: tuple[Path, ...], stack_axis: StackAxis | None = None) -> PairList:
    """Return pairs from a pair list, a CSV or NPZ file, two folders, globs, lists or image files.

    Images without a partner and problems of pairs are printed on standard error. `stack_axis` is
    the meaning of pages without a meaning in two folders, globs, lists or files.

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
    for problem in (*found.unmatched, *found.problems):
        print_note(problem)
    if not found.pairs:
        raise ValueError("no pairs were found.")
    return found


def _is_glob_or_list(path: Path) -> bool:
    return path.suffix.lower() == ".txt" or (not path.exists() and has_magic(str(path)))
