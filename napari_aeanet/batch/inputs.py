"""The images that a user names: files, folders, globs, lists of files, and job files."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_aeanet.batch.record import is_result
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.names import natural_order
from napari_aeanet.core.table import listed_file, read_table
from napari_aeanet.io import OTHER_IMAGES, READERS, SAVE_AS_TIFF, stem, without_twins

LIST, JOBS = ".txt", ".csv"
# Folders that are one image, and endings of images that are not complete.
IMAGE_FOLDER, UNFINISHED = ".zarr", (".partial.ome.zarr", ".partial.zarr")
# A note names at most so many files.
MOST_NAMES = 3


@dataclass(frozen=True)
class InputFile:
    """An image file, and the file for its result where the user named one."""

    path: Path
    output: Path | None = None


@dataclass(frozen=True)
class Inputs:
    """The image files that were meant.

    Parameters
    ----------
    files
        Each once, in the order given; in the natural order of their names within a folder or glob.
    notes
        Sentences about files that were left out.
    is_batch
        False for one file that was named by itself.
    """

    files: tuple[InputFile, ...]
    notes: tuple[str, ...]
    is_batch: bool


def find_inputs(
    inputs: Iterable[Path | str], *, recursive: bool = False, results: bool = False
) -> Inputs:
    """Return the image files that are meant by files, folders, globs, lists and job files.

    A folder or glob stands for the images in it. A list (.txt) names a file a line, a job file
    (.csv) has a column "input" and perhaps one "output"; names in both are relative to them.

    Parameters
    ----------
    recursive
        Also take the images in the folders below a folder.
    results
        Also take results of this program. Else they are left out, unless they are named.

    Raises
    ------
    ValueError
        If nothing is given, or a folder, glob, list or job file names no image.
    """
    named = [Path(one) for one in inputs]
    if not named:
        raise ValueError("name at least one image.")
    files: list[InputFile] = []
    left_out: list[Path] = []
    others: list[Path] = []
    is_batch = len(named) > 1
    for one in named:
        if one.is_dir() and not _is_image_folder(one):
            found, place = _in_folder(one, recursive), str(one)
        elif not one.exists() and glob.has_magic(str(one)):
            found, place = _matching(one), str(one)
        elif one.suffix.lower() in (LIST, JOBS) and one.is_file():
            files += _listed(one) if one.suffix.lower() == LIST else _jobs(one)
            is_batch = True
            continue
        else:
            files.append(InputFile(one))
            continue
        unread = [path for path in without_twins(found) if not _is_image(path)]
        found = [path for path in found if _is_image(path)]
        taken = [path for path in found if results or not is_result(path)]
        if not taken:
            raise ValueError(_nothing_in(place, found, unread))
        others += unread
        left_out += [path for path in found if path not in taken]
        files += map(InputFile, taken)
        is_batch = True
    unique = list({file.path.resolve(): file for file in reversed(files)}.values())[::-1]
    if not results:
        left_out += (again := _results_beside_their_source(unique))
        unique = [file for file in unique if file.path not in again]
    notes = (_about_results(left_out), _about_others(others))
    return Inputs(tuple(unique), tuple(filter(None, notes)), is_batch)


def _is_image_folder(path: Path) -> bool:
    return path.suffix.lower() == IMAGE_FOLDER


def _is_image(path: Path) -> bool:
    """Return True for a name that a reader takes; hidden and unfinished files are none."""
    name = path.name.lower()
    return (
        path.suffix.lower() in READERS
        and not name.startswith(".")
        and not name.endswith(UNFINISHED)
        and path.is_dir() == _is_image_folder(path)
    )


def _is_any_image(path: Path) -> bool:
    """Return True also for an image of a format that is not read."""
    is_other = path.suffix.lower() in OTHER_IMAGES and not path.name.startswith(".")
    return _is_image(path) or (is_other and path.is_file())


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    """Return the images of any format in a folder, in the natural order of their names."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural_order(path.name))
    except OSError as error:
        msg = f"{folder} cannot be read as a folder ({error.strerror}): check its rights."
        raise type(error)(msg) from error
    found = [path for path in entries if _is_any_image(path)]
    if recursive:
        for path in entries:
            hidden = path.name.startswith(".")
            if path.is_dir() and not hidden and not _is_image_folder(path):
                found += _in_folder(path, recursive)
    return found


def _matching(pattern: Path) -> list[Path]:
    """Return the images of any format that a glob matches, as quoted as the shell left it."""
    # Path.glob takes no absolute patterns.
    names = glob.glob(str(pattern.expanduser()), recursive=True)  # noqa: PTH207
    matched = map(Path, names)
    return sorted(filter(_is_any_image, matched), key=lambda path: natural_order(str(path)))


def _listed(file: Path) -> list[InputFile]:
    with in_one_sentence(file, "list of files", "save it as text in UTF-8"):
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not names:
        raise ValueError(f"{file} names no image: write the path of one image in each line.")
    return [InputFile(listed_file(name, file)) for name in names]


def _jobs(file: Path) -> list[InputFile]:
    rows = read_table(file)
    if not rows or "input" not in rows[0]:
        msg = (
            f"{file} is not a job file: its first line must be 'input' or 'input,output', followed "
            "by one image a line."
        )
        raise ValueError(msg)
    jobs = []
    for number, row in enumerate(rows, start=2):
        if not row["input"]:
            raise ValueError(f"line {number} of {file} names no input: fill it in, or remove it.")
        output = row.get("output", "")
        jobs.append(
            InputFile(
                listed_file(row["input"], file), listed_file(output, file) if output else None
            )
        )
    return jobs


def _results_beside_their_source(files: Sequence[InputFile]) -> list[Path]:
    """Return the results among files whose source is among them, as a shell's glob gives them."""
    sources = {(file.path.parent.resolve(), stem(file.path)) for file in files}
    return [
        file.path
        for file in files
        if file.output is None
        and is_result(file.path)
        and any((file.path.parent.resolve(), name) in sources for name in _beginnings(file.path))
    ]


def _beginnings(path: Path) -> Iterator[str]:
    """Yield "S05" and so on for "S05-restored-height"."""
    name = stem(path)
    while "-" in name:
        name = name.rpartition("-")[0]
        yield name


def _nothing_in(place: str, results: Sequence[Path], others: Sequence[Path]) -> str:
    if results:
        return (
            f"{place} holds only results of this program ({_names(results)}): name a file to work "
            "on it all the same."
        )
    if others:
        return f"{place} holds no image that can be read: {_about_others(others)}"
    return f"{place} holds no image: choose another place with {', '.join(READERS)} files."


def _about_results(left_out: Sequence[Path]) -> str:
    if not left_out:
        return ""
    one = len(left_out) == 1
    return (
        f"{_names(left_out)} {'is a result' if one else 'are results'} of this program and "
        f"{'was' if one else 'were'} not taken as input."
    )


def _about_others(left_out: Sequence[Path]) -> str:
    if not left_out:
        return ""
    if len(left_out) == 1:
        return f"{left_out[0].name} has a format that is not read: {SAVE_AS_TIFF}."
    advice = SAVE_AS_TIFF.replace(" it", " them")
    return f"{_names(left_out)} have formats that are not read: {advice}."


def _names(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:MOST_NAMES])
    return names + (f" and {len(paths) - MOST_NAMES} more" if len(paths) > MOST_NAMES else "")
