"""Cases from files: predictions matched with their truth, and with their inputs, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_aeanet.core.arguments import as_path, check_items
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.methods import Case
from napari_aeanet.io import read_images, stem
from napari_aeanet.pairs import ImagePair, images_in, match_names, split_ending


@dataclass
class _Found:
    """The cases so far, and what could not be used."""

    cases: dict[str, Case] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, method: str, prediction: Path, truth: Path) -> None:
        """Add the images of a file as those of a method, page by page."""
        try:
            images, truths = read_images(prediction), read_images(truth)
        except (ValueError, OSError) as error:
            self.problems.append(str(error))
            return
        if len(images) != len(truths):
            self.problems.append(
                f"{prediction} holds {len(images)} images and {truth} {len(truths)}: give files "
                "with equal numbers of images."
            )
            return
        for image, one in zip(images, truths, strict=True):
            known = self.cases.get(one.name) or Case(one.name, one)
            self.cases[one.name] = replace(known, files={**known.files, method: image})

    def add_sources(self, paths: Iterable[Path]) -> None:
        """Add the inputs of the predictions, as far as they fit to the truths."""
        images: dict[str, Image] = {}
        for path in paths:
            try:
                images |= {image.name: image for image in read_images(path)}
            except (ValueError, OSError) as error:
                self.problems.append(str(error))
        names = list(images), list(self.cases)
        for i, j in match_names(*names):
            case = self.cases[names[1][j]]
            pair = ImagePair(images[names[0][i]], case.truth, name=case.name)
            if problem := pair.size_problem():
                self.problems.append(f"{names[0][i]} is no input to compare with: {problem}")
            else:
                self.cases[case.name] = replace(case, pair=pair)


def cases_from_files(
    truth: Path, predictions: Sequence[Path], source: Path | None = None
) -> tuple[list[Case], list[str]]:
    """Return cases from files or folders with truths and predictions, matched by their names.

    A prediction may have a usual ending: "S01-restored.ome.tif" belongs to "S01.tif". Methods are
    named after the folders of their predictions (with one truth, after the files). A folder with
    results of several endings holds as many methods; files without an ending beside them are their
    inputs.

    Parameters
    ----------
    source
        File or folder with the inputs of the predictions, to compare with.

    Returns
    -------
    cases, problems
        `problems` holds a sentence for every image without a partner.

    Raises
    ------
    ValueError
        If no prediction has a truth.
    """
    truth = as_path("truth", truth)
    predictions = [
        as_path(f"predictions[{number}]", path)
        for number, path in enumerate(check_items("predictions", predictions, object))
    ]
    found = _Found()
    inputs = [] if source is None else _files_of(as_path("source", source))
    if not _is_folder(truth) and not any(map(_is_folder, predictions)):
        for prediction, name in zip(predictions, _distinct(predictions), strict=True):
            found.add(name, prediction, truth)
    else:
        inputs += _add_folders(found, predictions, _files_of(truth), has_source=bool(inputs))
    if not found.cases:
        more = f" (And {len(found.problems) - 1} more like it.)" if len(found.problems) > 1 else ""
        reason = found.problems[0] if found.problems else "give predictions and their truth."
        raise ValueError(f"There is nothing to compare: {reason}{more}")
    found.add_sources(inputs)
    return list(found.cases.values()), found.problems


def _add_folders(
    found: _Found, predictions: Sequence[Path], truths: Sequence[Path], *, has_source: bool
) -> list[Path]:
    """Add the predictions of every folder; return the files that are their inputs."""
    by_stem = {stem(path): path for path in truths}
    folders: dict[Path, list[Path]] = {}
    for prediction in predictions:
        folder = prediction if _is_folder(prediction) else prediction.parent
        folders.setdefault(folder, []).extend(_files_of(prediction))
    titles = dict(zip(folders, _distinct([folder.resolve() for folder in folders]), strict=True))
    inputs: list[Path] = []
    for folder, files in folders.items():
        by_ending = _by_ending(files, by_stem)
        if len(by_ending) > 1 and "" in by_ending:
            beside = by_ending.pop("")
            inputs += [] if has_source else beside.values()
            names = ", ".join(path.name for path in list(beside.values())[:2])
            found.problems.append(
                f"{folder} holds results and files without such an ending ({names}"
                f"{', …' if len(beside) > 2 else ''}): these are taken for the inputs."
            )
        for ending, group in by_ending.items():
            title = titles[folder] if len(by_ending) == 1 else f"{titles[folder]} {ending}"
            matched = match_names(list(group), list(by_stem))
            paths = list(group.values())
            for i, j in matched:
                found.add(title, paths[i], truths[j])
            used, met = {i for i, _ in matched}, {j for _, j in matched}
            found.problems += [
                f"{path} has no truth of its name." for i, path in enumerate(paths) if i not in used
            ]
            found.problems += [
                f"{path} has no prediction in {folder}."
                for j, path in enumerate(truths)
                if j not in met
            ]
    return inputs


def _by_ending(files: Sequence[Path], truths: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Return files by the ending that marks results, and then by the rest of their names."""
    found: dict[str, dict[str, Path]] = {}
    for file in files:
        name = stem(file)
        rest, ending = (name, "") if name in truths else split_ending(name)
        found.setdefault(ending, {})[rest] = file
    return found


def _files_of(path: Path) -> list[Path]:
    return images_in(path) if _is_folder(path) else [path]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() != ".zarr"


def _distinct(paths: Sequence[Path]) -> list[str]:
    """Return the names of the paths, with their folders where two are equal."""
    names = [path.name if _is_folder(path) else stem(path) for path in paths]
    return [
        f"{path.parent.name}/{name}" if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]
