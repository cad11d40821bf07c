"""Files for the results of many images: one for each, and never an input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from napari_aeanet.batch.inputs import InputFile, Inputs
from napari_aeanet.batch.record import record_path
from napari_aeanet.io import WRITABLE, check_ending, check_place, stem


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """An image file and the place of its results.

    Parameters
    ----------
    path
        The image file.
    folder, name
        Its result is folder/name + ending; a file of several images has several.
    output
        The file for its only result, where the user named one.
    problem
        Why nothing can be written there; empty if it can.
    """

    path: Path
    folder: Path
    name: str
    output: Path | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Plan of the results of all files, made without reading any image.

    Parameters
    ----------
    files
        In their order.
    ending
        Of the results: "-restored.ome.tif".
    parts
        Function from the file of a result to all files that belong to it.
    notes
        Remarks for the user.
    is_batch
        False for one file that was named by itself: an error then ends the work.
    folder
        The folder for all results, if one was given.
    accept_missing
        Read missing planes as zeros, as `BatchSettings`.
    """

    files: tuple[PlannedFile, ...]
    ending: str
    parts: Callable[[Path], tuple[Path, ...]]
    notes: tuple[str, ...]
    is_batch: bool
    folder: Path | None
    accept_missing: bool = False


def plan_batch(
    inputs: Inputs,
    out: Path | None,
    ending: str,
    parts: Callable[[Path], tuple[Path, ...]] = lambda path: (path,),
    *,
    is_batch: bool | None = None,
    accept_missing: bool = False,
) -> BatchPlan:
    """Return the files for the results, which are distinct and none of the inputs.

    A result is called NAME + `ending`, with the name of the image. Inputs whose results would
    share a file get different names, which a note tells.

    Parameters
    ----------
    out
        Folder of all results, or the file for the result of one image; None for the folder of
        each input.
    is_batch
        Treat one file as a batch, or the reverse; None as it was named.
    accept_missing
        Read missing planes as zeros, as `BatchSettings`.

    Raises
    ------
    ValueError
        If a result would replace an input, two results would share a file, or, for one file that
        was named by itself, nothing can be written in its place.
    """
    files = inputs.files
    is_batch = inputs.is_batch if is_batch is None else is_batch
    if out is not None:
        check_place(out)
    if out is not None and _is_file(out, len(files)):
        if len(files) > 1:
            msg = (
                f"{out} is the name of one file, but there are {len(files)} images: name a folder."
            )
            raise ValueError(msg)
        files, out = (InputFile(files[0].path, files[0].output or out),), None
    paths = [file.path for file in files]
    names = distinct_names([file.path for file in files if file.output is None], out)
    planned, taken = [], set()
    for file in files:
        if file.output is None:
            name, folder, output = names[file.path], out or file.path.parent, None
            main = folder / f"{name}{ending}"
        else:
            output = main = file.output if out is None else out / file.output.name
            name, folder = stem(main), main.parent
            if identity(main) in taken:
                raise ValueError(f"two results would be called {main}: give them different names.")
            taken.add(identity(main))
        for part in parts(main):
            refuse_replacing(file.path, part, paths)
        problem = _problem_of_place(parts(main), is_named=output is not None)
        if problem and not is_batch:
            raise ValueError(problem)
        planned.append(
            PlannedFile(path=file.path, folder=folder, name=name, output=output, problem=problem)
        )
    return BatchPlan(
        files=tuple(planned),
        ending=ending,
        parts=parts,
        notes=(*inputs.notes, *_renamed(planned)),
        is_batch=is_batch,
        folder=out,
        accept_missing=accept_missing,
    )


def refuse_replacing(source: Path, output: Path, inputs: Iterable[Path]) -> None:
    """Raise ValueError if `output`, a result of `source`, is one of the inputs."""
    if identity(output) in map(identity, inputs):
        msg = (
            f"the result of {source} would replace the input {output}: write the results to "
            "another place, or leave one of the two out."
        )
        raise ValueError(msg)


def refuse_existing(outputs: Iterable[Path], *, overwrite: bool = False) -> None:
    """Raise an error if one of the files cannot be written, or exists and is to be kept."""
    for path in outputs:
        check_place(path)
        if path.exists() and not overwrite:
            msg = f"{path} exists already: choose another place, or replace it (--overwrite)."
            raise FileExistsError(msg)


def distinct_names(inputs: Sequence[Path], folder: Path | None) -> dict[Path, str]:
    """Return the stems; where outputs would share a file, with folder and, if need be, ending."""
    names = {path: stem(path) for path in inputs}
    for group in _groups_of_one_output(names, folder):
        for path, part in zip(group, _different_folders(group), strict=True):
            names[path] = f"{part}-{names[path]}" if part else names[path]
    for group in _groups_of_one_output(names, folder):
        for path in group:
            names[path] += path.name[len(stem(path)) :].replace(".", "-")
    return names


def identity(path: Path) -> str:
    """Return one text for all spellings of a path; case is ignored, as file systems may do."""
    return str(path.resolve()).casefold()


def _is_file(out: Path, count: int) -> bool:
    """Return True if a place for results is a file: by its ending, unless a folder exists there."""
    if out.name.lower().endswith(WRITABLE):
        return out.suffix.lower() == ".zarr" or not out.is_dir()
    if out.suffix and count == 1 and not out.is_dir():
        try:
            check_ending(out)
        except ValueError as error:
            raise ValueError(f"{error} If it is to be a folder, make it first.") from error
    return False


def _problem_of_place(outputs: Sequence[Path], is_named: bool) -> str:
    try:
        if is_named:
            check_ending(outputs[0])
        for path in outputs:
            check_place(path)
        check_place(record_path(outputs[0]))
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _renamed(planned: Sequence[PlannedFile]) -> list[str]:
    return [
        f"{file.path}: another input is also called {stem(file.path)}; results: {file.name}"
        for file in planned
        if file.output is None and file.name != stem(file.path)
    ]


def _groups_of_one_output(names: dict[Path, str], folder: Path | None) -> list[list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(identity((folder or path.parent) / name), []).append(path)
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
