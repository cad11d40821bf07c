"""Restore a small image with the built-in model, and compare with a stored result.

The image is written as a compressed OME-TIFF and read again first, so that the whole way of an
image through the program is tested. `scripts/make_self_test.py` stores the result.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np

from napari_aeanet.doctor.settings import SelfTestFacts

RESOURCES = Path(__file__).parents[1] / "resources"
EXPECTED = RESOURCES / "self-test.npy"
SHAPE = (96, 112)
# Every so many pixels of the result are kept, so that the file is small.
STEP = 6
# Largest difference as a share of the range of the result: float32 in another order, and cards
# that compute with fewer digits.
LIMIT, LIMIT_ON_CARD = 1e-3, 2e-2


def sample_image() -> np.ndarray:
    """Return rings and stripes, 8 bit, the same on every computer."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    rings = np.cos(((y - 40) ** 2 + (x - 52) ** 2) / 180)
    stripes = np.sin(x / 5 + y / 11)
    return np.rint(128 + 70 * rings + 40 * stripes).astype(np.uint8)


def restored_sample(device: str) -> np.ndarray:
    """Return some pixels of the restored test image, as float32."""
    from napari_aeanet.core.image import Image
    from napari_aeanet.io import read_image, write_image
    from napari_aeanet.models import demo_model
    from napari_aeanet.restoration import Output, RestoreSettings, restore

    settings = RestoreSettings(output=Output.FLOAT32, tile=64, device=device)
    with TemporaryDirectory(prefix="napari-aeanet-") as folder:
        path = Path(folder) / "self-test.ome.tif"
        write_image(Image(sample_image(), "YX"), path)
        return restore(read_image(path).read(), demo_model(), settings)[::STEP, ::STEP]


def run_self_test(device: str) -> SelfTestFacts:
    """Return the deviation of the restored test image from the stored result."""
    begin = monotonic()
    sample = restored_sample(device)
    expected = np.load(EXPECTED, allow_pickle=False)
    return SelfTestFacts(
        device=device,
        difference=float(np.abs(sample - expected).max() / np.ptp(expected)),
        limit=LIMIT if device == "cpu" else LIMIT_ON_CARD,
        seconds=monotonic() - begin,
    )
