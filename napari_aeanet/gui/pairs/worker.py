"""Background work of the Pairs dock: generators without Qt and napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.viewer.pages import are_unnamed_planes
from napari_aeanet.io import StackAxis, read_calibrations, read_images, stem
from napari_aeanet.pairs import (
    ImagePair,
    PairList,
    PairProblem,
    PairRegistered,
    guess_folders,
    guess_pairs,
    guess_roles,
    images_in,
    is_reversed,
    pairs_from_files,
    pairs_from_folders,
    pairs_in_order,
    register_all_events,
)
from napari_aeanet.registration import RegistrationSettings, register_from_landmarks

IN_ORDER = "No names match: the files were paired in their order."


@dataclass(frozen=True, eq=False)
class Collected:
    """Event with the pairs that were found, the images left over, and a remark."""

    found: PairList
    progress: Progress
    left_over: tuple[Image, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Unmatched:
    """Event that asks for a decision: a folder alone, or two folders without matching names."""

    folders: tuple[Path, ...]
    files: int
    progress: Progress
    stack_axis: StackAxis | None = None


@dataclass(frozen=True, eq=False)
class PagesFound:
    """Event that asks what the pages of files are: images of their own, or planes of one volume.

    Attributes
    ----------
    images
        The pages of the first such file, without their pixels.
    files
        Number of such files.
    go_on
        Collects the pairs; it takes the answer as `stack_axis`.
    """

    images: Sequence[Image]
    files: int
    go_on: Callable[..., Collecting]
    progress: Progress


Collecting = Iterator[Progressed | Collected | Unmatched | PagesFound]


def ask_about_pages(paths: Sequence[Path], collect: Callable[..., Collecting]) -> Collecting:
    """Collect pairs, unless there are pages in the files and folders that are to be asked about.

    Their pixels are not read for that.
    """
    what = "looking at the files"
    yield Progressed(Progress(what, 0, 0))
    found = []
    for file in (f for path in paths for f in (images_in(path) if is_folder(path) else [path])):
        if file.suffix.lower() in (".tif", ".tiff"):
            with suppress(ValueError, OSError):  # told when it is read
                found.append(read_calibrations(file))
    unnamed = [images for images in found if are_unnamed_planes(images)]
    if unnamed:
        yield PagesFound(unnamed[0], len(unnamed), collect, Progress(what, 1, 1))
    else:
        yield from collect()


def collect_pairs(what: str, find: Callable[[], PairList]) -> Collecting:
    """Read the files of pairs."""
    yield Progressed(Progress(what, 0, 0))
    yield Collected(find(), Progress(what, 1, 1))


def pair_images(files: Sequence[Path], *, stack_axis: StackAxis | None = None) -> Collecting:
    """Pair images of unknown roles; unreadable files are problems."""
    images: list[Image] = []
    problems: list[PairProblem] = []
    for number, file in enumerate(files):
        yield Progressed(Progress("reading", number, len(files), unit="file"))
        try:
            images += read_images(file, stack_axis=stack_axis)
        except (ValueError, OSError) as error:
            problems.append(PairProblem(file.name, str(error)))
    found = guess_pairs(images)
    paired = {id(image) for pair in found for image in (pair.source, pair.target)}
    yield Collected(
        replace(found, problems=(*found.problems, *problems)),
        Progress("reading", len(files), len(files), unit="file"),
        tuple(image for image in images if id(image) not in paired),
    )


def pair_within(folder: Path) -> Collecting:
    """Pair the images in one folder, or in its two subfolders; else ask for another folder."""
    inner = [path for path in sorted(folder.iterdir()) if is_folder(path)]
    if len(inner) == 2 and not any(path.is_file() for path in folder.iterdir()):
        yield from ask_about_pages(inner, partial(pair_folders, *inner))
        return
    files = images_in(folder)
    sources, targets = guess_roles([stem(file) for file in files])
    if sources and targets:
        yield from ask_about_pages(files, partial(pair_images, files))
    else:
        yield Unmatched((folder,), len(files), Progress("reading", 1, 1))


def pair_folders(first: Path, second: Path, *, stack_axis: StackAxis | None = None) -> Collecting:
    """Pair two folders, of which either may hold the sources; ask if no names match."""
    what = "reading folders"
    yield Progressed(Progress(what, 0, 0))
    found = guess_folders((first, second), stack_axis=stack_axis)
    files = [len(images_in(folder)) for folder in (first, second)]
    if not found.pairs and not found.problems and files[0] == files[1]:
        yield Unmatched((first, second), files[0], Progress(what, 1, 1), stack_axis)
    else:
        yield Collected(found, Progress(what, 1, 1))


def pair_folders_in_order(
    first: Path, second: Path, *, stack_axis: StackAxis | None = None
) -> Collecting:
    """Pair the files of two folders in their order, of which either may hold the sources."""
    what = "reading folders"
    yield Progressed(Progress(what, 0, 0))
    _, targets = guess_roles([first.name, second.name])
    sides = map(images_in, (second, first) if targets == [0] else (first, second))
    found = pairs_in_order(*sides, stack_axis=stack_axis)
    if not targets and found.pairs:
        swap = is_reversed(found[0].source, found[0].target)
        pairs = (pair.swapped() if swap else pair for pair in found)
        found = replace(found, pairs=tuple(replace(pair, is_guess=True) for pair in pairs))
    yield Collected(found, Progress(what, 1, 1), remark=IN_ORDER)


def pair_files(
    sources: Sequence[Path], targets: Sequence[Path], *, stack_axis: StackAxis | None = None
) -> Collecting:
    """Pair files by their names, or in their order if no names match."""
    what = "reading files"
    yield Progressed(Progress(what, 0, 0))
    found, remark = pairs_from_files(sources, targets, stack_axis=stack_axis), ""
    if not found.pairs and not found.problems and len(sources) == len(targets):
        found = pairs_in_order(sources, targets, stack_axis=stack_axis)
        remark = IN_ORDER if len(sources) > 1 else ""
    yield Collected(found, Progress(what, 1, 1), remark=remark)


def pair_sides(sources: Path, targets: Path, *, stack_axis: StackAxis | None = None) -> Collecting:
    """Pair a folder of sources with one of targets by the names of their files."""
    what = "reading folders"
    yield Progressed(Progress(what, 0, 0))
    found = pairs_from_folders(sources, targets, stack_axis=stack_axis)
    yield Collected(found, Progress(what, 1, 1))


def is_folder(path: Path) -> bool:
    """Return True for a folder that is not an image."""
    return path.is_dir() and path.suffix != ".zarr"


def register_pairs(
    pairs: Sequence[ImagePair], settings: RegistrationSettings
) -> Iterator[Progressed | PairRegistered]:
    """Register pair after pair; the first event tells what begins."""
    yield Progressed(Progress("registering", 0, len(pairs)))
    yield from register_all_events(pairs, settings)


def register_by_hand(
    pair: ImagePair, source: np.ndarray, target: np.ndarray, settings: RegistrationSettings
) -> Iterator[Progressed | PairRegistered]:
    """Register one pair by landmarks, (n, 2) each, clicked in both images."""
    what = f"registering {pair.name}"
    yield Progressed(Progress(what, 0, 0))
    found = register_from_landmarks(source, target, pair.source, pair.target, settings)
    yield PairRegistered(
        index=0,
        pair=replace(pair, registration=found, accepted=False),
        progress=Progress(what, 1, 1),
    )
