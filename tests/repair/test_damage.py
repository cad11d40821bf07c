"""Finding damaged slices."""

import pytest

from napari_aeanet.repair import find_damage
from napari_aeanet.samples.sections import serial_sections


@pytest.fixture(scope="module")
def specimen():
    return serial_sections(0, (12, 128, 128))


def test_too_few_and_too_small_slices_are_refused(specimen):
    with pytest.raises(ValueError, match="has 2 slices, too few"):
        find_damage(specimen.truth.array[:2])
    with pytest.raises(ValueError, match="128 x 20 pixels, too small"):
        find_damage(specimen.truth.array[:, :, :20])
