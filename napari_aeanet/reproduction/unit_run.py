"""One unit of a table: train where the method needs it, restore and score every tested image."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.core.schema import to_plain
from napari_aeanet.evaluation import (
    Case,
    ComparedMethod,
    Input,
    NeighbourMethod,
    NeighbourSettings,
    NonLocalMeans,
    Restoration,
    Weights,
    build_library,
    score,
)
from napari_aeanet.models import baselines
from napari_aeanet.pairs import ImagePair
from napari_aeanet.reproduction.data_sets import DataSet, kept_out_for
from napari_aeanet.reproduction.papers import Experiment, Unit
from napari_aeanet.reproduction.settings import CaseScores, ReproduceSettings
from napari_aeanet.restoration import Output
from napari_aeanet.training import PLAN, Finished, TrainSettings
from napari_aeanet.training.settings import Intensities

NLM = "nlm"
WEIGHTS = {"lb-nlm": Weights.SIMILARITY, "srsw": Weights.SPARSE}
CLASSICAL = (NLM, *WEIGHTS)
RUNS = "runs"
SMALL = "-small"


@dataclass(frozen=True, eq=False)
class UnitRun:
    """A unit with its data sets."""

    experiment: Experiment
    unit: Unit
    learn: DataSet
    test: DataSet
    settings: ReproduceSettings
    number: int
    total: int

    @property
    def column(self) -> str:
        match self.experiment.sets:
            case "transfer":
                return f"{self.learn.name} → {self.test.name}"
            case "each":
                return self.test.name
            case _:
                return self.unit.column

    @property
    def preset(self) -> str:
        """The preset in its small size, if there is one and the published is not requested.

        In transfers a set of projections takes that of projections.
        """
        name, published = self.unit.preset, self.settings.published_sizes
        if self.experiment.sets == "transfer" and self.learn.is_projected:
            name = name.replace("-3d", "-projection")
        small = f"{name}{SMALL}"
        is_small = not (published or self.settings.is_published)
        return small if is_small and small in {p.name for p in baselines()} else name

    @property
    def planes(self) -> int:
        """Planes of a volume that are scored; 0 for all."""
        is_denoised = self.experiment.layout == "care" and not self.test.is_projected
        return self.settings.scored_planes if is_denoised else 0

    @property
    def file_name(self) -> str:
        words = f"{self.experiment.name} {self.column} {self.unit.method}"
        return "".join(c if c.isalnum() else "-" for c in words) + ".json"

    def folder(self, out: Path) -> Path:
        """Return the folder of the training, which units that only restore differently share."""
        s = self.settings
        budget = f"{s.steps}-steps" if s.steps else f"{s.budget:g}-min"
        if s.is_published:
            budget = f"published-{s.steps}-steps" if s.steps else "published"
        each = "self" if self.unit.each else "pooled"
        odd = "".join(f"-{name}{n}" for name, n in (("p", s.patch), ("b", s.batch)) if n)
        return out / RUNS / f"{self.learn.name}-{self.preset}-{each}-{budget}{odd}-seed{s.seed}"

    def signature(self, prints: dict[str, str]) -> dict[str, Any]:
        """Return everything that the result depends on."""
        # Options that change nothing here are left out: the budget of what is not trained.
        settings = to_plain(replace(self.settings, methods=(), planes=0))
        if not self.unit.preset or self.unit.preset in CLASSICAL:
            settings = {"seed": self.settings.seed}
        return {
            "unit": to_plain(self.unit),
            "preset": self.preset,
            "sets": [prints[self.learn.name], prints[self.test.name]],
            "settings": settings,
            "matching": self.experiment.matching.value,
            "planes": self.planes,
        }

    @property
    def is_possible(self) -> bool:
        """False for a network of projections on volumes."""
        projects = bool(self.unit.preset) and self.learn.is_projected
        return self.test.is_projected or not projects

    def progressed(self, what: str) -> Progressed:
        name = f"{self.unit.method}, {self.column}"
        return Progressed(Progress(f"{name}: {what}", self.number, self.total))


@dataclass(frozen=True)
class Computed:
    """Figures of all tested images, the size of the network, and its seconds for an image."""

    cases: tuple[CaseScores, ...]
    parameters: int
    per_image: float


def compute(run: UnitRun, out: Path) -> Generator[Progressed, None, Computed]:
    """Train where the method needs it, then restore and score every trial."""
    found, parameters, seconds = [], 0, 0.0
    method: ComparedMethod | None = None
    for number, trial in enumerate(run.test.trials):
        if method is None or run.unit.each:
            learn, folder = run.learn.learn, run.folder(out)
            if run.unit.each:
                learn, folder = learn[number : number + 1], folder / f"{number + 1:03d}"
            method = yield from _method(run, learn, folder)
            if isinstance(method, Restoration):
                from napari_aeanet.networks import parameter_count

                parameters = parameter_count(method.model.card.config)
        yield run.progressed(f"restoring {trial.pair.name}")
        truth = trial.pair.target
        # A network of volumes gives a volume; its maximum is compared with a projection.
        is_flat = "Z" not in truth.axes and "Z" in trial.pair.source.axes
        projects = is_flat and isinstance(method, Restoration) and not run.learn.is_projected
        pair = replace(trial.pair, target=trial.pair.source) if projects else trial.pair
        start = monotonic()
        with closing(method.work(Case.of(pair))) as steps:
            for image in steps:
                if image is None:
                    seconds += monotonic() - start
                    yield run.progressed(f"restoring {trial.pair.name}")
                    start = monotonic()
        seconds += monotonic() - start
        assert image is not None
        if projects:
            image = truth.with_array(image.read().max(axis=image.axes.index("Z")))
        regions = trial.regions
        if run.planes:
            regions = ((slice(0, run.planes), slice(None), slice(None)),)
        scores = score(image, truth, run.experiment.matching, regions)
        found.append(CaseScores(trial.pair.name, trial.group, scores))
    return Computed(tuple(found), parameters, seconds / len(found))


def _method(
    run: UnitRun, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, ComparedMethod]:
    if not run.preset:
        return Input()
    if run.preset in CLASSICAL:
        yield run.progressed("learning")
        planes = [(pair.source.read(), pair.target.read()) for pair in learn]
        if run.preset == NLM:
            return NonLocalMeans.fitted(planes)
        weights = WEIGHTS[run.preset]
        library = build_library(planes, NeighbourSettings(weights=weights, seed=run.settings.seed))
        return NeighbourMethod(library)
    from napari_aeanet.models import load_model

    path = yield from _train(run, learn, folder)
    settings = replace(run.unit.restore, device=run.settings.device, output=Output.FLOAT32)
    return Restoration(run.unit.method, load_model(path), settings)


def _train(
    run: UnitRun, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, Path]:
    """Train, or resume the run in the folder, and return the path of the model."""
    from napari_aeanet.training import resume_events, train_events

    if (folder / PLAN).exists():
        events = resume_events(learn, folder)
    else:
        options = run.settings
        intensities = Intensities.NONE if run.learn.is_normalised else Intensities.AUTOMATIC
        settings = TrainSettings(
            preset=run.preset,
            profile=options.profile,
            intensities=intensities,
            minutes=options.budget / (len(run.learn.learn) if run.unit.each else 1),
            steps=options.steps,
            patch=options.patch,
            batch=options.batch,
            seed=options.seed,
            device=options.device,
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not options.is_published:
            settings = kept_out_for(settings, learn)
        # The protocol decides which pairs are trained on.
        events = train_events(learn, settings, folder, force=True)
    with closing(events):
        for event in events:
            yield run.progressed(event.progress.line("step"))
    assert isinstance(event, Finished)
    return event.bundle
