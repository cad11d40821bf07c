"""Options and events of relevance maps. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.relevance.frame import calibrated
from napari_aeanet.restoration import AnalysisSettings


@dataclass(frozen=True, kw_only=True)
class RelevanceSettings(AnalysisSettings):
    """Options of `relevance_maps`. Zero means: chosen automatically.

    Parameters
    ----------
    layer
        Number of the attention, counted from 1 in the order of the network.
    head
        One head of the attention, counted from 1; 0 for the sum over all.
    """

    layer: int = 1
    head: int = 0


@dataclass(frozen=True, eq=False)
class RelevanceMaps:
    """A relevance map for every abstract pixel, on the grid of the attention.

    Parameters
    ----------
    maps
        Shape (abstract pixels, other axes..., attention grid...), float32, signed.
    axes
        Axes of `maps` after the first.
    scale, translate
        Distance of neighbouring map pixels, and the position of the first one, along the spatial
        axes: in the unit of the image where its pixel size is known, else in its pixels. They
        place the maps on the image, at the centres of the pixels that the attention reads.
    image
        The source.
    names
        Names given to abstract pixels by the user, by their number from 0.
    notices
        Remarks for the user.
    """

    maps: np.ndarray
    axes: str
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    image: Image
    names: dict[int, str]
    notices: tuple[str, ...]
    progress: Progress

    def as_image(self) -> Image:
        """Return the maps as one image, abstract pixels along C (for each channel of the image)."""
        axis = sum(letter in "TC" for letter in self.axes)
        maps = np.moveaxis(self.maps, 0, axis)
        axes = self.axes
        if "C" in axes:
            maps = maps.reshape(*maps.shape[: axis - 1], -1, *maps.shape[axis + 1 :])
        else:
            axes = axes[:axis] + "C" + axes[axis:]
        name = f"{self.image.name} relevance"
        return calibrated(self.image, maps, axes, self.scale, self.translate, name)


RelevanceEvent = Progressed | RelevanceMaps


@dataclass(frozen=True, eq=False)
class Difference:
    """The restored image with some abstract pixels, minus that without them.

    In the intensities of the source, as decimal numbers.
    """

    image: Image
    pixels: tuple[int, ...]
    notices: tuple[str, ...]
    progress: Progress


@dataclass(frozen=True, eq=False)
class Ranking:
    """The change of an attention's output without each of its abstract pixels.

    Parameters
    ----------
    influence
        Relative change, root mean square over the image: (abstract pixels,).
    of_all
        The same without all of them at once.
    """

    influence: np.ndarray
    of_all: float
    progress: Progress

    @property
    def order(self) -> tuple[int, ...]:
        """Numbers from 0, the most influential first."""
        return tuple(int(i) for i in np.argsort(-self.influence, kind="stable"))
