"""Coordinate systems of an OME-Zarr scene, and the chains of transformations between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_aeanet.core.units import normalise_unit
from napari_aeanet.io import notice_of_missing_chunks
from napari_aeanet.registration import transforms

if TYPE_CHECKING:
    import zarr

#: Degree of the spline for every interpolation of displacements that is read.
DEGREES = {"linear": 1, "cubic": 3, "bspline-cubic": 3}
#: Transformations with one number for each axis.
VECTORS = ("translation", "scale", "mapAxis")
#: A field with more values takes too much memory.
MOST_VALUES = 2**27
#: Points may lie so many samples outside of a field, whose nearest sample then counts.
BEYOND = 1.0
#: Condition from which a matrix counts as singular.
SINGULAR = 1e12


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """Displacements at samples, to whose indices `to_samples` leads.

    `values` are the coefficients (2, height, width) of a B-spline of the degree through them.
    """

    values: np.ndarray
    to_samples: np.ndarray
    degree: int
    path: Path

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return displaced (n, 2) points."""
        places = transforms.apply(self.to_samples, points)
        last = np.array(self.values.shape[1:]) - 1
        if max(-places.min(), (places - last).max()) > BEYOND:
            msg = f"{self.path}: the displacements cover only a part of the target: export all."
            raise ValueError(msg)
        inside = np.clip(places, 0, last).T
        found = [
            ndimage.map_coordinates(part, inside, order=self.degree, mode="mirror", prefilter=False)
            for part in self.values
        ]
        return points + np.stack(found, axis=1)


