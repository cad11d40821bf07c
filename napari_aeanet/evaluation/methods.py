"""What can be compared with a truth: models, classical methods, the input itself, files."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.ndimage import convolve

from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.core.metrics import affine_matched, mse
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import Output, Restored, RestoreSettings

if TYPE_CHECKING:
    from napari_aeanet.evaluation.lb_nlm import Library
    from napari_aeanet.models import Model

Work = Generator[None, None, Image]
"""Yields as it works, so that it can be stopped; returns the image on the target's grid."""

INPUT = "input"
# Of non-local means that is fitted. Resampled images show less of their noise, hence the large.
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, eq=False)
class Case:
    """A truth, and what it can be compared with.

    Parameters
    ----------
    truth
        The image as it should be.
    pair
        The source that methods restore, with this truth as its target; None where only files are
        compared.
    files
        Images made elsewhere, by the name of what made them.
    """

    name: str
    truth: Image
    pair: ImagePair | None = None
    files: Mapping[str, Image] = field(default_factory=dict)

    @classmethod
    def of(cls, pair: ImagePair) -> Case:
        return cls(pair.name, pair.target, pair)


class ComparedMethod(Protocol):
    """Something that makes an image of a case."""

    @property
    def name(self) -> str: ...

    def work(self, case: Case) -> Work:
        """The image for a case, on the grid of its truth."""
        ...


@dataclass(frozen=True)
class Input:
    """The source itself, brought to the target's grid by bicubic interpolation.

    Of a stack that is projected, it is the brightest pixel over all planes.
    """

    name: str = INPUT

    def work(self, case: Case) -> Work:
        yield
        return source_of(case, flat=True)


@dataclass(frozen=True)
class GivenImages:
    """Images that lie in files."""

    name: str

    def work(self, case: Case) -> Work:
        yield
        if self.name not in case.files:
            msg = f"There is no image of '{self.name}' for {case.name}."
            raise ValueError(msg)
        return case.files[self.name]


@dataclass(frozen=True, eq=False)
class Restoration:
    """A trained model."""

    name: str
    model: Model
    settings: RestoreSettings = field(default_factory=RestoreSettings)

    def work(self, case: Case) -> Work:
        from napari_aeanet.restoration import restore_events

        settings = replace(self.settings, output=Output.FLOAT32)
        for event in restore_events(source_of(case), self.model, settings):
            if isinstance(event, Restored):
                return event.image
            yield
        raise AssertionError("a restoration ends with its result")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Paired LB-NLM with a library."""

    library: Library
    name: str = "LB-NLM"

    def work(self, case: Case) -> Work:
        from napari_aeanet.evaluation.lb_nlm import restore_by_neighbours

        source = source_of(case)
        planes = source.read().astype(np.float32)
        flat = planes.reshape(-1, *planes.shape[-2:])
        for plane in flat:
            steps = restore_by_neighbours(plane, self.library)
            try:
                while True:
                    next(steps)
                    yield
            except StopIteration as done:
                plane[:] = done.value
        return source.with_array(planes)


@dataclass(frozen=True)
class NonLocalMeans:
    """Non-local means (scikit-image) of the source as it was taken, plane by plane.

    Patches of 5 × 5 pixels are looked for up to 6 pixels away; `strength` is h as a multiple of
    the noise that is estimated in the plane.
    """

    strength: float = 1.0
    name: str = "NLM"

    def work(self, case: Case) -> Work:
        if case.pair is None:
            return source_of(case)
        source = case.pair.source
        planes = source.read().astype(np.float32)
        for plane in planes.reshape(-1, *planes.shape[-2:]):
            plane[:] = _non_local_means(plane, self.strength)
            yield
        pair = replace(case.pair, source=source.with_array(planes))
        return source_of(replace(case, pair=pair), flat=True)

    @classmethod
    def fitted(cls, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> NonLocalMeans:
        """With the strength that restores the sources of these pairs of planes best."""
        errors = {
            strength: np.mean(
                [
                    mse(truth, affine_matched(_non_local_means(x, strength), truth))
                    for x, truth in pairs
                ]
            )
            for strength in STRENGTHS
        }
        return cls(min(errors, key=lambda strength: errors[strength]))


def _non_local_means(plane: np.ndarray, strength: float) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    plane = plane.astype(np.float32)
    h = strength * _noise(plane)
    if h == 0:
        return plane
    return denoise_nl_means(plane, patch_size=5, patch_distance=6, h=h, fast_mode=True)


def _noise(plane: np.ndarray) -> float:
    """Immerkær's estimate: sqrt(π/2) · mean |plane * N| / 6, N the difference of two Laplacians."""
    return float(np.sqrt(np.pi / 2) * np.abs(convolve(plane, NOISE_MASK)).mean() / 6)


def source_of(case: Case, *, flat: bool = False) -> Image:
    """The source on the target's grid; `flat`: without the planes that the truth lacks."""
    if case.pair is None:
        msg = f"{case.name} has no source image to restore: give pairs, not only the truth."
        raise ValueError(msg)
    source = case.pair.on_target_grid()
    gone = [axis for axis in source.axes if axis not in case.truth.axes and axis in SPATIAL_AXES]
    if not gone or not flat:
        return source
    brightest = source.read().max(axis=source.axes.index("Z"))
    return case.truth.with_array(brightest, name=source.name)
