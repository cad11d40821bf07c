"""How far a result can be trusted: what is asked. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.trust import traffic_light


@dataclass(frozen=True, kw_only=True)
class TrustSettings:
    """How far a result can be trusted is found out like this. Zero means: chosen automatically.

    Parameters
    ----------
    symmetries
        Restore all eight flips and quarter turns and see where they disagree: eight times the
        time.
    resample
        Bring an image of another pixel size to the one the model was trained at.
    force
        Go on although the pixel size differs.
    tile
        Edge of the tiles in which the image is passed through the network.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    symmetries: bool = True
    resample: bool = False
    force: bool = False
    tile: int = 0
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class TrustMaps:
    """What is known about the trustworthiness of a restored image.

    Parameters
    ----------
    restored
        The result itself, as decimal numbers in the intensities of the source.
    maps
        By name: "uncertainty" and "disagreement" in intensities, "consistency" (about 1 where only
        noise was taken away), "unlike" (1 at the edge of the familiar); those there are. Each on
        the grid of the result.
    doubt
        The traffic light before it is cut into three: amber from 1/2, red from 1 on.
    summary
        One sentence.
    notices
        Remarks in plain words: what could not be asked, and why.
    """

    restored: Image
    maps: Mapping[str, np.ndarray]
    doubt: np.ndarray
    summary: str
    notices: tuple[str, ...]
    progress: Progress

    @property
    def lights(self) -> np.ndarray:
        return traffic_light.lights(self.doubt)

    def as_image(self) -> Image:
        """All maps as one image, along C: the light (0, 1, 2), the doubt, then the others."""
        axes = self.restored.axes
        layers = [self.lights.astype(np.float32), self.doubt, *self.maps.values()]
        axis = sum(letter in "T" for letter in axes)
        if "C" in axes:
            stack = np.concatenate(layers, axis)
        else:
            stack, axes = np.stack(layers, axis), axes[:axis] + "C" + axes[axis:]
        name = f"{self.restored.name.removesuffix(' restored')} trust"
        return replace(self.restored, array=stack.astype(np.float32), axes=axes, name=name)


TrustEvent = Progressed | TrustMaps
