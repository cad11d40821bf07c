"""`napari-aeanet calibrate`: calibrate the uncertainty of a model on pairs of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.trust import CalibrateSettings


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Calibrate the uncertainty of a model: intervals that hold 68 % and 90 % of its errors.

    The calibration is kept in the model file; its restoration stays as it is. Then `trust` gives
    the half-widths of both intervals. A training with --uncertainty, and a quick one of some
    200 steps, has calibrated its model already.

    Parameters
    ----------
    inputs
        Registered pairs, best of images that the model was not trained on; of others the part that
        was kept out is used. A pair list (.json) written by `register`; or two folders, two stacks,
        a .csv or an .npz file.
    model
        Model file (.aeanet).
    output
        Model file to write; default: the model itself.
    overwrite
        Replace the calibration of a model that has one; or an existing output.
    settings
        How to calibrate.

    Examples
    --------
    napari-aeanet calibrate pairs.json -m sem.aeanet
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    overwrite: FlagCreatePairsOff[bool] = False
    settings: Annotated[CalibrateSettings, arg(name="")] = field(default_factory=CalibrateSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs, model_to_write
        from napari_aeanet.cli.progress import print_note, shown
        from napari_aeanet.models import load_model, save_model
        from napari_aeanet.trust import IntervalCalibration, ModelCalibrated, calibrate_events

        model = load_model(self.model)
        has_some = IntervalCalibration.of(model.statistics, self.model.name) is not None
        output = model_to_write(
            model, self.output, overwrite=self.overwrite, held="a calibration" if has_some else ""
        )
        pairs = collect_pairs(self.inputs).pairs
        *_, event = shown(calibrate_events(model, pairs, self.settings), "crop")
        assert isinstance(event, ModelCalibrated)
        for notice in event.notices:
            print_note(notice)
        save_model(event.model, output)
        count = f"{event.images} image{'s' if event.images > 1 else ''}"
        print_note(f"Calibrated on {count}; widths are made from the {event.score}.")
        print(output)
        return 0
