"""Small textured pairs with a known transform."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms


def scene(seed: int, side: int = 512) -> np.ndarray:
    """Blobs and rims of many sizes, 0 to 255."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side), np.float32)
    for blur in (2.0, 4.0, 9.0):
        noise = ndimage.gaussian_filter(rng.standard_normal((side, side)), blur, mode="wrap")
        noise /= noise.std()
        picture += np.clip(noise, -1, 1) + 1.5 * np.exp(-((noise / 0.25) ** 2))
    picture -= picture.min()
    return (picture * (255 / picture.max())).astype(np.float32)


def sampled(picture: np.ndarray, to_picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels of `shape`, each the mean over its area of the picture (16 samples)."""
    finer = 4
    matrix = to_picture @ transforms.enlargement(1 / finer)
    y, x = np.mgrid[: shape[0] * finer, : shape[1] * finer]
    places = transforms.apply(matrix, np.column_stack([y.ravel(), x.ravel()])).T
    samples = ndimage.map_coordinates(picture, places, order=1, mode="reflect")
    return samples.reshape(shape[0], finer, shape[1], finer).mean(axis=(1, 3))


def pair(
    seed: int = 0,
    *,
    scale: float = 2.0,
    rotation: float = 2.0,
    shift: tuple[float, float] = (5.3, -8.1),
    noise: float = 0.02,
    source_shape: tuple[int, int] = (160, 176),
    target_shape: tuple[int, int] = (256, 272),
    warp: np.ndarray | None = None,
) -> tuple[Image, Image, np.ndarray]:
    """Source, target, and the true matrix from source to target pixels.

    The target is cut from the scene; the source sees the scene turned, enlarged and shifted about
    the middle of both (and deformed by `warp`, a 3x3 matrix on target pixels, if given).
    """
    rng = np.random.default_rng(seed + 1000)
    corner = np.array([130, 120])
    picture = scene(seed)
    about = transforms.translation(transforms.centre(target_shape) + shift)
    back = transforms.translation(-transforms.centre(source_shape))
    matrix = about @ transforms.similarity(scale, rotation) @ back
    if warp is not None:
        matrix = warp @ matrix
    to_scene = transforms.translation(corner) @ matrix
    source = sampled(picture, to_scene, source_shape)
    rows, columns = (slice(c, c + n) for c, n in zip(corner, target_shape, strict=True))
    return (
        image(source, noise, rng, "source"),
        image(picture[rows, columns], noise, rng, "target"),
        matrix,
    )


def image(values: np.ndarray, noise: float, rng: np.random.Generator, name: str) -> Image:
    noisy = values + rng.normal(0, noise * 255, values.shape)
    return Image(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), "YX", name=name)


def corner_error(found: np.ndarray, true: np.ndarray, target: Image) -> float:
    """Mean distance, in target pixels, between a target corner and where it is taken for."""
    corners = transforms.corners(target.shape[-2:])
    back = transforms.apply(np.linalg.inv(found), corners)
    return float(np.linalg.norm(transforms.apply(true, back) - corners, axis=1).mean())
