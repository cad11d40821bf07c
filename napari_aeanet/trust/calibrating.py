"""Calibrate the intervals of a model on pairs, or parts of them, that its training did not see."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.image import Region
from napari_aeanet.core.intensity import AS_THEY_ARE
from napari_aeanet.core.progress import Progress, ProgressOption, result_of
from napari_aeanet.core.tiles import (
    ArraySource,
    extent,
    grid_padding,
    intersection,
    partition,
    whole,
    within,
)
from napari_aeanet.dataset import (
    PairRanges,
    Sample,
    boxes_kept_out,
    collect_samples,
    refuse_shifted,
    training_number,
)
from napari_aeanet.models import Model
from napari_aeanet.networks import Network, choose_device, margin_and_multiple
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import (
    ALL,
    IDENTITY,
    Contexts,
    DihedralTransform,
    ModelSource,
    TileRunner,
    TransformedSource,
    as_model,
)
from napari_aeanet.structures import reported
from napari_aeanet.trust.calibration import PREFIX, SHARES, IntervalCalibration, calibrated
from napari_aeanet.trust.settings import CalibrateEvent, CalibrateSettings, ModelCalibrated

# Crops of the pairs given by the user: their edges by the number of axes, and how many.
EDGES = {2: 192, 3: 64}
MOST_CROPS = 48
FEWEST_IMAGES = 4  # with fewer, images differ by more than the calibration can know
FORMER = ("sigma_width",)  # in model files of older versions

DEFAULTS = CalibrateSettings()


@dataclass(frozen=True, eq=False)
class CalibrationCrop:
    """A box of a sample whose errors are looked at, and the wider box that is read for it."""

    sample: Sample
    inner: Region
    outer: Region


def calibrate(
    model: ModelSource,
    pairs: Iterable[ImagePair],
    settings: CalibrateSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> ModelCalibrated:
    """Calibrate the intervals of a model and return the last event, with the model to be saved.

    Parameters
    ----------
    model
        The model, or its file.
    pairs
        Registered or aligned pairs. Of those that the model was trained on, the part that was kept
        out of the training is used.
    settings
        Options.
    progress
        As in `napari_aeanet.restore`.
    """
    return result_of(ModelCalibrated, calibrate_events(model, pairs, settings), progress)


def calibrate_events(
    model: ModelSource, pairs: Iterable[ImagePair], settings: CalibrateSettings = DEFAULTS
) -> Iterator[CalibrateEvent]:
    """Return a generator that calibrates: an event for each crop, `ModelCalibrated` at last.

    The arguments are checked at once. The restoration of the model stays as it is.

    Raises
    ------
    TypeError, ValueError
        If the pairs do not suit the model, most are shifted, or its training has seen all of them.
    """
    check_type("settings", settings, CalibrateSettings)
    pairs, model = check_items("pairs", pairs, ImagePair), as_model(model)
    usable = {number: pair for number, pair in enumerate(pairs) if not pair.has_failed}
    if not usable:
        raise ValueError("There is no registered pair to calibrate on. Register them.")
    if not is_calibrated(model.network()):
        msg = f"{model.card.name}: intervals of this kind of network cannot be calibrated."
        raise ValueError(msg)
    return _calibrate(model, usable, len(pairs) - len(usable), settings)


def _calibrate(
    model: Model, usable: dict[int, ImagePair], left_out: int, settings: CalibrateSettings
) -> Iterator[CalibrateEvent]:
    card, device = model.card, choose_device(settings.device)
    is_normalised = card.provenance.get("plan", {}).get("is_normalised")
    rule = AS_THEY_ARE if is_normalised else card.normalisation
    with TemporaryDirectory() as scratch:
        ranges = PairRanges.known(card)
        found = yield from reported(collect_samples(usable, rule, Path(scratch), ranges))
        notes = yield from reported(refuse_shifted(found.samples, usable))
        crops = crops_of(model, found.samples)
        if not crops:
            msg = (
                "The model was trained on all of these pairs as a whole, so its errors there say "
                "nothing about other images. Give pairs that it was not trained on."
            )
            raise ValueError(msg)
        images = len({id(crop.sample) for crop in crops})
        made = yield from reported(calibration_of(model, crops, device))
        del found, crops
    if made is None:
        raise ValueError("The pairs are too small to calibrate on. Add larger ones.")
    notices = list(notes)
    if left_out:
        notices.append(f"{left_out} pairs are not registered and were left out.")
    if images < FEWEST_IMAGES:
        notices.append(
            f"Only {images} {'image was' if images == 1 else 'images were'} used: in other images "
            "the intervals may hold more or fewer of the errors than stated."
        )
    yield ModelCalibrated(
        model=with_calibration(model, made),
        shares=SHARES,
        score=made.score,
        images=images,
        notices=tuple(notices),
        progress=Progress("calibrating", 1, 1, 0.0),
    )


def is_calibrated(network: Network) -> bool:
    """Return True if intervals are known for this kind of network."""
    return network.untileable_reason is None and all(one == 1 for one in network.scale)


def calibration_of(
    model: Model, crops: Sequence[CalibrationCrop], device: torch.device
) -> Generator[Progress, None, IntervalCalibration | None]:
    """Return the calibration of a model on these crops; None if they are too small."""
    network = model.network()
    has_sigma = "sigma" in network.extras
    scores, predictions, targets = [], [], []
    with TileRunner(network, device) as runner:
        for number, crop in enumerate(crops):
            yield Progress("calibrating", number, len(crops), unit="crop")
            outputs = outputs_over(runner, crop, IDENTITY if has_sigma else ALL)
            prediction = outputs[0][0]
            score = outputs[0][1] if has_sigma else disagreement_of(outputs)
            used = np.ones(prediction.shape, bool)
            if crop.sample.valid is not None:
                used = crop.sample.valid[crop.inner]
            scores.append(score[used])
            predictions.append(prediction[used])
            targets.append(crop.sample.target[0][crop.inner][used])
    if not scores:
        return None
    return calibrated(scores, predictions, targets, is_sigma=has_sigma)


def disagreement_of(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return how far predictions under all flips and turns differ: their standard deviation."""
    return np.std([output[0] for output in outputs], axis=0)


