"""Images, pairs, networks and models that several tests share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy import ndimage
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_aeanet import networks
from napari_aeanet.core.image import AXES, SPATIAL_AXES, Image
from napari_aeanet.core.tiles import grid_padding
from napari_aeanet.models.model_file import Model, ModelCard
from napari_aeanet.models.presets import Preset, all_presets, quick_config
from napari_aeanet.networks import NetworkConfig, ProjectionConfig
from napari_aeanet.networks.attention import Context
from napari_aeanet.networks.network import Network, pad_to_grid
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration import transforms
from napari_aeanet.structures import FittedStructures, encoder_of, with_structures
from napari_aeanet.structures.filters import DESCRIPTORS, INPUT_FILTERS

CPU = torch.device("cpu")

# --- stand ins


def micrograph(shape=(48, 64), seed=0, **changes):
    """A small calibrated image with something in it."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(20, 200, shape).astype(np.uint8)
    known = {"pixel_size": (10.0, 10.0), "unit": "nm", "origin": (100.0, 50.0), "name": "S05"}
    return Image(pixels, "YX", **(known | changes))


class Gate:
    """Lets a generator go on one step at a time."""

    def __init__(self):
        self._steps = threading.Semaphore(0)

    def open(self, steps=1):
        self._steps.release(steps)

    def wait(self):
        assert self._steps.acquire(timeout=10)


def without_modules(folder: Path, *names: str) -> dict[str, str]:
    """The environment of a Python process, and of those it starts, that cannot import these."""
    (folder / "sitecustomize.py").write_text(
        f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
    )
    return {**os.environ, "PYTHONPATH": str(folder)}


# --- images on disk


REAL_DATA = Path(__file__).parents[1].parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="the real microscopy data is not on this machine"
)

_LENGTHS = st.floats(1e-3, 1e4, allow_nan=False)
_PLACES = st.floats(-1e4, 1e4, allow_nan=False)


def integer_noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


@st.composite
def calibrated_images(draw: st.DrawFn, dtypes: tuple[str, ...]) -> Image:
    """Images of any axes, calibrated fully, in the plane only, or not at all."""
    leading = draw(st.lists(st.sampled_from("TCZ"), unique=True, max_size=3))
    axes = "".join(a for a in AXES if a in [*leading, "Y", "X"])
    shape = [draw(st.integers(1, 3)) for _ in leading]
    shape += [draw(st.integers(1, 20)), draw(st.integers(1, 20))]
    spatial = [a for a in axes if a in SPATIAL_AXES]
    known = draw(st.sampled_from(["", "YX", "ZYX"]))
    sizes = tuple(draw(_LENGTHS) if a in known else None for a in spatial)
    return Image(
        integer_noise(*shape, dtype=draw(st.sampled_from(dtypes))),
        axes,
        pixel_size=sizes,
        unit=draw(st.sampled_from(["nm", "µm", "mm", "Å"])) if known else None,
        origin=tuple(draw(_PLACES) for _ in spatial),
        name="specimen",
    )


def assert_same_image(read: Image, written: Image, *, dtype: str | None = None) -> None:
    """Everything that a file should keep is as it was."""
    assert read.axes == written.axes
    assert read.dtype == np.dtype(dtype or written.dtype)
    assert read.unit == written.unit
    assert [s is None for s in read.pixel_size] == [s is None for s in written.pixel_size]
    for ours, theirs in zip(read.pixel_size, written.pixel_size, strict=True):
        assert ours is None or ours == pytest.approx(theirs, rel=1e-6)
    assert read.origin == pytest.approx(written.origin, rel=1e-6, abs=1e-9)
    np.testing.assert_array_equal(read.read(), written.read())


# --- training pairs


