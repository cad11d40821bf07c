"""Transforms as ITK files (.tfm), which SimpleITK, elastix, ANTs and 3D Slicer read.

ITK takes a point of the fixed image (target) to that of the moving one (source), in the order
x, y, in lengths. With u the displacement and M the matrix of a registration, the file holds

    source point = A (p + u(p)),   A = M⁻¹,

as an affine and, where drift is followed, a cubic B-spline transform on the same grid of
coefficients. The origin of both images is the centre of their first pixel. Outside of the target,
where no pixel needs it, ITK leaves u out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.registration import EXTRA, Deformation, Registration
from napari_aeanet.transform_files.shared import check_sizes, registration_of, target_to_source

HEADER = "#Insight Transform File V1.0"
SPLINE, AFFINE = "BSplineTransform_double_2_2", "AffineTransform_double_2_2"
COMPOSITE = "CompositeTransform_double_2_2"
#: Largest deviation of a grid from that over the target, in pixels.
GRID_TOLERANCE = 1e-3


def save_itk(
    registration: Registration,
    path: str | Path,
    *,
    source_pixel_size: float = 1.0,
    target_pixel_size: float = 1.0,
) -> None:
    """Write a registration as an ITK transform file, for images with these pixel sizes.

    Raises
    ------
    ValueError
        If the registration failed, is a homography or has one transform per plane, or a pixel
        size is not positive.
    """
    check_type("registration", registration, Registration)
    path = as_path("path", path)
    check_sizes(source_pixel_size, target_pixel_size)
    inverse = target_to_source(registration, path, "ITK files")
    parts = [_affine(inverse, source_pixel_size, target_pixel_size)]
    if registration.deformation is not None:
        shape = registration.target_shape
        parts.append(_spline(registration.deformation, shape, target_pixel_size))
        parts.insert(0, f"Transform: {COMPOSITE}")
    text = [f"#Transform {number}\n{part}\n" for number, part in enumerate(parts)]
    write_bytes_atomically(path, "".join([f"{HEADER}\n", *text]).encode("ascii"))


def load_itk(
    path: str | Path,
    source_shape: tuple[int, int],
    target_shape: tuple[int, int],
    *,
    source_pixel_size: float = 1.0,
    target_pixel_size: float = 1.0,
) -> Registration:
    """Read an ITK transform file as the registration of images of these sizes.

    Affine transforms in a row, and a cubic B-spline over the target that is applied first. The
    verdict is doubtful, since no image has confirmed it.
    """
    path = as_path("path", path)
    check_sizes(source_pixel_size, target_pixel_size)
    with in_one_sentence(path, "ITK transform", "save it again as a .tfm text file"):
        inverse, coefficients = np.eye(3), None
        for name, values, fixed in _transforms_in(path.read_text(encoding="ascii"), path):
            if coefficients is not None:
                raise ValueError(f"{path}: only the B-spline that is applied first can be read.")
            if name == SPLINE:
                coefficients = _coefficients(values, fixed, target_shape, target_pixel_size, path)
            else:
                inverse = inverse @ _matrix_of(name, values, fixed, path)
        lengths = np.diag([target_pixel_size, target_pixel_size, 1.0])
        inverse = np.diag([1 / source_pixel_size, 1 / source_pixel_size, 1.0]) @ inverse @ lengths
        if abs(np.linalg.det(inverse)) < 1e-12:
            raise ValueError(f"{path}: the transform cannot be inverted: write it again.")
        matrix = np.linalg.inv(inverse)
        return registration_of(path, matrix, coefficients, source_shape, target_shape)


def _line(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def _affine(inverse: np.ndarray, source: float, target: float) -> str:
    """Return the affine part; `inverse` takes target to source pixels, as (y, x)."""
    linear = inverse[1::-1, 1::-1] * source / target
    shift = inverse[1::-1, 2] * source
    parameters = np.concatenate([linear.ravel(), shift])
    return f"Transform: {AFFINE}\nParameters: {_line(parameters)}\nFixedParameters: 0 0"


def _spline(deformation: Deformation, shape: tuple[int, int], size: float) -> str:
    """Return the B-spline part: first the displacements along x, then those along y."""
    lengths = np.array(shape) * size
    along_y, along_x = np.moveaxis(deformation.coefficients * lengths, -1, 0)
    parameters = np.concatenate([along_x.ravel(), along_y.ravel()])
    fixed = _grid(deformation.coefficients.shape[:2], shape, size)
    return f"Transform: {SPLINE}\nParameters: {_line(parameters)}\nFixedParameters: {_line(fixed)}"


def _grid(counts: tuple[int, ...], shape: tuple[int, int], size: float) -> np.ndarray:
    """Return counts, origin, spacing (each x, y) and directions of the grid of coefficients."""
    spacing = np.array(shape) * size / (np.array(counts) - EXTRA)
    origin = -0.5 * size - spacing
    return np.concatenate([counts[::-1], origin[::-1], spacing[::-1], np.eye(2).ravel()])


def _transforms_in(text: str, path: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return name, parameters and fixed parameters of every transform but the composite."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != HEADER:
        raise ValueError(f"{path} is not an ITK transform file: its first line is not {HEADER!r}.")
    found: list[tuple[str, dict[str, np.ndarray]]] = []
    for line in lines[1:]:
        key, _, rest = line.partition(":")
        if key == "Transform":
            found.append((rest.strip(), {}))
        elif key in ("Parameters", "FixedParameters") and found:
            values = np.array([float(value) for value in rest.split()])
            if not np.isfinite(values).all():
                raise ValueError(f"{path}: the parameters must be finite: write it again.")
            found[-1][1][key] = values
    transforms = [(name, values) for name, values in found if name != COMPOSITE]
    if not transforms:
        raise ValueError(f"{path} holds no transform: write it again.")
    none = np.empty(0)
    return [
        (name, values.get("Parameters", none), values.get("FixedParameters", none))
        for name, values in transforms
    ]


def _matrix_of(name: str, values: np.ndarray, fixed: np.ndarray, path: Path) -> np.ndarray:
    """Return the matrix of a linear transform on (y, x, 1), in lengths."""
    centre = fixed[:2] if len(fixed) >= 2 else np.zeros(2)
    kind, count = name.partition("_")[0], len(values)
    if not name.endswith("_double_2_2"):
        raise ValueError(f"{path}: only transforms of planes in double precision can be read.")
    if kind == "TranslationTransform" and count == 2:
        linear, shift = np.eye(2), values
    elif kind in ("AffineTransform", "MatrixOffsetTransformBase") and count == 6:
        linear, shift = values[:4].reshape(2, 2), values[4:]
    elif kind == "Euler2DTransform" and count == 3:
        linear, shift = _turned(1.0, values[0]), values[1:]
    elif kind == "Similarity2DTransform" and count == 4:
        linear, shift = _turned(values[0], values[1]), values[2:]
    else:
        raise ValueError(f"{path}: a {kind[:30]} with {count} parameters cannot be read.")
    shift = shift + centre - linear @ centre
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear[::-1, ::-1], shift[::-1]
    return matrix


def _turned(scale: float, angle: float) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _coefficients(
    values: np.ndarray, fixed: np.ndarray, shape: tuple[int, int], size: float, path: Path
) -> np.ndarray:
    """Return the coefficients of a B-spline, in heights and widths of the target."""
    counts = tuple(int(n) for n in fixed[1::-1]) if len(fixed) == 10 else (0, 0)
    if min(counts) <= EXTRA or len(values) != 2 * counts[0] * counts[1]:
        raise ValueError(f"{path}: the grid of the B-spline does not fit its parameters.")
    if np.abs(fixed - _grid(counts, shape, size)).max() > GRID_TOLERANCE * size:
        msg = (
            f"{path}: the B-spline does not lie over a target of {shape[0]} x {shape[1]} pixels "
            f"of {size:g}: give the target's size and pixel size."
        )
        raise ValueError(msg)
    along_x, along_y = values.reshape(2, *counts)
    return np.stack([along_y, along_x], axis=-1) / (np.array(shape) * size)
