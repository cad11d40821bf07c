"""Methods to compare with a truth: models, classical methods, the input itself, files."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.core.metrics import affine_matched, mse
from napari_aeanet.core.noise import noise_level
from napari_aeanet.evaluation.patch_library import NeighbourSettings
from napari_aeanet.evaluation.placement import as_decimal, on_target_grid, place_of
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import TOLERANCE, Restored, RestoreSettings

if TYPE_CHECKING:
    from napari_aeanet.evaluation.patch_library import Library
    from napari_aeanet.models import Model
    from napari_aeanet.restoration import ModelSource

Work = Generator[Image | None, None, None]
"""Yields None at every point where the work may be stopped, and the image last."""

INPUT, ENLARGED = "input", "input, enlarged"
# Strengths that a fit of non-local means tries. Interpolated images underestimate their noise,
# hence the large ones.
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A truth, and the images to compare with it.

    Parameters
    ----------
    truth
        The ideal image. An array (y, x) or (z, y, x) becomes an image, and a file is opened.
    pair
        The source that methods restore, with this truth as its target; None for files only.
    files
        Existing images, by the name of the method that made them; likewise.
    """

    name: str
    truth: Image
    pair: ImagePair | None = None
    files: Mapping[str, Image] = field(default_factory=dict)

    if TYPE_CHECKING:  # the fields are images, whatever they are made from

        def __init__(
            self,
            name: str,
            truth: ImageSource,
            pair: ImagePair | None = None,
            files: Mapping[str, ImageSource] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        check_type("name", self.name, str)
        if self.pair is not None:
            check_type("pair", self.pair, ImagePair)
        check_type("files", self.files, Mapping)
        files = {name: as_image(source, f"files['{name}']") for name, source in self.files.items()}
        object.__setattr__(self, "truth", as_image(self.truth, "truth"))
        object.__setattr__(self, "files", files)

    @classmethod
    def of(cls, pair: ImagePair) -> Case:
        return cls(pair.name, pair.target, pair)


class ComparedMethod(Protocol):
    """A method that makes an image for a case."""

    @property
    def name(self) -> str: ...

    def work(self, case: Case) -> Work:
        """Make the image for a case, on the grid of its truth."""
        ...


@dataclass(frozen=True)
class Input:
    """The source itself, brought to the target's grid by bicubic interpolation.

    For a projection it is the maximum over all planes.
    """

    name: str = INPUT

    def work(self, case: Case) -> Work:
        yield source_of(case, flat=True)

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Input:
        """Return the method, called "input, enlarged" if the target of a case has finer pixels."""
        pairs = [case.pair for case in cases if case.pair is not None]
        return cls(ENLARGED if any(max(_ratio(p)) > 1 + TOLERANCE for p in pairs) else INPUT)


@dataclass(frozen=True)
class GivenImages:
    """Images from files."""

    name: str

    def work(self, case: Case) -> Work:
        if self.name not in case.files:
            msg = f"There is no image of '{self.name}' for {case.name}."
            raise ValueError(msg)
        yield place_of(case.files[self.name], case.truth).on_grid()


@dataclass(frozen=True, eq=False)
class Restoration:
    """A trained model, or its file, applied as `restore` does.

    The result is brought to the target's grid. A model of another magnification than the pair's,
    where one of the two is 1, gets the source on the target's grid and does not enlarge it.
    """

    name: str
    model: Model
    settings: RestoreSettings = field(default_factory=RestoreSettings)

    if TYPE_CHECKING:

        def __init__(
            self, name: str, model: ModelSource, settings: RestoreSettings = ...
        ) -> None: ...

    def __post_init__(self) -> None:
        from napari_aeanet.restoration import as_model

        check_type("settings", self.settings, RestoreSettings)
        object.__setattr__(self, "model", as_model(self.model))

    def work(self, case: Case) -> Work:
        from napari_aeanet.restoration import restore_events

        pair, model = pair_of(case), self.model
        ratio, trained = _ratio(pair), model.card.ratio[-2:]
        if not _is_close(ratio, trained) and (_is_one(ratio) or _is_one(trained)):
            if not _is_one(ratio):
                pair = ImagePair(pair.on_target_grid(), pair.target, name=pair.name)
            unchanged = (1.0,) * len(model.card.ratio)
            model = replace(model, card=replace(model.card, ratio=unchanged))
        for event in restore_events(pair.source, model, self.settings):
            if isinstance(event, Restored):
                # An evaluation itself tells if the model is better than its input.
                known = self.model.card.remarks
                told = tuple(notice for notice in event.notices if notice not in known)
                yield replace(on_target_grid(event.image, pair), notices=told)
            else:
                yield None


@dataclass(frozen=True, eq=False)
class NeighbourMethod:
    """LB-NLM or SRSW, as the settings of the library say."""

    library: Library

    @property
    def name(self) -> str:
        return self.library.settings.weights

    def work(self, case: Case) -> Work:
        from napari_aeanet.evaluation.patch_library import restore_by_neighbours

        source = source_of(case)
        planes = source.read().astype(np.float32)
        for plane in planes.reshape(-1, *planes.shape[-2:]):
            plane[:] = yield from restore_by_neighbours(plane, self.library)
        yield source.with_array(planes)


@dataclass(frozen=True, eq=False)
class NeighboursOfOthers:
    """LB-NLM or SRSW of each pair with a library of all other pairs: no truth restores itself.

    The library is made anew for every pair.
    """

    pairs: Sequence[ImagePair]
    settings: NeighbourSettings = field(default_factory=NeighbourSettings)

    @property
    def name(self) -> str:
        return self.settings.weights

    def work(self, case: Case) -> Work:
        from napari_aeanet.evaluation.patch_library import build_library

        own = pair_of(case).target
        others = [pair for pair in self.pairs if pair.target is not own]
        if not others:
            msg = f"{case.name}: {self.name} needs a second pair for its library: add pairs."
            raise ValueError(msg)
        yield None
        library = build_library(planes_of(others), self.settings)
        yield from NeighbourMethod(library).work(case)


@dataclass(frozen=True)
class NonLocalMeans:
    """Non-local means (scikit-image) of the source on its own grid, plane by plane.

    Patches of 5 × 5 pixels are searched up to 6 pixels away; `strength` is h as a multiple of the
    noise estimated in the plane.
    """

    strength: float = 1.0
    name: str = "NLM"

    def work(self, case: Case) -> Work:
        pair = pair_of(case)
        planes = pair.source.read().astype(np.float32)
        for plane in planes.reshape(-1, *planes.shape[-2:]):
            plane[:] = _non_local_means(plane, self.strength)
            yield None
        pair = replace(pair, source=pair.source.with_array(planes))
        yield source_of(replace(case, pair=pair), flat=True)

    @classmethod
    def fitted(cls, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> NonLocalMeans:
        """Return the method with the strength that restores these pairs of planes best."""

        def error(strength: float) -> float:
            restored = [(_non_local_means(source, strength), truth) for source, truth in pairs]
            return float(np.mean([mse(truth, affine_matched(x, truth)) for x, truth in restored]))

        return cls(min(STRENGTHS, key=error))


def planes_of(pairs: Sequence[ImagePair]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the planes of sources and targets, on the grids of the targets.

    Planes that the source does not cover wholly are left out, with those of a projection's stack.
    """
    found = []
    for pair in pairs:
        source = source_of(Case.of(pair), flat=True).read()
        both = [
            np.asarray(one).reshape(-1, *one.shape[-2:]) for one in (source, pair.target.read())
        ]
        found += [(x, y) for x, y in zip(*both, strict=True) if np.isfinite(x).all()]
    if not found:
        raise ValueError("No pair has a plane without missing pixels for the library of patches.")
    return found


def _non_local_means(plane: np.ndarray, strength: float) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    plane = plane.astype(np.float32)
    h = strength * noise_level(plane)
    if h == 0:
        return plane
    return denoise_nl_means(plane, patch_size=5, patch_distance=6, h=h, fast_mode=True)


def pair_of(case: Case) -> ImagePair:
    """Return the pair of a case.

    Raises
    ------
    ValueError
        If the case holds only files.
    """
    if case.pair is None:
        msg = f"{case.name} has no source image to restore: give pairs, not only the truth."
        raise ValueError(msg)
    return case.pair


def source_of(case: Case, *, flat: bool = False) -> Image:
    """Return the source on the target's grid, in decimal numbers where it is resampled.

    With `flat` a stack whose truth is a plane is projected to its maximum.
    """
    pair = pair_of(case)
    if pair.registration is not None or any(factor != 1 for factor in pair.factors):
        pair = replace(pair, source=as_decimal(pair.source))
    source = pair.on_target_grid()
    if not flat or all(axis in case.truth.axes for axis in source.axes if axis in SPATIAL_AXES):
        return source
    brightest = source.read().max(axis=source.axes.index("Z"))
    return case.truth.with_array(brightest, name=source.name)


def _ratio(pair: ImagePair) -> tuple[float, float]:
    """Return the target pixels per source pixel in Y and X."""
    if pair.registration is not None:
        return (pair.registration.scale,) * 2
    y, x = pair.factors[-2:]
    return y, x


def _is_close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a / b - 1) < TOLERANCE for a, b in zip(first, second, strict=True))


def _is_one(ratio: Sequence[float]) -> bool:
    return _is_close(ratio, (1.0, 1.0))
