"""The shift between the images of a pair that is not registered."""

import numpy as np
import pytest
from helpers import textured_scene

from napari_aeanet.dataset.alignment import NOTABLE_SHIFT, shift_between

CLEAN = textured_scene(0)[:128, :128]


def noisy(by, seed):
    """Return the scene moved by so many columns, so noisy that few of its blocks are found."""
    rng = np.random.default_rng(seed)
    return np.roll(CLEAN, by, axis=1) + rng.normal(0, 350, CLEAN.shape).astype(np.float32)


def notable(by):
    shifts = [shift_between(noisy(by, seed), CLEAN) for seed in range(30)]
    return [shift for shift in shifts if shift is not None and shift > NOTABLE_SHIFT]


def test_noise_does_not_shift_an_aligned_pair():
    assert len(notable(0)) <= 1


@pytest.mark.parametrize("by", [3, -2])
def test_a_shift_in_less_noise_is_measured(by):
    rng = np.random.default_rng(0)
    moved = np.roll(CLEAN, by, axis=1) + rng.normal(0, 100, CLEAN.shape).astype(np.float32)
    assert shift_between(moved, CLEAN) == pytest.approx(abs(by), abs=0.2)
