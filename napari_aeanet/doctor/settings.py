"""Facts, findings and events of a check of the computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from napari_aeanet.core.progress import Progress, Progressed

# Topics of the findings that decide on success.
PYTORCH, SELF_TEST = "PyTorch", "Self-test"


class Condition(StrEnum):
    """Verdict on one part of the computer."""

    GOOD = "good"
    NOTE = "note"  # works, but could be better
    BROKEN = "broken"  # something does not work


@dataclass(frozen=True)
class Finding:
    """One sentence on a part of the computer, and one of advice where there is something to do."""

    topic: str
    condition: Condition
    text: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that is required: its installed version (None: missing), and the lowest one.

    `extra` is the extra that requires it; empty for the program itself.
    """

    name: str
    version: str | None
    lowest: str = ""
    extra: str = ""


@dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """Build of PyTorch and the devices that it can use.

    Parameters
    ----------
    cuda
        CUDA version of the build; empty for a build without CUDA.
    devices
        Names of the graphics cards that it finds.
    trouble
        First error of a small computation on the card, or on starting CUDA.
    mps
        "usable", "unusable" (an Apple build without access to the GPU), or empty.
    threads
        Threads that it computes with.
    """

    version: str
    cuda: str = ""
    devices: tuple[str, ...] = ()
    trouble: str = ""
    mps: str = ""
    threads: int = 0


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """NVIDIA cards by their driver; `cuda` is the highest CUDA version that it supports."""

    names: tuple[str, ...] = ()
    driver: str = ""
    cuda: str = ""


@dataclass(frozen=True, kw_only=True)
class QtFacts:
    """Qt binding, its version, and the availability of a screen."""

    binding: str
    version: str = ""
    screen: bool = True


@dataclass(frozen=True, kw_only=True)
class SelfTestFacts:
    """Result of the self-test on one device.

    Parameters
    ----------
    difference
        Largest difference from the stored result, as a share of its range.
    limit
        Largest difference that rounding can make on this device.
    """

    device: str
    difference: float
    limit: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ComputerFacts:
    """Everything that is known about the computer. None and "" where unknown.

    Parameters
    ----------
    errors
        Last line of what failed, by topic: "torch", "qt", "self-test".
    free_disk
        Free bytes by folder.
    """

    program: str
    python: str
    python_path: str
    system: str
    machine: str
    python_required: str = ""
    bits: int = 64
    packages: tuple[Package, ...] = ()
    torch: TorchFacts | None = None
    card: CardFacts | None = None
    qt: QtFacts | None = None
    memory: int | None = None
    free_memory: int | None = None
    free_disk: Mapping[str, int] = field(default_factory=dict)
    cores: int = 1
    thread_limit: str = ""
    hidden_cards: bool = False
    opencv_with_qt: bool = False
    self_tests: tuple[SelfTestFacts, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """Event with one finding."""

    finding: Finding
    progress: Progress


@dataclass(frozen=True, eq=False)
class Checkup:
    """Last event: all findings, and the facts behind them."""

    findings: tuple[Finding, ...]
    facts: ComputerFacts
    progress: Progress

    @property
    def is_broken(self) -> bool:
        return any(finding.condition is Condition.BROKEN for finding in self.findings)

    @property
    def is_failed(self) -> bool:
        """True if the self-test failed, or could not be made since PyTorch cannot be used."""
        return any(
            finding.condition is Condition.BROKEN
            and (finding.topic == PYTORCH or finding.topic.startswith(SELF_TEST))
            for finding in self.findings
        )

    @property
    def summary(self) -> str:
        """One sentence."""
        counts = [sum(f.condition is c for f in self.findings) for c in Condition]
        if counts[2]:
            return f"{counts[2]} of {len(self.findings)} checks found something broken."
        if counts[1]:
            return f"Everything works, with remarks: {counts[1]} of {len(self.findings)} checks."
        return "Everything works."


CheckupEvent = Progressed | Found | Checkup
