"""Intensity ranges of training pairs: one for all sources and one for all targets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind, Scaling
from napari_aeanet.core.intensity_range import (
    ImageSeries,
    IntensityRange,
    Survey,
    TrainedRange,
    channel_ranges,
    channels_of,
)
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair


@dataclass(frozen=True)
class SeriesRange:
    """The range of the sources, or of the targets, of all pairs.

    Parameters
    ----------
    series
        Extremes and metadata of the images, by number type.
    start
        Range in the training of the model that training starts from.
    """

    series: ImageSeries = field(default_factory=ImageSeries)
    start: TrainedRange | None = None

    @classmethod
    def known(cls, trained: TrainedRange | None) -> SeriesRange:
        """Return the range of a training that is over, or was interrupted."""
        if trained is None:
            return cls()
        stated = DeclaredRange(trained.low, trained.high, "the training")
        return cls(ImageSeries({trained.dtype: Survey(declared=stated)}))

    def of(self, image: Image) -> tuple[IntensityRange, ...]:
        """Return the range of every channel of an image."""
        return channel_ranges(image, "auto", self.start, self.series)

    def trained(self, image: Image) -> TrainedRange:
        """Return the range of an image, for the card of the model."""
        first = self.of(image)[0]
        return TrainedRange(first.low, first.high, image.dtype.name)


class HasRanges(Protocol):
    """The plan of a training, or the card of a model."""

    @property
    def source_range(self) -> TrainedRange | None: ...

    @property
    def target_range(self) -> TrainedRange | None: ...


@dataclass(frozen=True)
class PairRanges:
    """The ranges of all sources and of all targets."""

    source: SeriesRange = field(default_factory=SeriesRange)
    target: SeriesRange = field(default_factory=SeriesRange)

    @classmethod
    def known(cls, made: HasRanges) -> PairRanges | None:
        """Return the ranges of the plan of a training, or of a model; None if it states none."""
        if made.source_range is None:
            return None
        return cls(SeriesRange.known(made.source_range), SeriesRange.known(made.target_range))


def ranges_of(
    pairs: Collection[ImagePair],
    normalisation: Normalisation,
    start: ModelCard | None = None,
) -> PairRanges:
    """Return the ranges of pairs; images are looked at only where a range is needed."""
    if normalisation.kind != NormalisationKind.FULL_SCALE:
        return PairRanges()
    sources = ImageSeries.of(pair.source for pair in pairs)
    targets = ImageSeries.of(pair.target for pair in pairs)
    if start is None:
        return PairRanges(SeriesRange(sources), SeriesRange(targets))
    return PairRanges(
        SeriesRange(sources, start.source_range), SeriesRange(targets, start.target_range)
    )


def scalings_of(image: Image, normalisation: Normalisation, known: SeriesRange) -> list[Scaling]:
    """Return the scaling of every channel of an image: all its time points share it."""
    if normalisation.kind != NormalisationKind.FULL_SCALE:
        return [normalisation.measure(channel) for channel in channels_of(image)]
    channels = zip(channels_of(image), known.of(image), strict=True)
    return [normalisation.measure(channel, full) for channel, full in channels]
