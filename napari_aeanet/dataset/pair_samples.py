"""Samples: pairs as normalised arrays on the target grid.

Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.filters import threshold_otsu

from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind, Scaling
from napari_aeanet.core.progress import Progress, returned
from napari_aeanet.dataset.ranges import PairRanges, ranges_of, scalings_of
from napari_aeanet.dataset.scratch_array import ScratchArray
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import overlap_region


@dataclass(frozen=True, eq=False)
class Sample:
    """One channel and time point of a pair, normalised.

    Parameters
    ----------
    name
        Name of the pair, with time point and channel.
    pair
        Number of the pair in the user's list.
    source, target
        Normalised, on the target grid: (1, pixels...) in float32. For a projection, the planes of
        the source take the place of channels.
    valid
        Pixels that both images cover, or None for all of them.
    source_scaling, target_scaling
        Intensity scalings.
    data_range
        Width of the target's intensity range after normalising, for PSNR and SSIM.
    projects
        True if the source is a stack and the target its projection.
    transform
        Matrix of the registration, source pixel to target pixel, if there is one.
    """

    name: str
    pair: int
    source: np.ndarray
    target: np.ndarray
    valid: np.ndarray | None
    source_scaling: Scaling
    target_scaling: Scaling
    data_range: float
    projects: bool = False
    transform: list[list[float]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along every axis of the target."""
        return self.target.shape[1:]


@dataclass(frozen=True, eq=False)
class SampleSet:
    """All samples, their pixels end to end: sources in one array, targets in another.

    Parameters
    ----------
    depth
        Planes used of each stack that is projected; else 1.
    """

    samples: tuple[Sample, ...]
    sources: np.ndarray
    targets: np.ndarray
    depth: int


def samples_of(
    pairs: Mapping[int, ImagePair],
    normalisation: Normalisation,
    scratch: Path,
    ranges: PairRanges | None = None,
) -> SampleSet:
    """Return all pairs on their target grids, normalised; see `collect_samples`."""
    return returned(collect_samples(pairs, normalisation, scratch, ranges))


def collect_samples(
    pairs: Mapping[int, ImagePair],
    normalisation: Normalisation,
    scratch: Path,
    ranges: PairRanges | None = None,
) -> Generator[Progress, None, SampleSet]:
    """Return all pairs on their target grids, normalised; one sample per time point and channel.

    Networks see one channel at a time, in training as in restoration. Yields before every pair.

    Parameters
    ----------
    pairs
        Pairs by their numbers in the user's list.
    scratch
        Folder for pixels that do not fit into memory.
    ranges
        Intensity ranges of sources and targets; by default those of these pairs.
    """
    ranges = ranges or ranges_of(pairs.values(), normalisation)
    depth = min(pair.source.sizes["Z"] if _projects(pair) else 1 for pair in pairs.values())
    size = sum(int(np.prod(pair.target.shape)) for pair in pairs.values())
    sources = ScratchArray(depth * size, scratch / "sources.raw")
    targets = ScratchArray(size, scratch / "targets.raw")
    samples: list[Sample] = []
    for done, (number, pair) in enumerate(pairs.items()):
        yield Progress("preparing", done + 1, len(pairs), unit="pair")
        samples += [
            replace(sample, source=sources.put(sample.source), target=targets.put(sample.target))
            for sample in _samples_of_pair(number, pair, normalisation, ranges, depth)
        ]
    return SampleSet(tuple(samples), sources.flat, targets.flat, depth)


def _projects(pair: ImagePair) -> bool:
    return len(pair.source.spatial_axes) > len(pair.target.spatial_axes)


def _samples_of_pair(
    number: int,
    pair: ImagePair,
    normalisation: Normalisation,
    ranges: PairRanges,
    depth: int,
) -> Iterator[Sample]:
    source, target = pair.on_target_grid(), pair.target
    # Measured on the source as acquired: so is the image that the model will restore.
    source_scalings = scalings_of(pair.source, normalisation, ranges.source)
    target_scalings = scalings_of(target, normalisation, ranges.target)
    looped = target.axes.rstrip(SPATIAL_AXES)
    for index in np.ndindex(*target.shape[: len(looped)]):
        channel = index[looped.index("C")] if "C" in looped else 0
        source_scaling, target_scaling = source_scalings[channel], target_scalings[channel]
        x, y = _pixels_at(source, index), _pixels_at(target, index)
        valid = np.isfinite(x).reshape(-1, *y.shape).all(axis=0) & np.isfinite(y)
        valid &= _covered(pair)
        if not valid.any():
            msg = f"{pair.name}: source and target do not overlap. Register the pair again."
            raise ValueError(msg)
        x, y = source_scaling.apply(_filled(x)), target_scaling.apply(_filled(y))
        first = (len(x) - depth) // 2  # of stacks of different depths, the middle planes are used
        yield Sample(
            name=pair.name
            + "".join(f" {a.lower()}={i}" for a, i in zip(looped, index, strict=True)),
            pair=number,
            source=x[first : first + depth] if _projects(pair) else x[None],
            target=y[None],
            valid=None if valid.all() else valid,
            source_scaling=source_scaling,
            target_scaling=target_scaling,
            data_range=_data_range(normalisation, target, y[valid]),
            projects=_projects(pair),
            transform=pair.registration.matrix.tolist() if pair.registration else None,
        )


def _covered(pair: ImagePair) -> np.ndarray:
    """Return the mask of the target's plane that the source covers."""
    covered = np.ones(pair.target.shape[-2:], bool)
    if pair.registration is not None:
        covered[:] = False
        covered[overlap_region(pair.registration)] = True
    return covered


def _pixels_at(image: Image, index: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of one time point and channel."""
    rest = image.shape[len(index) :]
    region = tuple(slice(i, i + 1) for i in index) + tuple(slice(0, n) for n in rest)
    return image.read(region).reshape(rest)


def _filled(values: np.ndarray) -> np.ndarray:
    """Replace NaN and infinite pixels by the mean of the others, so that they do not spread."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    return np.where(finite, values, values[finite].mean() if finite.any() else 0.0)


def _data_range(normalisation: Normalisation, target: Image, values: np.ndarray) -> float:
    """Return the range that PSNR and SSIM refer to: 255 for an 8-bit image, as in the papers.

    Images of more bits rarely fill their range, and z-scores have none: there it is the width
    of the image's intensities.
    """
    full_scale = normalisation.kind == NormalisationKind.FULL_SCALE
    if full_scale and target.dtype == np.uint8:
        return 1.0
    low, high = np.percentile(values, (0.1, 99.9))
    return float(high - low) or 1.0


def interest(sample: Sample, patch: Sequence[int], background: float) -> np.ndarray:
    """Return the probability of using a patch by its centre: 1, or `background` if it is empty.

    A patch is empty if the local standard deviation of the target over it is below Otsu's
    threshold.
    """
    target = sample.target[0].astype(np.float64)
    mean = uniform_filter(target, patch)
    deviation = np.sqrt(np.maximum(uniform_filter(target**2, patch) - mean**2, 0))
    return np.where(deviation < threshold_otsu(deviation), background, 1.0)


def fingerprint(sample: Sample) -> str:
    """Return a hash of the normalised pixels, to detect other pairs when a run is resumed."""
    return _hash(sample.source, sample.target)


def target_fingerprint(sample: Sample) -> str:
    """Return a hash of the target alone, to recognise a truth with any source."""
    return _hash(sample.target)


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
