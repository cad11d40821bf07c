"""`napari-aeanet register`: align pairs and report the quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from napari_aeanet.registration import RegistrationSettings


@dataclass(frozen=True, kw_only=True)
class Register:
    """Align low-resolution images with their high-resolution partners.

    Write OUTPUT/pairs.json (for `train`), OUTPUT/registration.csv and OUTPUT/checkerboards.png.

    Parameters
    ----------
    inputs
        Two folders, two image files or page stacks, or one pair list (.json, .csv, .npz).
    output
        Folder for the results.
    settings
        How to register.
    """

    inputs: Positional[tuple[Path, ...]]
    output: Annotated[Path, arg(aliases=["-o"])]
    settings: Annotated[RegistrationSettings, arg(name="")] = field(
        default_factory=RegistrationSettings
    )

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.pairs import (
            register_all_events,
            save_contact_sheet,
            save_pairs,
            save_table,
        )

        found = collect_pairs(self.inputs)
        self.output.mkdir(parents=True, exist_ok=True)
        pairs = list(found.pairs)
        registrations = []
        for event in shown(register_all_events(pairs, self.settings), "pair"):
            pairs[event.index] = event.pair
            registrations.append(event.registration)
            print(f"{event.pair.name}: {event.registration.sentence()}")
        save_pairs(pairs, self.output / "pairs.json")
        save_table(pairs, self.output / "registration.csv")
        save_contact_sheet(pairs, self.output / "checkerboards.png")
        usable = sum(registration.verdict.is_usable for registration in registrations)
        print(f"{usable} of {len(pairs)} pairs can be trained on: {self.output}")
        return 0 if usable else 1
