"""Computation of the papers' tables on a copy of their data, method by method.

    data -> units (a method in a column) -> train, restore, score -> results/UNIT.json -> table

Finished units are read from their files, and an interrupted training is resumed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import Progress, Progressed, last_event
from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain
from napari_aeanet.reproduction.data_sets import read_set
from napari_aeanet.reproduction.label_free import structure_folders
from napari_aeanet.reproduction.papers import EXPERIMENTS, INPUT, Experiment, Unit
from napari_aeanet.reproduction.settings import (
    Reproduced,
    ReproduceEvent,
    ReproduceSettings,
    UnitDone,
    UnitResult,
)
from napari_aeanet.reproduction.unit_run import SMALL, UnitRun, compute
from napari_aeanet.restoration import RestoreSettings

if TYPE_CHECKING:
    from napari_aeanet.core.progress import ProgressOption

RESULTS, PREPARED = "results", "sets"
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
    if settings.vgg_weights:
        raise ValueError(f"vgg_weights is for slices, not for {experiment.name}: leave it out.")
    return _events(experiment, data, out, settings)


def _events(
    experiment: Experiment, data: Path, out: Path, settings: ReproduceSettings
) -> Iterator[ReproduceEvent]:
    groups = _groups(experiment, data)
    units = _wanted(experiment, settings)
    total = sum(len(units) * (len(g) ** 2 if len(g) > 1 else 1) for g in groups)
    results: list[UnitResult] = []
    notices: list[str] = []
    number = 0
    (out / RESULTS).mkdir(parents=True, exist_ok=True)
    for folders in groups:
        sets = []
        for folder in folders:
            yield Progressed(Progress(f"reading {folder.name}", number, total))
            work = out / PREPARED
            work = work if folder == data else work / folder.name
            sets.append(read_set(folder, experiment.layout, work))
        prints = {one.name: one.fingerprint() for one in sets}
        notices += [notice for one in sets for notice in one.notices]
        for unit, learn, test in ((u, a, b) for a in sets for b in sets for u in units):
            number += 1
            run = UnitRun(experiment, unit, learn, test, settings, number - 1, total)
            if not run.is_possible:
                continue
            result, reused = yield from _result(run, out, prints)
            results.append(result)
            done = Progress(f"{run.unit.method}, {run.column}", number, total)
            yield UnitDone(result, reused, done)
    yield Reproduced(tuple(results), tuple(notices), Progress(experiment.name, total, total))


def _result(
    run: UnitRun, out: Path, prints: dict[str, str]
) -> Generator[Progressed, None, tuple[UnitResult, bool]]:
    """Return the result of a unit, and True if it was read from its file."""
    path, signature = out / RESULTS / run.file_name, run.signature(prints)
    if (kept := _load_result(path, signature)) is not None:
        return kept, True
    start = monotonic()
    found = yield from compute(run, out)
    size = "small" if run.preset.endswith(SMALL) else ""
    result = UnitResult(
        run.unit.method,
        run.column,
        size,
        monotonic() - start,
        found.cases,
        found.parameters,
        found.per_image,
    )
    write_bytes_atomically(path, RESULT_FILE.dump(ResultFile(signature, result)))
    return result, False


def _groups(experiment: Experiment, data: Path) -> list[list[Path]]:
    """Return the folders of the data sets, in groups of those that are needed at once."""
    match experiment.sets:
        case "one":
            return [[data]]
        case "each":
            return [[folder] for folder in structure_folders(data)]
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if len(folders) < 2:
        msg = f"{data} must hold at least two folders, each with a data set, to transfer between."
        raise ValueError(msg)
    return [folders]


def _wanted(experiment: Experiment, settings: ReproduceSettings) -> list[Unit]:
    """Return the units of the chosen methods, and the input, which gains are relative to."""
    wanted = {*settings.methods, INPUT}
    return [u for u in experiment.units if not settings.methods or u.method in wanted]


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
    unit, settings = signature.get("unit", {}), signature.get("settings", {})
    if "restore" not in unit:
        return signature
    unit = unit | {"restore": to_plain(RestoreSettings()) | unit["restore"]}
    if settings.keys() > {"seed"}:
        settings = to_plain(DEFAULTS) | settings
    return {"planes": 0} | signature | {"unit": unit, "settings": settings}
