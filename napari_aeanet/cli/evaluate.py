"""`napari-aeanet evaluate`: compare images with their truth, and models with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.evaluation import EvaluateSettings, Evaluation, PatchSettings, Scored

if TYPE_CHECKING:
    from napari_aeanet.evaluation import Case, ComparedMethod, Weights

SCORES, PAGE, ERRORS = "scores.csv", "report.pdf", "errors"
# Characters that file systems do not take.
UNUSABLE = str.maketrans(dict.fromkeys('/\\:*?"<>|', "-"))


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare images with their truth, or models with each other on pairs.

    Give predictions (files or folders) and --truth; or pairs, and --model to restore the sources.
    Images that a model was trained on are left out. The exit code is 1 if a method or an image has
    no figure.

    Parameters
    ----------
    inputs
        With --truth: files or folders of predictions; NAME-restored.ome.tif, NAME_denoised.tif and
        the like belong to NAME.tif. Otherwise pairs: a pair list (.json), a .csv, an .npz, two
        folders or two files.
    truth
        File or folder with the truth of the predictions.
    source
        File or folder with the inputs of the predictions, to compare with.
    model
        Model files (.aeanet) to compare.
    nlm
        Also restore the sources of pairs by non-local means.
    lb_nlm
        Also restore them by LB-NLM, with a library of the other pairs, or of --library.
    srsw
        Also restore them by SRSW, sparse weights of patches, with the same library.
    library
        Pairs for the library of LB-NLM (the default) or SRSW, given as inputs are: not those that
        are evaluated.
    out
        Folder for scores.csv and report.pdf; default: nothing is written.
    error_maps
        Also write image - truth of every image into the folder.
    overwrite
        Replace the results of an earlier evaluation there.
    json
        Print all figures, means and gains as JSON.
    settings
        How to compare.
    patches
        How models restore.

    Examples
    --------
    napari-aeanet evaluate pairs.json -m sem.aeanet mine.aeanet -o evaluation
    napari-aeanet evaluate pairs.json -m sem.aeanet --nlm --lb-nlm --srsw
    napari-aeanet evaluate pairs.json -m sem.aeanet --patch-size 256
    napari-aeanet evaluate restored --truth hr
    """

    inputs: Positional[tuple[Path, ...]]
    truth: Annotated[Path | None, arg(aliases=["-t"])] = None
    source: Path | None = None
    model: Annotated[tuple[Path, ...], arg(aliases=["-m"])] = ()
    nlm: FlagCreatePairsOff[bool] = False
    lb_nlm: FlagCreatePairsOff[bool] = False
    srsw: FlagCreatePairsOff[bool] = False
    library: tuple[Path, ...] = ()
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    error_maps: FlagCreatePairsOff[bool] = False
    overwrite: FlagCreatePairsOff[bool] = False
    json: FlagCreatePairsOff[bool] = False
    settings: Annotated[EvaluateSettings, arg(name="")] = field(default_factory=EvaluateSettings)
    patches: Annotated[PatchSettings, arg(name="")] = field(default_factory=PatchSettings)

    def run(self) -> int:
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.evaluation import Evaluated, evaluate_events

        self._check_outputs()
        cases, methods = self._from_files() if self.truth else self._from_pairs()
        taken: set[str] = set()
        code = 0
        for event in shown(evaluate_events(cases, methods, self.settings), "image"):
            if isinstance(event, Scored) and self.error_maps:
                self._write_error(event, taken)
            elif isinstance(event, Evaluated):
                code = self._report(event.evaluation)
        return code

    def _check_outputs(self) -> None:
        """Raise an error if a result would replace an existing file unasked."""
        from napari_aeanet.batch import refuse_existing

        if self.out is None:
            if self.error_maps:
                raise ValueError("error maps need a folder: give --out.")
            return
        outputs = [self.out / SCORES, self.out / PAGE]
        if self.error_maps:
            outputs += sorted((self.out / ERRORS).glob("*"))
        refuse_existing(outputs, overwrite=self.overwrite)

    def _from_files(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.evaluation import GivenImages, Input, cases_from_files

        if self.nlm or self.lb_nlm or self.srsw or self.library:
            msg = "NLM, LB-NLM and SRSW restore the sources of pairs: leave --truth out."
            raise ValueError(msg)
        if self.patches.patch_size:
            raise ValueError("--patch-size is for models that restore pairs: leave --truth out.")
        if self.model or not self.inputs or self.truth is None:
            raise ValueError(
                "give predictions with --truth, or pairs with --model, not both: "
                f"got {len(self.inputs)} inputs and {len(self.model)} models."
            )
        cases, problems = cases_from_files(self.truth, tuple(self._expanded()), self.source)
        for problem in problems:
            print_note(problem)
        names = dict.fromkeys(name for case in cases for name in case.files)
        methods: list[ComparedMethod] = [GivenImages(name) for name in names]
        if any(case.pair is not None for case in cases):
            methods.insert(0, Input.of(cases))
        return cases, methods

    def _expanded(self) -> Iterator[Path]:
        """Yield the inputs; of a pattern such as "pred/*.tif", the files that fit it."""
        from napari_aeanet.batch import find_inputs

        for path in self.inputs:
            if path.exists() or not set("*?[") & set(str(path)):
                yield path
            else:
                yield from (file.path for file in find_inputs((path,), results=True).files)

    def _from_pairs(self) -> tuple[Sequence[Case], Sequence[ComparedMethod]]:
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.evaluation import (
            Case,
            Input,
            NeighbourMethod,
            NeighbourSettings,
            NeighboursOfOthers,
            NonLocalMeans,
            Restoration,
            build_library,
            planes_of,
        )
        from napari_aeanet.models import load_model

        if self.source is not None:
            raise ValueError("--source belongs to --truth: pairs have their sources already.")
        pairs = collect_pairs(self.inputs).pairs
        cases = [Case.of(pair) for pair in pairs]
        models = [load_model(path) for path in self.model]
        names = [model.card.name for model in models]
        methods: list[ComparedMethod] = [Input.of(cases)]
        for path, name, model in zip(self.model, names, models, strict=True):
            title = name if names.count(name) == 1 else str(path)
            methods.append(
                Restoration(self.patches.titled(title), model, self.patches.restore_settings())
            )
        if self.nlm:
            methods.append(NonLocalMeans())
        planes = planes_of(collect_pairs(self.library).pairs) if self.library else []
        for weights in self._weights():
            settings = NeighbourSettings(weights=weights)
            if planes:
                methods.append(NeighbourMethod(build_library(planes, settings)))
            else:
                methods.append(NeighboursOfOthers(pairs, settings))
        return cases, methods

    def _weights(self) -> Iterator[Weights]:
        """Yield the methods with a library; LB-NLM if there is only a library."""
        from napari_aeanet.evaluation import Weights

        if self.lb_nlm or (self.library and not self.srsw):
            yield Weights.SIMILARITY
        if self.srsw:
            yield Weights.SPARSE

    def _write_error(self, event: Scored, taken: set[str]) -> None:
        """Write an error map to a file of its own, whatever the names of image and method."""
        from napari_aeanet.io import write_image

        assert self.out is not None
        folder = self.out / ERRORS
        folder.mkdir(parents=True, exist_ok=True)
        plain = f"{event.row.case} {event.row.method} error".translate(UNUSABLE)
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.casefold())
        write_image(event.error, folder / f"{name}.ome.tif")

    def _report(self, evaluation: Evaluation) -> int:
        from napari_aeanet.cli.options import save_run_file
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.cli.streams import print_error, print_json
        from napari_aeanet.evaluation import report

        for notice in evaluation.notices:
            print_note(notice)
        if self.json:
            print_json(report.as_plain(evaluation))
        else:
            print(report.setting_in_words(evaluation))
            print(report.in_columns(report.table(evaluation)))
            for sentence in report.tests_in_words(evaluation):
                print(sentence)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            report.save_csv(evaluation, self.out / SCORES)
            report.save_page(evaluation, self.out / PAGE)
            results = [self.out / SCORES, self.out / PAGE]
            save_run_file("evaluate", self, results, inputs=self.inputs, models=self.model)
            if not self.json:
                print(self.out / PAGE)
        if evaluation.missing:
            print_error(f"napari-aeanet: {evaluation.missing}")
        return 1 if evaluation.missing else 0