@dataclass(frozen=True, eq=False)
class Chain:
    """Steps in the order in which they are applied: matrices and fields."""

    steps: tuple[np.ndarray | DisplacementField, ...]
    notices: tuple[str, ...] = ()

    @property
    def matrix(self) -> np.ndarray:
        """Return the product of the matrices, without the displacements."""
        matrix = np.eye(3)
        for step in self.steps:
            if isinstance(step, np.ndarray):
                matrix = step @ matrix
        return matrix

    @property
    def is_deformed(self) -> bool:
        return any(isinstance(step, DisplacementField) for step in self.steps)

    @property
    def is_invertible(self) -> bool:
        return not is_singular(self.matrix)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return where (n, 2) points lead."""
        for step in self.steps:
            if isinstance(step, np.ndarray):
                points = transforms.apply(step, points)
            else:
                points = step.apply(points)
        return points

    def between(self, first: np.ndarray, last: np.ndarray) -> Chain:
        """Return the chain with a matrix before and one after it."""
        return Chain((first, *self.steps, last), self.notices)


@dataclass(frozen=True, eq=False)
class SceneGraph:
    """The scene of a group."""

    path: Path
    group: zarr.Group
    scene: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> SceneGraph:
        import zarr

        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check its name and folder.")
        if path.is_file():
            raise ValueError(f"{path} is a file, but a scene is a folder: unpack it first.")
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        ome = group.attrs.get("ome")
        if not isinstance(ome, Mapping) or not isinstance(ome.get("scene"), Mapping):
            raise ValueError(f"{path} holds no scene of OME-Zarr 0.6: choose another folder.")
        return cls(path, group, ome["scene"])

    def axes(self, name: str) -> tuple[str, list[str | None]]:
        """Return the letters of the two axes of a coordinate system, and their units.

        Those of an image that is not in the group count as y and x without a unit.
        """
        place, _, inner = name.rpartition("/")
        systems = self.scene.get("coordinateSystems", [])
        if place and place in self.group:
            systems = self.group[place].attrs["ome"]["multiscales"][0]["coordinateSystems"]
        found = [system["axes"] for system in systems if system["name"] == inner]
        if not found:
            return "yx", [None, None]
        names = "".join(str(axis["name"]).lower() for axis in found[0])
        if names not in ("yx", "xy"):
            shown = ", ".join(names[:20])
            msg = f"{self.path}: {name!r} has the axes {shown}, but only y and x can be read."
            raise ValueError(msg)
        return names, [normalise_unit(axis.get("unit")) for axis in found[0]]

    def chain(self, start: str, end: str) -> Chain:
        """Return the shortest chain from one coordinate system to another."""
        entries = [
            (_name(entry["input"]), _name(entry["output"]), entry)
            for entry in self.scene["coordinateTransformations"]
        ]
        known = {str(system["name"]) for system in self.scene.get("coordinateSystems", [])}
        known |= {name for entry in entries for name in entry[:2]}
        for name in (start, end):
            if name not in known:
                some = ", ".join(sorted(known)[:9])
                msg = f"{self.path} has no coordinate system {name!r}: choose one of {some}."
                raise ValueError(msg)
        arrows = [(*entry, False) for entry in entries]
        arrows += [(after, before, entry, True) for before, after, entry in entries]
        ways: dict[str, list[tuple[Any, bool]]] = {start: []}
        waiting = deque([start])
        while waiting and end not in ways:
            here = waiting.popleft()
            for before, after, entry, inverse in arrows:
                if before == here and after not in ways:
                    ways[after] = [*ways[here], (entry, inverse)]
                    waiting.append(after)
        if end not in ways:
            msg = f"{self.path}: nothing leads from {start!r} to {end!r}: name other systems."
            raise ValueError(msg)
        reader = _Reader(self)
        steps = [step for entry, inverse in ways[end] for step in reader.steps(entry, inverse)]
        return Chain(tuple(steps), tuple(reader.notices))


class _Reader:
    """Reads the steps of transformations, and keeps what is to be told of them."""

    def __init__(self, graph: SceneGraph) -> None:
        self._path, self._group = graph.path, graph.group
        self.notices: list[str] = []

    def steps(
        self, entry: Mapping[str, Any], inverse: bool
    ) -> list[np.ndarray | DisplacementField]:
        """Return the steps of a transformation of the plane, or of its inverse."""
        kind = entry["type"]
        if kind == "sequence":
            parts = [self.steps(part, inverse) for part in entry["transformations"]]
            return [step for part in (reversed(parts) if inverse else parts) for step in part]
        if kind == "bijection":
            return self.steps(entry["inverse" if inverse else "forward"], False)
        if kind == "displacements" and inverse:
            msg = f"{self._path}: displacements lead the other way only: add their inverse."
            raise ValueError(msg)
        if kind == "displacements":
            return [self._field(entry)]
        matrix = self._matrix(entry, 2)
        return [np.linalg.inv(matrix) if inverse else matrix]

    def _matrix(self, entry: Mapping[str, Any], axes: int) -> np.ndarray:
        """Return the matrix of a linear transformation, (axes + 1, axes + 1)."""
        kind, matrix = str(entry["type"]), np.eye(axes + 1)
        if kind == "sequence":
            for part in entry["transformations"]:
                matrix = self._matrix(part, axes) @ matrix
            return matrix
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(VECTORS, (axes,))
        shapes |= {"rotation": (axes, axes), "affine": (axes, axes + 1), "identity": ()}
        if kind not in shapes:
            msg = (
                f"{self._path}: a transformation of the type {kind[:30]!r} cannot be read: export "
                "it as an affine or as displacements."
            )
            raise ValueError(msg)
        if kind == "identity":
            return matrix
        given = entry[kind] if kind in entry else self._group[entry["path"]][...]
        values = np.array(given, dtype=np.float64)
        is_no_order = kind == "mapAxis" and sorted(values.ravel()) != list(range(axes))
        if values.shape != shapes[kind] or not np.isfinite(values).all() or is_no_order:
            msg = f"{self._path}: a transformation of the type {kind!r} does not fit {axes} axes."
            raise ValueError(msg)
        if kind == "translation":
            matrix[:axes, axes] = values
        elif kind == "scale":
            matrix[:axes, :axes] = np.diag(values)
        elif kind == "mapAxis":
            matrix[:axes] = matrix[values.astype(int)]
        else:
            matrix[:axes, : values.shape[1]] = values
        if is_singular(matrix):
            msg = f"{self._path}: a transformation of the type {kind!r} cannot be inverted."
            raise ValueError(msg)
        return matrix

    def _field(self, entry: Mapping[str, Any]) -> DisplacementField:
        """Read displacements: an image with an axis for their parts."""
        place, way = entry["path"], entry.get("interpolation", "linear")
        if way not in DEGREES:
            msg = (
                f"{self._path}: displacements with the interpolation {str(way)[:30]!r} cannot be "
                "read: choose linear or cubic."
            )
            raise ValueError(msg)
        if place not in self._group:
            msg = f"{self._path} lacks the displacements {place}: copy the whole folder again."
            raise ValueError(msg)
        image = self._group[place].attrs["ome"]["multiscales"][0]
        level = image["datasets"][0]
        to_space = level["coordinateTransformations"][0]
        name = _name(to_space["output"])
        axes = next(s["axes"] for s in image["coordinateSystems"] if s["name"] == name)
        along = [axis.get("type") for axis in axes].index("displacement")
        array = self._group[f"{place}/{level['path']}"]
        shape = array.shape
        if len(shape) != 3 or len(axes) != 3 or shape[along] != 2:
            msg = f"{self._path}: the displacements in {place} are no field over a plane."
            raise ValueError(msg)
        if prod(shape) > MOST_VALUES:
            msg = f"{self._path}: the displacements in {place} are too many: export coarser ones."
            raise ValueError(msg)
        values = np.moveaxis(np.asarray(array[...], dtype=np.float64), along, 0)
        if not np.isfinite(values).all():
            msg = f"{self._path}: the displacements in {place} must be finite: write them again."
            raise ValueError(msg)
        if DEGREES[way] > 1:
            filtered = (ndimage.spline_filter(part, DEGREES[way]) for part in values)
            values = np.stack(list(filtered))
        missing = notice_of_missing_chunks(array)
        self.notices += [f"displacements: {one}" for one in missing]
        kept = [axis for axis in range(4) if axis != along]
        matrix = self._matrix(to_space, 3)[np.ix_(kept, kept)]
        return DisplacementField(values, np.linalg.inv(matrix), DEGREES[way], self._path)


def is_singular(matrix: np.ndarray) -> bool:
    """True if a matrix on homogeneous coordinates has no inverse, in whatever unit of length."""
    return not np.linalg.cond(matrix[:-1, :-1]) < SINGULAR


def _name(reference: str | Mapping[str, Any]) -> str:
    """Return the name of a coordinate system, after the path of its image if it has one."""
    if isinstance(reference, str):
        return reference
    parts = (reference.get("path"), reference.get("name"))
    return "/".join(str(part) for part in parts if part)
