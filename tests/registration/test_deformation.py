"""Local drift is followed where the images prove it, and nothing folds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from helpers import REAL_DATA, registration_pair, textured_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.deformation import LARGEST_STRAIN, Deformation, largest_strain
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.run import register
from napari_aeanet.registration.settings import Deform, RegistrationSettings
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.registration.warping import (
    crop_to_overlap,
    overlap_region,
    resample,
    resample_reverse,
)

OFF = RegistrationSettings(deform=Deform.OFF)


def deformation(seed=0, strain=0.2, cells=(4, 5)):
    """Return a random displacement with a given strain."""
    grid = np.random.default_rng(seed).normal(size=(cells[0] + 3, cells[1] + 3, 2))
    grid *= strain / largest_strain(grid)
    return Deformation(coefficients=grid, before=1.4, after=0.2)


def deformed_registration(source_shape=(40, 50), target_shape=(80, 100), **changes):
    made = Registration(
        matrix=transforms.translation((1.3, -0.7)) @ transforms.enlargement(2),
        kind=TransformKind.SIMILARITY,
        source_shape=source_shape,
        target_shape=target_shape,
        verdict=Verdict.GOOD,
        reason="made for a test",
        deformation=deformation(),
    )
    return replace(made, **changes)


def drifting_pair(amplitude, *, by_rows=False, noise=0.05, side=320, seed=0):
    """Return a pair of one pixel size whose source drifts, and the displacement (2, side, side)."""
    rng = np.random.default_rng(seed)
    target = textured_scene(seed, side).astype(np.float32)
    y, x = np.mgrid[:side, :side] / side * 2 * np.pi
    drift = [np.sin(2 * y), np.cos(2 * y)] if by_rows else [np.sin(x + y), np.cos(x - y)]
    u = amplitude * np.stack(drift)
    # The source shows at q = p + u(p) what the target shows at p = q + v(q), v(q) = -u(q + v(q)).
    rows, columns = np.mgrid[:side, :side]
    v = -u
    for _ in range(4):
        at = [rows + v[0], columns + v[1]]
        v = -np.stack([ndimage.map_coordinates(one, at, order=1, mode="nearest") for one in u])
    source = ndimage.map_coordinates(target, [rows + v[0], columns + v[1]], order=3, mode="reflect")
    images = [
        Image(np.clip(one + rng.normal(0, noise * 255, one.shape), 0, 255).astype(np.uint8), "YX")
        for one in (source, target)
    ]
    return *images, u


# --- the displacement


def test_a_displacement_does_not_depend_on_the_pixels_of_its_field():
    field = deformation()
    coarse = np.stack(field.on_grid(np.arange(40), np.arange(60), (40, 60)))
    fine = np.stack(field.on_grid(np.arange(120), np.arange(180), (120, 180)))
    np.testing.assert_allclose(fine[:, 1::3, 1::3], 3 * coarse, atol=1e-12)


def test_points_are_displaced_as_grids_are():
    field, shape = deformation(1), (40, 60)
    rows, columns = np.array([0.0, 7.3, 39.0]), np.array([0.0, 30.2, 59.0])
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = np.stack(field.on_grid(rows, columns, shape), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(field.at(points, shape), expected, atol=1e-10)
    beyond = field.at(np.array([[-9.0, 20.0]]), shape)
    np.testing.assert_allclose(beyond, field.at(np.array([[-0.5, 20.0]]), shape), atol=1e-10)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), strain=st.floats(0.01, LARGEST_STRAIN), rows=st.integers(1, 9))
def test_no_displacement_folds_and_each_can_be_undone(seed, strain, rows):
    field, shape = deformation(seed, strain * 0.999, (rows, 4)), (96, 128)
    y, x = field.on_grid(np.arange(96), np.arange(128), shape)
    (yy, yx), (xy, xx) = np.gradient(y), np.gradient(x)
    jacobian = (1 + yy) * (1 + xx) - yx * xy
    assert jacobian.min() > 0.45 and jacobian.max() < 1.75
    points = np.random.default_rng(seed).uniform((0, 0), (95, 127), (50, 2))
    moved = points + field.at(points, shape)
    np.testing.assert_allclose(field.undo(moved, shape), points, atol=1e-3)


@pytest.mark.parametrize(
    "values", [np.zeros((3, 4, 2)), np.zeros((5, 5)), np.full((5, 5, 2), np.nan)]
)
def test_values_that_are_no_displacement_are_refused(values):
    with pytest.raises(ValueError, match="coefficients"):
        Deformation(coefficients=values, before=1.0, after=0.1)


def test_a_displacement_that_may_fold_is_refused():
    grid = deformation().coefficients * 10
    with pytest.raises(ValueError, match="fold"):
        Deformation(coefficients=grid, before=1.0, after=0.1)


# --- the file


def test_a_file_keeps_the_deformation(tmp_path):
    made = deformed_registration(remaining_vectors=np.ones((3, 2, 2)))
    made.save(tmp_path / "pair.json")
    read = Registration.load(tmp_path / "pair.json")
    np.testing.assert_array_equal(read.deformation.coefficients, made.deformation.coefficients)
    assert (read.deformation.before, read.deformation.after) == (1.4, 0.2)
    np.testing.assert_array_equal(read.remaining_vectors, made.remaining_vectors)


def test_a_file_without_one_opens_and_one_that_folds_is_refused_by_name(tmp_path):
    path = tmp_path / "pair.json"
    deformed_registration().save(path)
    values = json.loads(path.read_text())
    grid = np.array(values["deformation"]["coefficients"]) * 10
    values["deformation"]["coefficients"] = grid.tolist()
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"pair\.json.*deformation.*fold"):
        Registration.load(path)
    del values["deformation"]
    path.write_text(json.dumps(values | {"version": 2}))
    assert Registration.load(path).deformation is None


# --- resampling


def test_a_bright_dot_lands_where_the_composed_transform_takes_it():
    source = np.zeros((40, 50))
    source[10, 12] = 1.0
    found = deformed_registration()
    moved = resample(Image(source, "YX"), found, Image(np.zeros((80, 100)), "YX")).array
    where = np.array(np.meshgrid(np.arange(80), np.arange(100), indexing="ij"))
    centre = (where * moved).sum(axis=(1, 2)) / moved.sum()
    rigid = transforms.apply(found.matrix, np.array([[10.0, 12.0]]))
    expected = found.deformation.undo(rigid, (80, 100))[0]
    assert np.linalg.norm(expected - rigid[0]) > 0.3
    np.testing.assert_allclose(centre, expected, atol=0.1)
    rigid_only = resample(
        Image(source, "YX"), found.without_deformation(), Image(np.zeros((80, 100)), "YX")
    ).array
    centre = (where * rigid_only).sum(axis=(1, 2)) / rigid_only.sum()
    np.testing.assert_allclose(centre, rigid[0], atol=0.02)


def test_there_and_back_returns_a_smooth_image():
    y, x = np.mgrid[:40, :50] / 7.0
    source, target = Image(np.sin(y) + np.cos(x), "YX"), Image(np.zeros((80, 100)), "YX")
    found = deformed_registration()
    back = resample_reverse(resample(source, found, target), found, source).array
    assert np.abs(back - source.array)[6:-6, 6:-6].max() < 0.04


def test_a_region_equals_that_part_of_the_whole():
    source = Image(np.random.default_rng(1).random((40, 50)), "YX")
    target, region = Image(np.zeros((80, 100)), "YX"), (slice(13, 60), slice(40, 90))
    whole = resample(source, deformed_registration(), target).array
    part = resample(source, deformed_registration(), target, region).array
    np.testing.assert_allclose(part, whole[region], atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_overlap_lies_within_the_deformed_source(seed):
    source_shape, target_shape = (60, 70), (90, 100)
    found = deformed_registration(
        source_shape,
        target_shape,
        matrix=transforms.translation((7, -12)) @ transforms.similarity(1.4, 8.0),
        deformation=deformation(seed),
    )
    region = overlap_region(found)
    rows, columns = (np.arange(part.start, part.stop) for part in region)
    y, x = found.deformation.on_grid(rows, columns, target_shape)
    points = np.stack([rows[:, None] + y, columns[None] + x], axis=-1).reshape(-1, 2)
    at = transforms.apply(np.linalg.inv(found.matrix), points)
    assert (at > -0.55).all() and (at < np.array(source_shape) - 0.45).all()
    ours = len(rows) * len(columns)
    rows, columns = overlap_region(found.without_deformation())
    assert ours > 0.5 * (rows.stop - rows.start) * (columns.stop - columns.start)


# --- finding it


@pytest.mark.parametrize("by_rows", [False, True])
def test_known_drift_is_followed(by_rows):
    source, target, u = drifting_pair(2.0, by_rows=by_rows)
    found = register(source, target)
    assert found.verdict is Verdict.GOOD
    assert "follows local drift: 1.9 px -> 0.1 px" in found.reason
    rows, columns = np.arange(24, 296), np.arange(24, 296)
    y, x = found.deformation.on_grid(rows, columns, (320, 320))
    points = np.stack([rows[:, None] + y, columns[None] + x], axis=-1).reshape(-1, 2)
    places = transforms.apply(np.linalg.inv(found.matrix), points).reshape(272, 272, 2)
    true = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) + np.moveaxis(
        u[:, 24:296, 24:296], 0, -1
    )
    assert np.linalg.norm(places - true, axis=-1).mean() < 0.15
    assert found.deformation.after < 0.3 * found.deformation.before
    rest = np.linalg.norm(found.remaining_vectors[:, 1], axis=1)
    assert np.median(rest) < 0.35
    first, second = crop_to_overlap(source, found, target)
    kept = np.corrcoef(first.array[8:-8, 8:-8].ravel(), second.array[8:-8, 8:-8].ravel())[0, 1]
    first, second = crop_to_overlap(source, found.without_deformation(), target)
    rigid = np.corrcoef(first.array[8:-8, 8:-8].ravel(), second.array[8:-8, 8:-8].ravel())[0, 1]
    assert kept > rigid + 0.05


def test_switched_off_drift_is_only_reported():
    source, target, _ = drifting_pair(2.0)
    found = register(source, target, OFF)
    assert found.deformation is None
    assert found.verdict is Verdict.DRIFTS
    assert found.drift == pytest.approx(2.0, rel=0.25)


def test_inverted_contrast_is_followed_as_well():
    source, target, _ = drifting_pair(2.0, noise=0.02)
    found = register(source.with_array(255 - source.array), target)
    assert found.inverted and found.deformation.after < 0.4


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.25])
def test_noise_is_neither_followed_nor_called_drift(noise):
    for seed in range(3):
        source, target, _ = registration_pair(seed + 40, noise=noise)
        found = register(source, target)
        assert found.deformation is None, found.reason
        assert found.verdict is Verdict.GOOD, found.reason


def test_noisy_fluorescence_is_not_called_drift():
    folder = REAL_DATA / "fluo_pairs_w2s"
    if not folder.exists():
        pytest.skip(f"the real images are not here ({folder})")
    for number in (1, 5, 12):  # benchmarks/deformation.py has all; 5 is the hardest
        source, target = (
            Image(tifffile.imread(folder / name, key=number), "YX")
            for name in ("avg1.tif", "avg400.tif")
        )
        found = register(source, target)
        assert found.verdict is Verdict.GOOD, f"{number}: {found.reason}"
        assert found.deformation is None, f"{number}: {found.reason}"


def test_planes_of_a_stack_follow_their_own_drift():
    pairs = [drifting_pair(amplitude, side=192, seed=3) for amplitude in (0.0, 2.0)]
    source, target = (
        Image(np.stack([pair[side].array for pair in pairs]), "ZYX") for side in range(2)
    )
    one = register(source, target)
    assert not one.is_deformed
    found = register(source, target, RegistrationSettings(slice_by_slice=True))
    assert [plane.deformation is not None for plane in found.slices] == [False, True]
    assert found.is_deformed and not found.without_deformation().is_deformed
    moved = resample(source, found, target)
    rigid = resample(source, found.without_deformation(), target)
    np.testing.assert_array_equal(moved.array[0], rigid.array[0])
    assert np.abs(moved.array[1].astype(float) - rigid.array[1]).mean() > 1
