"""The task that is guessed from pairs."""

from dataclasses import replace

import numpy as np
import pytest

from napari_aeanet.core.image import Image
from napari_aeanet.pairs import ImagePair, are_enlarged, likely_task
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind


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


def test_sources_are_enlarged_where_most_targets_have_finer_pixels():
    def pair(ratio):
        source, target = (Image(np.zeros((4 * n, 4 * n)), "YX") for n in (1, ratio))
        return ImagePair(source, target)

    assert not are_enlarged([])
    assert not are_enlarged([pair(1), pair(1), pair(2)])
    assert are_enlarged([pair(1), pair(2), pair(2)])
    # A registration knows better than the sizes: the target shows the middle of the source.
    found = Registration(
        matrix=np.diag([2.0, 2.0, 1.0]),
        kind=TransformKind.SIMILARITY,
        source_shape=(4, 4),
        target_shape=(4, 4),
        verdict=Verdict.GOOD,
        reason="",
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
    )
    assert are_enlarged([replace(pair(1), registration=found)])
