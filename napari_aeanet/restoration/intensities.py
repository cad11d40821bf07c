"""Intensities of an image for a model: the scaling of every channel, and remarks about it.

No torch here: the dock shows the range before a restoration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import NormalisationKind, Scaling
from napari_aeanet.core.intensity_range import (
    ImageSeries,
    IntensityRange,
    RangeChoice,
    channel_ranges,
    channels_of,
    common_range,
    is_certain,
)
from napari_aeanet.io import read_images
from napari_aeanet.models import ModelCard


@dataclass(frozen=True, eq=False)
class InputIntensities:
    """The scaling of an image for a model, decided when it is first asked for.

    Parameters
    ----------
    image, card
        The source and the model.
    choice
        Range of intensities by the user.
    series
        Images that share one range with this one; None for an image by itself.
    begun_with
        Ranges that an interrupted restoration was begun with.
    """

    image: Image
    card: ModelCard
    choice: RangeChoice = "auto"
    series: ImageSeries | None = None
    begun_with: tuple[tuple[float, float], ...] = ()
    _scalings: dict[int, Scaling] = field(default_factory=dict, repr=False)

    @property
    def has_range(self) -> bool:
        """True for a model that maps a range; others measure each image by itself."""
        return self.card.normalisation.kind == NormalisationKind.FULL_SCALE

    @cached_property
    def ranges(self) -> tuple[IntensityRange, ...]:
        """The range of every channel; pixels may be read. Empty if the model needs none."""
        if not self.has_range:
            return ()
        found = channel_ranges(self.image, self.choice, self.card.trained_range, self.series)
        if not self.begun_with:
            return found
        return tuple(
            replace(one, low=low, high=high)
            for one, (low, high) in zip(found, self.begun_with, strict=True)
        )

    def scaling(self, channel: int) -> Scaling:
        """Return the scaling of a channel, which is measured once."""
        if channel not in self._scalings:
            image = channels_of(self.image)[channel]
            full = self.ranges[channel] if self.has_range else None
            self._scalings[channel] = self.card.normalisation.measure(image, full)
        return self._scalings[channel]

    def notices(self) -> Iterator[str]:
        """Yield what was taken and why, unless nothing had to be decided."""
        if not self.has_range:
            if self.choice != "auto":
                is_plain = self.card.normalisation.kind == NormalisationKind.NONE
                how = "takes" if is_plain else "scales every image by"
                own = "intensities as they are" if is_plain else "its own intensities"
                yield f"The intensity range was not used: this model {how} {own}."
            return
        for one in dict.fromkeys(self.ranges):
            if one.reason:
                yield about_range(self.image.name, one)


class SeriesOfFiles:
    """The series that the images of files form, looked at when an image first needs it.

    Files that cannot be read are left out: the work on them tells why.
    """

    def __init__(self, paths: Sequence[Path], *, accept_missing: bool = False) -> None:
        self._paths = paths
        self._accept_missing = accept_missing
        self._series: ImageSeries | None = None

    def for_image(self, image: Image, card: ModelCard, choice: RangeChoice) -> ImageSeries | None:
        """Return the series, or None for an image whose range does not depend on others."""
        maps_a_range = card.normalisation.kind == NormalisationKind.FULL_SCALE
        if choice != "auto" or not maps_a_range or is_certain(image) or not self._paths:
            return None
        if self._series is None:
            self._series = common_range(self._images())
        return self._series

    def choice_for(self, image: Image, card: ModelCard, choice: RangeChoice) -> RangeChoice:
        """Return the choice that gives the image the same range without the other files.

        Channels of different ranges keep the choice as it is.
        """
        series = self.for_image(image, card, choice)
        if series is None:
            return choice
        found = channel_ranges(image, choice, card.trained_range, series)
        ranges = {(one.low, one.high) for one in found}
        return ranges.pop() if len(ranges) == 1 else choice

    def _images(self) -> Iterator[Image]:
        for path in self._paths:
            try:
                yield from read_images(path, accept_missing=self._accept_missing)
            except (OSError, ValueError):
                continue


def about_range(name: str, taken: IntensityRange) -> str:
    """Return a sentence about the range that was taken for an image."""
    text = f"Intensities of {name} from {taken} were taken as the full range, {taken.reason}."
    if taken.is_ambiguous:
        text += " If the detector has another range, give it as the intensity range (--range)."
    return text
