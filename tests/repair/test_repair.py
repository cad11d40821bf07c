"""Replacing damaged slices by interpolated ones."""

import csv

import numpy as np
import pytest

from napari_aeanet.core.image import Image
from napari_aeanet.interpolation.measures import membrane_agreement
from napari_aeanet.io import read_image, write_image
from napari_aeanet.repair import (
    QualityMeasured,
    RepairSettings,
    SliceState,
    expected_quality_events,
    plan_repairs,
    preview_slice,
    repair_stack,
    repair_stack_events,
)
from napari_aeanet.samples.sections import SectionSettings, serial_sections

QUICK = RepairSettings(checks=2)
UNCHECKED = RepairSettings(checks=0)


@pytest.fixture(scope="module")
def specimen():
    return serial_sections(
        seed=0, shape=(12, 128, 128), settings=SectionSettings(damaged=2, neurite_size=24)
    )


@pytest.fixture(scope="module")
def repaired(specimen):
    return repair_stack(specimen.stack, specimen.damaged, QUICK)


def planned(count, slices):
    stack = Image(np.zeros((count, 8, 8), np.uint8), "ZYX", name="stack")
    return {one.index: one for one in plan_repairs(stack, slices)}


def test_kept_slices_stay_bit_identical(specimen, repaired):
    before, after = specimen.stack.read(), repaired.image.read()
    assert after.dtype == before.dtype
    kept = repaired.indices(SliceState.KEPT)
    np.testing.assert_array_equal(after[kept], before[kept])
    assert repaired.indices(SliceState.REPAIRED) == list(specimen.damaged)
    assert len(repaired.outcomes) == 12


def test_a_repaired_slice_resembles_what_was_lost(specimen, repaired):
    truth, stack = specimen.truth.read(), repaired.image.read()
    for index in specimen.damaged:
        assert membrane_agreement(truth[index], stack[index]) > 0.4
        assert abs(stack[index].mean() - truth[index].mean()) < 8


def test_the_source_is_not_changed(specimen):
    pixels = specimen.stack.read().copy()
    repair_stack(pixels, specimen.damaged, UNCHECKED)
    np.testing.assert_array_equal(pixels, specimen.stack.read())


def test_expected_quality_is_that_of_hidden_slices(specimen, repaired):
    (quality,) = repaired.quality
    assert quality.gap == 1
    near = {z + d for z in specimen.damaged for d in (-1, 0, 1)}
    assert not near & set(quality.slices)
    truth, stack = specimen.truth.read(), repaired.image.read()
    true = [membrane_agreement(truth[z], stack[z]) for z in specimen.damaged]
    assert quality.agreement == pytest.approx(np.mean(true), abs=0.2)
    assert 0.5 < quality.mean_agreement < 1
    assert "membranes agree by" in repaired.notices[-1]


def test_a_slice_is_made_from_the_nearest_good_ones():
    assert (planned(9, [4])[4].before, planned(9, [4])[4].after) == (3, 5)
    two = planned(9, [4, 5, 7])
    assert [(two[z].before, two[z].after) for z in (4, 5, 7)] == [(3, 6), (3, 6), (6, 8)]
    assert two[4].at == pytest.approx(1 / 3)
    assert two[5].at == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("slices", "refused", "reason"),
    [
        ([0], [0], "no good slice lies before"),
        ([8], [8], "no good slice lies after"),
        ([0, 1], [0, 1], "before"),
        ([3, 4, 5], [3, 4, 5], "one of 3 in a row, 3 to 5"),
        (range(9), range(9), "before"),
    ],
)
def test_what_nothing_is_known_of_is_refused(slices, refused, reason):
    found = planned(9, slices)
    assert [z for z, one in found.items() if one.refusal] == list(refused)
    assert all(reason in one.refusal for one in found.values())


def test_refused_slices_stay_and_are_told(specimen):
    slices = [0, *specimen.damaged]
    found = repair_stack(specimen.stack, slices, UNCHECKED)
    np.testing.assert_array_equal(found.image.read()[0], specimen.stack.read()[0])
    assert found.indices(SliceState.REFUSED) == [0]
    assert "Slice 0 was left as it is: no good slice lies before it." in found.notices


def test_slices_between_two_that_do_not_match_are_refused(specimen):
    pixels = specimen.truth.read().copy()
    pixels[6:] = pixels[6:, ::-1, ::-1]
    found = repair_stack(pixels, [6], UNCHECKED)
    assert found.indices(SliceState.REFUSED) == [6]
    assert "slices 5 and 7 on either side do not match" in found.notices[0]
    np.testing.assert_array_equal(found.image.read(), pixels)
    with pytest.raises(ValueError, match=r"Slice 6 of .* cannot be repaired: slices 5 and 7"):
        preview_slice(pixels, 6, [6])


def test_two_in_a_row_are_told_and_measured_as_such(specimen):
    found = repair_stack(specimen.truth, [4, 5], QUICK)
    (quality,) = found.quality
    assert quality.gap == 2
    assert "Slices 4 and 5 lie two in a row" in found.notices[0]


