"""`napari-aeanet register`: align pairs and report the quality."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.registration import RegistrationSettings

RESULTS = ("pairs.json", "registration.csv", "checkerboards.png")


@dataclass(frozen=True, kw_only=True)
class Register:
    """Align low-resolution images with their high-resolution partners.

    Write OUTPUT/pairs.json (for `train`), OUTPUT/registration.csv and OUTPUT/checkerboards.png.

    Parameters
    ----------
    inputs
        Two folders, two image files or page stacks, two globs ("lr/*.tif" "hr/*.tif"), two lists of
        files (.txt), or one pair list (.json, .csv, .npz).
    output
        Folder for the results.
    overwrite
        Replace the results of an earlier registration there.
    json
        Print the registrations as JSON.
    itk
        Also write the transforms as OUTPUT/itk/PAIR.tfm, for SimpleITK, elastix, ANTs or 3D
        Slicer: from target to source, for images with a spacing of 1.
    scenes
        Also write them as OUTPUT/scenes/PAIR.zarr: OME-Zarr 0.6, in lengths where known.
    settings
        How to register.

    Examples
    --------
    napari-aeanet register lr hr -o registered
    napari-aeanet register S01_lr.tif S01_hr.tif -o S01 --magnification 2 --json
    """

    inputs: Positional[tuple[Path, ...]]
    output: Annotated[Path, arg(aliases=["-o"])]
    overwrite: FlagCreatePairsOff[bool] = False
    json: FlagCreatePairsOff[bool] = False
    itk: FlagCreatePairsOff[bool] = False
    scenes: FlagCreatePairsOff[bool] = False
    settings: Annotated[RegistrationSettings, arg(name="")] = field(
        default_factory=RegistrationSettings
    )

    def run(self) -> int:
        from napari_aeanet.batch import refuse_existing
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.cli.options import save_run_file
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.cli.streams import print_json
        from napari_aeanet.pairs import (
            register_all_events,
            registration_as_plain,
            save_contact_sheet,
            save_pairs,
            save_table,
            save_transforms,
        )

        outputs = [self.output / name for name in RESULTS]
        folders = [self.output / kind for kind in ("itk", "scenes") if getattr(self, kind)]
        refuse_existing([*outputs, *folders], overwrite=self.overwrite)
        found = collect_pairs(self.inputs)
        pairs, unread = list(found.pairs), found.problems
        registrations = []
        try:
            for event in shown(register_all_events(pairs, self.settings), "pair"):
                pairs[event.index] = event.pair
                registrations.append(event.registration)
                print(f"{event.pair.name}: {event.registration.sentence()}")
        except KeyboardInterrupt as stop:
            stop.args = ("stopped; nothing was written.",)
            raise
        self.output.mkdir(parents=True, exist_ok=True)
        save_pairs(pairs, outputs[0])
        save_table(pairs, outputs[1], unread)
        save_contact_sheet(pairs, outputs[2])
        for folder in folders:
            as_scenes = folder.name == "scenes"
            written, problems = save_transforms(pairs, folder, as_scenes=as_scenes)
            outputs += written
            for problem in problems:
                print(problem)
        usable = sum(registration.verdict.is_usable for registration in registrations)
        notes = list(map(str, unread))
        save_run_file("register", self, outputs, inputs=self.inputs, notes=notes)
        print(f"{usable} of {len(pairs) + len(unread)} pairs can be trained on: {outputs[0]}")
        if doubtful := sum(pair.is_doubtful for pair in pairs):
            print(
                f"{doubtful} more if you accept what is doubtful: look at {outputs[2]}, or in "
                "AEANet: Pairs, and add --accept-doubtful to train"
            )
        if usable:
            words = ["napari-aeanet", "train", str(outputs[0]), "-o", "run"]
            print(f"next: {shlex.join(words)}")
        if self.json:
            registered = zip(pairs, registrations, strict=True)
            plain = [registration_as_plain(pair.name, one) for pair, one in registered]
            failed = {"verdict": "failed", "usable": False}
            plain += [{"pair": one.pair, **failed, "reason": one.message} for one in unread]
            print_json(plain)
        return 0 if usable and not unread else 1
