"""Options and events of `trust_maps` and `calibrate`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Channel, Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.models import Model
from napari_aeanet.restoration import AnalysisSettings
from napari_aeanet.trust import traffic_light

# Names of the channels of a file, as far as they are not those of the maps.
CHANNELS = {
    "light": "light (0 green, 1 amber, 2 red)",
    "uncertainty": "half-width of 68 %",
    "uncertainty_90": "half-width of 90 %",
    "contradiction": "contradiction (-log10 p)",
}


@dataclass(frozen=True, kw_only=True)
class TrustSettings(AnalysisSettings):
    """Options of `trust_maps`. Zero means: chosen automatically.

    Parameters
    ----------
    symmetries
        Restore all eight flips and quarter turns and map their disagreement: eight times the
        time.
    """

    symmetries: bool = True


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """Options of `calibrate`.

    Parameters
    ----------
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, eq=False)
class ModelCalibrated:
    """A model with calibrated intervals.

    Parameters
    ----------
    model
        The model, to be saved.
    shares
        Shares of the errors that the intervals hold.
    score
        "sigma" or "disagreement": what the widths are made from.
    images
        Number of images used.
    notices
        Remarks for the user.
    """

    model: Model
    shares: tuple[float, ...]
    score: str
    images: int
    notices: tuple[str, ...]
    progress: Progress


CalibrateEvent = Progressed | ModelCalibrated


@dataclass(frozen=True, eq=False)
class TrustMaps:
    """Maps of the reliability of a restored image.

    Parameters
    ----------
    restored
        The result itself, as decimal numbers in the intensities of the source.
    maps
        By name, as far as available, each on the grid of the result: "sigma", the model's own
        estimate of its error, "uncertainty" and "uncertainty_90", the half-widths of intervals that
        hold 68 % and 90 % of the errors, and "disagreement", in intensities; "contradiction"
        (-log10 of the p-value of the region around a pixel: of structure in what was removed);
        "unlike" (1 at the distance that 1 % of training pixels exceed).
    doubt
        The traffic light before thresholding: amber from 1/2, red from 1 on.
    summary
        One sentence.
    notices
        Remarks for the user, such as the reason for a missing map.
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
        """Return all maps as one image, along C: light (0, 1, 2), doubt, then the others.

        Each channel has its name.
        """
        axes, own = self.restored.axes, self.restored.sizes.get("C", 1)
        layers = [self.lights.astype(np.float32), self.doubt, *self.maps.values()]
        titles = [CHANNELS.get(name, name) for name in ("light", "doubt", *self.maps)]
        numbers = [f", channel {number + 1}" for number in range(own)] if own > 1 else [""]
        channels = tuple(Channel(name=title + number) for title in titles for number in numbers)
        axis = sum(letter in "T" for letter in axes)
        if "C" in axes:
            stack = np.concatenate(layers, axis)
        else:
            stack, axes = np.stack(layers, axis), axes[:axis] + "C" + axes[axis:]
        name = f"{self.restored.name.removesuffix(' restored')} trust"
        stack = stack.astype(np.float32)
        return replace(self.restored, array=stack, axes=axes, name=name, channels=channels)


TrustEvent = Progressed | TrustMaps
