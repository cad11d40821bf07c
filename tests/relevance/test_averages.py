"""Averages of maps over places are means of those that exist."""

import numpy as np
import pytest
from helpers import float_noise

from napari_aeanet.relevance import averaged_over


@pytest.mark.parametrize("places", [3, 7, 15])
def test_an_average_is_the_mean_of_the_places_that_exist(places):
    maps = float_noise((2, 9, 12)).astype(np.float64)
    found, reach = averaged_over(maps, places), places // 2
    for y, x in np.ndindex(9, 12):
        square = maps[:, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        np.testing.assert_allclose(found[:, y, x], square.mean(axis=(1, 2)), atol=1e-11)


def test_one_place_changes_nothing():
    maps = float_noise((2, 5, 6))
    assert averaged_over(maps, 1) is maps
