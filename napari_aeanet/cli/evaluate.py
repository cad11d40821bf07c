"""`napari-aeanet evaluate`: how near images are to their truth, and which model is better."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.evaluation import EvaluateSettings, Evaluation, Scored

if TYPE_CHECKING:
    from napari_aeanet.evaluation import Case, ComparedMethod


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare images with their truth, or models with each other on pairs.

    Give predictions (files or folders) and --truth; or pairs and --model, and the models restore
    the sources first. What a model has learnt from is left out.

    Parameters
    ----------
    inputs
        With --truth: files or folders of predictions. With --model: a pair list (.json), a .csv,
        an .npz, two folders or two files.
    truth
        The file or folder that predictions are compared with.
    model
        Model files (.aeanet), as many as are to be compared.
    out
        Folder for scores.csv and report.pdf; default: nothing is written.
    error_maps
        Also write image - truth of every image into the folder.
    settings
        How to compare.
    """

    inputs: Positional[tuple[Path, ...]]
    truth: Annotated[Path | None, arg(aliases=["-t"])] = None
    model: Annotated[tuple[Path, ...], arg(aliases=["-m"])] = ()
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    error_maps: FlagCreatePairsOff[bool] = False
    settings: Annotated[EvaluateSettings, arg(name="")] = field(default_factory=EvaluateSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import shown
        from napari_aeanet.evaluation import Evaluated, evaluate_events

        if self.error_maps and self.out is None:
            raise ValueError("error maps need a folder to go to: give --out.")
        cases, contenders = self._from_files() if self.truth else self._from_models()
        for event in shown(evaluate_events(cases, contenders, self.settings), "image"):
            if isinstance(event, Scored) and self.error_maps:
                self._write_error(event)
            elif isinstance(event, Evaluated):
                self._report(event.evaluation)
        return 0

    def _from_files(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.evaluation import GivenImages, cases_from_files

        if self.model or not self.inputs or self.truth is None:
            raise ValueError(
                "give predictions with --truth, or pairs with --model, not both: "
                f"got {len(self.inputs)} inputs and {len(self.model)} models."
            )
        cases, problems = cases_from_files(self.truth, self.inputs)
        for problem in problems:
            print(f"note: {problem}", file=sys.stderr)
        names = dict.fromkeys(name for case in cases for name in case.files)
        return cases, [GivenImages(name) for name in names]

    def _from_models(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.cli.console import collect_pairs, report_pairs
        from napari_aeanet.evaluation import Case, Input, Restoration
        from napari_aeanet.models import load_model

        if not self.model:
            raise ValueError("give the truth of the images (--truth), or models to try (--model).")
        found = collect_pairs(self.inputs)
        report_pairs(found)
        models = [load_model(path) for path in self.model]
        names = [model.card.name for model in models]
        contenders: list[ComparedMethod] = [Input()]
        for path, name, model in zip(self.model, names, models, strict=True):
            contenders.append(Restoration(name if names.count(name) == 1 else str(path), model))
        return [Case.of(pair) for pair in found.pairs], contenders

    def _write_error(self, event: Scored) -> None:
        from napari_aeanet.io import write_image

        folder = self._folder() / "errors"
        folder.mkdir(exist_ok=True)
        words = f"{event.row.case} {event.row.method} error".replace("/", "-")
        write_image(event.error, folder / f"{words}.ome.tif")

    def _report(self, evaluation: Evaluation) -> None:
        from napari_aeanet.evaluation import report

        for notice in evaluation.notices:
            print(f"note: {notice}", file=sys.stderr)
        print(report.setting_in_words(evaluation))
        print(report.in_columns(report.table(evaluation)))
        for sentence in report.tests_in_words(evaluation):
            print(sentence)
        if self.out is not None:
            folder = self._folder()
            report.save_csv(evaluation, folder / "scores.csv")
            report.save_page(evaluation, folder / "report.pdf")
            print(folder / "report.pdf")

    def _folder(self) -> Path:
        assert self.out is not None
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out
