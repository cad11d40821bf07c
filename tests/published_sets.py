"""The public data sets of the papers in miniature, each in its exact layout on disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tifffile
from helpers import blurred_pairs
from PIL import Image as Picture

from napari_aeanet.io.axes import Stored
from napari_aeanet.io.vendor import czi_image
from napari_aeanet.models import presets
from napari_aeanet.models.recipes import Preset
from napari_aeanet.networks import NetworkConfig, SuperResConfig
from napari_aeanet.samples import paired_sem

# The 13 folders of the label-free data.
STRUCTURES = (
    "alpha_tubulin",
    "beta_actin",
    "desmoplakin",
    "dic_lamin_b1",
    "dna",
    "fibrillarin",
    "lamin_b1",
    "membrane_caax_63x",
    "myosin_iib",
    "sec61_beta",
    "st6gal1",
    "tom20",
    "zo1",
)
NOISE = {"condition_1": 0.05, "condition_2": 0.1, "condition_3": 0.2}
QUICK_CONFIG = presets.quick_config
CZI_SHAPE = (3, 16, 44, 46)


def smallest(preset: Preset) -> NetworkConfig:
    """In the place of `quick_config`: the same network with few channels."""
    config = QUICK_CONFIG(preset)
    more = {"reduction": 4} if isinstance(config, SuperResConfig) else {}
    return config.with_changes(features=8, **more)


def write_sem(folder: Path, count: int, seed: int = 0, shape=(192, 256)) -> Path:
    """Paired micrographs: an area at magnifications of 10,000 and 20,000, as 8-bit BMP."""
    folder.mkdir(parents=True)
    for number, specimen in enumerate(paired_sem(count, seed, shape), start=1):
        for side, magnification in ((specimen.source, "10000"), (specimen.target, "20000")):
            Picture.fromarray(side.read()).save(folder / f"S{number:02d}-{magnification}.bmp")
    return folder


def write_planaria(folder: Path, count: int = 1, seed: int = 0) -> Path:
    """Patches (n, 1, z, y, x) in one NPZ file; tests in GT and three conditions, 16 bit."""
    volumes = _volumes(5 + count, seed)
    _write_patches(folder, volumes[:5], volumes[:5], seed)
    for number, volume in enumerate(volumes[5:]):
        name = f"EXP278_Smed_fixed_RedDot1_sub_5_N7_m{number:04d}.tif"
        for condition, noise in {"GT": 0.0, **NOISE}.items():
            _write_stack(folder / "test_data" / condition / name, _noisy(volume, noise, seed))
    return folder


def write_tribolium(folder: Path, count: int = 1, seed: int = 1) -> Path:
    """The same, but each test file holds four stacks: from the noisiest to the truth."""
    volumes = _volumes(5 + count, seed)
    _write_patches(folder, volumes[:5], volumes[:5], seed)
    for number, volume in enumerate(volumes[5:]):
        levels = (*sorted(NOISE.values(), reverse=True), 0.0)
        stacks = np.stack([_noisy(volume, noise, seed) for noise in levels])
        path = folder / "test_data" / f"nGFP_0.1_0.2_0.5_20_{number:02d}_late.tif"
        _write_stack(path, stacks)
    return folder


def write_flywing(folder: Path, count: int = 1, seed: int = 2) -> Path:
    """Patches (n, 1, z, y, x) and (n, 1, 1, y, x); the truth lies in PreMosa/GT."""
    volumes = _volumes(5 + count, seed)
    planes = volumes.max(axis=1)
    _write_patches(folder, volumes[:5], planes[:5, None], seed)
    for number in range(count):
        name = f"C2_T{number + 1:03d}.tif"
        for condition, noise in NOISE.items():
            stack = _noisy(volumes[5 + number], noise, seed)
            _write_stack(folder / "test_data" / condition / name, stack)
        truth = _noisy(planes[5 + number], 0.0, seed)
        _write_stack(folder / "test_data" / "PreMosa" / "GT" / name, truth)
    return folder


def write_label_free(
    folder: Path, structures=("dna", "dic_lamin_b1"), trained: int = 5, tested: int = 2
) -> Path:
    """Lists as published, beside folders of CZI files; see `stand_in_czi`."""
    rng = np.random.default_rng(0)
    for structure in structures:
        (folder / structure).mkdir(parents=True)
        lists = folder / "csvs" / structure
        lists.mkdir(parents=True)
        for part, count in (("train", trained), ("test", tested)):
            lines = ["path_czi,channel_signal,channel_target,structureProteinName,colony_position"]
            for number in range(count):
                name = f"{structure}/3500001346_100X_{part}-Scene-{number:02d}.czi"
                target = rng.integers(0, 3000, CZI_SHAPE[1:]).astype(np.float32)
                target = np.cumsum(target, axis=-1) / CZI_SHAPE[-1]
                channels = np.stack([0 * target + 7, 4000 - target, target]).astype(np.uint16)
                with (folder / name).open("wb") as file:
                    np.save(file, channels)
                lines.append(f"{name},1,2,{structure},")
            (lists / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


def stand_in_czi(path: Path) -> list[Stored]:
    """In the place of the reader of CZI files, which no library can write: reads NPY files.

    It returns what the reader makes of czifile's answer.
    """
    values = np.load(path)
    scene = SimpleNamespace(
        coord_scales={"Z": 0.29e-6, "Y": 0.108e-6, "X": 0.108e-6},
        channels={f"channel {i}": {} for i in range(len(values))},
        sizes=dict(zip("CZYX", values.shape, strict=True)),
        asarray=lambda: values,
    )
    return [czi_image(scene)]


def _volumes(count: int, seed: int) -> np.ndarray:
    pairs = blurred_pairs(count, (8, 16, 24), seed)
    return np.stack([pair.target.read() for pair in pairs]) / 255


def _noisy(values: np.ndarray, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noisy = 400 + 3000 * (values + rng.normal(0, noise, values.shape))
    return np.clip(noisy, 0, 65535).astype(np.uint16)


def _write_patches(folder: Path, sources: np.ndarray, targets: np.ndarray, seed: int) -> None:
    """Normalised patches of floats with an axis of channels."""
    rng = np.random.default_rng(seed)
    (folder / "train_data").mkdir(parents=True)
    np.savez(
        folder / "train_data" / "data_label.npz",
        X=(sources + rng.normal(0, 0.1, sources.shape)).astype(np.float32)[:, None],
        Y=targets.astype(np.float32)[:, None],
        axes="SCZYX",
    )


def _write_stack(path: Path, values: np.ndarray) -> None:
    """Write a TIFF file without axes, as the authors' scripts do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, values, photometric="minisblack")
