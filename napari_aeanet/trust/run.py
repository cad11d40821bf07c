"""How far a restored image can be trusted, pixel by pixel.

Four independent questions, each a map on the grid of the result:

- *uncertainty*: half the width of the interval that the model itself gives (its sigma, widened so
  that it held 68 % of the errors on kept-out data); only models that were trained to give it.
- *disagreement*: the standard deviation of the results over the eight flips and quarter turns of
  the image, which are all the same to the microscope.
- *consistency*: whether the result, brought back to the input's resolution, leaves only noise.
- *unlike*: how far the image is from what the model has learnt from.

They are summed up by a traffic light (`napari_aeanet.trust.traffic_light`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progress, Progressed, StepCounter
from napari_aeanet.core.tiles import within
from napari_aeanet.models import FeatureDistance, Model, all_presets
from napari_aeanet.networks import PendingAttention, choose_device
from napari_aeanet.restoration import (
    ALL,
    IDENTITY,
    Contexts,
    Layout,
    Memory,
    NetworkInput,
    Output,
    Part,
    RestoreSettings,
    TileRunner,
    TransformedSource,
    block_of,
    lay_out,
    output_region,
)
from napari_aeanet.trust import traffic_light
from napari_aeanet.trust.consistency import consistency
from napari_aeanet.trust.settings import TrustEvent, TrustMaps, TrustSettings
from napari_aeanet.trust.traffic_light import Measure

# Of a Laplace distribution, 68 % lies within 1.14 times its scale: for models that do not know.
LAPLACE_WIDTH = 1.14
SIGMA_WIDTH = "sigma_width"
# The contrast of an image: a quarter of the range that all but its extremes fill.
CONTRAST_RANGE = (2.0, 98.0)


DEFAULTS = TrustSettings()


def trust_events(
    image: Image, model: Model, settings: TrustSettings = DEFAULTS
) -> Iterator[TrustEvent]:
    """Restore an image and ask how far to trust it; steps, and the maps at last.

    Raises
    ------
    ValueError
        If the image does not suit the model, or the model cannot be asked.
    """
    network = model.network()
    if network.untileable_reason:
        msg = (
            f"{model.card.name}: trust is measured on whole images, and this kind of network can "
            "only be applied patch by patch. Choose another model."
        )
        raise ValueError(msg)
    device = choose_device(settings.device)
    memory = Memory.on(device)
    chosen = RestoreSettings(
        output=Output.FLOAT32,
        resample=settings.resample,
        force=settings.force,
        tile=settings.tile,
        device=settings.device,
    )
    layout = lay_out(image, model.card, network, chosen, memory)
    work = _Work(
        layout=layout,
        passes=TileRunner(network, device, layout.room(network, memory)),
        views=len(ALL if settings.symmetries else IDENTITY),
        familiarity=FeatureDistance.of(model.statistics) if network.contexts else None,
        width=np.asarray(model.statistics.get(SIGMA_WIDTH, LAPLACE_WIDTH)).item(),
    )
    steps = len(layout.sheets) * len(layout.tiles) * (network.contexts + 2)
    meter = StepCounter(f"trust in {image.name}", steps)
    canvas = _MapStore.of(work)
    for sheet in layout.sheets:
        for _ in _fill(work, canvas, sheet):
            yield Progressed(meter.step())
    yield _result(image, model, work, canvas, meter.finish())


@dataclass(frozen=True, eq=False)
class _Work:
    """What all planes or stacks of an image share."""

    layout: Layout
    passes: TileRunner
    views: int
    familiarity: FeatureDistance | None
    width: float

    @property
    def gives_sigma(self) -> bool:
        return "sigma" in self.passes.network.extras


@dataclass(frozen=True, eq=False)
class _MapStore:
    """Where the result and the maps take shape."""

    restored: np.ndarray
    maps: dict[str, np.ndarray]

    @classmethod
    def of(cls, work: _Work) -> _MapStore:
        asked = {
            "uncertainty": work.gives_sigma,
            "disagreement": work.views > 1,
            "unlike": work.familiarity is not None,
        }
        shape = work.layout.output.shape
        maps = {name: np.zeros(shape, np.float32) for name, is_asked in asked.items() if is_asked}
        return cls(np.zeros(shape, np.float32), maps)


def _fill(work: _Work, canvas: _MapStore, sheet: NetworkInput) -> Iterator[None]:
    """Everything about one plane or stack; a step for each tile of each pass."""
    passes, tiles = work.passes, work.layout.tiles
    views = [TransformedSource(sheet, turn) for turn in ALL[: work.views]]
    contexts = Contexts(views, tiles, work.layout.field)
    yield from contexts.gather(passes, passes.network.contexts)
    for inner in tiles:
        outputs = [
            view.turn.undo(passes.predict(view, view.region(inner), contexts.around(inner, i)))
            for i, view in enumerate(views)
        ]
        place = output_region(work.layout, sheet, passes, inner)
        canvas.restored[place] = block_of(work.layout, sheet, passes, Part(inner, outputs[0]))
        if work.gives_sigma:
            sigma = _cut(work, sheet, inner, place, outputs[0][1])
            canvas.maps["uncertainty"][place] = sigma * sheet.scaling.scale * work.width
        if work.views > 1:
            spread = np.std([output[0] for output in outputs], axis=0)
            spread = _cut(work, sheet, inner, place, spread) * sheet.scaling.scale
            canvas.maps["disagreement"][place] = spread
        yield
    features = []
    for inner in tiles:
        if work.familiarity is not None:
            features += passes.at_attention(sheet, inner, [], _features)
        yield
    if work.familiarity is not None:
        _fill_unlike(work, canvas, sheet, features)


def _cut(
    work: _Work, sheet: NetworkInput, inner: Region, place: Region, values: np.ndarray
) -> np.ndarray:
    """Values over a tile of the padded sheet, as a block of the result: cut to the image."""
    network, axes = work.passes.network, work.layout.output.axes
    region = work.passes.output_region(inner)
    padding = sheet.padding[-len(region) :]
    spans = dict(zip(axes, place, strict=True))
    inside = []
    for axis, (before, _), factor in zip(network.output_axes, padding, network.scale, strict=True):
        span = spans[axis]
        inside.append(slice(span.start + before * factor, span.stop + before * factor))
    block = values[within(tuple(inside), region)]
    looped = tuple(i for i, axis in enumerate(axes) if axis not in network.output_axes)
    return np.expand_dims(block, looped)


def _features(pending: PendingAttention) -> np.ndarray:
    return pending.inside()[0].cpu().numpy()


def _fill_unlike(
    work: _Work, canvas: _MapStore, sheet: NetworkInput, pieces: list[tuple[Region, np.ndarray]]
) -> None:
    """The distance of a sheet's features, brought from their grid to that of the result."""
    assert work.familiarity is not None
    first_region, first = pieces[0]
    axes = first.ndim - 1
    strides = [
        (s.stop - s.start) // n for s, n in zip(first_region[-axes:], first.shape[1:], strict=True)
    ]
    whole = np.empty((len(first), *(n // f for n, f in zip(sheet.shape, strides, strict=True))))
    for region, values in pieces:
        spans = zip(region, strides, strict=True)
        whole[(slice(None), *(slice(s.start // f, s.stop // f) for s, f in spans))] = values
    distance = work.familiarity.distance(whole)
    network = work.passes.network
    gone = len(network.input_axes) - len(network.output_axes)
    distance = distance.mean(axis=tuple(range(gone)))
    factors = [f * s for f, s in zip(strides[gone:], network.scale, strict=True)]
    fine = zoom(distance, factors, order=1, mode="nearest", grid_mode=True)
    everything = tuple(slice(0, n) for n in sheet.shape)
    place = output_region(work.layout, sheet, work.passes, everything)
    canvas.maps["unlike"][place] = _cut(work, sheet, everything, place, fine)


def _result(
    image: Image, model: Model, work: _Work, canvas: _MapStore, progress: Progress
) -> TrustMaps:
    output = work.layout.output
    notices = list(work.layout.notices)
    reason = _why_not_consistent(image, model, output)
    if not reason:
        canvas.maps["consistency"] = _consistency(image, canvas.restored, output)
    if not work.gives_sigma:
        notices.append("The model gives no uncertainty: train it with 'uncertainty' to have one.")
    if work.familiarity is None:
        notices.append("The model file does not tell what its training looked like.")
    notices += [reason] if reason else []
    measures = _measures(canvas)
    if not measures:
        raise ValueError(f"{model.card.name}: there is nothing by which to judge its results.")
    doubt = traffic_light.doubt(measures)
    return TrustMaps(
        restored=output.with_array(canvas.restored),
        maps=canvas.maps,
        doubt=doubt,
        summary=traffic_light.sentence(measures, doubt),
        notices=tuple(notices),
        progress=progress,
    )


def _measures(canvas: _MapStore) -> dict[Measure, np.ndarray]:
    """The maps as what the traffic light asks for."""
    found = {}
    errors = [canvas.maps[n] for n in ("uncertainty", "disagreement") if n in canvas.maps]
    if errors:
        finite = canvas.restored[np.isfinite(canvas.restored)]
        low, high = np.percentile(finite, CONTRAST_RANGE) if finite.size else (0.0, 1.0)
        contrast = max(float(high - low) / 4, 1e-9)
        found[Measure.ERROR] = np.sqrt(np.sum(np.square(errors), axis=0)) / contrast
    if "consistency" in canvas.maps:
        found[Measure.CONSISTENCY] = canvas.maps["consistency"]
    if "unlike" in canvas.maps:
        found[Measure.UNLIKE] = canvas.maps["unlike"]
    return found


def _why_not_consistent(image: Image, model: Model, output: Image) -> str:
    """Why a result cannot be compared with its input; empty if it can."""
    tasks = {preset.name: preset.task for preset in all_presets()}
    if tasks.get(model.card.preset) == "label-free":
        return "Consistency is not asked of a model that predicts another kind of image."
    if image.axes != output.axes:
        return "Consistency is not asked of a projection: its input has other axes."
    return ""


def _consistency(image: Image, restored: np.ndarray, output: Image) -> np.ndarray:
    """Plane by plane, brought to the grid of the result."""
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
