"""The papers' tables on your own copy of their data: method by method, and gone on with when left.

    data -> units (a method in a column) -> train, restore, score -> results/UNIT.json -> table

A unit whose result is there is not computed again; a training that was left is gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.evaluation import (
    Case,
    ComparedMethod,
    Input,
    Neighbours,
    NonLocalMeans,
    Restoration,
    Scores,
    score,
)
from napari_aeanet.models import baselines
from napari_aeanet.pairs import ImagePair
from napari_aeanet.reproduction.data_sets import DataSet, Trial, kept_out_for, read_set
from napari_aeanet.reproduction.papers import Experiment, Unit
from napari_aeanet.reproduction.settings import (
    CaseScores,
    Reproduced,
    ReproduceEvent,
    ReproduceSettings,
    UnitDone,
    UnitResult,
)
from napari_aeanet.training import Finished, TrainEvent, TrainSettings, run_folder

RESULTS, RUNS, PREPARED = "results", "runs", "sets"
SMALL = "-small"


@dataclass(frozen=True, eq=False)
class _Job:
    """A unit with its sets."""

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
        """In the small size, where there is one and the published is not asked for."""
        small = f"{self.unit.preset}{SMALL}"
        if not self.settings.published_sizes and small in {p.name for p in baselines()}:
            return small
        return self.unit.preset

    @property
    def size(self) -> str:
        return "small" if self.preset.endswith(SMALL) else ""

    @property
    def key(self) -> str:
        words = f"{self.experiment.name} {self.column} {self.unit.method}"
        return "".join(c if c.isalnum() else "-" for c in words)

    def folder(self, out: Path) -> Path:
        """Where its training is kept: restoring differently does not train anew."""
        s = self.settings
        budget = f"{s.steps}-steps" if s.steps else f"{s.budget:g}-min"
        each = "self" if self.unit.each else "pooled"
        odd = "".join(f"-{name}{n}" for name, n in (("p", s.patch), ("b", s.batch)) if n)
        return out / RUNS / f"{self.learn.name}-{self.preset}-{each}-{budget}{odd}-seed{s.seed}"

    def signature(self, prints: dict[str, str]) -> dict[str, Any]:
        """Everything that the result depends on, as JSON gives it back."""
        settings = asdict(replace(self.settings, methods=()))
        if not self.unit.preset or self.unit.preset.endswith("nlm"):
            settings = {"seed": self.settings.seed}
        values = {
            "unit": asdict(self.unit),
            "preset": self.preset,
            "sets": [prints[self.learn.name], prints[self.test.name]],
            "settings": settings,
            "matching": self.experiment.matching,
        }
        return json.loads(json.dumps(values))

    def doing(self, what: str) -> Progressed:
        name = f"{self.unit.method}, {self.column}"
        return Progressed(Progress(f"{name}: {what}", self.number, self.total))


def reproduce_events(
    experiment: Experiment, data: Path, out: Path, settings: ReproduceSettings
) -> Iterator[ReproduceEvent]:
    """Compute a table of a paper on the data set in the folder `data`; all is kept in `out`.

    Close the generator to stop; call it again to go on.

    Raises
    ------
    ValueError
        If the folder does not hold such data, or the settings name no method of the table.
    """
    known = list(dict.fromkeys(unit.method for unit in experiment.units))
    if unknown := set(settings.methods) - set(known):
        msg = f"{experiment.name} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}."
        raise ValueError(msg)
    yield Progressed(Progress(f"reading {data.name}", 0, len(experiment.units)))
    sets = _sets(experiment, data, out)
    prints = {one.name: one.fingerprint() for one in sets}
    (out / RESULTS).mkdir(parents=True, exist_ok=True)
    jobs = _jobs(experiment, sets, settings)
    results = []
    for job in jobs:
        path, signature = out / RESULTS / f"{job.key}.json", job.signature(prints)
        result = _kept(path, signature)
        reused = result is not None
        if result is None:
            began = monotonic()
            cases = yield from _worked(job, out)
            seconds = monotonic() - began
            result = UnitResult(job.unit.method, job.column, job.size, seconds, cases)
            _keep(path, signature, result)
        results.append(result)
        done = Progress(f"{job.unit.method}, {job.column}", job.number + 1, job.total)
        yield UnitDone(result, reused, done)
    notices = tuple(notice for one in sets for notice in one.notices)
    yield Reproduced(tuple(results), notices, Progress(experiment.name, len(jobs), len(jobs)))


def _sets(experiment: Experiment, data: Path, out: Path) -> list[DataSet]:
    work = out / PREPARED
    if not experiment.transfer:
        return [read_set(data, experiment.layout, work)]
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if len(folders) < 2:
        msg = f"{data} must hold at least two folders, each with a data set, to transfer between."
        raise ValueError(msg)
    return [read_set(folder, experiment.layout, work / folder.name) for folder in folders]


def _jobs(
    experiment: Experiment, sets: Sequence[DataSet], settings: ReproduceSettings
) -> list[_Job]:
    wanted = {*settings.methods, "input"}  # improvements are told over it
    units = [u for u in experiment.units if not settings.methods or u.method in wanted]
    if experiment.transfer:
        places = [(u, a, b) for a in sets for b in sets for u in units]
    else:
        places = [(u, sets[0], sets[0]) for u in units]
    return [
        _Job(experiment, unit, learn, test, settings, number, len(places))
        for number, (unit, learn, test) in enumerate(places)
    ]


def _worked(job: _Job, out: Path) -> Generator[Progressed, None, tuple[CaseScores, ...]]:
    """Train where there is something to train, restore every trial, score it."""
    found = []
    contender: ComparedMethod | None = None
    for number, trial in enumerate(job.test.trials):
        if contender is None or job.unit.each:
            learn = job.learn.learn[number : number + 1] if job.unit.each else job.learn.learn
            folder = job.folder(out)
            contender = yield from _contender(
                job, learn, folder / f"{number + 1:03d}" if job.unit.each else folder
            )
        yield job.doing(f"restoring {trial.pair.name}")
        scores = yield from _scored(job, contender, trial)
        found.append(CaseScores(trial.pair.name, trial.group, scores))
    return tuple(found)


def _contender(
    job: _Job, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, ComparedMethod]:
    if not job.preset:
        return Input()
    if job.preset.endswith("nlm"):
        yield job.doing("learning")
        planes = [(pair.source.read(), pair.target.read()) for pair in learn]
        if job.preset == "nlm":
            return NonLocalMeans.fitted(planes)
        from napari_aeanet.evaluation import NeighbourSettings, build_library

        return Neighbours(build_library(planes, NeighbourSettings(seed=job.settings.seed)))
    from napari_aeanet.models import load_model

    bundle = yield from _trained(job, learn, folder)
    settings = replace(job.unit.restore, device=job.settings.device)
    return Restoration(job.unit.method, load_model(bundle), settings)


def _trained(
    job: _Job, learn: Sequence[ImagePair], folder: Path
) -> Generator[Progressed, None, Path]:
    """The model of a run, which is begun, gone on with, or done already."""
    from napari_aeanet.training import resume_events, train_events

    asked = job.settings
    share = len(job.learn.learn) if job.unit.each else 1
    settings = TrainSettings(
        preset=job.preset,
        minutes=asked.budget / share,
        steps=asked.steps,
        patch=asked.patch,
        batch=asked.batch,
        seed=asked.seed,
        device=asked.device,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    begun = (folder / run_folder.PLAN).exists()
    events = (
        resume_events(learn, folder)
        if begun
        else train_events(learn, kept_out_for(settings, learn), folder)
    )
    with closing(cast("Generator[TrainEvent, None, None]", events)):
        for event in events:
            if isinstance(event, Finished):
                return event.bundle
            yield job.doing(event.progress.line("step"))
    raise RuntimeError("the training ended without a result")


def _scored(
    job: _Job, contender: ComparedMethod, trial: Trial
) -> Generator[Progressed, None, Scores]:
    work = contender.work(Case.of(trial.pair))
    with closing(work):
        while True:
            try:
                next(work)
            except StopIteration as done:
                image = done.value
                break
            yield job.doing(f"restoring {trial.pair.name}")
    return score(image, trial.pair.target, job.experiment.matching, trial.regions)


def _kept(path: Path, signature: dict[str, Any]) -> UnitResult | None:
    """The result in a file, if it is that of this signature."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["signature"] != signature:
            return None
        result = values["result"]
        cases = tuple(
            CaseScores(one["case"], one["group"], Scores(**one["scores"]))
            for one in result["cases"]
        )
        return UnitResult(**{**result, "cases": cases})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, cut short or of another version: computed again


def _keep(path: Path, signature: dict[str, Any], result: UnitResult) -> None:
    content = json.dumps({"signature": signature, "result": asdict(result)}, indent=1)
    write_bytes_atomically(path, content.encode())
