"""Small images and a gate for generators, shared by the GUI tests."""

import threading

import numpy as np

from napari_aeanet.core.image import Image


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
