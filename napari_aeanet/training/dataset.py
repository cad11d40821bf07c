"""From pairs to what a training run learns from: normalised arrays.

Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.filters import threshold_otsu

from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind, Scaling
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import overlap_region
from napari_aeanet.training.scratch_array import ScratchArray


@dataclass(frozen=True, eq=False)
class Sample:
    """One pair, ready to be learnt from.

    Parameters
    ----------
    name
        The pair's.
    pair
        Its number in the list that was given.
    source, target
        Normalised, on the target grid: (1, pixels...) in float32. Where a stack is projected to
        an image, the planes of the source stand in the place of channels.
    valid
        Pixels that both images cover, or None where that is all of them.
    source_scaling, target_scaling
        How the intensities were normalised.
    data_range
        Width of the target's intensity range after normalising, for PSNR and SSIM.
    projects
        Whether the source is a stack of which the target is a projection.
    transform
        The registration's matrix, source pixel to target pixel, where there is one.
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
        Planes that are learnt from, of stacks that are projected; else 1.
    """

    samples: tuple[Sample, ...]
    sources: np.ndarray
    targets: np.ndarray
    depth: int


def samples_of(
    pairs: Mapping[int, ImagePair], normalisation: Normalisation, scratch: Path
) -> SampleSet:
    """All pairs on their target grids, normalised; one sample per time point and channel.

    Networks see one channel at a time, as they will when they restore.

    Parameters
    ----------
    pairs
        With the numbers by which the user knows them.
    scratch
        Folder for pixels that do not fit into memory.
    """
    depth = min(_planes(pair) for pair in pairs.values())
    size = sum(int(np.prod(pair.target.shape)) for pair in pairs.values())
    sources = ScratchArray(depth * size, scratch / "sources.raw")
    targets = ScratchArray(size, scratch / "targets.raw")
    samples = [
        replace(sample, source=sources.put(sample.source), target=targets.put(sample.target))
        for number, pair in pairs.items()
        for sample in _samples_of_pair(number, pair, normalisation, depth)
    ]
    return SampleSet(tuple(samples), sources.flat, targets.flat, depth)


def _planes(pair: ImagePair) -> int:
    """Planes of a stack that is projected; 1 for all other pairs."""
    return pair.source.sizes["Z"] if _projects(pair) else 1


def _projects(pair: ImagePair) -> bool:
    return len(pair.source.spatial_axes) > len(pair.target.spatial_axes)


def _samples_of_pair(
    number: int, pair: ImagePair, normalisation: Normalisation, depth: int
) -> Iterator[Sample]:
    source, target = pair.on_target_grid(), pair.target
    for where, place in _places(target):
        # Measured on the source as it was taken: that is what there will be to measure later.
        source_scaling = normalisation.measure(_channel(pair.source, place))
        target_scaling = normalisation.measure(_channel(target, place))
        x, y = _at(source, place), _at(target, place)
        valid = np.isfinite(x).reshape(-1, *y.shape).all(axis=0) & np.isfinite(y)
        valid &= _covered(pair)
        if not valid.any():
            msg = f"{pair.name}: source and target do not overlap. Register the pair again."
            raise ValueError(msg)
        x, y = source_scaling.apply(_filled(x)), target_scaling.apply(_filled(y))
        first = (len(x) - depth) // 2  # of stacks of different depths, the middle is learnt from
        yield Sample(
            name=pair.name + where,
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
    """Which pixels of the target's plane lie in the field of the source."""
    covered = np.ones(pair.target.shape[-2:], bool)
    if pair.registration is not None:
        covered[:] = False
        covered[overlap_region(pair.registration)] = True
    return covered


def _places(image: Image) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every time point and channel: how to name it, and where it lies along these axes."""
    looped = image.axes.rstrip(SPATIAL_AXES)
    for place in np.ndindex(*image.shape[: len(looped)]):
        yield "".join(f" {a.lower()}={i}" for a, i in zip(looped, place, strict=True)), place


def _at(image: Image, place: tuple[int, ...]) -> np.ndarray:
    """The pixels of one time point and channel."""
    rest = image.shape[len(place) :]
    region = tuple(slice(i, i + 1) for i in place) + tuple(slice(0, n) for n in rest)
    return image.read(region).reshape(rest)


def _channel(image: Image, place: tuple[int, ...]) -> Image:
    """The channel that `place` lies in, at all time points: it is normalised as one."""
    if "C" not in image.axes:
        return image
    axis = image.axes.index("C")
    region = [slice(None)] * image.array.ndim
    region[axis] = slice(place[axis], place[axis] + 1)
    return image.with_array(image.array[tuple(region)])


def _filled(values: np.ndarray) -> np.ndarray:
    """Pixels without a meaning become the mean of the others, so that they spread no NaN."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    return np.where(finite, values, values[finite].mean() if finite.any() else 0.0)


def _data_range(normalisation: Normalisation, target: Image, values: np.ndarray) -> float:
    """The range that PSNR and SSIM refer to: 255 for an 8-bit image, as in the papers.

    Images of more bits rarely fill their range, and z-scores have none: there it is the width
    that the image takes up.
    """
    full_scale = normalisation.kind == NormalisationKind.FULL_SCALE
    if full_scale and target.dtype == np.uint8:
        return 1.0
    low, high = np.percentile(values, (0.1, 99.9))
    return float(high - low) or 1.0


def interest(sample: Sample, patch: Sequence[int], background: float) -> np.ndarray:
    """How likely a patch that is centred at each pixel is used: 1, or `background` if it is empty.

    Empty is where the target varies little over a patch, by Otsu's threshold of its local standard
    deviation.
    """
    target = sample.target[0].astype(np.float64)
    mean = uniform_filter(target, patch)
    deviation = np.sqrt(np.maximum(uniform_filter(target**2, patch) - mean**2, 0))
    empty = deviation < threshold_otsu(deviation)
    return np.where(empty, background, 1.0)


def fingerprint(sample: Sample) -> str:
    """A hash of the pixels as they are learnt from, so that a resumed run meets the same ones."""
    return _hash(sample.source, sample.target)


def target_fingerprint(sample: Sample) -> str:
    """A hash of the target alone: it knows a truth again, whatever source it came with."""
    return _hash(sample.target)


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
