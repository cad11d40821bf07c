"""Readers of the public data sets, which are split by the papers' protocols.

paired SEM    NAME10000.bmp and NAME20000.bmp (or .tif, .png): one area at two magnifications
CARE          train_data/*.npz (X, Y) or train_data/{GT,condition_…}/*.tif, and
              test_data/GT/*.tif beside test_data/condition_…/*.tif; the truth of Flywing lies
              in test_data/PreMosa/GT, and files of Tribolium hold four stacks each: the noisiest
              first, the truth last
label-free    see `label_free`
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.names import natural_order
from napari_aeanet.io import read_image, read_images, write_image
from napari_aeanet.pairs import ImagePair, pairs_from_folders, pairs_from_npz
from napari_aeanet.registration import crop_to_overlap, register
from napari_aeanet.reproduction.label_free import TEST, TRAIN, is_czi_list, listed_pairs
from napari_aeanet.reproduction.papers import Layout
from napari_aeanet.training import KeptOut, TrainSettings

LOW, HIGH = "10000", "20000"
MICROGRAPHS = (".bmp", ".tif", ".tiff", ".png")
# The papers crop the microscope's text band, which leaves 944 of 960 rows.
ROWS_WITHOUT_TEXT = 944
GRID_ROWS, GRID_COLUMNS = 3, 4
# The best model is chosen in a corner of the training part, with this fraction of both sides; the
# test column must not influence the choice.
CHECK_SHARE = 4
TRUTH, PREMOSA = "GT", "PreMosa"
# Stacks in a file of Tribolium: three conditions, from the noisiest, and the truth.
IN_ONE = 4


@dataclass(frozen=True, eq=False)
class Trial:
    """A test pair of a group, with the scored boxes (() for all of it)."""

    pair: ImagePair
    regions: tuple[Region, ...] = ()
    group: str = ""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test pairs.

    For paired SEM, `learn` and `trials` are parts of the same images, in the same order.
    `is_normalised`: the images are z-scored already.
    """

    name: str
    learn: tuple[ImagePair, ...]
    trials: tuple[Trial, ...]
    notices: tuple[str, ...] = ()
    is_normalised: bool = False

    @property
    def is_projected(self) -> bool:
        """True if stacks are projected."""
        pair = self.trials[0].pair
        return "Z" in pair.source.axes and "Z" not in pair.target.axes

    def fingerprint(self) -> str:
        """Return a hash of all test images, which tells results of other images apart."""
        digest = hashlib.blake2b(digest_size=16)
        for trial in self.trials:
            for image in (trial.pair.source, trial.pair.target):
                digest.update(repr((image.name, image.shape)).encode())
                digest.update(np.ascontiguousarray(image.read()).data)
        return digest.hexdigest()


def read_set(folder: Path, layout: Layout, work: Path) -> DataSet:
    """Read the data set in `folder`; registered pairs are kept in `work`.

    Raises
    ------
    ValueError
        If the folder does not have this layout; the message names the expected files.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder: give the folder of the data set."
        raise ValueError(msg)
    if layout == "sem":
        return _sem(folder, work)
    return _care(folder) if layout == "care" else _label_free(folder, work)


def kept_out_for(settings: TrainSettings, pairs: Sequence[ImagePair]) -> TrainSettings:
    """Return the settings with a part of the training pairs kept out to choose the best model.

    For images it is a corner; for stacks every fifth one, or the right side if there are few.
    """
    if "Z" not in pairs[0].source.axes:
        height, width = np.min([pair.target.plane_shape for pair in pairs], axis=0)
        corner = (0, 0, int(height) // CHECK_SHARE, int(width) // CHECK_SHARE)
        return replace(settings, kept_out=KeptOut.REGION, region=corner)
    many = len(pairs) > CHECK_SHARE
    return replace(settings, kept_out=KeptOut.WHOLE_IMAGES if many else KeptOut.RIGHT_SIDE)


# --- paired SEM


def _sem(folder: Path, work: Path) -> DataSet:
    """Return registered pairs: columns 1 to 3 of a 3 × 4 grid for training, the last for tests."""
    files = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in MICROGRAPHS}
    names = sorted(
        (stem.removesuffix(LOW) for stem in files if stem.endswith(LOW)), key=natural_order
    )
    both = [name for name in names if name + HIGH in files]
    if not both:
        msg = (
            f"{folder} holds no paired micrographs: files NAME{LOW}.bmp and NAME{HIGH}.bmp are "
            "expected."
        )
        raise ValueError(msg)
    learn, trials, notices = [], [], []
    for name in both:
        title = name.rstrip("-_ ") or name
        try:
            pair = _prepared(files[name + LOW], files[name + HIGH], work / "prepared", title)
        except ValueError as error:
            notices.append(str(error))
            continue
        rows, columns = (
            n // parts
            for n, parts in zip(pair.target.shape, (GRID_ROWS, GRID_COLUMNS), strict=True)
        )
        edge = columns * (GRID_COLUMNS - 1)
        learn.append(_cut(pair, (slice(0, pair.target.shape[0]), slice(0, edge))))
        tests = tuple(
            (slice(i * rows, (i + 1) * rows), slice(edge, edge + columns)) for i in range(GRID_ROWS)
        )
        trials.append(Trial(pair, tests))
    if not trials:
        raise ValueError(" ".join(notices))
    return DataSet(folder.name, tuple(learn), tuple(trials), tuple(notices))


def _prepared(low: Path, high: Path, work: Path, name: str) -> ImagePair:
    """Return the pair without text bands, registered and cropped; its images are kept in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    paths = [work / f"{name}-{side}.ome.tif" for side in ("lr", "hr")]
    if not all(path.exists() for path in paths):
        source, target = (_without_text(read_image(path)) for path in (low, high))
        found = register(source, target)
        if not found.verdict.is_usable:
            msg = f"{name} is left out: its registration failed ({found.reason})."
            raise ValueError(msg)
        for image, path in zip(crop_to_overlap(source, found, target), paths, strict=True):
            write_image(image, path)
    source, target = (replace(read_image(path), name=name) for path in paths)
    return ImagePair(source, target, name=name)


