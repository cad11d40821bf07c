"""Finding damaged slices."""

import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.repair import (
    DamageFound,
    DamageKind,
    DamageSettings,
    find_damage,
    find_damage_events,
)
from napari_aeanet.repair.damage_features import Extent
from napari_aeanet.repair.damage_measures import Marks, SliceMeasures
from napari_aeanet.repair.damage_reasons import damaged_slice
from napari_aeanet.repair.damage_scores import UnusualMeasure
from napari_aeanet.samples import serial_sections


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return serial_sections(7, (9, 96, 96)).truth.array[:7]


@pytest.fixture(scope="module")
def clean_scores(clean) -> tuple[float, ...]:
    return find_damage(clean).scores


def emptied(stack: np.ndarray, *indices: int) -> np.ndarray:
    stack = stack.copy()
    stack[list(indices)] = 0
    return stack


def test_the_damaged_slices_of_a_specimen_are_found_and_no_others():
    specimen = serial_sections(1, (12, 192, 192))
    found = find_damage(specimen.stack)
    assert found.indices == tuple(sorted(found.indices))
    assert set(found.indices) <= set(specimen.damaged)
    # A film of dirt is a weak change in a slice of this size.
    wanted = {index for index, kind in specimen.damaged.items() if kind != "contamination"}
    assert wanted <= set(found.indices)
    kinds = {one.index: one.kind for one in found.slices}
    (gone,) = (index for index, kind in specimen.damaged.items() if kind == "missing")
    assert kinds[gone] is DamageKind.MISSING
    folds = [one.reason for one in found.slices if one.kind is DamageKind.FOLD]
    assert folds
    assert folds[0].startswith("fold: dark line, at least ")


def test_nothing_is_proposed_in_a_clean_stack(clean, clean_scores):
    assert len(clean_scores) == len(clean)
    assert max(clean_scores) < 3.5


@pytest.mark.parametrize("indices", [(0,), (6,), (3, 4)])
def test_slices_without_content_are_found_wherever_they_lie(clean, indices):
    found = find_damage(emptied(clean, *indices))
    assert found.indices == indices
    assert {one.reason for one in found.slices} == {"missing: all one grey level"}


def test_a_slice_that_repeats_the_one_before_is_found_and_no_empty_one(clean):
    stack = emptied(clean, 5, 6)
    stack[3] = stack[2]
    found = {one.index: one.reason for one in find_damage(stack).slices}
    assert found.keys() == {3, 5, 6}
    assert found[3] == "repeated: the same as slice 2, was it exported twice?"
    assert found[6] == found[5] == "missing: all one grey level"
    stack[3, 40, 40] += 1
    assert 3 not in find_damage(stack).indices


def test_a_blurred_slice_is_found_with_the_reason(clean):
    stack = clean.copy()
    stack[4] = ndimage.gaussian_filter(clean[4], 2)
    (found,) = find_damage(stack).slices
    assert (found.index, found.kind) == (4, DamageKind.BLURRED)
    assert found.reason.startswith("blurred: ")
    assert "% of the fine detail of its neighbours" in found.reason


def test_slow_changes_and_a_change_for_good_are_no_damage():
    stack = serial_sections(7, (10, 96, 96)).truth.array.astype(np.float32)
    assert find_damage(stack * np.linspace(1, 0.6, 10)[:, None, None]).slices == ()
    stack[5:] = 0.6 * stack[5:] + 20
    assert find_damage(stack).slices == ()


def test_the_scores_do_not_depend_on_the_unit_of_the_grey_levels(clean, clean_scores):
    for other in (clean.astype(np.uint16) * 16, clean * 1e-3 + 1e6):
        np.testing.assert_allclose(find_damage(other).scores, clean_scores, atol=0.8)


def test_borders_without_data_are_no_damage_but_a_lost_part_is(clean):
    stack = clean.astype(np.float32)
    stack[:, :10] = np.nan
    stack[:4, :, :6] = np.nan
    assert find_damage(np.nan_to_num(stack).astype(np.uint8)).slices == ()
    stack[4, 50:] = np.nan
    (found,) = find_damage(stack).slices
    assert (found.index, found.kind) == (4, DamageKind.PART_LOST)


def test_one_slice_is_read_at_a_time(clean):
    read = []

    class Lazy:
        shape, ndim, dtype = clean.shape, 3, clean.dtype

        def __getitem__(self, region):
            read.append(region[0])
            return clean[region]

    events = find_damage_events(Image(Lazy(), "ZYX"))
    first = next(events)
    assert (first.index, read) == (0, [0])
    assert first.progress.fraction == pytest.approx(1 / len(clean))
    *_, last = events
    assert isinstance(last, DamageFound)
    assert last.progress.fraction == 1
    assert read == [*range(len(clean))]


def test_a_lower_limit_proposes_more(clean):
    found = find_damage(clean, DamageSettings(limit=0.5))
    assert found.limit == 0.5
    assert found.indices == tuple(np.flatnonzero(np.array(found.scores) > 0.5))
    with pytest.raises(ValueError, match="limit must be above 0"):
        DamageSettings(limit=0)


def test_too_few_and_too_small_slices_are_refused(clean):
    with pytest.raises(ValueError, match="has 2 slices, too few"):
        find_damage(clean[:2])
    with pytest.raises(ValueError, match="96 x 20 pixels, too small"):
        find_damage(clean[:, :, :20])
    with pytest.raises(ValueError, match="has the axes 'YX'"):
        find_damage(clean[0])


@pytest.mark.parametrize(
    ("measure", "line", "spot", "reason"),
    [
        ("dark spot", 90, 31, "fold: dark line, at least 90 px long"),
        ("dark spot", 30, 31, "dirt: dark spot 31 px across"),
        ("dark spot", 90, 80, "dark: dark area 80 px across"),
        ("dark line", 50, 31, "fold: dark line, at least 50 px long"),
        ("dark band", 90, 31, "dark: dark band, at least 150 px long"),
        ("dark band", 30, 31, "dirt: dark spot 31 px across"),
    ],
)
def test_a_dark_mark_is_named_after_its_shape(measure, line, spot, reason):
    spots = (Extent(value=2.0, size=spot),) * 4
    marks = Marks(
        dark=spots,
        bright=spots,
        dark_line=Extent(value=1.0, size=line),
        bright_line=Extent(value=0.0, size=0),
        dark_band=Extent(value=1.0, size=150),
        one_side=False,
    )
    found = UnusualMeasure(score=8.0, measure=measure, kind=DamageKind.DIRT, value=2.0, usual=0.5)
    measures = SliceMeasures(covered=1.0, mean=0.0, spread=1.0, detail=1.0)
    assert damaged_slice(2, found, measures, marks, (256, 300)).reason == reason
