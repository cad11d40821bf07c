"""Check the computer, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.progress import Progress, Progressed, ProgressOption, last_event
from napari_aeanet.doctor import facts as sources
from napari_aeanet.doctor.facts import ProbeError
from napari_aeanet.doctor.findings import (
    basic_findings,
    failed_self_test,
    qt_findings,
    self_test_finding,
    torch_findings,
)
from napari_aeanet.doctor.settings import Checkup, CheckupEvent, ComputerFacts, Finding, Found

WHAT = "checking the computer"
PARTS = 4


def check_computer(*, self_test: bool = True, progress: ProgressOption = False) -> Checkup:
    """Return findings on Python, packages, PyTorch, graphics card, napari, memory and disk.

    Parameters
    ----------
    self_test
        Also restore a small image on every kind of device, about ten seconds.
    progress
        True for a progress bar in the terminal, or a function that is called with each `Progress`.
    """
    last = last_event(check_computer_events(self_test=self_test), progress)
    assert isinstance(last, Checkup)
    return last


def check_computer_events(*, self_test: bool = True) -> Iterator[CheckupEvent]:
    """Return a generator that checks the computer: findings as they come, and all at last."""
    check_type("self_test", self_test, bool)
    return _checked(self_test)


def _checked(self_test: bool) -> Iterator[CheckupEvent]:
    findings: list[Finding] = []

    def add(found: Iterator[Finding], done: int) -> Iterator[Found]:
        for finding in found:
            findings.append(finding)
            yield Found(finding, Progress(WHAT, done, PARTS))

    yield Progressed(Progress(WHAT, 0, PARTS))
    facts = sources.basic_facts()
    yield from add(basic_findings(facts), 1)
    facts = _with_torch(facts)
    yield from add(torch_findings(facts), 2)
    facts = _with_qt(facts)
    yield from add(qt_findings(facts), 3)
    if self_test and facts.torch is not None:
        for device in _devices(facts):
            facts, finding = _with_self_test(facts, device)
            yield from add(iter([finding]), 3)
    yield Checkup(tuple(findings), facts, Progress(WHAT, PARTS, PARTS))


def _devices(facts: ComputerFacts) -> list[str]:
    """Return the kinds of devices to test."""
    torch = facts.torch
    if torch is None:
        return []
    cuda = ["cuda"] if torch.devices and not torch.trouble else []
    return [*cuda, *(["mps"] if torch.mps == "usable" else []), "cpu"]


def _with_torch(facts: ComputerFacts) -> ComputerFacts:
    try:
        return replace(facts, torch=sources.torch_facts())
    except ProbeError as error:
        return _with_error(facts, "torch", error)


def _with_qt(facts: ComputerFacts) -> ComputerFacts:
    try:
        return replace(facts, qt=sources.qt_facts())
    except ProbeError as error:
        return _with_error(facts, "qt", error)


def _with_self_test(facts: ComputerFacts, device: str) -> tuple[ComputerFacts, Finding]:
    try:
        found = sources.self_test_facts(device)
    except ProbeError as error:
        topic = f"self-test on {device}"
        return _with_error(facts, topic, error), failed_self_test(device, str(error))
    facts = replace(facts, self_tests=(*facts.self_tests, found))
    return facts, self_test_finding(found)


def _with_error(facts: ComputerFacts, topic: str, error: ProbeError) -> ComputerFacts:
    return replace(facts, errors={**facts.errors, topic: str(error)})