def blurred_pairs(
    count: int = 2, shape: tuple[int, ...] = (96, 128), seed: int = 0
) -> list[ImagePair]:
    """8-bit images of smooth blobs; the sources are blurred and noisy."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        target = gaussian_filter(rng.standard_normal(shape), 2)
        target = (target - target.min()) / np.ptp(target)
        source = gaussian_filter(target, 1.5) + rng.normal(0, 0.03, shape)
        pairs.append(
            ImagePair(eight_bit_image(source, f"S{number}"), eight_bit_image(target, f"S{number}"))
        )
    return pairs


def eight_bit_image(
    values: np.ndarray, name: str, pixel_size: Sequence[float] = (5.0, 5.0)
) -> Image:
    """Values from 0 to 1 as an 8-bit image with pixels of 5 nm."""
    axes = "ZYX"[-values.ndim :]
    levels = np.clip(values * 255, 0, 255).astype(np.uint8)
    sizes = (20.0,) * (values.ndim - 2) + tuple(pixel_size)
    return Image(levels, axes, sizes, "nm", name=name)


def small_config(preset: Preset) -> NetworkConfig:
    """In the place of `quick_config`: the same network with a quarter of its channels."""
    return quick_config(preset).with_changes(features=8)


# --- registration pairs


def textured_scene(seed: int, side: int = 512) -> np.ndarray:
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


def registration_pair(
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
    picture = textured_scene(seed)
    about = transforms.translation(transforms.centre(target_shape) + shift)
    back = transforms.translation(-transforms.centre(source_shape))
    matrix = about @ transforms.similarity(scale, rotation) @ back
    if warp is not None:
        matrix = warp @ matrix
    to_scene = transforms.translation(corner) @ matrix
    source = sampled(picture, to_scene, source_shape)
    rows, columns = (slice(c, c + n) for c, n in zip(corner, target_shape, strict=True))
    return (
        noisy_image(source, noise, rng, "source"),
        noisy_image(picture[rows, columns], noise, rng, "target"),
        matrix,
    )


def noisy_image(values: np.ndarray, noise: float, rng: np.random.Generator, name: str) -> Image:
    noisy = values + rng.normal(0, noise * 255, values.shape)
    return Image(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), "YX", name=name)


def corner_error(found: np.ndarray, true: np.ndarray, target: Image) -> float:
    """Mean distance, in target pixels, between a target corner and where it is taken for."""
    corners = transforms.corners(target.shape[-2:])
    back = transforms.apply(np.linalg.inv(found), corners)
    return float(np.linalg.norm(transforms.apply(true, back) - corners, axis=1).mean())


# --- miniatures


def miniature(config: NetworkConfig, *, features: int = 8, references: int = 5) -> NetworkConfig:
    """The same network with few features (and few references, where it has any)."""
    if isinstance(config, ProjectionConfig):
        return replace(
            config,
            references=min(config.references, references),
            image=miniature(config.image, features=features, references=references),
        )
    return replace(config, features=features, references=min(config.references, references))


def randomise(network: torch.nn.Module, seed: int = 0) -> None:
    """Random weights, biases and statistics: fresh ones (zeros and ones) hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            value.copy_(0.5 + noise.abs())
        elif value.dim() == 1:  # biases; scales of a normalisation lie around one
            value.copy_(0.3 * noise + (name.endswith("norm.weight")))
        else:
            fan = value[0].numel()
            value.copy_(noise * (2 / fan) ** 0.5)


