"""Computation of the papers' tables on a copy of their data, method by method.

    data -> units (a method in a column) -> train, restore, score -> results/UNIT.json -> table

Finished units are read from their files, and an interrupted training is resumed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import Progress, Progressed, last_event
from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain
from napari_aeanet.evaluation import (
    Case,
    ComparedMethod,
    Input,
    NeighbourMethod,
    NonLocalMeans,
    Restoration,
    score,
)
from napari_aeanet.models import baselines
from napari_aeanet.pairs import ImagePair
from napari_aeanet.reproduction.data_sets import DataSet, kept_out_for, read_set
from napari_aeanet.reproduction.papers import EXPERIMENTS, Experiment, Unit
from napari_aeanet.reproduction.settings import (
    CaseScores,
    Reproduced,
    ReproduceEvent,
    ReproduceSettings,
    UnitDone,
    UnitResult,
)
from napari_aeanet.restoration import Output, RestoreSettings
from napari_aeanet.training import PLAN, Finished, TrainSettings

if TYPE_CHECKING:
    from napari_aeanet.core.progress import ProgressOption

RESULTS, RUNS, PREPARED = "results", "runs", "sets"
SMALL = "-small"
DEFAULTS = ReproduceSettings()
FORMAT = 1


@dataclass(frozen=True, eq=False)
class ResultFile:
    """Content of results/UNIT.json: a result, and everything that it depends on.

    The first files hold no `format`.
    """

    signature: dict[str, Any]
    result: UnitResult
    format: int = FORMAT


RESULT_FILE = Document(kind=ResultFile, title="result of a method", version=FORMAT)


@dataclass(frozen=True, eq=False)
class _UnitRun:
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
        if not self.experiment.transfer:
            return self.unit.column
        return f"{self.learn.name} → {self.test.name}"

    @property
    def preset(self) -> str:
        """The preset in its small size, if there is one and the published is not requested."""
        small = f"{self.unit.preset}{SMALL}"
        if not self.settings.published_sizes and small in {p.name for p in baselines()}:
            return small
        return self.unit.preset

    @property
    def file_name(self) -> str:
        words = f"{self.experiment.name} {self.column} {self.unit.method}"
        return "".join(c if c.isalnum() else "-" for c in words) + ".json"

    def folder(self, out: Path) -> Path:
        """Return the folder of the training, which units that only restore differently share."""
        s = self.settings
        budget = f"{s.steps}-steps" if s.steps else f"{s.budget:g}-min"
        each = "self" if self.unit.each else "pooled"
        odd = "".join(f"-{name}{n}" for name, n in (("p", s.patch), ("b", s.batch)) if n)
        return out / RUNS / f"{self.learn.name}-{self.preset}-{each}-{budget}{odd}-seed{s.seed}"

    def signature(self, prints: dict[str, str]) -> dict[str, Any]:
        """Return everything that the result depends on."""
        settings = to_plain(replace(self.settings, methods=()))
        if not self.unit.preset or self.unit.preset.endswith("nlm"):
            settings = {"seed": self.settings.seed}
        return {
            "unit": to_plain(self.unit),
            "preset": self.preset,
            "sets": [prints[self.learn.name], prints[self.test.name]],
            "settings": settings,
            "matching": self.experiment.matching.value,
        }

    def progressed(self, what: str) -> Progressed:
        name = f"{self.unit.method}, {self.column}"
        return Progressed(Progress(f"{name}: {what}", self.number, self.total))


def reproduce(
    experiment: Experiment | str,
    data: str | Path,
    out: str | Path,
    settings: ReproduceSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> Reproduced:
    """Compute a table of a paper and return its results.

    Prepared images, trainings and results are kept in `out`: a second call continues.

    Parameters
    ----------
    experiment
        The table, or its name in `EXPERIMENTS`.
    data
        Folder of the data set.
    progress
        True for a progress bar in the terminal, or a function that is called with each `Progress`.

    Raises
    ------
    ValueError
        If there is no such table, the settings name no method of it, or the folder does not hold
        such data.
    """
    last = last_event(reproduce_events(experiment, data, out, settings), progress)
    assert isinstance(last, Reproduced)
    return last


def reproduce_events(
    experiment: Experiment | str,
    data: str | Path,
    out: str | Path,
    settings: ReproduceSettings = DEFAULTS,
) -> Iterator[ReproduceEvent]:
    """Compute a table of a paper, as `reproduce` does; the last event is `Reproduced`.

    Close the generator to stop.
    """
    check_type("experiment", experiment, Experiment, str)
    check_type("settings", settings, ReproduceSettings)
    data, out = as_path("data", data), as_path("out", out)
    if isinstance(experiment, str):
        if experiment not in EXPERIMENTS:
            msg = f"There is no table {experiment}; there are {', '.join(EXPERIMENTS)}."
            raise ValueError(msg)
        experiment = EXPERIMENTS[experiment]
    known = dict.fromkeys(unit.method for unit in experiment.units)
    if unknown := set(settings.methods) - set(known):
        msg = f"{experiment.name} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}."
        raise ValueError(msg)
    return _events(experiment, data, out, settings)


def _events(
    experiment: Experiment, data: Path, out: Path, settings: ReproduceSettings
) -> Iterator[ReproduceEvent]:
    yield Progressed(Progress(f"reading {data.name}", 0, len(experiment.units)))
    sets = _sets(experiment, data, out)
    prints = {one.name: one.fingerprint() for one in sets}
    (out / RESULTS).mkdir(parents=True, exist_ok=True)
    runs = _unit_runs(experiment, sets, settings)
    results = []
    for run in runs:
        path, signature = out / RESULTS / run.file_name, run.signature(prints)
        result = _load_result(path, signature)
        reused = result is not None
        if result is None:
            start = monotonic()
            cases = yield from _compute(run, out)
            size = "small" if run.preset.endswith(SMALL) else ""
            result = UnitResult(run.unit.method, run.column, size, monotonic() - start, cases)
            write_bytes_atomically(path, RESULT_FILE.dump(ResultFile(signature, result)))
        results.append(result)
        done = Progress(f"{run.unit.method}, {run.column}", run.number + 1, run.total)
        yield UnitDone(result, reused, done)
    notices = tuple(notice for one in sets for notice in one.notices)
    yield Reproduced(tuple(results), notices, Progress(experiment.name, len(runs), len(runs)))


def _sets(experiment: Experiment, data: Path, out: Path) -> list[DataSet]:
    work = out / PREPARED
    if not experiment.transfer:
        return [read_set(data, experiment.layout, work)]
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if len(folders) < 2:
        msg = f"{data} must hold at least two folders, each with a data set, to transfer between."
        raise ValueError(msg)
    return [read_set(folder, experiment.layout, work / folder.name) for folder in folders]


def _unit_runs(
    experiment: Experiment, sets: Sequence[DataSet], settings: ReproduceSettings
) -> list[_UnitRun]:
    wanted = {*settings.methods, "input"}  # improvements are relative to the input
    units = [u for u in experiment.units if not settings.methods or u.method in wanted]
    if experiment.transfer:
        cells = [(u, a, b) for a in sets for b in sets for u in units]
    else:
        cells = [(u, sets[0], sets[0]) for u in units]
    return [
        _UnitRun(experiment, unit, learn, test, settings, number, len(cells))
        for number, (unit, learn, test) in enumerate(cells)
    ]


def _compute(run: _UnitRun, out: Path) -> Generator[Progressed, None, tuple[CaseScores, ...]]:
    """Train where the method needs it, then restore and score every trial."""
    found = []
    method: ComparedMethod | None = None
    for number, trial in enumerate(run.test.trials):
        if method is None or run.unit.each:
            learn, folder = run.learn.learn, run.folder(out)
            if run.unit.each:
                learn, folder = learn[number : number + 1], folder / f"{number + 1:03d}"
            method = yield from _method(run, learn, folder)
        yield run.progressed(f"restoring {trial.pair.name}")
        with closing(method.work(Case.of(trial.pair))) as steps:
            for image in steps:
                if image is None:
                    yield run.progressed(f"restoring {trial.pair.name}")
        assert image is not None
        scores = score(image, trial.pair.target, run.experiment.matching, trial.regions)
        found.append(CaseScores(trial.pair.name, trial.group, scores))
    return tuple(found)


def _method(
    run: _UnitRun, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, ComparedMethod]:
    if not run.preset:
        return Input()
    if run.preset.endswith("nlm"):
        yield run.progressed("learning")
        planes = [(pair.source.read(), pair.target.read()) for pair in learn]
        if run.preset == "nlm":
            return NonLocalMeans.fitted(planes)
        from napari_aeanet.evaluation import NeighbourSettings, build_library

        return NeighbourMethod(build_library(planes, NeighbourSettings(seed=run.settings.seed)))
    from napari_aeanet.models import load_model

    path = yield from _train(run, learn, folder)
    settings = replace(run.unit.restore, device=run.settings.device, output=Output.FLOAT32)
    return Restoration(run.unit.method, load_model(path), settings)


def _train(
    run: _UnitRun, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, Path]:
    """Train, or resume the run in the folder, and return the path of the model."""
    from napari_aeanet.training import resume_events, train_events

    if (folder / PLAN).exists():
        events = resume_events(learn, folder)
    else:
        options = run.settings
        settings = TrainSettings(
            preset=run.preset,
            minutes=options.budget / (len(run.learn.learn) if run.unit.each else 1),
            steps=options.steps,
            patch=options.patch,
            batch=options.batch,
            seed=options.seed,
            device=options.device,
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The protocol decides which pairs are trained on.
        events = train_events(learn, kept_out_for(settings, learn), folder, force=True)
    with closing(events):
        for event in events:
            yield run.progressed(event.progress.line("step"))
    assert isinstance(event, Finished)
    return event.bundle


def _load_result(path: Path, signature: dict[str, Any]) -> UnitResult | None:
    """Return the result in a file, if it has this signature."""
    try:
        kept = from_plain(ResultFile, parse_json(path.read_bytes(), f"{path}"), f"{path}")
    except (OSError, ValueError):
        return None  # missing or damaged: computed again
    is_same = (kept.format, _completed(kept.signature)) == (FORMAT, signature)
    return kept.result if is_same else None


def _completed(signature: dict[str, Any]) -> dict[str, Any]:
    """Return a stored signature with the options that were added since, as their defaults."""
    unit = signature.get("unit", {})
    if "restore" not in unit:
        return signature
    restore = to_plain(RestoreSettings()) | unit["restore"]
    return signature | {"unit": unit | {"restore": restore}}
