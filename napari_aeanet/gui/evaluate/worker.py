"""Background work of the Evaluate dock, without Qt and napari."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress
from napari_aeanet.evaluation import (
    Case,
    ComparedMethod,
    EvaluateEvent,
    EvaluateSettings,
    Evaluation,
    GivenImages,
    Input,
    NeighbourSettings,
    NeighboursOfOthers,
    NonLocalMeans,
    PatchSettings,
    Restoration,
    Weights,
    evaluate_events,
)
from napari_aeanet.pairs import ImagePair
from napari_aeanet.reproduction import EXPERIMENTS, SLICES, ReproduceSettings


def evaluate_images(
    truth: Image, images: Sequence[Image], source: Image | None, settings: EvaluateSettings
) -> Iterator[EvaluateEvent]:
    """Score images against one truth, with their source (if known) for comparison."""
    load_statistics()
    pair = None if source is None else ImagePair(source, truth)
    if pair is not None and pair.size_problem():
        pair = None
    case = Case(truth.name, truth, pair, files={image.name: image for image in images})
    methods: list[ComparedMethod] = [GivenImages(image.name) for image in images]
    if pair is not None:
        methods.insert(0, Input.of([case]))
    yield from evaluate_events([case], methods, settings)


def evaluate_models(
    pairs: Sequence[ImagePair],
    models: Sequence[Path],
    settings: EvaluateSettings,
    patches: PatchSettings,
    *,
    classical: bool,
    libraries: Sequence[Weights],
    device: str,
) -> Iterator[EvaluateEvent]:
    """Score models on pairs, with the input itself and, on request, classical methods.

    `classical` adds non-local means, `libraries` LB-NLM or SRSW from the other pairs.
    """
    from napari_aeanet.models import load_model

    load_statistics()
    cases = [Case.of(pair) for pair in pairs]
    methods: list[ComparedMethod] = [Input.of(cases)]
    if classical:
        methods.append(NonLocalMeans())
    for weights in libraries:
        methods.append(NeighboursOfOthers(pairs, NeighbourSettings(weights=weights)))
    loaded = [load_model(path) for path in models]
    names = [model.card.name for model in loaded]
    for path, name, model in zip(models, names, loaded, strict=True):
        title = name if names.count(name) == 1 else f"{name} ({path.parent.name})"
        methods.append(Restoration(patches.titled(title), model, patches.restore_settings(device)))
    yield from evaluate_events(cases, methods, settings)


@dataclass(frozen=True)
class TableSaved:
    """Last event of `reproduce_table`: the file with the table."""

    path: Path
    progress: Progress


def reproduce_table(
    table: str, data: Path, results: Path, settings: ReproduceSettings
) -> Iterator[Any]:
    """Compute a table of the papers and save it; finished methods are kept."""
    from napari_aeanet import reproduction

    load_statistics()
    events: Iterator[Any] = (
        reproduction.reproduce_slices_events(data, results, settings)
        if table == SLICES
        else reproduction.reproduce_events(table, data, results, settings)
    )
    for event in events:
        yield event
        match event:
            case reproduction.SlicesReproduced():
                path = reproduction.save_slice_table(event.results, settings, results)
                yield TableSaved(path, event.progress)
            case reproduction.Reproduced():
                path = reproduction.save_table(EXPERIMENTS[table], event, settings, results)[0]
                yield TableSaved(path, event.progress)


def load_statistics() -> None:
    """Import the statistics of the report here, so that the user interface need not wait."""
    import_module("scipy.stats")


def save_evaluation(evaluation: Evaluation, path: Path) -> Path:
    """Save the figures as CSV or the page as PDF or PNG, by the ending of `path`."""
    from napari_aeanet.evaluation import save_csv, save_page

    save = save_csv if path.suffix.lower() == ".csv" else save_page
    save(evaluation, path)
    return path
