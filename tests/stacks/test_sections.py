"""Matching neighbouring serial sections."""

import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.registration import transforms
from napari_aeanet.samples import SectionSettings, serial_sections
from napari_aeanet.stacks import register_sections


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    settings = SectionSettings(damaged=0, misalignment=0)
    return serial_sections(3, (2, 256, 256), settings).stack.read()


def motion(rotation: float, shift: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Turn about the centre, then shift."""
    centre = transforms.centre(shape)
    turned = transforms.similarity(1, rotation)
    return transforms.translation(centre + shift) @ turned @ transforms.translation(-centre)


def moved(plane: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the section whose pixel `matrix` p shows what pixel p of `plane` shows."""
    back = np.linalg.inv(matrix)
    values = ndimage.affine_transform(
        plane.astype(np.float32), back[:2, :2], back[:2, 2], order=3, mode="reflect"
    )
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("rotation", "shift"), [(0, (5.3, -3.6)), (1.7, (-4, 6)), (-4, (2, 20))])
def test_motion_of_a_section_is_found(stack, rotation, shift):
    matrix = motion(rotation, shift, (256, 256))
    match = register_sections(stack[0], moved(stack[0], matrix))
    assert match.correlation > 0.9
    assert transforms.corner_distance(match.matrix, matrix, (256, 256)) < 0.5


def test_neighbours_that_differ_are_matched(stack):
    matrix = motion(-1.5, (6, -9), (256, 256))
    match = register_sections(stack[0], moved(stack[1], matrix))
    assert transforms.corner_distance(match.matrix, matrix, (256, 256)) < 2
    back = match.inverse().matrix
    np.testing.assert_allclose(back @ match.matrix, np.eye(3), atol=1e-9)


def test_affine_follows_compression_by_the_knife(stack):
    shrink = transforms.translation((6, 0)) @ np.diag([0.96, 1, 1])
    match = register_sections(stack[0], moved(stack[0], shrink), affine=True)
    assert transforms.corner_distance(match.matrix, shrink, (256, 256)) < 0.5


def test_uneven_illumination_does_not_hold_sections_in_place(stack):
    y, x = np.mgrid[:256, :256]
    light = (1 - np.hypot(y - 127.5, x - 127.5) / 300)[None]
    matrix = motion(0, (8, -6), (256, 256))
    pair = np.stack([stack[0], moved(stack[0], matrix)]) * light
    match = register_sections(*pair)
    assert transforms.corner_distance(match.matrix, matrix, (256, 256)) < 1


@pytest.mark.parametrize("kind", ["constant", "noise", "empty", "nan", "other", "tiny"])
def test_nothing_is_found_where_nothing_is_common(stack, kind):
    rng = np.random.default_rng(0)
    other = {
        "constant": np.full((256, 256), 205, np.uint8),
        "noise": rng.normal(205, 3, (256, 256)).astype(np.float32),
        "empty": np.zeros((256, 256), np.float32),
        "nan": np.full((256, 256), np.nan, np.float32),
        "other": stack[0][::-1],
        "tiny": stack[0][:20, :20],
    }[kind]
    for pair in ((stack[0], other), (other, stack[0])):
        match = register_sections(*pair)
        assert not match.is_found
        assert match.correlation < 0.25


def test_a_stack_is_refused(stack):
    with pytest.raises(ValueError, match=r"fixed must be one plane \(y, x\)"):
        register_sections(stack, stack[0])
