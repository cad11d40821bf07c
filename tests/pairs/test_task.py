"""The task that is guessed from pairs."""

import numpy as np
import pytest

from napari_aeanet.core.image import Image
from napari_aeanet.pairs import ImagePair, likely_task


@pytest.mark.parametrize(
    ("source", "target", "task"),
    [("YX", "YX", "super-resolution"), ("ZYX", "ZYX", "denoising"), ("ZYX", "YX", "projection")],
)
def test_the_task_is_guessed_from_the_axes(source, target, task):
    images = [Image(np.zeros((4,) * len(axes)), axes) for axes in (source, target)]
    assert likely_task([ImagePair(*images)]) == task


def test_a_stack_in_transmitted_light_is_for_predicting_fluorescence():
    images = [Image(np.zeros((4, 4, 4)), "ZYX", name=name) for name in ("S1_DIC", "S1_nuclei")]
    assert likely_task([ImagePair(*images)]) == "label-free"
    assert likely_task([ImagePair(*images[::-1])]) == "denoising"