def outputs_over(
    runner: TileRunner, crop: CalibrationCrop, transforms: Sequence[DihedralTransform]
) -> list[np.ndarray]:
    """Return all outputs (channels, pixels...) over the inner box of a crop, of every view."""
    network, sample = runner.network, crop.sample
    pixels = (
        sample.source[(slice(None), *crop.outer)]
        if sample.projects
        else (sample.source[0][crop.outer])
    )
    padding = grid_padding(pixels.shape, network.grid)
    source = ArraySource(np.pad(pixels, padding, "reflect" if min(pixels.shape) > 1 else "edge"))
    everything = whole(source.shape)
    contexts = Contexts([TransformedSource(source, one) for one in transforms], [everything], None)
    for _ in contexts.gather(runner, network.contexts):
        pass
    before = padding[-len(crop.outer) :]
    kept = tuple(
        slice(s.start + a, s.stop + a)
        for s, (a, _) in zip(within(crop.inner, crop.outer), before, strict=True)
    )
    outputs = contexts.predictions(runner, everything)
    return [output[(slice(None), *kept)] for output in outputs]


def crops_of(model: Model, samples: Sequence[Sample]) -> list[CalibrationCrop]:
    """Return crops of all samples outside of the training, spread over images and places."""
    margin, _ = margin_and_multiple(model.card.config)
    crops = []
    for sample in samples:
        number = training_number(model.card, sample)
        everything = whole(sample.shape)
        fields = (everything,) if number is None else boxes_kept_out(model.card, number)
        for field in fields:
            box = intersection(field, _covered(sample))
            if box is not None:
                crops += [
                    CalibrationCrop(sample, inner, _wider(inner, margin, sample.shape))
                    for inner in _parts(box)
                ]
    order = np.random.default_rng(0).permutation(len(crops))
    return [crops[i] for i in order[:MOST_CROPS]]


def _covered(sample: Sample) -> Region:
    """Return the box around all valid pixels."""
    if sample.valid is None:
        return whole(sample.shape)
    return tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(sample.valid))


def _parts(box: Region) -> list[Region]:
    edges = [EDGES[len(box)]] * len(box)
    return [
        tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(part, box, strict=True))
        for part in partition(extent(box), edges, [1] * len(box))
    ]


def _wider(inner: Region, margin: Sequence[int], shape: Sequence[int]) -> Region:
    return tuple(
        slice(max(0, s.start - m), min(n, s.stop + m))
        for s, m, n in zip(inner, margin, shape, strict=True)
    )


def with_calibration(model: Model, made: IntervalCalibration) -> Model:
    """Return the model with this calibration in place of another."""
    others = {
        name: values
        for name, values in model.statistics.items()
        if not name.startswith(PREFIX) and name not in FORMER
    }
    return replace(model, statistics=others | made.to_arrays())