@pytest.mark.parametrize("name", ["repaired.ome.zarr", "repaired.ome.tif"])
def test_files_hold_the_stack_the_marks_and_a_row_for_every_slice(specimen, tmp_path, name):
    stack = Image(specimen.stack.read(), "ZYX", pixel_size=(50, 4, 4), unit="nm", name="sections")
    slices = [0, *specimen.damaged]
    found = repair_stack(stack, slices, QUICK, out=tmp_path / name)
    again = read_image(tmp_path / name)
    np.testing.assert_array_equal(again.read(), found.image.read())
    assert (again.pixel_size, again.unit, again.dtype) == ((50, 4, 4), "nm", np.uint8)
    assert set(again.interpolated) == set(specimen.damaged)
    first = next(iter(specimen.damaged))
    assert again.interpolated[first].startswith(
        f"optical flow between slices {first - 1} and {first + 1}; expected membrane agreement 0."
    )
    with (tmp_path / "repaired-slices.csv").open() as text:
        rows = list(csv.DictReader(text))
    assert [row["slice"] for row in rows] == [str(n) for n in range(12)]
    assert {row["state"] for row in rows} == {"kept", "repaired", "refused"}
    assert rows[0]["reason"] == "no good slice lies before it"
    assert 0 < float(rows[first]["expected_agreement"]) < 1
    with pytest.raises(FileExistsError, match="exists already"):
        repair_stack(stack, slices, QUICK, out=tmp_path / name)
    repair_stack(stack, slices, UNCHECKED, out=tmp_path / name, overwrite=True)


def test_a_stopped_repair_writes_nothing(specimen, tmp_path):
    events = repair_stack_events(
        specimen.stack, specimen.damaged, QUICK, out=tmp_path / "repaired.ome.zarr"
    )
    shares = [next(events).progress.fraction for _ in range(8)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.8
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_a_lazy_stack_is_repaired_to_the_same_bytes(specimen, tmp_path):
    write_image(specimen.stack, tmp_path / "stack.ome.zarr")
    import zarr

    lazy = Image(zarr.open_array(tmp_path / "stack.ome.zarr" / "0"), "ZYX")
    found = repair_stack(lazy, specimen.damaged, UNCHECKED)
    wanted = repair_stack(specimen.stack, specimen.damaged, UNCHECKED)
    np.testing.assert_array_equal(found.image.read(), wanted.image.read())


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int32])
def test_number_types_and_missing_pixels(specimen, kind):
    pixels = specimen.stack.read().astype(kind) * 16
    index = next(iter(specimen.damaged))
    if kind is np.float32:
        pixels[index - 1, :20, :30] = np.nan
        pixels[index] = np.nan
    found = repair_stack(pixels, [index], UNCHECKED).image.read()
    assert found.dtype == kind
    assert np.isfinite(found[index]).all()
    plain = repair_stack(specimen.stack, [index], UNCHECKED).image.read()[index]
    inner = slice(40, -10)
    assert np.abs(found[index][inner, inner] / 16 - plain[inner, inner]).mean() < 2


def test_texture_makes_repaired_slices_as_sharp_as_recorded_ones(specimen):
    plain, textured = (
        repair_stack(specimen.truth, [5], RepairSettings(texture=texture, checks=3)).quality[0]
        for texture in (False, True)
    )
    assert plain.sharpness < textured.sharpness
    assert abs(textured.sharpness - 1) < 0.08


def test_a_preview_shows_what_the_repair_makes(specimen, repaired):
    index = next(iter(specimen.damaged))
    shown = preview_slice(specimen.stack, index, specimen.damaged)
    np.testing.assert_array_equal(shown.repaired, repaired.image.read()[index])
    np.testing.assert_array_equal(shown.damaged, specimen.stack.read()[index])
    np.testing.assert_array_equal(shown.before, specimen.stack.read()[index - 1])


def test_quality_can_be_measured_before_anything_is_repaired(specimen, repaired):
    *_, last = expected_quality_events(specimen.stack, specimen.damaged, QUICK)
    assert isinstance(last, QualityMeasured)
    assert last.quality == repaired.quality


def test_wrong_requests_are_refused_in_words(specimen, tmp_path):
    stack = specimen.stack
    with pytest.raises(ValueError, match="no slice 12: its slices are 0 to 11, counted from 0"):
        repair_stack(stack, [12])
    with pytest.raises(ValueError, match="name at least one slice"):
        repair_stack(stack, [])
    with pytest.raises(TypeError, match="slices"):
        repair_stack(stack, ["3"])
    with pytest.raises(ValueError, match="a stack of sections has 'ZYX'"):
        repair_stack(stack.read()[0], [3])
    with pytest.raises(ValueError, match=r"ends in \.ome\.tif or \.ome\.zarr"):
        repair_stack(stack, [3], out=tmp_path / "repaired.tif")
    write_image(stack, tmp_path / "stack.ome.tif")
    with pytest.raises(ValueError, match="is the stack itself"):
        repair_stack(tmp_path / "stack.ome.tif", [3], out=tmp_path / "stack.ome.tif")
