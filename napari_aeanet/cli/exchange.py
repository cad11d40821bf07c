"""`napari-aeanet export` and `import-bioimageio`: models for other programs and from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.exchange.settings import ExportSettings


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model for other programs, as bioimage.io package, ONNX or TorchScript.

    The exported model is tested before anything is written: it must give the results of this
    program.

    Parameters
    ----------
    model
        Model file (.aeanet).
    output
        File to write (.zip, .onnx or .pt).
    overwrite
        Replace an earlier file.
    settings
        What to write.

    Examples
    --------
    napari-aeanet export sem.aeanet -o sem.zip --author "A. Author" --license CC-BY-4.0
    napari-aeanet export sem.aeanet -o sem.onnx --to onnx
    """

    model: Positional[Path]
    output: Annotated[Path, arg(aliases=["-o"])]
    overwrite: FlagCreatePairsOff[bool] = False
    settings: Annotated[ExportSettings, arg(name="")] = field(default_factory=ExportSettings)

    def run(self) -> int:
        from napari_aeanet.cli.progress import print_note, result
        from napari_aeanet.exchange import Exported, export_events

        events = export_events(self.model, self.output, self.settings, overwrite=self.overwrite)
        done = result(events, "step", Exported)
        for notice in done.notices:
            print_note(notice)
        print(f"{self.output}: tested; largest difference from the results of this program:")
        for form, found in done.differences.items():
            print(f"  {form}: {found:.1e} of the largest value")
        return 0


@dataclass(frozen=True, kw_only=True)
class ImportBioimageio:
    """Convert a bioimage.io package that `export` wrote to a model file, to restore or train.

    The weights may be those of a training elsewhere. No code of the package is run.

    Parameters
    ----------
    package
        The package (.zip).
    output
        Model file to write (.aeanet).
    overwrite
        Replace an earlier file.

    Examples
    --------
    napari-aeanet import-bioimageio sem.zip -o sem-again.aeanet
    """

    package: Positional[Path]
    output: Annotated[Path, arg(aliases=["-o"])]
    overwrite: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.exchange import import_package
        from napari_aeanet.models import save_model

        if self.output.exists() and not self.overwrite:
            msg = f"{self.output} exists already: choose another name, or --overwrite."
            raise FileExistsError(msg)
        model = import_package(self.package)
        save_model(model, self.output)
        print(f"{self.output}: {model.card.name}")
        return 0
