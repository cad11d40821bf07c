"""What is known about the registration of one pair: the transform, and why to believe it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.features import Method
from napari_aeanet.registration.transforms import Kind

FORMAT = "napari-aeanet registration 1"


class Verdict(StrEnum):
    """How far to trust a registration; the reason beside it says why."""

    GOOD = "good"
    DRIFTS = "good, drifts locally"
    DOUBTFUL = "doubtful"
    FAILED = "failed"

    @property
    def is_usable(self) -> bool:
        """Whether a pair registered so may be trained on without a second look."""
        return self in (Verdict.GOOD, Verdict.DRIFTS)


def _no_points() -> np.ndarray:
    return np.empty((0, 2, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The transform from a source to a target image, with its evidence.

    `matrix` is 3x3, float64, and takes the homogeneous coordinates (y, x, 1) of a source pixel to
    those of the target pixel that shows the same place. Integers are pixel *centres*. So a target
    that is twice as fine as the source, with the same field, has

    >>> matrix = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    >>> matrix @ [10, 20, 1]
    array([20.5, 40.5,  1. ])

    since source pixel 10 covers the target pixels 20 and 21. This is the order and the convention
    of napari, so `viewer.add_image(source, affine=registration.matrix)` lays the source over the
    target where that has scale 1; `world_matrix` does so for a calibrated target.

    Attributes
    ----------
    matrix
        See above. Of a failed registration it is only the nominal placement (centre on centre at
        the expected scale), and nothing applies it.
    kind
        What the transform may do: similarity, affine or homography.
    source_shape, target_shape
        Height and width of the two images (a data bar included).
    verdict, reason
        How far to trust it, and why, in words.
    method
        What found the transform; None if nothing did.
    inverted
        Whether dark and bright are exchanged between the two images.
    matches
        The feature matches (or landmarks) that fit, shape (n, 2, 2): source point, target point.
    candidates
        How many matches there were before those that do not fit were dropped.
    residual
        RMS distance of the matches under the transform, in target pixels. Features are found to
        about a pixel only, so this is much larger than the error of the transform.
    expected_error
        Expected error of the transform at the corners of the target, in target pixels, from the
        scatter of the blocks (see `drift`).
    correlation_before, correlation_after
        Correlation of the detail of the overlap for the nominal placement and for the transform.
    coverage
        Share of the target field that the source covers.
    drift
        RMS displacement, in target pixels, that blocks of the image keep after the transform:
        scan distortion that no transform of this kind can follow, and measurement noise.
    drift_vectors
        The same block by block, shape (n, 2, 2): target point, displacement (napari's Vectors).
    target_pixel_size, unit
        To express lengths in nm or µm; None where unknown.
    slices
        One registration per plane where a stack was registered plane by plane; else empty.
    """

    matrix: np.ndarray
    kind: Kind
    source_shape: tuple[int, int]
    target_shape: tuple[int, int]
    verdict: Verdict
    reason: str
    method: Method | None = None
    inverted: bool = False
    matches: np.ndarray
    candidates: int = 0
    residual: float | None = None
    expected_error: float | None = None
    correlation_before: float | None = None
    correlation_after: float | None = None
    coverage: float | None = None
    drift: float | None = None
    drift_vectors: np.ndarray
    target_pixel_size: float | None = None
    unit: str | None = None
    slices: tuple[Registration, ...] = ()

    @property
    def scale(self) -> float:
        """Target pixels per source pixel."""
        return transforms.scale_of(self.matrix)

    @property
    def rotation(self) -> float:
        """Degrees by which the source is turned, from the x axis towards the y axis."""
        return transforms.rotation_of(self.matrix)

    @property
    def shift(self) -> tuple[float, float]:
        """Where the centre of the source lies, from the centre of the target, in target pixels."""
        middle = transforms.apply(self.matrix, transforms.centre(self.source_shape)[None])[0]
        y, x = middle - transforms.centre(self.target_shape)
        return float(y), float(x)

    @property
    def inliers(self) -> int:
        return len(self.matches)

    def physical(self, pixels: float | None) -> float | None:
        """A length in target pixels as a length in `unit`, where the pixel size is known."""
        if pixels is None or self.target_pixel_size is None:
            return None
        return pixels * self.target_pixel_size

    @property
    def residual_physical(self) -> float | None:
        return self.physical(self.residual)

    def sentence(self) -> str:
        """Verdict and reason in one line, with the expected error where there is one."""
        if self.verdict is Verdict.FAILED or self.expected_error is None:
            return f"{self.verdict}: {self.reason}"
        error = f"{self.expected_error:.2g} px"
        length = self.physical(self.expected_error)
        if length is not None and self.unit is not None:
            error = f"{length:.2g} {self.unit} ({error})"
        return f"{self.verdict}, expected error {error}: {self.reason}"

    def world_matrix(self, target: Image) -> np.ndarray:
        """From source pixels to the world coordinates of `target`: the affine of a napari layer."""
        size = [1.0 if s is None else s for s in target.pixel_size[-2:]]
        return transforms.translation(target.origin[-2:]) @ np.diag([*size, 1.0]) @ self.matrix

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, words and lists, for a JSON file; `from_dict` reads them back."""
        content: dict[str, Any] = {"format": FORMAT}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            elif field.name == "slices":
                value = [one.to_dict() for one in value]
            content[field.name] = value
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Registration:
        """The registration written by `to_dict`."""
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            msg = (
                f"This is no registration of this program: 'format' is {found!r}, expected "
                f"{FORMAT!r}. Choose a file saved from a registered pair."
            )
            raise ValueError(msg)
        missing = sorted(f.name for f in fields(cls) if f.name not in content)
        if missing:
            msg = f"The registration is incomplete: it lacks {', '.join(missing)}. Register again."
            raise ValueError(msg)
        values = {field.name: content[field.name] for field in fields(cls)}
        values |= {
            "matrix": np.asarray(values["matrix"], dtype=np.float64).reshape(3, 3),
            "matches": np.asarray(values["matches"], dtype=np.float64).reshape(-1, 2, 2),
            "drift_vectors": np.asarray(values["drift_vectors"], dtype=np.float64).reshape(
                -1, 2, 2
            ),
            "kind": Kind(values["kind"]),
            "verdict": Verdict(values["verdict"]),
            "method": None if values["method"] is None else Method(values["method"]),
            "source_shape": tuple(values["source_shape"]),
            "target_shape": tuple(values["target_shape"]),
            "slices": tuple(cls.from_dict(one) for one in values["slices"]),
        }
        return cls(**values)

    def save(self, path: str | Path) -> None:
        """Write a JSON file, whole or not at all."""
        write_bytes_atomically(path, json.dumps(self.to_dict(), indent=1).encode())

    @classmethod
    def load(cls, path: str | Path) -> Registration:
        """Read a JSON file written by `save`."""
        try:
            content = json.loads(Path(path).read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            msg = f"{path} is not a JSON file, so no saved registration: {error}"
            raise ValueError(msg) from error
        try:
            return cls.from_dict(content)
        except ValueError as error:
            msg = f"{path}: {error}"
            raise ValueError(msg) from error


def nominal_matrix(
    source_shape: Sequence[int], target_shape: Sequence[int], scale: float
) -> np.ndarray:
    """Source centre on target centre, enlarged by `scale`, not turned."""
    return (
        transforms.translation(transforms.centre(target_shape))
        @ transforms.similarity(scale)
        @ transforms.translation(-transforms.centre(source_shape))
    )
