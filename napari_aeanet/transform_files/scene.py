"""Registrations as scenes of OME-Zarr 0.6, with its coordinate transformations (RFC-5).

A scene is a Zarr group that names coordinate systems and what leads from one to another. With u
the displacement and M the matrix of a registration, ours leads from "target" to "source" by

    source point = A (p + u(p)),   A = M⁻¹,

as an affine or, where drift is followed, a sequence of displacements and this affine. Points are
(y, x) in lengths, and the origin of both systems is the centre of the first pixel. The
displacements are samples of u over the target, an image of their own in the group, to be
interpolated linearly; they are dense enough that this errs by at most `SAMPLING_ERROR`. Outside
of the target, u is that of the nearest point of its border.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image
from napari_aeanet.core.units import LONG_NAMES, METRES, convert, normalise_unit
from napari_aeanet.registration import EXTRA, Deformation, Registration
from napari_aeanet.transform_files.dense_field import fitted
from napari_aeanet.transform_files.scene_graph import SceneGraph
from napari_aeanet.transform_files.shared import check_sizes, registration_of, target_to_source

if TYPE_CHECKING:
    import zarr

VERSION = "0.6"
SOURCE, TARGET = "source", "target"
#: Place of the displacements in the group.
FIELD = "coordinateTransformations/displacements"
#: Largest error of linear interpolation between the samples, in target pixels.
SAMPLING_ERROR = 0.005
#: Pixels of a chunk of the displacements along y and x.
CHUNK = 512

PixelSize = float | tuple[float, float]


def save_scene(
    registration: Registration,
    path: str | Path,
    *,
    source_pixel_size: PixelSize = 1.0,
    target_pixel_size: PixelSize = 1.0,
    unit: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a registration as an OME-Zarr scene, for images with these pixel sizes.

    Parameters
    ----------
    registration, path
        What to write, and the folder to be made.
    source_pixel_size, target_pixel_size
        A length, or one along y and one along x.
    unit
        Unit of these lengths, such as "nm"; None where they are pixels.
    overwrite
        Replace what exists at `path`.

    Raises
    ------
    FileExistsError
        If `path` exists and is not to be replaced.
    ValueError
        If the registration failed, is a homography or has one transform per plane, or a pixel
        size is not positive.
    """
    check_type("registration", registration, Registration)
    path = as_path("path", path)
    check_sizes(source_pixel_size, target_pixel_size)
    inverse = target_to_source(registration, path, "scenes")
    if path.exists() and not overwrite:
        msg = f"{path} exists already: choose another place, or replace it (overwrite=True)."
        raise FileExistsError(msg)
    to_target = np.diag([*np.broadcast_to(target_pixel_size, 2), 1.0])
    to_source = np.diag([*np.broadcast_to(source_pixel_size, 2), 1.0])
    affine = to_source @ inverse @ np.linalg.inv(to_target)
    step: dict[str, Any] = {"type": "affine", "affine": affine[:2].tolist()}
    with replacing(path) as temporary:
        import zarr

        group = zarr.create_group(temporary, zarr_format=3)
        if registration.deformation is not None:
            shape = registration.target_shape
            _write_field(group, registration.deformation, shape, np.diag(to_target)[:2], unit)
            field = {"type": "displacements", "path": FIELD, "interpolation": "linear"}
            step = {"type": "sequence", "transformations": [field, step]}
        names = {"input": {"name": TARGET}, "output": {"name": SOURCE}}
        scene = {
            "coordinateSystems": [{"name": n, "axes": _axes(unit)} for n in (SOURCE, TARGET)],
            "coordinateTransformations": [{**names, "name": "registration", **step}],
        }
        group.attrs["ome"] = {"version": VERSION, "scene": scene}


def load_scene(
    path: str | Path,
    source_shape: tuple[int, int],
    target_shape: tuple[int, int],
    *,
    source: str = SOURCE,
    target: str = TARGET,
    source_pixel_size: PixelSize = 1.0,
    target_pixel_size: PixelSize = 1.0,
    unit: str | None = None,
) -> Registration:
    """Read an OME-Zarr scene as the registration of images of these sizes.

    Any chain of identities, translations, scales, rotations, affines, exchanged axes, bijections,
    sequences and displacements that leads from the target to the source. Displacements become a
    smooth deformation that follows them to 0.015 pixels. The verdict is doubtful, since no image
    has confirmed it.

    Parameters
    ----------
    path
        The folder of the scene.
    source_shape, target_shape
        Height and width of the images.
    source, target
        Names of their coordinate systems: "NAME", or "PATH/NAME" for one of an image in the scene.
    source_pixel_size, target_pixel_size, unit
        As of `save_scene`; `unit` is needed if the coordinate systems have one.
    """
    path = as_path("path", path)
    check_sizes(source_pixel_size, target_pixel_size)
    with in_one_sentence(path, "OME-Zarr scene"):
        graph = SceneGraph.read(path)
        chain = graph.chain(target, source)
        first, last = (
            _to_system(graph, name, size, unit)
            for name, size in ((target, target_pixel_size), (source, source_pixel_size))
        )
        chain = chain.between(first, np.linalg.inv(last))
        if not chain.is_invertible:
            raise ValueError(f"{path}: the transform cannot be inverted: write it again.")
        matrix, coefficients = np.linalg.inv(chain.matrix), None
        if chain.is_deformed:
            matrix, coefficients = fitted(chain.apply, matrix, target_shape, path)
        notice = "".join(f"; {one}" for one in chain.notices).rstrip(".")
        return registration_of(path, matrix, coefficients, source_shape, target_shape, notice)


