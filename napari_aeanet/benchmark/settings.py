"""Options, figures and events of a benchmark of this computer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed

ALL = "all"
JSON_NAME, PAGE_NAME = "benchmark.json", "benchmark.md"
# Largest errors that rounding can make in float32, relative to the result in float64 (norm of the
# difference over norm of the result), and of tiles relative to the range of the whole image.
LIMIT_OUTPUT, LIMIT_GRADIENT, LIMIT_EXACT = 1e-3, 4e-2, 1e-4
# For measuring the speed of each of the two loops of training.
DEFAULT_SECONDS = {"cuda": 15.0, "mps": 20.0, "cpu": 25.0}
# The recipe of electron micrographs, smaller on a CPU, where a step would take 8 s a core.
PATCH, BATCH = {"cuda": 256, "mps": 256, "cpu": 128}, {"cuda": 8, "mps": 8, "cpu": 4}
EDGES = {"cuda": (4096, 16384), "mps": (2048, 8192), "cpu": (1024, 4096)}


class Part(StrEnum):
    """Part of a benchmark."""

    NETWORKS = "networks"
    EXACT = "exact tiles"
    PRECISION = "precision"
    SHORT_MEMORY = "too little memory"
    TRAINING = "training"
    RESTORING = "restoring"


TITLES = {
    Part.NETWORKS: "Every network, forward and backward, against the CPU in float64",
    Part.EXACT: "Exact tiles against one pass over the whole image",
    Part.PRECISION: "Fewer digits against float32",
    Part.SHORT_MEMORY: "When memory runs out",
    Part.TRAINING: "Training by the recipe of electron micrographs",
    Part.RESTORING: "Restoring",
}


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Options of `benchmark`. Zero and nothing mean: as fits the device.

    Parameters
    ----------
    device
        "all", or one device: "cpu", "cuda", "cuda:1", "mps".
    presets
        Names of the networks to compare; none for every network.
    patch, batch
        Patches of the training: edge in pixels, and number in a step.
    edges
        Edges of the square images to restore, in pixels.
    seconds
        Time for measuring the speed of training, of each of the two loops.
    minutes
        Time for everything. What would take longer is left out, and said.
    """

    device: str = ALL
    presets: tuple[str, ...] = ()
    patch: int = 0
    batch: int = 0
    edges: tuple[int, ...] = ()
    seconds: float = 0.0
    minutes: float = 9.5

    def __post_init__(self) -> None:
        check_options(self)
        object.__setattr__(self, "presets", tuple(self.presets))
        object.__setattr__(self, "edges", tuple(self.edges))

    def patch_on(self, device: str) -> int:
        """Return the edge of a training patch."""
        return self.patch or PATCH[device]

    def batch_on(self, device: str) -> int:
        """Return the patches of a training step."""
        return self.batch or BATCH[device]

    def edges_on(self, device: str) -> tuple[int, ...]:
        """Return the edges of the images to restore, the smallest first."""
        return tuple(sorted(self.edges)) or EDGES[device]

    def seconds_on(self, device: str) -> float:
        """Return the time for measuring the speed of one loop."""
        return self.seconds or DEFAULT_SECONDS[device]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure of one device.

    Parameters
    ----------
    value
        None if it could not be measured; `note` says why.
    limit
        The largest value that is right; None for a figure that is no check.
    is_left_out
        True if there was no time to measure it.
    """

    device: str
    part: Part
    name: str
    value: float | None
    unit: str = ""
    limit: float | None = None
    note: str = ""
    is_left_out: bool = False

    @property
    def is_failed(self) -> bool:
        """True for a check that found too large a value, or that ended with an error."""
        if self.limit is None or self.is_left_out:
            return False
        return self.value is None or not self.value <= self.limit


@dataclass(frozen=True, kw_only=True)
class DeviceMeasured:
    """A device, its name for people, and the sizes that were used on it."""

    name: str
    title: str
    patch: int
    batch: int
    edges: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """Event with one figure."""

    measurement: Measurement
    progress: Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkReport:
    """Last event: all figures.

    Parameters
    ----------
    versions
        Versions of this program and of what it computes with; system and processor.
    seconds
        Time that everything took.
    """

    measurements: tuple[Measurement, ...]
    devices: tuple[DeviceMeasured, ...]
    versions: dict[str, str]
    seconds: float
    progress: Progress

    @property
    def failed(self) -> tuple[Measurement, ...]:
        """The checks that failed."""
        return tuple(one for one in self.measurements if one.is_failed)

    @property
    def summary(self) -> str:
        """One sentence."""
        checks = [one for one in self.measurements if one.limit is not None]
        left_out = sum(one.is_left_out for one in checks)
        missing = f" {left_out} more were left out, since there was no time." if left_out else ""
        made = len(checks) - left_out
        if self.failed:
            names = ", ".join(f"{one.name} on {one.device}" for one in self.failed)
            return f"{len(self.failed)} of {made} checks of accuracy failed: {names}.{missing}"
        return f"All {made} checks of accuracy passed.{missing}"


BenchmarkEvent = Progressed | Measured | BenchmarkReport
