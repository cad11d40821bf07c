"""Pairs of a source image and the target of its restoration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, overload

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.core.resampling import resampled
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.registration import Registration, Verdict, flattened, resample

# Sizes of one field on two grids differ by less than a pixel of the coarser grid.
_ROUNDING = 1.0


class Severity(StrEnum):
    """Severity of a problem: a pair with an error cannot be used, one with a note can."""

    ERROR = "error"
    NOTE = "note"


@dataclass(frozen=True)
class PairProblem:
    """One problem of one pair, with its remedy."""

    pair: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.pair}: {self.message}"


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Two images of one field, as acquired.

    Parameters
    ----------
    source
        The input of a model: noisy, or of lower resolution. An array (y, x) or (z, y, x) becomes
        an image, and a file is opened.
    target
        The output that a model should give, likewise.
    registration
        Registration of the source to the target, if any.
    name
        Defaults to the name of the source.
    accepted
        True if a person has accepted a doubtful registration.
    is_guess
        True if nothing but the images tells which of the two is the source.
    """

    source: Image
    target: Image
    registration: Registration | None = None
    name: str = ""
    accepted: bool = False
    is_guess: bool = False

    if TYPE_CHECKING:  # the fields are images, whatever they are made from

        def __init__(
            self,
            source: ImageSource,
            target: ImageSource,
            registration: Registration | None = None,
            name: str = "",
            accepted: bool = False,
            is_guess: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        for side in ("source", "target"):
            object.__setattr__(self, side, as_image(getattr(self, side), side))
        if self.registration is not None:
            check_type("registration", self.registration, Registration)
        if not self.name:
            object.__setattr__(self, "name", self.source.name)

    @property
    def factors(self) -> tuple[float, ...]:
        """Ratio of the target's grid to the source's, per spatial axis of the source.

        It is 1 for an axis that the target lacks (Z in a projection).
        """
        target = self.target.sizes
        return tuple(
            target.get(axis, n) / n for axis, n in self.source.sizes.items() if axis in SPATIAL_AXES
        )

    @property
    def projects(self) -> bool:
        """True if the target is a projection of the source, which is a stack."""
        return "Z" in self.source.axes and "Z" not in self.target.axes

    @property
    def has_failed(self) -> bool:
        """True if it was to be registered and could not be."""
        return self.registration is not None and self.registration.verdict is Verdict.FAILED

    @property
    def is_doubtful(self) -> bool:
        """True if its registration is doubtful and nobody has accepted it."""
        found = self.registration
        return found is not None and found.verdict is Verdict.DOUBTFUL and not self.accepted

    def swapped(self) -> ImagePair:
        """Return the pair with source and target exchanged, not registered."""
        return ImagePair(self.target, self.source, name=self.name)

    def flat(self) -> ImagePair:
        """Return a projection with the brightest pixels along Z as its source; others as is."""
        if not self.projects:
            return self
        brightest, _ = flattened(self.source, range(self.source.sizes["Z"]))
        found = self.registration and replace(self.registration, slices=())
        return replace(self, source=brightest, registration=found)

    def on_target_grid(self) -> Image:
        """Return the source on the pixel grid of the target, in its own dtype.

        Registered pairs are resampled by their registration. Otherwise both images are assumed to
        show the same field: sources of the target's size are returned unchanged, others are
        resized by bicubic interpolation about pixel centres.
        """
        if self.registration is not None:
            return resample(self.source, self.registration, self.target)
        if problem := self.size_problem():
            msg = f"{self.name}: {problem}"
            raise ValueError(msg)
        if all(factor == 1 for factor in self.factors):
            return self.source
        return _resized(self.source, self.factors)

    def size_problem(self) -> str | None:
        """Return the reason why the two images cannot share a grid, or None.

        Registration may still succeed.
        """
        source, target = self.source.sizes, self.target.sizes
        if self.source.axes not in (self.target.axes, _with_planes(self.target.axes)):
            return (
                f"the axes '{self.source.axes}' of the source do not fit "
                f"'{self.target.axes}' of the target: open both in the same way."
            )
        for axis in set(source) - set(SPATIAL_AXES):
            if source[axis] != target[axis]:
                return (
                    f"the source has {source[axis]} entries along {axis}, the target "
                    f"{target[axis]}: cut them to the same length."
                )
        fy, fx = self.factors[-2:]
        coarser = min(source["Y"], source["X"], target["Y"], target["X"])
        if abs(fy - fx) * coarser > _ROUNDING * max(1.0, fy, fx):
            return (
                f"{_plane(self.source)} pixels do not scale to {_plane(self.target)} evenly "
                f"({fy:.3g} times in Y, {fx:.3g} in X): register the pair, "
                "or check that the two images belong together."
            )
        return None


@dataclass(frozen=True)
class PairList(Sequence[ImagePair]):
    """A sequence of pairs, with the images and pairs that could not be used.

    Parameters
    ----------
    pairs
        In the order of their names.
    unmatched
        One sentence for each image without a partner, or with one of another name.
    problems
        Pairs that could not be made, with the reasons.
    """

    pairs: tuple[ImagePair, ...] = ()
    unmatched: tuple[str, ...] = ()
    problems: tuple[PairProblem, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> ImagePair: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ImagePair, ...]: ...
    def __getitem__(self, index: int | slice) -> ImagePair | tuple[ImagePair, ...]:
        return self.pairs[index]


def _with_planes(axes: str) -> str:
    """Return the axes of a volume whose projection has `axes`."""
    return axes[:-2] + "Z" + axes[-2:] if "Z" not in axes else axes


def _plane(image: Image) -> str:
    return f"{image.sizes['Y']} x {image.sizes['X']}"


def _resized(image: Image, factors: tuple[float, ...]) -> Image:
    """Resize `image` to a grid `factors` times finer along its spatial axes, in its dtype."""
    by_axis = dict(zip(image.spatial_axes, factors, strict=True))
    every = [by_axis.get(axis, 1.0) for axis in image.axes]
    shape = [round(n * f) for n, f in zip(image.shape, every, strict=True)]
    values = resampled(image.read, image.shape, every, tuple(slice(0, n) for n in shape))
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return image.regridded(values.astype(image.dtype), factors)