def lengths_of(source: Image, target: Image) -> dict[str, Any]:
    """Return the pixel sizes of two images for `save_scene`, in the unit of the target.

    They are pixels unless both images are calibrated.
    """
    unit = target.unit
    if not (source.is_calibrated and target.is_calibrated):
        return {}
    if unit not in METRES or source.unit not in METRES:
        return {}
    sizes = [
        tuple(convert(size or 1.0, image.unit or unit, unit) for size in image.pixel_size[-2:])
        for image in (source, target)
    ]
    return {"source_pixel_size": sizes[0], "target_pixel_size": sizes[1], "unit": unit}


def _axes(unit: str | None) -> list[dict[str, str]]:
    name = LONG_NAMES.get(normalise_unit(unit) or "", unit)
    known = {} if name is None else {"unit": name}
    return [{"name": letter, "type": "space", **known} for letter in "yx"]


def _write_field(
    group: zarr.Group,
    deformation: Deformation,
    shape: Sequence[int],
    pixel_size: np.ndarray,
    unit: str | None,
) -> None:
    """Write the displacements as an image (d, y, x), from edge to edge of the target."""
    steps = _steps(deformation, shape)
    rows, columns = (np.linspace(-0.5, n - 0.5, s + 1) for n, s in zip(shape, steps, strict=True))
    values = np.stack(deformation.on_grid(rows, columns, shape)) * pixel_size[:, None, None]
    image = group.create_group(FIELD)
    placement = [
        {"type": "scale", "scale": [1.0, *(np.divide(shape, steps) * pixel_size).tolist()]},
        {"type": "translation", "translation": [0.0, *(-0.5 * pixel_size).tolist()]},
    ]
    to_space = {
        "type": "sequence",
        "input": {"path": "0"},
        "output": {"name": TARGET},
        "transformations": placement,
    }
    displacement = {"name": "d", "type": "displacement", "discrete": True}
    multiscale = {
        "name": "displacements",
        "coordinateSystems": [{"name": TARGET, "axes": [displacement, *_axes(unit)]}],
        "datasets": [{"path": "0", "coordinateTransformations": [to_space]}],
    }
    image.attrs["ome"] = {"version": VERSION, "multiscales": [multiscale]}
    image.create_array(
        "0",
        data=values,
        chunks=(1, *(min(n, CHUNK) for n in values.shape[1:])),
        dimension_names=["d", "y", "x"],
        config={"write_empty_chunks": True},
    )


def _steps(deformation: Deformation, shape: Sequence[int]) -> list[int]:
    """Return the number of steps along y and x between samples of the displacement.

    Linear interpolation over a step h errs by at most h²/8 times the second derivative, which is
    a B-spline of the second differences of the coefficients and cannot exceed them. Both axes
    share the error.
    """
    coefficients = deformation.coefficients * np.asarray(shape)
    cells = np.array(coefficients.shape[:2]) - EXTRA
    bends = [
        np.linalg.norm(np.abs(np.diff(coefficients, 2, axis=axis)).max(axis=(0, 1)))
        * cells[axis] ** 2
        for axis in range(2)
    ]
    return [max(1, int(np.ceil(np.sqrt(bend / (4 * SAMPLING_ERROR))))) for bend in bends]


def _to_system(graph: SceneGraph, name: str, size: PixelSize, unit: str | None) -> np.ndarray:
    """Return the matrix from pixels (y, x, 1) to a coordinate system."""
    names, units = graph.axes(name)
    lengths = np.broadcast_to(size, 2).astype(np.float64)
    known = normalise_unit(unit)
    if any(units) and unit is None:
        msg = (
            f"{graph.path} has lengths in {units[0] or units[1]}: give pixel sizes and their unit."
        )
        raise ValueError(msg)
    if unit is not None:
        lengths = np.array(
            [
                convert(length, known, other) if known and other else length
                for length, other in zip(lengths, units, strict=True)
            ]
        )
    matrix = np.diag([*lengths, 1.0])
    return matrix if names == "yx" else matrix[[1, 0, 2]]
