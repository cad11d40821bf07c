"""Options and events of structures. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.models import Model
from napari_aeanet.relevance import calibrated
from napari_aeanet.restoration import AnalysisSettings

MOST_KINDS = 32


@dataclass(frozen=True, kw_only=True)
class StructureSettings(AnalysisSettings):
    """Options of `structure_maps`. Zero means: chosen automatically."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Options of `fit_structures`.

    Parameters
    ----------
    kinds
        Number of kinds of structure.
    seed
        Seed of everything random: the same pairs give the same kinds.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    kinds: int = 16
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)
        if not 2 <= self.kinds <= MOST_KINDS:
            raise ValueError(f"kinds must be from 2 to {MOST_KINDS}, got {self.kinds}.")


@dataclass(frozen=True, eq=False)
class StructuresFitted:
    """A model with its structures.

    Parameters
    ----------
    model
        The model, to be saved.
    names
        Name of every kind.
    shares
        Share of every kind in the pairs.
    agreement
        Share of places, not used for the fit, whose kind in the source is that of the target; None
        if there were too few.
    notices
        Remarks for the user.
    """

    model: Model
    names: tuple[str, ...]
    shares: np.ndarray
    agreement: float | None
    notices: tuple[str, ...]
    progress: Progress


FitEvent = Progressed | StructuresFitted


@dataclass(frozen=True, eq=False)
class StructureTaught:
    """A model with one more kind of structure, taught from marks.

    Parameters
    ----------
    model
        The model, to be saved.
    name
        Name of the kind.
    other_half, other_images, null
        How well marked places are found (area under the ROC curve) that were not taught: in the
        other half of each image; in each image after the others (NaN with one image); and in the
        other half with mirrored marks, which mean nothing.
    notices
        Remarks for the user.
    """

    model: Model
    name: str
    other_half: float
    other_images: float
    null: float
    notices: tuple[str, ...]
    progress: Progress


TeachEvent = Progressed | StructureTaught


def most_probable(maps: np.ndarray) -> np.ndarray:
    """Return the number of the highest map at every place, counted from 1, uint8."""
    return (np.argmax(maps, axis=0) + 1).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class StructureMaps:
    """The probability of every kind of structure, on the grid of places of structures.

    Parameters
    ----------
    maps
        Shape (kinds, other axes..., grid...), float32, between 0 and 1; they add up to 1.
    labels
        The most probable kind of every place, counted from 1: (other axes..., grid...).
    axes
        Axes of `maps` after the first.
    scale, translate
        As of `RelevanceMaps`: they place the maps on the image.
    image
        The source.
    names
        Name of every kind.
    taught
        Maps of the kinds that the model was taught, by name, of the shape of one of `maps`: above
        zero where the kind is likely.
    notices
        Remarks for the user.
    """

    maps: np.ndarray
    labels: np.ndarray
    axes: str
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    image: Image
    names: tuple[str, ...]
    taught: Mapping[str, np.ndarray]
    notices: tuple[str, ...]
    progress: Progress

    @property
    def shares(self) -> np.ndarray:
        """Share of the image where each kind is the most probable: (kinds,)."""
        found = np.bincount(self.labels.ravel(), minlength=len(self.maps) + 1)[1:]
        return found / found.sum()

    def with_names(self, names: tuple[str, ...]) -> StructureMaps:
        """Return the maps with other names of the kinds."""
        return replace(self, names=names)

    def as_image(self) -> Image:
        """Return labels (from 1), probabilities and taught maps as one image, along C."""
        axis = sum(letter in "TC" for letter in self.axes)
        taught = [one[None] for one in self.taught.values()]
        stack = np.concatenate((self.labels[None].astype(np.float32), self.maps, *taught))
        stack, axes = np.moveaxis(stack, 0, axis), self.axes
        if "C" in axes:
            stack = stack.reshape(*stack.shape[: axis - 1], -1, *stack.shape[axis + 1 :])
        else:
            axes = axes[:axis] + "C" + axes[axis:]
        name = f"{self.image.name} structures"
        return calibrated(self.image, stack, axes, self.scale, self.translate, name)


StructureEvent = Progressed | StructureMaps
