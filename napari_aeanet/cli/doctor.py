"""`napari-aeanet doctor`: check the computer."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

if TYPE_CHECKING:
    from napari_aeanet.benchmark import BenchmarkReport
    from napari_aeanet.doctor import Checkup

WIDTH = 96
MARKS = {"good": "ok", "note": "note", "broken": "BROKEN"}


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check the computer: versions, PyTorch, graphics card, napari, memory, disk, and a self-test.

    Runs also where PyTorch, Qt or napari are missing or broken, and says so. The exit code is 1 if
    the self-test fails or PyTorch cannot be used; with --benchmark, also if a network computes
    wrongly or exact tiles are not exact. Everything else is advice.

    Parameters
    ----------
    json
        Print findings, facts and figures as JSON.
    no_self_test
        Leave out the self-test, which restores a small image (about ten seconds).
    benchmark
        Also measure accuracy, training and restoring on every kind of device (up to ten minutes).
    out
        Folder for the benchmark: benchmark.json and benchmark.md; default: it is printed.
    overwrite
        Replace an earlier benchmark there.

    Examples
    --------
    napari-aeanet doctor
    napari-aeanet doctor --benchmark -o benchmark
    """

    json: FlagCreatePairsOff[bool] = False
    no_self_test: FlagCreatePairsOff[bool] = False
    benchmark: FlagCreatePairsOff[bool] = False
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    overwrite: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.cli.progress import result
        from napari_aeanet.cli.streams import print_json
        from napari_aeanet.doctor import Checkup, check_computer_events

        self._check_out()
        events = check_computer_events(self_test=not self.no_self_test)
        found = result(events, "part", Checkup)
        if not self.json:
            self._print_findings(found)
        report = self._measured() if self.benchmark and found.facts.torch is not None else None
        if self.json:
            findings = [asdict(finding) for finding in found.findings]
            values: dict[str, Any] = {
                "broken": found.is_broken,
                "findings": findings,
                "facts": asdict(found.facts),
            }
            if report is not None:
                from napari_aeanet.benchmark import as_plain

                values["benchmark"] = as_plain(report)
            print_json(values)
        return int(found.is_failed or (report is not None and bool(report.failed)))

    def _check_out(self) -> None:
        """Raise an error if files would be written unasked, or over others."""
        from napari_aeanet.batch import refuse_existing

        if self.out is None:
            return
        if not self.benchmark:
            raise ValueError("--out is the folder of a benchmark: give --benchmark too.")
        from napari_aeanet.benchmark.settings import JSON_NAME, PAGE_NAME

        outputs = [self.out / JSON_NAME, self.out / PAGE_NAME]
        refuse_existing(outputs, overwrite=self.overwrite)

    def _print_findings(self, found: Checkup) -> None:
        for finding in found.findings:
            head = f"{MARKS[finding.condition]:<7}{finding.topic}: "
            print(textwrap.fill(head + finding.text, WIDTH, subsequent_indent=" " * 7))
            if finding.advice:
                # Not filled: commands are copied from here.
                print(f"{'':<7}-> {finding.advice}")
        print(found.summary)

    def _measured(self) -> BenchmarkReport:
        from napari_aeanet.benchmark import (
            BenchmarkReport,
            benchmark_events,
            page_of,
            save_report,
        )
        from napari_aeanet.cli.progress import result

        report = result(benchmark_events(), "part", BenchmarkReport)
        if self.out is not None:
            paths = save_report(report, self.out)
            if not self.json:
                print(report.summary)
                for path in paths:
                    print(path)
        elif not self.json:
            print(f"\n{page_of(report)}")
        return report
