"""Sources of pairs: open images, folders, tables, page stacks, NPZ files.

Each function returns a `PairList`: the pairs, the images without a partner, and the pairs that
could not be made. An error is raised only if the whole input is unusable (no such folder, a table
without the right columns).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.image import Image
from napari_aeanet.core.names import natural_order
from napari_aeanet.core.table import listed_file, read_table
from napari_aeanet.io import (
    OTHER_IMAGES,
    READERS,
    StackAxis,
    read_images,
    read_npz,
    stem,
    without_twins,
)
from napari_aeanet.pairs.name_matching import exposures, guess_roles, match_names
from napari_aeanet.pairs.pair import ImagePair, PairList, PairProblem
from napari_aeanet.pairs.roles import is_reversed


def pairs_from_images(sources: Sequence[Image], targets: Sequence[Image]) -> PairList:
    """Pair open images by their names, or in the given order where no names match."""
    matched = match_names([i.name for i in sources], [i.name for i in targets])
    if not matched and len(sources) == len(targets):
        matched = [(i, i) for i in range(len(sources))]
    return PairList(
        pairs=tuple(ImagePair(sources[i], targets[j]) for i, j in matched),
        unmatched=_left_over([i.name for i in sources], [i.name for i in targets], matched),
    )


def guess_pairs(images: Sequence[Image]) -> PairList:
    """Pair images whose roles (source or target) are unknown.

    The words in their names decide ("lr" and "hr", "noisy" and "gt", "10000" and "20000"). A
    target without a source of its name is that of all images of its size whose names begin as its
    own ("S01_5ms" and "S01_50ms" for "S01_gt"). Of two images, one such word is enough; without
    any they are a pair too, whose roles are guessed from the images: see `is_reversed`.
    """
    sources, targets = guess_roles([image.name for image in images])
    if len(images) == 2 and len(sources) + len(targets) < 2:
        is_guess = not sources and not targets
        is_second_source = is_reversed(*images) if is_guess else sources == [1] or targets == [0]
        first, second = reversed(images) if is_second_source else images
        return PairList(pairs=(ImagePair(first, second, is_guess=is_guess),))
    found = pairs_from_images([images[i] for i in sources], [images[j] for j in targets])
    roleless = [i for i in range(len(images)) if i not in {*sources, *targets}]
    if not found.pairs:
        rest = [images[i] for i in roleless]
        pairs = [pair for j in targets for pair in _exposures_of(images[j], rest)]
        found = PairList(tuple(pairs)) if pairs else found
        taken = {id(pair.source) for pair in pairs}
        roleless = [i for i in roleless if id(images[i]) not in taken]
    return replace(
        found,
        unmatched=found.unmatched
        + tuple(
            f"{images[i].name}: its name does not say whether it is a source or a target."
            for i in roleless
        ),
    )


def _exposures_of(target: Image, images: Sequence[Image]) -> list[ImagePair]:
    """Return the pairs of one target and the images of its size whose names begin as its own."""
    same = [image for image in images if image.sizes == target.sizes]
    return [ImagePair(same[i], target) for i in exposures([i.name for i in same], target.name)]


def pairs_from_folders(
    source_dir: str | Path,
    target_dir: str | Path,
    *,
    stack_axis: StackAxis | None = None,
    by_name: bool = False,
) -> PairList:
    """Pair the image files of two folders by their names without suffixes.

    "S01.tif" matches "S01.png"; otherwise words such as lr/hr, low/high, noisy/gt and
    magnifications are ignored ("S01_10000.tif" and "S01_20000.tif"). Files of several pages are
    paired page by page, unless `stack_axis` names the axis of pages without a meaning, or the
    partner is a stack of as many planes. A single file in each folder is a pair by any name,
    unless `by_name` is True.
    """
    folders = as_path("source_dir", source_dir), as_path("target_dir", target_dir)
    sides = [images_in(folder) for folder in folders]
    is_one_pair = not by_name and all(len(side) == 1 for side in sides)
    return _paired_by_name(sides[0], sides[1], stack_axis, is_one_pair=is_one_pair)


def pairs_from_files(
    sources: Iterable[str | Path],
    targets: Iterable[str | Path],
    *,
    stack_axis: StackAxis | None = None,
) -> PairList:
    """Pair image files by their names without suffixes, as `pairs_from_folders`."""
    sides = [Path(one) for one in sources], [Path(one) for one in targets]
    return _paired_by_name(*sides, stack_axis)


def pairs_in_order(
    sources: Iterable[str | Path],
    targets: Iterable[str | Path],
    *,
    stack_axis: StackAxis | None = None,
) -> PairList:
    """Pair the first file with the first, the second with the second, and so on."""
    left, right = [Path(one) for one in sources], [Path(one) for one in targets]
    if len(left) != len(right):
        msg = f"{len(left)} source and {len(right)} target files cannot be paired in order."
        raise ValueError(msg)
    pairs: list[ImagePair] = []
    problems: list[PairProblem] = []
    for source, target in zip(left, right, strict=True):
        _add_pairs(source, target, stem(source), pairs, problems, stack_axis)
    return PairList(tuple(pairs), (), tuple(problems))


def guess_folders(folders: tuple[Path, Path], *, stack_axis: StackAxis | None = None) -> PairList:
    """Pair the image files of two folders, of which either may hold the sources.

    The names of the folders decide, then the first images that belong together.
    """
    first, second = folders
    _, targets = guess_roles([first.name, second.name])
    sides = (second, first) if targets == [0] else folders
    found = pairs_from_folders(*sides, stack_axis=stack_axis)
    if targets or not found.pairs:
        return found
    if is_reversed(found.pairs[0].source, found.pairs[0].target):
        found = pairs_from_folders(second, first, stack_axis=stack_axis)
    return replace(found, pairs=tuple(replace(pair, is_guess=True) for pair in found.pairs))


def pairs_from_csv(path: str | Path) -> PairList:
    """Read pairs from a table with the columns "source", "target" and, optionally, "name".

    File names are relative to the table. Commas, semicolons or tabs separate the columns.
    """
    path = Path(path)
    rows = _table(path)
    pairs: list[ImagePair] = []
    problems: list[PairProblem] = []
    for number, row in enumerate(rows, start=2):
        name = row.get("name") or stem(row["source"] or row["target"] or f"line {number}")
        missing = [side for side in ("source", "target") if not row[side]]
        if missing:
            message = f"line {number} of {path} names no {missing[0]} file: fill it in."
            problems.append(PairProblem(name, message))
            continue
        try:
            source, target = (listed_file(row[side], path) for side in ("source", "target"))
        except ValueError as error:
            problems.append(PairProblem(name[:20], str(error)))
            continue
        _add_pairs(source, target, name, pairs, problems)
    return PairList(tuple(pairs), (), tuple(problems))


def pairs_from_stacks(
    source: str | Path, target: str | Path, *, stack_axis: StackAxis | None = None
) -> PairList:
    """Pair two files page by page, or volume with volume; see `pairs_from_folders`."""
    sources, targets = _read_both(Path(source), Path(target), stack_axis)
    return PairList(pairs=tuple(_page_by_page(sources, targets, stem(source))))


def pairs_from_npz(path: str | Path) -> PairList:
    """Read pairs from NPZ files of the published tools: "X" and "Y" of (n, c, [z,] y, x)."""
    sources, targets = read_npz(Path(path))
    return PairList(pairs=tuple(map(ImagePair, sources, targets)))


def _paired_by_name(
    source_files: Sequence[Path],
    target_files: Sequence[Path],
    stack_axis: StackAxis | None,
    *,
    is_one_pair: bool = False,
) -> PairList:
    """Pair files by their names; with `is_one_pair`, two files whose names differ are a pair."""
    problems: list[PairProblem] = []
    sources = _by_stem(source_files, problems)
    targets = _by_stem(target_files, problems)
    left, right = list(sources), list(targets)
    matched, notes = match_names(left, right), []
    if is_one_pair and not matched:
        matched = [(0, 0)]
        pair = f"{left[0]} and {right[0]}"
        notes.append(f"{pair} are taken as a pair, as there are no others: their names differ.")
    pairs: list[ImagePair] = []
    for i, j in matched:
        files = sources[left[i]], targets[right[j]]
        _add_pairs(*files, left[i], pairs, problems, stack_axis)
    unmatched = (*notes, *_left_over(left, right, matched))
    return PairList(tuple(pairs), unmatched, tuple(problems))


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, in the order of their names.

    Images of a format that is not read are among them, so that they are told of, unless there is
    another file of their name.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural_order(path.name))
    except OSError as error:
        msg = f"{folder} cannot be read as a folder ({error.strerror}): check its name and rights."
        raise type(error)(msg) from error
    known = {*READERS, *OTHER_IMAGES}
    found = without_twins(
        [e for e in entries if e.suffix.lower() in known and not e.name.startswith(".")]
    )
    if not found:
        msg = f"{folder} holds no images: choose a folder with {', '.join(READERS)} files."
        raise ValueError(msg)
    return found


def _by_stem(files: Sequence[Path], problems: list[PairProblem]) -> dict[str, Path]:
    """Return files by their stem; a repeated stem is a problem."""
    by_stem = defaultdict(list)
    for file in files:
        by_stem[stem(file)].append(file)
    for name, same in by_stem.items():
        if len(same) > 1:
            names = " and ".join(file.name for file in same)
            message = f"{same[0].parent} holds {names}: keep only one of them."
            problems.append(PairProblem(name, message))
    return {name: same[0] for name, same in by_stem.items() if len(same) == 1}


def _left_over(
    sources: Sequence[str], targets: Sequence[str], matched: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    """Return a sentence for each name without a partner."""
    with_target, with_source = {i for i, _ in matched}, {j for _, j in matched}
    return (
        *(f"{s}: no target found." for i, s in enumerate(sources) if i not in with_target),
        *(f"{t}: no source found." for j, t in enumerate(targets) if j not in with_source),
    )


def _add_pairs(
    source: Path,
    target: Path,
    name: str,
    pairs: list[ImagePair],
    problems: list[PairProblem],
    stack_axis: StackAxis | None = None,
) -> None:
    """Read two files and add their pairs, or the problem with them."""
    try:
        pairs += _page_by_page(*_read_both(source, target, stack_axis), name)
    except (ValueError, OSError, MemoryError) as error:
        problems.append(PairProblem(name, str(error)))


def _read_both(
    source: Path, target: Path, stack_axis: StackAxis | None
) -> tuple[list[Image], list[Image]]:
    """Return the images of two files; pages beside a stack of as many planes are a stack too."""
    files = source, target
    found = [read_images(file, stack_axis=stack_axis) for file in files]
    for side, partner in ((0, 1), (1, 0)):
        planes = found[partner][0].sizes.get("Z") if len(found[partner]) == 1 else None
        if planes is not None and 1 < len(found[side]) == planes:
            found[side] = read_images(files[side], stack_axis="Z")
    return found[0], found[1]


def _page_by_page(sources: Sequence[Image], targets: Sequence[Image], name: str) -> list[ImagePair]:
    if len(sources) != len(targets):
        msg = (
            f"{sources[0].source} holds {len(sources)} images and {targets[0].source} "
            f"{len(targets)}: give files with the same number of pages."
        )
        raise ValueError(msg)
    names = [name] if len(sources) == 1 else [f"{name} [{i}]" for i in range(len(sources))]
    return [ImagePair(s, t, name=n) for s, t, n in zip(sources, targets, names, strict=True)]


def _table(path: Path) -> list[Mapping[str, str]]:
    """Read the rows of a table of pairs by column."""
    rows = read_table(path)
    if not rows or not {"source", "target"} <= rows[0].keys():
        msg = (
            f"{path} is not a table of pairs: its first line must be 'source,target' (a third "
            "column 'name' is allowed), followed by one pair a line."
        )
        raise ValueError(msg)
    return rows
