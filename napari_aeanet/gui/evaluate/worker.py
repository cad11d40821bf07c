"""Background work of the Evaluate dock, without Qt and napari."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.evaluation import (
    Case,
    ComparedMethod,
    EvaluateEvent,
    EvaluateSettings,
    Evaluation,
    GivenImages,
    Input,
    NeighboursOfOthers,
    NonLocalMeans,
    PatchSettings,
    Restoration,
    evaluate_events,
)
from napari_aeanet.pairs import ImagePair


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
    library: bool,
    device: str,
) -> Iterator[EvaluateEvent]:
    """Score models on pairs, with the input itself and, on request, classical methods.

    `classical` adds non-local means, `library` LB-NLM from the other pairs.
    """
    from napari_aeanet.models import load_model

    load_statistics()
    cases = [Case.of(pair) for pair in pairs]
    methods: list[ComparedMethod] = [Input.of(cases)]
    if classical:
        methods.append(NonLocalMeans())
    if library:
        methods.append(NeighboursOfOthers(pairs))
    loaded = [load_model(path) for path in models]
    names = [model.card.name for model in loaded]
    for path, name, model in zip(models, names, loaded, strict=True):
        title = name if names.count(name) == 1 else f"{name} ({path.parent.name})"
        methods.append(Restoration(patches.titled(title), model, patches.restore_settings(device)))
    yield from evaluate_events(cases, methods, settings)


def load_statistics() -> None:
    """Import the statistics of the report here, so that the user interface need not wait."""
    import_module("scipy.stats")


def save_evaluation(evaluation: Evaluation, path: Path) -> Path:
    """Save the figures as CSV or the page as PDF or PNG, by the ending of `path`."""
    from napari_aeanet.evaluation import save_csv, save_page

    save = save_csv if path.suffix.lower() == ".csv" else save_page
    save(evaluation, path)
    return path