def random_network(config: NetworkConfig, seed: int = 0) -> Network:
    """In float64 and eval mode."""
    network = networks.build(config).double()
    randomise(network, seed)
    return network.eval()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    """(1, 1, *shape) in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 1, *shape), generator=generator, dtype=torch.float64)


def tiles(network: Network, size: tuple[int, ...], edge: int) -> Iterator[tuple[slice, ...]]:
    """Interiors of this edge that partition an image along the tiled axes."""
    uncut = len(size) - network.tiled_axes
    edges = (*size[:uncut], *[edge] * network.tiled_axes)
    starts = [range(0, n, e) for n, e in zip(size, edges, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(a, min(a + e, n)) for a, e, n in zip(corner, edges, size, strict=True))


def run_tile(
    network: Network,
    padded: Tensor,
    contexts: list[Context],
    inner: tuple[slice, ...],
    halo: tuple[int, ...],
) -> Context | Tensor:
    """`advance` on an interior with its halo, clipped where the image ends."""
    outer, local = [], []
    for s, h, n in zip(inner, halo, padded.shape[2:], strict=True):
        start, stop = max(s.start - h, 0), min(s.stop + h, n)
        outer.append(slice(start, stop))
        local.append(slice(s.start - start, s.stop - start))
    return network.advance(padded[(..., *outer)], contexts, tuple(local))


def predict_in_tiles(
    network: Network, x: Tensor, edge: int, shrink: dict[int, int] | None = None
) -> Tensor:
    """The stacked outputs for an image, by gathering passes and a predicting pass over tiles.

    `shrink` takes pixels off the halo of single passes, to show that they are needed.
    """
    padded = pad_to_grid(x, network.grid)
    size = tuple(padded.shape[2:])
    contexts: list[Context] = []
    axes = len(network.output_axes)
    for known in range(network.contexts + 1):
        less = (shrink or {}).get(known, 0)
        halo = tuple(h and h - less for h in network.halo(known))
        parts = [
            (inner, run_tile(network, padded, contexts, inner, halo))
            for inner in tiles(network, size, edge)
        ]
        if known < network.contexts:
            total = parts[0][1].on_host()
            for _, context in parts[1:]:
                total += context.on_host()
            contexts.append(total)
    out = padded.new_empty((1, parts[0][1].shape[1], *size[-axes:]))
    for inner, values in parts:
        out[(..., *inner[-axes:])] = values
    pads = grid_padding(x.shape[2:], network.grid)[-axes:]
    kept = [slice(b, b + n) for (b, _), n in zip(pads, x.shape[-axes:], strict=True)]
    return out[(..., *kept)]


def symmetrise(network: torch.nn.Module) -> None:
    """Make every two-dimensional kernel (or every plane of one) look the same from eight sides."""
    for value in network.state_dict().values():
        if value.dim() >= 4:
            turns = [torch.rot90(value, k, (-2, -1)) for k in range(4)]
            value.copy_(sum(turn + turn.flip(-1) for turn in turns) / 8)


def symmetries(x: Tensor) -> list[Tensor]:
    """The eight ways to turn and flip the last two axes."""
    turns = [torch.rot90(x, k, (-2, -1)) for k in range(4)]
    return [*turns, *(turn.flip(-1) for turn in turns)]


def make_transparent(network: torch.nn.Module) -> None:
    """All weights equal and positive, no biases: a map then shows where its pixels look."""
    for name, value in network.state_dict().items():
        if value.dim() > 1:
            value.fill_(1 / value[0].numel())
        elif name.endswith(("norm.weight", "running_var")):
            value.fill_(1)
        else:
            value.zero_()


# --- a stand-in for Apple's GPU


class AppleGpu(TorchDispatchMode):
    """Let the device "meta" be Apple's GPU: float64 and bfloat16 are refused there.

    Tensors on it hold no numbers; copies on the CPU hold ones. A copy to another device may not
    change the type from or to one of the two, since the GPU might have to do it.
    """

    REFUSED = (torch.float64, torch.complex128, torch.bfloat16)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:  # in inference mode composite operations arrive whole
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        on_gpu = any(t.is_meta for t in tensors)
        if func is torch.ops.aten._to_copy.default and on_gpu and kwargs.get("device") == CPU:
            result = torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        elif func is torch.ops.aten.copy_.default and on_gpu and not args[0].is_meta:
            result = args[0].fill_(1)
        elif func is torch.ops.aten._local_scalar_dense.default and on_gpu:
            return 1
        else:
            result = func(*args, **kwargs)
        tensors += [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        if any(t.is_meta for t in tensors):
            for refused in {t.dtype for t in tensors} & {*self.REFUSED}:
                raise TypeError(f"{func}: Apple's GPU has no {refused}.")
        return result


# --- small models


def small_network(name: str, features: int = 8, seed: int = 0) -> Network:
    """The network of a preset with few features; float32, in evaluation mode."""
    config = next(preset.config for preset in all_presets() if preset.name == name)
    return random_network(miniature(config, features=features), seed).float()


def model_of(network: Network, **card: Any) -> Model:
    """A network as a model, whose card knows no pixel size unless told."""
    axes = len(network.grid)
    described = {
        "name": "miniature",
        "preset": "aeanet-2d",
        "network": networks.config_to_json(network.config),
        "ratio": (1.0,) * axes,
        "pixel_size": (None,) * axes,
    }
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    return Model(ModelCard(**(described | card)), state)


def with_random_structures(model: Model, kinds: int = 3, seed: int = 0) -> Model:
    """A model of a two-dimensional network with kinds of structure that nobody has fitted."""
    rng = np.random.default_rng(seed)
    features = encoder_of(model.network(), model.card).channels + INPUT_FILTERS
    scale = np.ones(DESCRIPTORS)
    found = FittedStructures(
        mean=np.zeros(features),
        scale=np.ones(features),
        projection=rng.normal(size=(8, features)),
        kinds=rng.normal(size=(kinds, features)),
        sharpness=np.array([10.0]),
        centres=np.sort(rng.normal(size=(kinds, DESCRIPTORS)), axis=0),
        descriptor_mean=0 * scale,
        descriptor_scale=scale,
        share=np.full(kinds, 1 / kinds),
    )
    return with_structures(model, found)


def float_noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def luminance(colour):
    """Return the relative luminance of a colour "#rrggbb" (WCAG 2.1)."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    """Return the contrast of two colours (WCAG 2.1)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
