"""The table of interpolated slices: methods on stacks of serial sections, beside published figures.

    stacks -> methods -> learn on the first part, interpolate the last -> results/UNIT.json -> table

Finished methods are read from their files, and an interrupted learning goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np

from napari_aeanet import interpolation
from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import Progress, Progressed, ProgressOption, result_of
from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain
from napari_aeanet.interpolation import (
    HiddenSection,
    Interpolator,
    LearnSettings,
    SectionScores,
    SectionsLearnt,
    SsanConfig,
    WarpedNeighbours,
    blurred,
    hide_section,
    ridge_strength,
)
from napari_aeanet.reproduction.settings import ReproduceSettings
from napari_aeanet.reproduction.slice_sets import SliceSet, borders_of, read_slice_sets

DEFAULTS = ReproduceSettings()
RESULTS, RUNS = "results", "runs"
PATCH, BATCH = 128, 4
#: Membranes are borders of cells, this many pixels to either side.
MEMBRANE_RADIUS = 2
#: Variants of SSAN by their names in the table.
VARIANTS: dict[str, dict[str, str]] = {
    "SSAN": {},
    "extractor: U-Net": {"extractor": "U-Net"},
    "extractor: siamese U-Net": {"extractor": "siamese U-Net"},
    "extractor: dense blocks": {"extractor": "dense blocks"},
    "layer: kernel estimation": {"layer": "kernel estimation"},
    "layer: one-level attention": {"layer": "one-level interlaced attention"},
}
UNTRAINED: dict[str, Interpolator] = {
    "nearest slice": lambda neighbours: neighbours.aligned_before,
    "mean of neighbours": WarpedNeighbours.mean,
    "optical flow": WarpedNeighbours.blended,
    "optical flow, blurred": lambda neighbours: blurred(neighbours.blended()),
}
GUIDED = "network guided by flow"
METHODS = (*UNTRAINED, GUIDED, *VARIANTS)


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """Scores of a tested section; `dice` of its membranes where the cells were segmented."""

    index: int
    scores: SectionScores
    dice: float | None = None


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """Result of a method on a stack.

    `parameters` are those of its network; `seconds` are for everything, `per_section` to make one
    (None in results of earlier versions).
    """

    method: str
    stack: str
    sections: tuple[SliceScores, ...]
    seconds: float
    parameters: int = 0
    steps: int = 0
    per_section: float | None = None

    def mean(self, name: str) -> float:
        """Return the mean of a score over the sections; NaN if there is none."""
        values = [
            one.dice if name == "dice" else getattr(one.scores, name) for one in self.sections
        ]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else float("nan")


@dataclass(frozen=True, kw_only=True)
class SliceResultFile:
    """Content of results/UNIT.json: a result, and everything that it depends on."""

    signature: dict[str, Any]
    result: SliceResult


RESULT_FILE = Document(kind=SliceResultFile, title="result of a method", version=1)


@dataclass(frozen=True, kw_only=True)
class SliceMethodDone:
    """Event: a method is done on a stack, now or in an earlier call (`reused`)."""

    progress: Progress
    result: SliceResult
    reused: bool


@dataclass(frozen=True, kw_only=True)
class SlicesReproduced:
    """Last event: all results."""

    progress: Progress
    results: tuple[SliceResult, ...]


SlicesEvent = Progressed | SliceMethodDone | SlicesReproduced


def reproduce_slices(
    data: str | Path,
    out: str | Path,
    settings: ReproduceSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> SlicesReproduced:
    """Compare methods of slice interpolation on the stacks in a folder.

    Parameters
    ----------
    data
        Folder with CREMI files (.hdf) or other stacks, or one of them.
    out
        Folder for what is learnt and for the results: a second call continues.
    settings
        `budget` are the minutes of computing for each network.
    """
    return result_of(SlicesReproduced, reproduce_slices_events(data, out, settings), progress)


def reproduce_slices_events(
    data: str | Path, out: str | Path, settings: ReproduceSettings = DEFAULTS
) -> Iterator[SlicesEvent]:
    """Compare methods as `reproduce_slices` does; the last event is `SlicesReproduced`."""
    check_type("settings", settings, ReproduceSettings)
    data, out = as_path("data", data), as_path("out", out)
    if unknown := set(settings.methods) - set(METHODS):
        msg = f"slices has no {', '.join(sorted(unknown))}; it has {', '.join(METHODS)}."
        raise ValueError(msg)
    if settings.vgg_weights and not settings.is_published:
        raise ValueError("vgg_weights is for the published profile: choose that, or no file.")
    return _events(data, out, settings)


def _events(data: Path, out: Path, settings: ReproduceSettings) -> Iterator[SlicesEvent]:
    sets = read_slice_sets(data)
    methods = [one for one in METHODS if not settings.methods or one in settings.methods]
    (out / RESULTS).mkdir(parents=True, exist_ok=True)
    results: list[SliceResult] = []
    total = len(sets) * len(methods)
    for one in sets:
        for method in methods:
            at = Progress(f"{method}, {one.name}", len(results), total)
            path = out / RESULTS / f"slices-{_plain(one.name)}-{_plain(method)}.json"
            signature = _signature(one, method, settings)
            result = _load(path, signature)
            reused = result is not None
            if result is None:
                result = yield from _computed(one, method, settings, out, at)
                kept = SliceResultFile(signature=signature, result=result)
                write_bytes_atomically(path, RESULT_FILE.dump(kept))
            results.append(result)
            done = replace(at, done=len(results))
            yield SliceMethodDone(progress=done, result=result, reused=reused)
    yield SlicesReproduced(progress=Progress("slices", total, total), results=tuple(results))


def _signature(one: SliceSet, method: str, settings: ReproduceSettings) -> dict[str, Any]:
    """Return everything that a result depends on."""
    options = {} if method in UNTRAINED else to_plain(replace(settings, methods=()))
    return {"stack": one.fingerprint(), "method": method, "settings": options}


def _load(path: Path, signature: dict[str, Any]) -> SliceResult | None:
    """Return the result in a file, if it has this signature."""
    try:
        kept = from_plain(SliceResultFile, parse_json(path.read_bytes(), f"{path}"), f"{path}")
    except (OSError, ValueError):
        return None  # missing or damaged: computed again
    found = kept.signature
    if found.get("settings"):  # without the options that were added since
        found = found | {"settings": to_plain(DEFAULTS) | found["settings"]}
    return kept.result if found == signature else None


def _computed(
    one: SliceSet, method: str, settings: ReproduceSettings, out: Path, at: Progress
) -> Generator[Progressed, None, SliceResult]:
    """Learn where the method needs it, then interpolate and score every tested section."""
    begun = monotonic()
    parameters = steps = 0
    if method in UNTRAINED:
        interpolator = UNTRAINED[method]
    else:
        learnt = yield from _learnt(one, method, settings, out, at)
        model = interpolation.load_section_model(learnt.model)
        parameters, steps = sum(one.numel() for one in model.weights.values()), learnt.steps
        interpolator = interpolation.NetworkInterpolator.of(model, settings.device)
    scores, spent = [], []

    def timed(neighbours: WarpedNeighbours) -> np.ndarray:
        start = monotonic()
        made = interpolator(neighbours)
        spent.append(monotonic() - start)
        return made

    for index in one.tested:
        yield Progressed(replace(at, what=f"{at.what}: slice {index}"))
        if (found := _tested(one, index, timed)) is not None:
            scores.append(found)
    return SliceResult(
        method=method,
        stack=one.name,
        sections=tuple(scores),
        seconds=monotonic() - begun,
        parameters=parameters,
        steps=steps,
        per_section=float(np.mean(spent)) if spent else None,
    )


def _learnt(
    one: SliceSet, method: str, settings: ReproduceSettings, out: Path, at: Progress
) -> Generator[Progressed, None, SectionsLearnt]:
    """Let the network of a method learn, or go on where it was stopped."""
    recipe = settings.is_published and method != GUIDED
    budget = f"{settings.steps}-steps" if settings.steps else f"{settings.budget:g}-min"
    if recipe:
        budget = f"recipe-{settings.steps}" if settings.steps else "recipe"
    size = "-published" if settings.published_sizes or recipe else ""
    patches = f"p{settings.patch or PATCH}-b{settings.batch or BATCH}"
    name = f"{_plain(one.name)}-{_plain(method)}-{budget}{size}-{patches}-seed{settings.seed}"
    folder = out / RUNS / f"slices-{name}"
    options = LearnSettings(
        cpu_seconds=60 * settings.budget,
        steps=settings.steps,
        patch=settings.patch or PATCH,
        batch=settings.batch or BATCH,
        seed=settings.seed,
        device=settings.device,
    )
    learnt = one.learnt
    if recipe:
        published = options.published(learnt.shape[0])
        options = replace(
            published,
            steps=settings.steps or published.steps,
            patch=settings.patch or published.patch,
            batch=settings.batch or published.batch,
            vgg_weights=settings.vgg_weights,
        )
    config = None
    if method != GUIDED:
        plain = SsanConfig() if settings.published_sizes or recipe else SsanConfig.small()
        config = from_plain(SsanConfig, to_plain(plain) | VARIANTS[method], method)
    events = interpolation.learn_or_resume_events(learnt, folder, options, config=config)
    with closing(events):
        for event in events:
            yield Progressed(replace(at, what=f"{at.what}: {event.progress.line('step')}"))
    assert isinstance(event, SectionsLearnt)
    return event


def _tested(one: SliceSet, index: int, interpolator: Interpolator) -> SliceScores | None:
    """Hide a section and score what is made in its place; None if its neighbours do not match."""
    middle, before, after = (
        one.image.read((z,)).astype(np.float32) for z in (index, index - 1, index + 1)
    )
    hidden = hide_section(middle, before, after)
    if hidden is None:
        return None
    made = interpolator(hidden.neighbours)
    data_range = 255.0 if one.image.dtype == np.uint8 else float(np.ptp(middle)) or 1.0
    dice = None
    if one.labels is not None:
        dice = _membrane_dice(one.labels.read((index,)), made, hidden)
    return SliceScores(index=index, scores=hidden.score(made, data_range), dice=dice)


def _membrane_dice(labels: np.ndarray, made: np.ndarray, hidden: HiddenSection) -> float:
    """Return the Dice of borders of cells and of as many pixels of the strongest dark ridges."""
    width = 2 * MEMBRANE_RADIUS + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    truth = cv2.dilate(borders_of(labels).astype(np.uint8), disc)[hidden.inside].astype(bool)
    strength = ridge_strength(made[hidden.inside])
    count = int(truth.sum())
    if count in (0, truth.size):
        return float("nan")
    strongest = strength >= np.partition(strength.ravel(), -count)[-count]
    return float(2 * (strongest & truth).sum() / (strongest.sum() + count))


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)
