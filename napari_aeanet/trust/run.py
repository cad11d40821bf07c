"""Estimate how reliable a restored image is, pixel by pixel.

Four measures, each a map on the grid of the result, and the model's sigma as it is:

- *uncertainty*: half the width of intervals that held 68 % and 90 % of the errors on data that the
  training had not seen, from the model's sigma or from the disagreement.
- *disagreement*: the standard deviation of the results over the eight flips and quarter turns of
  the image, which are equivalent for the microscope.
- *contradiction*: whether the difference between the input and the result, at the input's
  resolution, holds more structure than noise does.
- *unlike*: the distance of the image's features from those of the training images.

They are combined to a traffic light (`napari_aeanet.trust.traffic_light`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial

import numpy as np
from scipy.ndimage import zoom

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
)
from napari_aeanet.core.tiles import whole
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import FeatureDistance, Model, all_presets
from napari_aeanet.networks import PendingAttention
from napari_aeanet.relevance import OpenRun, TileAndContexts, gathered, opened
from napari_aeanet.restoration import (
    ModelSource,
    NetworkInput,
    PreparedRun,
    at_stride,
    prepare_analysis,
)
from napari_aeanet.trust import traffic_light
from napari_aeanet.trust.calibrating import disagreement_of
from napari_aeanet.trust.calibration import PREFIX, SIGMA, IntervalCalibration
from napari_aeanet.trust.contradiction import contradiction
from napari_aeanet.trust.settings import TrustEvent, TrustMaps, TrustSettings
from napari_aeanet.trust.traffic_light import Measure

# Of a Laplace distribution, 68 % lies within 1.14 times its scale: for models without calibration.
LAPLACE_WIDTH = 1.14
# In model files of older versions: the factor from sigma to an interval of 68 %.
SIGMA_WIDTH = "sigma_width"
# The contrast of an image: a quarter of the range between these percentiles.
CONTRAST_RANGE = (2.0, 98.0)


DEFAULTS = TrustSettings()


def trust_maps(
    source: ImageSource,
    model: ModelSource,
    settings: TrustSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> TrustMaps:
    """Restore an image and return maps of the reliability of the result.

    Source, model and progress as in `napari_aeanet.restore`.
    """
    return result_of(TrustMaps, trust_events(as_image(source), model, settings), progress)


def trust_events(
    image: ImageSource,
    model: ModelSource,
    settings: TrustSettings = DEFAULTS,
    *,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[TrustEvent, None, None]:
    """Return a generator that estimates the reliability of a result: steps, and the maps at last.

    The arguments are checked at once, and pixels are read from the first event on. `mapper`
    computes the tiles.

    Raises
    ------
    TypeError, ValueError
        If the image does not suit the model, or the model gives no measure of reliability.
    """
    check_type("settings", settings, TrustSettings)
    prepared = prepare_analysis(image, model, settings, symmetries=settings.symmetries)
    check_type("mapper", mapper, Mapper)
    mapper.check(prepared.image, None)
    return _trust(prepared, mapper)


def _trust(prepared: PreparedRun, mapper: Mapper) -> Generator[TrustEvent, None, None]:
    network, tiles = prepared.network, prepared.layout.tiles
    steps = len(prepared.inputs) * len(tiles) * (network.contexts + 2)
    counter = StepCounter(f"trust in {prepared.image.name}", steps)
    distance = FeatureDistance.of(prepared.model.statistics) if network.contexts else None
    calibration = _calibration(prepared)
    wanted = {
        "sigma": "sigma" in network.extras,
        "uncertainty": "sigma" in network.extras or calibration is not None,
        "uncertainty_90": calibration is not None,
        "disagreement": len(prepared.transforms) > 1,
        "unlike": distance is not None,
    }
    shape = prepared.layout.output.shape
    restored = np.zeros(shape, np.float32)
    maps = {name: np.zeros(shape, np.float32) for name, known in wanted.items() if known}
    with opened(prepared) as run:
        for number, source in enumerate(prepared.inputs):
            contexts = run.contexts(number)
            for is_step in gathered(mapper, run, number, contexts, network.contexts):
                yield Progressed(counter.step() if is_step else counter.unchanged())
            views = range(len(contexts.views))
            pieces = [(tile, [contexts.around(tile, view) for view in views]) for tile in tiles]
            measure = partial(_measured, number, frozenset(maps), calibration)
            with closing(mapper.map(measure, run, pieces)) as results:
                for blocks in results:
                    if blocks is None:
                        yield Progressed(counter.unchanged())
                        continue
                    place, restored[place], found = blocks
                    for name, values in found.items():
                        maps[name][place] = values
                    yield Progressed(counter.step())
            features: list[tuple[Region, np.ndarray]] = []
            if distance is None:
                counter.skip(len(tiles))
                continue
            with closing(mapper.map(partial(_features, number), run, tiles)) as parts:
                for part in parts:
                    features += part or []
                    yield Progressed(counter.unchanged() if part is None else counter.step())
            _fill_unlike(prepared, maps["unlike"], source, features, distance)
    yield _result(prepared, restored, maps, counter.finish())


def _calibration(prepared: PreparedRun) -> IntervalCalibration | None:
    """Return the calibration of the model, if what it is made from is at hand."""
    model = prepared.model
    where = model.path.name if model.path else model.card.name
    found = IntervalCalibration.of(model.statistics, where)
    if found is None:
        return None
    if found.score == SIGMA:
        return found if "sigma" in prepared.network.extras else None
    return found if len(prepared.transforms) > 1 else None


Blocks = tuple[Region, np.ndarray, dict[str, np.ndarray]]
"""A place in the result, its pixels, and those of the maps."""


def _measured(
    number: int,
    wanted: frozenset[str],
    calibration: IntervalCalibration | None,
    run: OpenRun,
    pieces: Iterable[TileAndContexts],
) -> Generator[Blocks, None, None]:
    """Yield the result and the wanted maps of each tile of an input."""
    views, runner = run.views(number), run.runner
    for tile, known in pieces:
        outputs = [
            view.transform.undo(runner.predict(view, view.region(tile), of_view))
            for view, of_view in zip(views, known, strict=True)
        ]
        yield _blocks(run.prepared, wanted, number, tile, outputs, calibration)


def _blocks(
    prepared: PreparedRun,
    wanted: frozenset[str],
    number: int,
    inner: Region,
    outputs: Sequence[np.ndarray],
    calibration: IntervalCalibration | None,
) -> Blocks:
    """Return the result and the maps of one tile from its outputs under every symmetry."""
    assembler, source = prepared.assembler, prepared.inputs[number]
    found: dict[str, np.ndarray] = {}
    if "sigma" in wanted:
        found["sigma"] = outputs[0][1]
    if "disagreement" in wanted:
        found["disagreement"] = disagreement_of(outputs)
    if calibration is not None:
        score = outputs[0][1] if calibration.score == SIGMA else found["disagreement"]
        widths = calibration.half_widths(score, outputs[0][0])
        found |= dict(zip(("uncertainty", "uncertainty_90"), widths, strict=True))
    elif "uncertainty" in wanted:
        width = np.asarray(prepared.model.statistics.get(SIGMA_WIDTH, LAPLACE_WIDTH)).item()
        found["uncertainty"] = outputs[0][1] * width
    maps = {
        name: (assembler.cut(source, inner, values) * source.scaling.scale).astype(np.float32)
        for name, values in found.items()
    }
    place = assembler.region(source, inner)
    return place, assembler.block(source, inner, outputs[0]), maps


def _features(
    number: int, run: OpenRun, tiles: Iterable[Region]
) -> Generator[list[tuple[Region, np.ndarray]], None, None]:
    """Yield the parts of each tile of an input with their features at the first attention."""
    for tile in tiles:
        yield run.runner.at_attention(run.prepared.inputs[number], tile, [], _at_attention)


def _at_attention(pending: PendingAttention) -> np.ndarray:
    return pending.interior_features()[0].cpu().numpy()


def _fill_unlike(
    prepared: PreparedRun,
    unlike: np.ndarray,
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
    unlike[place] = prepared.assembler.cut(source, everything, fine)


def _result(
    prepared: PreparedRun, restored: np.ndarray, maps: dict[str, np.ndarray], progress: Progress
) -> TrustMaps:
    image, model, output = prepared.image, prepared.model, prepared.layout.output
    notices = list(prepared.notices)
    reason = _why_not_compared(image, model, output)
    if not reason:
        maps["contradiction"] = _contradiction(image, restored)
    if "uncertainty_90" not in maps:
        notices.append(_why_not_calibrated(prepared, "uncertainty" in maps))
    if "unlike" not in maps:
        notices.append("The model file holds no statistics of its training images.")
    notices = [notice for notice in (*notices, reason) if notice]
    measures = _measures(restored, maps)
    if not measures:
        raise ValueError(f"{model.card.name}: nothing measures the reliability of its results.")
    doubt = traffic_light.doubt(measures)
    return TrustMaps(
        restored=output.with_array(restored),
        maps=maps,
        doubt=doubt,
        summary=traffic_light.sentence(measures, doubt),
        notices=tuple(notices),
        progress=progress,
    )


def _why_not_calibrated(prepared: PreparedRun, has_sigma: bool) -> str:
    """Return the reason why a result has no calibrated intervals, and the remedy; empty if it has.

    One width for all places, in models of older versions, held 68 % of the errors too.
    """
    if has_sigma and SIGMA_WIDTH in prepared.model.statistics:
        return ""
    if has_sigma:
        return (
            "The model is not calibrated: the share of errors that its uncertainty holds is not "
            "known. Calibrate it (napari-aeanet calibrate)."
        )
    if len(prepared.transforms) == 1 and PREFIX + "factors" in prepared.model.statistics:
        return "Intervals of this model need all flips and turns (symmetries)."
    return (
        "The model gives no uncertainty: calibrate it (napari-aeanet calibrate), or train it with "
        "'uncertainty'."
    )


def _measures(restored: np.ndarray, maps: dict[str, np.ndarray]) -> dict[Measure, np.ndarray]:
    """Return the maps as the measures of the traffic light."""
    found = {}
    errors = [maps[n] for n in ("uncertainty", "disagreement") if n in maps]
    if errors:
        finite = restored[np.isfinite(restored)]
        low, high = np.percentile(finite, CONTRAST_RANGE) if finite.size else (0.0, 1.0)
        contrast = max(float(high - low) / 4, 1e-9)
        found[Measure.ERROR] = np.sqrt(np.sum(np.square(errors), axis=0)) / contrast
    if "contradiction" in maps:
        found[Measure.CONTRADICTION] = maps["contradiction"]
    if "unlike" in maps:
        found[Measure.UNLIKE] = maps["unlike"]
    return found


def _why_not_compared(image: Image, model: Model, output: Image) -> str:
    """Return the reason why a result cannot be compared with its input; empty if it can."""
    tasks = {preset.name: preset.task for preset in all_presets()}
    if tasks.get(model.card.preset) == "label-free":
        return "The input is not compared: the model predicts another kind of image."
    if image.axes != output.axes:
        return "The input is not compared: that of a projection has other axes."
    return ""


def _contradiction(image: Image, restored: np.ndarray) -> np.ndarray:
    """Return the map of contradiction, plane by plane, on the grid of the result."""
    found = np.empty(restored.shape, np.float32)
    planes = restored.shape[:-2]
    for index in np.ndindex(*planes):
        source = tuple(i * n // m for i, n, m in zip(index, image.shape, planes, strict=False))
        plane = image.read((*source, slice(None), slice(None))).astype(np.float32)
        result = restored[index]
        if not (np.isfinite(plane).any() and np.isfinite(result).any()):
            found[index] = np.nan
            continue
        if not np.isfinite(plane).all():
            plane = np.where(np.isfinite(plane), plane, np.nanmean(plane))
            result = np.where(np.isfinite(result), result, np.nanmean(result))
        coarse = contradiction(plane, result)
        factors = [n / m for n, m in zip(result.shape, coarse.shape, strict=True)]
        found[index] = zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)
    return found
