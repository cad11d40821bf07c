"""The result of registering one pair: the transform, its evidence, and the file that keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator

from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image
from napari_aeanet.core.schema import Document, from_plain, parse_json
from napari_aeanet.core.units import convert, shown_unit
from napari_aeanet.registration import transforms
from napari_aeanet.registration.deformation import Deformation
from napari_aeanet.registration.features import RegistrationMethod
from napari_aeanet.registration.transforms import TransformKind

#: "format" of the files of version 0.1.0, whose fields are those of version 1.
FIRST_FORMAT = "napari-aeanet registration 1"


class Verdict(StrEnum):
    """Reliability of a registration; the reason beside it explains the choice."""

    GOOD = "good"
    DRIFTS = "good, drifts locally"
    DOUBTFUL = "doubtful"
    FAILED = "failed"

    @property
    def is_usable(self) -> bool:
        """True if a pair with this verdict may be trained on without inspection."""
        return self in (Verdict.GOOD, Verdict.DRIFTS)


def _matrix(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(3, 3)


def _point_pairs(values: Any = ()) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1, 2, 2)


_AS_LISTS = PlainSerializer(np.ndarray.tolist)
Matrix = Annotated[np.ndarray, PlainValidator(_matrix), _AS_LISTS]
PointPairs = Annotated[np.ndarray, PlainValidator(_point_pairs), _AS_LISTS]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The transform from a source to a target image, with its evidence.

    `matrix` is 3x3, float64, and maps the homogeneous coordinates (y, x, 1) of a source pixel to
    those of the target pixel at the same place. Integers are pixel *centres*: for a target that
    is twice as fine as the source, with the same field, it is

    >>> matrix = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    >>> matrix @ [10, 20, 1]
    array([20.5, 40.5,  1. ])

    since source pixel 10 covers the target pixels 20 and 21. This is the order and the convention
    of napari: `viewer.add_image(source, affine=registration.matrix)` overlays the source on a
    target of scale 1, `world_matrix` on a calibrated one.

    Attributes
    ----------
    matrix
        See above. For a failed registration it is the nominal placement (centre on centre at
        the expected scale), which is never applied.
    kind
        Similarity, affine or homography.
    source_shape, target_shape
        Height and width of the two images (a data bar included).
    verdict, reason
        Reliability, and its explanation.
    method
        The method that found the transform; None if none did.
    inverted
        True if dark and bright are exchanged between the two images.
    matches
        Feature matches (or landmarks) that fit, shape (n, 2, 2): source point, target point.
    matched
        Number of those matches, where `matches` holds only some of them; else 0.
    candidates
        Number of matches before outliers were removed.
    residual
        RMS distance of the matches under the transform, in target pixels. Features are localised
        to about a pixel only, so this is much larger than the error of the transform.
    expected_error
        Expected error of the transform at the corners of the target, in target pixels, from the
        scatter of the blocks (see `drift`).
    correlation_before, correlation_after
        Correlation of the detail of the overlap for the nominal placement and for the transform.
    coverage
        Share of the target field that the source covers.
    drift
        RMS displacement, in target pixels, of image blocks after the transform, without
        measurement noise: scan distortion that no transform of this kind can follow.
    drift_vectors
        The same block by block, shape (n, 2, 2): target point, displacement (napari's Vectors),
        with noise.
    deformation
        Smooth displacement that follows this drift, where the images prove it; else None.
    remaining_vectors
        Displacement that remains after the deformation, as `drift_vectors`, for blocks that took
        no part in finding it.
    target_pixel_size, unit
        To express lengths in nm or µm; None where unknown.
    slices
        One registration per plane where a stack was registered plane by plane; else empty.
    """

    matrix: Matrix
    kind: TransformKind
    source_shape: tuple[int, int]
    target_shape: tuple[int, int]
    verdict: Verdict
    reason: str
    method: RegistrationMethod | None = None
    inverted: bool = False
    matches: PointPairs = field(default_factory=_point_pairs)
    matched: int = 0
    candidates: int = 0
    residual: float | None = None
    expected_error: float | None = None
    correlation_before: float | None = None
    correlation_after: float | None = None
    coverage: float | None = None
    drift: float | None = None
    drift_vectors: PointPairs = field(default_factory=_point_pairs)
    target_pixel_size: float | None = None
    unit: str | None = None
    deformation: Deformation | None = None
    remaining_vectors: PointPairs = field(default_factory=_point_pairs)
    slices: tuple[Registration, ...] = ()

    @property
    def scale(self) -> float:
        """Target pixels per source pixel."""
        return transforms.scale_of(self.matrix)

    @property
    def rotation(self) -> float:
        """Rotation of the source in degrees, from the x axis towards the y axis."""
        return transforms.rotation_of(self.matrix)

    @property
    def shift(self) -> tuple[float, float]:
        """Vector from the centre of the target to that of the source, in target pixels."""
        middle = transforms.apply(self.matrix, transforms.centre(self.source_shape)[None])[0]
        y, x = middle - transforms.centre(self.target_shape)
        return float(y), float(x)

    @property
    def is_deformed(self) -> bool:
        """True if local drift is followed, in any plane."""
        return self.deformation is not None or any(one.is_deformed for one in self.slices)

    def without_deformation(self) -> Registration:
        """Return the registration by its global transform alone."""
        slices = tuple(one.without_deformation() for one in self.slices)
        return replace(self, deformation=None, slices=slices) if self.is_deformed else self

    @property
    def inliers(self) -> int:
        return self.matched or len(self.matches)

    def physical(self, pixels: float | None) -> float | None:
        """Convert a length in target pixels to `unit`; None where the pixel size is unknown."""
        if pixels is None or self.target_pixel_size is None:
            return None
        return pixels * self.target_pixel_size

    def sentence(self) -> str:
        """Return verdict and reason in one line, with the expected error where known."""
        if self.verdict is Verdict.FAILED or self.expected_error is None:
            return f"{self.verdict}: {self.reason}"
        error = f"{self.expected_error:.2g} px"
        length = self.physical(self.expected_error)
        if length is not None and self.unit is not None:
            unit = shown_unit(length, self.unit) or self.unit
            error = f"{convert(length, self.unit, unit):.2g} {unit} ({error})"
        return f"{self.verdict}, expected error {error}: {self.reason}"

    def world_matrix(self, target: Image) -> np.ndarray:
        """Return the affine of a napari layer: source pixel to world coordinates of `target`."""
        size = [1.0 if s is None else s for s in target.pixel_size[-2:]]
        return transforms.translation(target.origin[-2:]) @ np.diag([*size, 1.0]) @ self.matrix

    def save(self, path: str | Path) -> None:
        """Write a JSON file, whole or not at all."""
        write_bytes_atomically(path, DOCUMENT.dump(self))

    @classmethod
    def load(cls, path: str | Path) -> Registration:
        """Read a JSON file written by `save`, in this version or an earlier one."""
        path = as_path("path", path)
        with in_one_sentence(path, "registration", "register the pair again"):
            data = path.read_bytes()
            values = parse_json(data, f"{path}")
            if isinstance(values, dict) and values.get("format") == FIRST_FORMAT:
                return from_plain(cls, values, f"{path}")
            return DOCUMENT.load(data, path)


DOCUMENT = Document(
    kind=Registration, title="registration", version=3, marker="napari-aeanet registration"
)