def _without_text(image: Image) -> Image:
    if image.axes != "YX":
        msg = f"{image.name} has the axes {image.axes}: micrographs must be grey images."
        raise ValueError(msg)
    return image.with_array(image.read((slice(0, ROWS_WITHOUT_TEXT), slice(None))))


def _cut(pair: ImagePair, region: Region) -> ImagePair:
    source, target = (image.with_array(image.read(region)) for image in (pair.source, pair.target))
    return ImagePair(source, target, name=pair.name)


# --- CARE


def _care(folder: Path) -> DataSet:
    learn: list[ImagePair] = []
    training, testing = folder / "train_data", folder / "test_data"
    for path in sorted([*folder.glob("*.npz"), *training.glob("*.npz")]):
        learn += pairs_from_npz(path)
    notices: list[str] = []
    if not learn:
        trained, notices = _conditions(training, "or .npz files in it or beside it")
        learn = [trial.pair for trial in trained]
    trials, about_tests = _conditions(testing)
    notices += about_tests
    return DataSet(folder.name, tuple(map(_flattened, learn)), tuple(trials), tuple(notices))


def _conditions(folder: Path, otherwise: str = "") -> tuple[list[Trial], list[str]]:
    """Return the images of every condition, each with its truth, and the problems of others.

    Raises
    ------
    ValueError
        If there is none; the message names what is missing, or the problem of the first image.
    """
    if several := _in_one(folder):
        return several, []
    truths = [folder / TRUTH, folder / PREMOSA / TRUTH]
    truth = next((one for one in truths if one.is_dir()), None)
    if truth is None:
        more = f", {otherwise}" if otherwise else f" (or {PREMOSA}/{TRUTH})"
        msg = f"{folder.parent} is no CARE data set: it lacks the folder {truths[0]}{more}."
        raise ValueError(msg)
    conditions = [
        one for one in sorted(folder.iterdir()) if one.is_dir() and one.name not in (TRUTH, PREMOSA)
    ]
    if not conditions:
        msg = f"{folder} lacks folders condition_1, condition_2 ... beside the truth {truth}."
        raise ValueError(msg)
    trials, notices = [], []
    for condition in conditions:
        found = pairs_from_folders(condition, truth, stack_axis="Z", by_name=True)
        notices += [f"{condition.name}: {text}" for text in (*found.problems, *found.unmatched)]
        trials += [
            Trial(
                _flattened(replace(pair, name=f"{condition.name}/{pair.name}")), (), condition.name
            )
            for pair in found
        ]
    if not trials:
        raise ValueError(f"{folder} holds no image with a truth: {notices[0]}")
    return trials, notices


def _in_one(folder: Path) -> list[Trial]:
    """Return the images of files that hold all conditions and the truth; [] without such files."""
    if not folder.is_dir() or any((folder / name).is_dir() for name in (TRUTH, PREMOSA)):
        return []
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff"))
    trials = []
    for path in files:
        *conditions, truth = _four_stacks(path)
        for number, image in enumerate(reversed(conditions), start=1):
            group = f"condition_{number}"
            trials.append(Trial(ImagePair(image, truth, name=f"{group}/{path.stem}"), (), group))
    return sorted(trials, key=lambda trial: trial.group)


def _four_stacks(path: Path) -> list[Image]:
    """Return the stacks of a file: channels or times of a stack, or pages without a meaning."""
    found = read_images(path)
    first = found[0]
    if len(found) == 1 and first.axes in ("CZYX", "TZYX"):
        stacks = list(first.read())
    elif first.axes == "ZYX":
        stacks = [image.read() for image in found]
    else:
        pages = [image.read() for image in found if image.axes == "YX"]
        depth = len(pages) // IN_ONE
        stacks = [np.stack(pages[i : i + depth]) for i in range(0, len(pages), depth or 1)]
    if len(stacks) != IN_ONE or stacks[0].ndim != 3:
        msg = (
            f"{path} must hold {IN_ONE} stacks (three conditions from the noisiest, then the "
            f"truth), or its folder needs {TRUTH} and condition_1, condition_2 ..."
        )
        raise ValueError(msg)
    return [Image(stack, "ZYX", name=path.stem, source=path) for stack in stacks]


def _flattened(pair: ImagePair) -> ImagePair:
    """Return the pair of a projection with an image, not a stack of one plane, as its target."""
    target = pair.target
    if target.sizes.get("Z") != 1 or pair.source.sizes.get("Z", 1) == 1:
        return pair
    axis = target.axes.index("Z")
    flat = replace(
        target,
        array=np.squeeze(target.read(), axis),
        axes=target.axes.replace("Z", ""),
        pixel_size=target.pixel_size[1:],
        origin=target.origin[1:],
    )
    return ImagePair(pair.source, flat, pair.registration, pair.name)


# --- label-free


def _label_free(folder: Path, work: Path) -> DataSet:
    learn, test = (listed_pairs(folder / name, work / "prepared") for name in (TRAIN, TEST))
    trials = tuple(map(Trial, test))
    return DataSet(folder.name, tuple(learn), trials, is_normalised=is_czi_list(folder))
