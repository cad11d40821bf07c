"""Parts that the commands share: input images, and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from napari_aeanet.cli.progress import print_note
from napari_aeanet.core.image import Image
from napari_aeanet.io import read_images, stem
from napari_aeanet.pairs import (
    PairList,
    load_pairs,
    pairs_from_csv,
    pairs_from_folders,
    pairs_from_npz,
    pairs_from_stacks,
)


def input_images(
    inputs: Sequence[Path], folder: Path | None, endings: Sequence[str]
) -> Iterator[tuple[Image, Path]]:
    """Read the input images one by one, each with the folder for its outputs.

    An output is called NAME + ending, with the name of the image. Inputs whose outputs would share
    a file get different names, which is printed on standard error; an input named twice is read
    once.

    Parameters
    ----------
    folder
        Folder of all outputs; None for the folder of each input.
    endings
        Endings of the output files.

    Raises
    ------
    ValueError
        If there is no input, or an output would replace an input.
    """
    if not inputs:
        raise ValueError("name at least one image.")
    inputs = list({path.resolve(): path for path in inputs}.values())
    names = _distinct_names(inputs, folder)
    for path, name in names.items():
        for ending in endings:
            refuse_replacing(path, (folder or path.parent) / f"{name}{ending}", inputs)
    return _read(names, folder, endings)


def refuse_replacing(source: Path, output: Path, inputs: Iterable[Path]) -> None:
    """Raise ValueError if `output`, a result of `source`, is one of the inputs."""
    if _identity(output) in map(_identity, inputs):
        msg = (
            f"the result of {source} would replace the input {output}: write the results to "
            "another place, or leave one of the two out."
        )
        raise ValueError(msg)


def collect_pairs(inputs: tuple[Path, ...]) -> PairList:
    """Return pairs from a pair list, a CSV or NPZ file, two folders or two image files.

    Images without a partner and problems of pairs are printed on standard error.

    Raises
    ------
    ValueError
        If the inputs are none of these, or hold no pair.
    """
    readers = {".json": load_pairs, ".csv": pairs_from_csv, ".npz": pairs_from_npz}
    if len(inputs) == 1 and inputs[0].suffix.lower() in readers:
        found = readers[inputs[0].suffix.lower()](inputs[0])
    elif len(inputs) == 2 and all(path.is_dir() and path.suffix != ".zarr" for path in inputs):
        found = pairs_from_folders(*inputs)
    elif len(inputs) == 2:
        found = pairs_from_stacks(*inputs)
    else:
        raise ValueError(
            "pairs are given as a pair list (.json), a table (.csv), an .npz file, two folders, or "
            f"two image files: got {', '.join(map(str, inputs)) or 'nothing'}."
        )
    for problem in (*found.unmatched, *found.problems):
        print_note(problem)
    if not found.pairs:
        raise ValueError("no pairs were found.")
    return found


def _read(
    names: dict[Path, str], folder: Path | None, endings: Sequence[str]
) -> Iterator[tuple[Image, Path]]:
    """Yield the images of `input_images`; the pages of a file are known only when it is read."""
    taken: set[str] = set()
    for path, name in names.items():
        target = folder or path.parent
        for image in read_images(path):
            title = name + image.name.removeprefix(stem(path))
            while _identity(target / title) in taken:
                title += "-2"
            taken.add(_identity(target / title))
            if title != image.name:
                print_note(f"{path}: another input is also called {image.name}; results: {title}")
            for ending in endings:
                refuse_replacing(path, target / f"{title}{ending}", names)
            target.mkdir(parents=True, exist_ok=True)
            yield replace(image, name=title), target


def _distinct_names(inputs: Sequence[Path], folder: Path | None) -> dict[Path, str]:
    """Return the stems; where outputs would share a file, with folder and, if need be, ending."""
    names = {path: stem(path) for path in inputs}
    for group in _groups_of_one_output(names, folder):
        for path, part in zip(group, _different_folders(group), strict=True):
            names[path] = f"{part}-{names[path]}" if part else names[path]
    for group in _groups_of_one_output(names, folder):
        for path in group:
            names[path] += path.name[len(stem(path)) :].replace(".", "-")
    return names


def _groups_of_one_output(names: dict[Path, str], folder: Path | None) -> list[list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(_identity((folder or path.parent) / name), []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _different_folders(paths: Sequence[Path]) -> list[str]:
    """Return the part of each path's folder in which it differs from the others: "a", "b-lr"."""

    def shared(folders: Sequence[Sequence[str]]) -> int:
        levels = zip(*folders, strict=False)
        return len(list(takewhile(lambda names: len(set(names)) == 1, levels)))

    folders = [path.resolve().parent.parts for path in paths]
    first = shared(folders)
    last = shared([parts[:first:-1] for parts in folders])
    return [
        "-".join(p.strip("\\/:") for p in parts[first : len(parts) - last]) for parts in folders
    ]


def _identity(path: Path) -> str:
    """Return one text for all spellings of a path; case is ignored, as file systems may do."""
    return str(path.resolve()).casefold()
