"""`napari-aeanet evaluate`: compare images with their truth, and models with each other."""

from __future__ import annotations

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

    Give predictions (files or folders) and --truth; or pairs and --model to restore the sources
    first. Images that a model was trained on are left out.

    Parameters
    ----------
    inputs
        With --truth: files or folders of predictions. With --model: a pair list (.json), a .csv,
        an .npz, two folders or two files.
    truth
        File or folder with the truth of the predictions.
    model
        Model files (.aeanet) to compare.
    out
        Folder for scores.csv and report.pdf; default: nothing is written.
    error_maps
        Also write image - truth of every image into the folder.
    settings
        How to compare.

    Examples
    --------
    napari-aeanet evaluate pairs.json -m sem.aeanet mine.aeanet -o evaluation
    napari-aeanet evaluate restored --truth hr
    """

    inputs: Positional[tuple[Path, ...]]
    truth: Annotated[Path | None, arg(aliases=["-t"])] = None
    model: Annotated[tuple[Path, ...], arg(aliases=["-m"])] = ()
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    error_maps: FlagCreatePairsOff[bool] = False
    settings: Annotated[EvaluateSettings, arg(name="")] = field(default_factory=EvaluateSettings)

    def run(self) -> int:
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.evaluation import Evaluated, evaluate_events

        if self.error_maps and self.out is None:
            raise ValueError("error maps need a folder: give --out.")
        cases, methods = self._from_files() if self.truth else self._from_models()
        for event in shown(evaluate_events(cases, methods, self.settings), "image"):
            if isinstance(event, Scored) and self.error_maps:
                self._write_error(event)
            elif isinstance(event, Evaluated):
                self._report(event.evaluation)
        return 0

    def _from_files(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.evaluation import GivenImages, cases_from_files

        if self.model or not self.inputs or self.truth is None:
            raise ValueError(
                "give predictions with --truth, or pairs with --model, not both: "
                f"got {len(self.inputs)} inputs and {len(self.model)} models."
            )
        cases, problems = cases_from_files(self.truth, self.inputs)
        for problem in problems:
            print_note(problem)
        names = dict.fromkeys(name for case in cases for name in case.files)
        return cases, [GivenImages(name) for name in names]

    def _from_models(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.evaluation import Case, Input, Restoration
        from napari_aeanet.models import load_model

        if not self.model:
            raise ValueError("give the truth of the images (--truth), or models (--model).")
        pairs = collect_pairs(self.inputs).pairs
        models = [load_model(path) for path in self.model]
        names = [model.card.name for model in models]
        methods: list[ComparedMethod] = [Input()]
        for path, name, model in zip(self.model, names, models, strict=True):
            methods.append(Restoration(name if names.count(name) == 1 else str(path), model))
        return [Case.of(pair) for pair in pairs], methods

    def _write_error(self, event: Scored) -> None:
        from napari_aeanet.io import write_image

        assert self.out is not None
        folder = self.out / "errors"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{event.row.case} {event.row.method} error".replace("/", "-")
        write_image(event.error, folder / f"{name}.ome.tif")

    def _report(self, evaluation: Evaluation) -> None:
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.evaluation import report

        for notice in evaluation.notices:
            print_note(notice)
        print(report.setting_in_words(evaluation))
        print(report.in_columns(report.table(evaluation)))
        for sentence in report.tests_in_words(evaluation):
            print(sentence)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            report.save_csv(evaluation, self.out / "scores.csv")
            report.save_page(evaluation, self.out / "report.pdf")
            print(self.out / "report.pdf")
