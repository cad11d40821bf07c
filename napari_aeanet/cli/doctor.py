"""`napari-aeanet doctor`: check the computer."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass

from tyro.conf import FlagCreatePairsOff

WIDTH = 96
MARKS = {"good": "ok", "note": "note", "broken": "BROKEN"}


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check the computer: versions, PyTorch, graphics card, napari, memory, disk, and a self-test.

    Runs also where PyTorch, Qt or napari are missing or broken, and says so. The exit code is 1 if
    something is broken.

    Parameters
    ----------
    json
        Print findings and facts as JSON.
    no_self_test
        Leave out the self-test, which restores a small image (about ten seconds).

    Examples
    --------
    napari-aeanet doctor
    """

    json: FlagCreatePairsOff[bool] = False
    no_self_test: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.cli.progress import result
        from napari_aeanet.cli.streams import print_json
        from napari_aeanet.doctor import Checkup, check_computer_events

        events = check_computer_events(self_test=not self.no_self_test)
        found = result(events, "part", Checkup)
        if self.json:
            findings = [asdict(finding) for finding in found.findings]
            print_json(
                {"broken": found.is_broken, "findings": findings, "facts": asdict(found.facts)}
            )
            return int(found.is_broken)
        for finding in found.findings:
            head = f"{MARKS[finding.condition]:<7}{finding.topic}: "
            print(textwrap.fill(head + finding.text, WIDTH, subsequent_indent=" " * 7))
            if finding.advice:
                # Not filled: commands are copied from here.
                print(f"{'':<7}-> {finding.advice}")
        print(found.summary)
        return int(found.is_broken)
