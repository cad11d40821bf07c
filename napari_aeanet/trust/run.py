"""Estimate how reliable a restored image is, pixel by pixel.

Four independent measures, each a map on the grid of the result:

- *uncertainty*: half the width of the interval that the model itself gives (its sigma, widened so
  that it held 68 % of the errors on kept-out data); only models that were trained to give it.
- *disagreement*: the standard deviation of the results over the eight flips and quarter turns of
  the image, which are equivalent for the microscope.
- *consistency*: the difference between the input and the result at the input's resolution, in
  units of the noise.
- *unlike*: the distance of the image's features from those of the training images.

They are combined to a traffic light (`napari_aeanet.trust.traffic_light`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    last_event,
)
from napari_aeanet.core.tiles import whole
from napari_aeanet.models import FeatureDistance, Model, all_presets
from napari_aeanet.networks import PendingAttention
from napari_aeanet.restoration import (
    NetworkInput,
    PreparedRun,
    TileRunner,
    as_image,
    as_model,
    at_stride,
    prepare_analysis,
)
from napari_aeanet.trust import traffic_light
from napari_aeanet.trust.consistency import consistency
from napari_aeanet.trust.settings import TrustEvent, TrustMaps, TrustSettings
from napari_aeanet.trust.traffic_light import Measure

# Of a Laplace distribution, 68 % lies within 1.14 times its scale: for models without a width.
LAPLACE_WIDTH = 1.14
SIGMA_WIDTH = "sigma_width"
# The contrast of an image: a quarter of the range between these percentiles.
CONTRAST_RANGE = (2.0, 98.0)


DEFAULTS = TrustSettings()


def trust_maps(
    source: Image | np.ndarray | Path | str,
    model: Model | Path | str,
    settings: TrustSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> TrustMaps:
    """Restore an image and return maps of the reliability of the result.

    Parameters
    ----------
    source
        An image, an array with the axes (y, x) or (z, y, x), or an image file.
    model
        A model, or its file (.aeanet).
    settings
        Symmetries and tiles.
    progress
        True for a progress bar, or a function that is called with every `Progress`.

    Raises
    ------
    TypeError, ValueError
        As `trust_events`.
    """
    found = last_event(trust_events(as_image(source), as_model(model), settings), progress)
    assert isinstance(found, TrustMaps)
    return found


def trust_events(
    image: Image, model: Model, settings: TrustSettings = DEFAULTS
) -> Iterator[TrustEvent]:
    """Return a generator that estimates the reliability of a result: steps, and the maps at last.

    The arguments are checked at once, and pixels are read from the first event on.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If the image does not suit the model, or the model gives no measure of reliability.
    """
    check_type("settings", settings, TrustSettings)
    prepared = prepare_analysis(image, model, settings, symmetries=settings.symmetries)
    return _trust(prepared)


def _trust(prepared: PreparedRun) -> Iterator[TrustEvent]:
    model, network = prepared.model, prepared.network
    steps = len(prepared.inputs) * len(prepared.layout.tiles) * (network.contexts + 2)
    counter = StepCounter(f"trust in {prepared.image.name}", steps)
    with prepared.runner() as runner:
        work = _Work(
            prepared=prepared,
            runner=runner,
            distance=FeatureDistance.of(model.statistics) if network.contexts else None,
            width=np.asarray(model.statistics.get(SIGMA_WIDTH, LAPLACE_WIDTH)).item(),
        )
        store = _MapStore.of(work)
        for source in prepared.inputs:
            for _ in _fill(work, store, source):
                yield Progressed(counter.step())
    yield _result(work, store, counter.finish())


@dataclass(frozen=True, eq=False)
class _Work:
    """The objects that all planes or stacks of an image share."""

    prepared: PreparedRun
    runner: TileRunner
    distance: FeatureDistance | None
    width: float

    @property
    def gives_sigma(self) -> bool:
        return "sigma" in self.prepared.network.extras


@dataclass(frozen=True, eq=False)
class _MapStore:
    """The result and the maps, filled tile by tile."""

    restored: np.ndarray
    maps: dict[str, np.ndarray]

    @classmethod
    def of(cls, work: _Work) -> _MapStore:
        wanted = {
            "uncertainty": work.gives_sigma,
            "disagreement": len(work.prepared.transforms) > 1,
            "unlike": work.distance is not None,
        }
        shape = work.prepared.layout.output.shape
        maps = {name: np.zeros(shape, np.float32) for name, known in wanted.items() if known}
        return cls(np.zeros(shape, np.float32), maps)


def _fill(work: _Work, store: _MapStore, source: NetworkInput) -> Iterator[None]:
    """Fill all maps of one plane or stack; a step for each tile of each pass."""
    prepared, runner, assembler = work.prepared, work.runner, work.prepared.assembler
    contexts = prepared.contexts(source)
    yield from contexts.gather(runner, prepared.network.contexts)
    for inner in prepared.layout.tiles:
        outputs = list(contexts.predictions(runner, inner))
        place = assembler.region(source, inner)
        store.restored[place] = assembler.block(source, inner, outputs[0])
        if work.gives_sigma:
            sigma = assembler.cut(source, inner, outputs[0][1])
            store.maps["uncertainty"][place] = sigma * source.scaling.scale * work.width
        if len(outputs) > 1:
            spread = np.std([output[0] for output in outputs], axis=0)
            spread = assembler.cut(source, inner, spread) * source.scaling.scale
            store.maps["disagreement"][place] = spread
        yield
    features = []
    for inner in prepared.layout.tiles:
        if work.distance is not None:
            features += runner.at_attention(source, inner, [], _features)
        yield
    if work.distance is not None:
        _fill_unlike(prepared, store, source, features, work.distance)


def _features(pending: PendingAttention) -> np.ndarray:
    return pending.interior_features()[0].cpu().numpy()


def _fill_unlike(
    prepared: PreparedRun,
    store: _MapStore,
    source: NetworkInput,
    parts: list[tuple[Region, np.ndarray]],
    distance: FeatureDistance,
) -> None:
    """Fill in the distance of an input's features, resampled from their grid to the result's."""
    first_region, first = parts[0]
    axes = first.ndim - 1
    strides = [
        (s.stop - s.start) // n for s, n in zip(first_region[-axes:], first.shape[1:], strict=True)
    ]
    features = np.empty((len(first), *(n // f for n, f in zip(source.shape, strides, strict=True))))
    for region, values in parts:
        features[(slice(None), *at_stride(region, strides))] = values
    network = prepared.network
    gone = len(network.input_axes) - len(network.output_axes)
    coarse = distance.distance(features).mean(axis=tuple(range(gone)))
    factors = [f * s for f, s in zip(strides[gone:], network.scale, strict=True)]
    fine = zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)
    everything = whole(source.shape)
    place = prepared.assembler.region(source, everything)
    store.maps["unlike"][place] = prepared.assembler.cut(source, everything, fine)


def _result(work: _Work, store: _MapStore, progress: Progress) -> TrustMaps:
    image, model = work.prepared.image, work.prepared.model
    output = work.prepared.layout.output
    notices = list(work.prepared.notices)
    reason = _why_not_consistent(image, model, output)
    if not reason:
        store.maps["consistency"] = _consistency(image, store.restored, output)
    if not work.gives_sigma:
        notices.append("The model gives no uncertainty: train it with 'uncertainty' to have one.")
    if work.distance is None:
        notices.append("The model file holds no statistics of its training images.")
    notices += [reason] if reason else []
    measures = _measures(store)
    if not measures:
        raise ValueError(f"{model.card.name}: nothing measures the reliability of its results.")
    doubt = traffic_light.doubt(measures)
    return TrustMaps(
        restored=output.with_array(store.restored),
        maps=store.maps,
        doubt=doubt,
        summary=traffic_light.sentence(measures, doubt),
        notices=tuple(notices),
        progress=progress,
    )


def _measures(store: _MapStore) -> dict[Measure, np.ndarray]:
    """Return the maps as the measures of the traffic light."""
    found = {}
    errors = [store.maps[n] for n in ("uncertainty", "disagreement") if n in store.maps]
    if errors:
        finite = store.restored[np.isfinite(store.restored)]
        low, high = np.percentile(finite, CONTRAST_RANGE) if finite.size else (0.0, 1.0)
        contrast = max(float(high - low) / 4, 1e-9)
        found[Measure.ERROR] = np.sqrt(np.sum(np.square(errors), axis=0)) / contrast
    if "consistency" in store.maps:
        found[Measure.CONSISTENCY] = store.maps["consistency"]
    if "unlike" in store.maps:
        found[Measure.UNLIKE] = store.maps["unlike"]
    return found


def _why_not_consistent(image: Image, model: Model, output: Image) -> str:
    """Return the reason why a result cannot be compared with its input; empty if it can."""
    tasks = {preset.name: preset.task for preset in all_presets()}
    if tasks.get(model.card.preset) == "label-free":
        return "There is no map of consistency: the model predicts another kind of image."
    if image.axes != output.axes:
        return "There is no map of consistency: the input of a projection has other axes."
    return ""


def _consistency(image: Image, restored: np.ndarray, output: Image) -> np.ndarray:
    """Return the map of consistency, plane by plane, on the grid of the result."""
    found = np.empty(restored.shape, np.float32)
    planes = restored.shape[:-2]
    for index in np.ndindex(*planes):
        source = tuple(i * n // m for i, n, m in zip(index, image.shape, planes, strict=False))
        plane = image.read((*source, slice(None), slice(None))).astype(np.float32)
        result = restored[index]
        if not np.isfinite(plane).all():
            plane = np.where(np.isfinite(plane), plane, np.nanmean(plane))
            result = np.where(np.isfinite(result), result, np.nanmean(result))
        coarse = consistency(plane, result)
        factors = [n / m for n, m in zip(result.shape, coarse.shape, strict=True)]
        found[index] = zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)
    return found
