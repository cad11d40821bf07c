"""Registration finds known transforms, and reports failures."""

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import corner_error, registration_pair, textured_scene
from registrations import registration
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.core.schema import to_plain
from napari_aeanet.pairs.pair import ImagePair, PairList
from napari_aeanet.pairs.run import register_all, register_all_events
from napari_aeanet.registration import preprocessing, run, search, tile_refinement, transforms
from napari_aeanet.registration.features import RegistrationMethod
from napari_aeanet.registration.plane import register_from_landmarks
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.run import register
from napari_aeanet.registration.settings import Deform, RegistrationSettings
from napari_aeanet.registration.transforms import TransformKind

# Failing searches take long: a known magnification keeps these tests short.
TWICE = RegistrationSettings(magnification=2.0)


@pytest.mark.parametrize(
    ("seed", "rotation", "scale", "shift"),
    [(0, 2.0, 2.0, (5.3, -8.1)), (1, -4.5, 1.95, (-12.2, 3.4)), (2, 25.0, 2.2, (0.0, 17.0))],
)
def test_a_known_transform_is_found_to_a_tenth_of_a_pixel(seed, rotation, scale, shift):
    source, target, matrix = registration_pair(seed, rotation=rotation, scale=scale, shift=shift)
    found = register(source, target)
    assert corner_error(found.matrix, matrix, target) < 0.1
    assert found.verdict is Verdict.GOOD, found.reason
    assert found.scale == pytest.approx(scale, abs=2e-3)
    assert found.rotation == pytest.approx(rotation, abs=0.05)
    assert found.shift == pytest.approx(shift, abs=0.1)
    assert found.correlation_after > found.correlation_before
    assert found.inliers >= 8


def test_the_matrix_joins_pixel_centres_in_the_order_y_x():
    # Every source pixel is the mean of 2 x 2 target pixels: y' = 2 y + 1/2, not 2 y.
    target = textured_scene(3, 256)[:, :200]
    source = target.reshape(128, 2, 100, 2).mean(axis=(1, 3))
    found = register(Image(source, "YX"), Image(target, "YX"))
    np.testing.assert_allclose(found.matrix, [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]], atol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_expected_error_is_honest(seed):
    source, target, matrix = registration_pair(seed, noise=0.10)
    found = register(source, target)
    assert corner_error(found.matrix, matrix, target) < 2.5 * found.expected_error < 0.5


def test_the_same_seed_gives_the_same_result():
    source, target, _ = registration_pair(4, noise=0.15)
    first, second = register(source, target), register(source, target)
    np.testing.assert_array_equal(first.matrix, second.matrix)
    np.testing.assert_array_equal(first.matches, second.matches)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 3.0])
def test_an_unknown_magnification_is_found(ratio):
    side = round(420 / ratio)
    source, target, matrix = registration_pair(5, scale=ratio, source_shape=(side, side))
    found = register(source, target)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.25


@pytest.mark.parametrize("kind", [TransformKind.AFFINE, TransformKind.HOMOGRAPHY])
def test_freer_transforms_are_found_on_request(kind):
    warp = np.array([[1.01, 0.03, 0], [-0.01, 0.98, 0], [0, 0, 1]])
    if kind is TransformKind.HOMOGRAPHY:
        warp[2, :2] = 1e-4, -6e-5
    source, target, matrix = registration_pair(6, warp=warp, source_shape=(200, 200))
    found = register(source, target, RegistrationSettings(kind=kind))
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.15
    assert register(source, target).drift > 2 * found.drift


def test_a_same_size_pair_is_checked_too():
    source, target, _ = registration_pair(
        7, scale=1.0, rotation=0.0, shift=(3.2, 0.0), source_shape=(256, 272), noise=0.1
    )
    found = register(source, target)
    assert found.verdict is Verdict.GOOD
    assert found.shift == pytest.approx((3.2, 0.0), abs=0.05)


def test_a_small_pair_is_enough():
    source, target, matrix = registration_pair(27, source_shape=(80, 88), target_shape=(128, 136))
    found = register(source, target, TWICE)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.2


def test_an_almost_empty_field_is_registered_by_the_little_there_is():
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:384, :384]
    picture = np.full((384, 384), 60.0)
    for middle in ((90, 110), (250, 300), (310, 90), (130, 260)):
        for y, x in rng.normal(middle, 18, (14, 2)):
            radius = rng.uniform(4, 11)
            picture += 60 * np.exp(-((((rows - y) ** 2 + (columns - x) ** 2) / radius**2) ** 2))
    low = picture.reshape(192, 2, 192, 2).mean(axis=(1, 3))
    source, target = (
        Image(np.clip(v + rng.normal(0, 8, v.shape), 0, 255).astype(np.uint8), "YX")
        for v in (low, picture)
    )
    found = register(source, target, TWICE)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, transforms.enlargement(2), target) < 0.2


def inverted(values):
    return 255 - values


def with_gradient(values):
    return (values * np.linspace(0.7, 1, values.shape[1])).astype(np.uint8)


def sixteen_bit(values):
    return values.astype(np.uint16) * 150 + 2000


def with_bad_pixels(values):
    values = values.astype(np.float32)
    values[40:44, 50:60] = np.nan
    values[80, 80] = np.inf
    return values


def with_text_band(values):
    band = np.zeros((24, values.shape[1]), values.dtype)
    band[8:16, 10:60:4] = 255
    return np.concatenate([values, band])


@pytest.mark.parametrize(
    "change", [inverted, with_gradient, sixteen_bit, with_bad_pixels, with_text_band]
)
def test_other_intensities_do_not_matter(change):
    source, target, matrix = registration_pair(8)
    found = register(source.with_array(change(source.array)), target)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.12
    assert found.inverted == (change is inverted)


def test_text_bands_below_both_images_do_not_matter():
    source, target, matrix = registration_pair(9)
    changed = [image.with_array(with_text_band(image.array)) for image in (source, target)]
    found = register(*changed)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.1


@pytest.mark.parametrize("magnification", [0.0, 2.0])
def test_swapped_images_are_recognised(magnification):
    source, target, matrix = registration_pair(10)
    found = register(target, source, RegistrationSettings(magnification=magnification))
    assert found.verdict is Verdict.DOUBTFUL
    assert "swapped" in found.reason
    assert corner_error(np.linalg.inv(found.matrix), matrix, target) < 0.2


def test_a_magnification_other_than_expected_is_doubtful():
    source, target, _ = registration_pair(11, scale=2.0)
    found = register(source, target, RegistrationSettings(magnification=3.0))
    assert found.verdict is Verdict.DOUBTFUL
    assert "magnification is 2" in found.reason


def test_pixel_sizes_tell_the_expected_magnification_across_units():
    source, target, _ = registration_pair(12)
    source = replace(source, pixel_size=(0.03, 0.03), unit="µm")
    target = replace(target, pixel_size=(10.0, 10.0), unit="nm")
    found = register(source, target)
    assert found.verdict is Verdict.DOUBTFUL
    assert "where 3 was expected" in found.reason
    assert found.physical(0.5) == 5.0 and found.unit == "nm"


def test_a_large_rotation_is_doubtful_unless_expected():
    source, target, _ = registration_pair(13, rotation=10.0)
    narrow = RegistrationSettings(magnification=2.0, rotation_tolerance=5.0)
    assert register(source, target, TWICE).verdict is Verdict.GOOD
    assert "turned" in register(source, target, narrow).reason


def test_images_of_different_specimens_are_refused():
    for seed in range(2):
        source, _, _ = registration_pair(seed)
        _, target, _ = registration_pair(seed + 20)
        found = register(source, target, TWICE)
        assert not found.verdict.is_usable, found.sentence()


def test_images_without_a_common_field_are_refused():
    picture = textured_scene(14)
    source, target = Image(picture[:150, :150], "YX"), Image(picture[300:, 300:], "YX")
    assert not register(source, target, RegistrationSettings(magnification=1)).verdict.is_usable


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_image_without_texture_fails_with_that_reason(side):
    source, target, _ = registration_pair(15)
    flat = {"source": source, "target": target}
    flat[side] = flat[side].with_array(np.full_like(flat[side].array, 7))
    found = register(**flat)
    assert found.verdict is Verdict.FAILED
    assert f"the {side} has the same value everywhere" in found.reason


def test_noise_without_texture_is_refused():
    rng = np.random.default_rng(0)
    source, target = (
        Image(rng.integers(0, 255, (160, 160), dtype=np.uint8), "YX") for _ in range(2)
    )
    found = register(source, target, RegistrationSettings(magnification=1))
    assert not found.verdict.is_usable


def test_three_dots_are_too_few_matches():
    dots = np.zeros((160, 160))
    dots[[30, 70, 120], [40, 110, 60]] = 1e4
    target = ndimage.gaussian_filter(dots, 4)
    rng = np.random.default_rng(1)
    source = target.reshape(80, 2, 80, 2).mean(axis=(1, 3))
    noisy = [Image(v + rng.normal(0, 2, v.shape), "YX") for v in (source, target)]
    assert not register(*noisy, TWICE).verdict.is_usable


def test_detail_in_one_corner_only_is_doubtful_however_well_it_fits():
    rng = np.random.default_rng(0)
    emptied = []
    for image in registration_pair(3)[:2]:
        values = rng.normal(100, 8, image.shape)
        corner = tuple(slice(int(0.45 * side)) for side in image.shape)
        values[corner] = image.array[corner]
        emptied.append(Image(values, "YX"))
    found = register(*emptied, TWICE)
    assert found.verdict is Verdict.DOUBTFUL
    assert "in one place" in found.reason


def test_a_tiny_image_fails_with_its_size():
    source, target, _ = registration_pair(16)
    found = register(source.with_array(source.array[:20, :20]), target)
    assert found.verdict is Verdict.FAILED
    assert "20 x 20" in found.reason


def test_pixel_sizes_that_make_a_pixel_larger_than_the_other_image_fail_in_words():
    values = np.random.default_rng(0).integers(0, 255, (96, 128)).astype(np.uint8)
    source = Image(values, "YX", (1000.0, 1000.0), "nm")
    target = Image(values[::-1], "YX", (5.0, 5.0), "nm")
    assert register(source, target).verdict is Verdict.FAILED


def test_identical_images_are_doubtful():
    _, target, _ = registration_pair(17)
    found = register(target, target)
    assert found.verdict is Verdict.DOUBTFUL
    assert "same image" in found.reason
    np.testing.assert_allclose(found.matrix, np.eye(3), atol=1e-3)


def test_local_drift_is_measured_and_reported():
    source, target, _ = registration_pair(
        18, rotation=0.0, source_shape=(200, 200), target_shape=(256, 256)
    )
    drift = 3 * np.sin(np.arange(256) / 256 * 4 * np.pi)
    rows, columns = np.mgrid[:256, :256]
    bent = ndimage.map_coordinates(
        target.array.astype(np.float32), [rows, columns + drift[:, None]], order=3, mode="reflect"
    )
    found = register(source, target.with_array(bent), RegistrationSettings(deform=Deform.OFF))
    assert found.verdict is Verdict.DRIFTS, found.reason
    assert found.drift == pytest.approx(3 / np.sqrt(2), rel=0.25)
    points, displacements = found.drift_vectors[:, 0], found.drift_vectors[:, 1]
    expected = -np.interp(points[:, 0], np.arange(256), drift)
    assert np.corrcoef(displacements[:, 1], expected)[0, 1] > 0.95


def test_large_images_are_read_in_strips_and_refined_at_full_resolution(monkeypatch):
    source, target, matrix = registration_pair(
        1, source_shape=(230, 230), target_shape=(380, 380), shift=(2.3, 1.1), noise=0.05
    )
    monkeypatch.setattr(preprocessing, "LONGEST_SIDE", 100)
    monkeypatch.setattr(preprocessing, "STRIP_PIXELS", 20_000)
    monkeypatch.setattr(tile_refinement, "TILE_SIDE", 64)
    sharp = register(source, target)
    monkeypatch.setattr(tile_refinement, "FEWEST_TILES", 100)
    coarse = register(source, target)
    errors = [corner_error(found.matrix, matrix, target) for found in (sharp, coarse)]
    assert errors[0] < 0.1
    assert errors[0] < 0.8 * errors[1]
    assert sharp.expected_error < 0.1 < coarse.expected_error


def test_landmarks_are_refined_by_the_images():
    source, target, matrix = registration_pair(20)
    clicked = np.array([[20.0, 30], [25, 140], [130, 80]])
    errors = np.array([[2.0, -2], [-1, 2], [2, 1]])
    found = register_from_landmarks(
        clicked, transforms.apply(matrix, clicked) + errors, source, target
    )
    assert found.method is RegistrationMethod.LANDMARKS
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.1


def test_landmarks_that_the_images_contradict_are_kept_but_doubtful():
    source, _, matrix = registration_pair(21)
    _, target, _ = registration_pair(22)
    clicked = np.array([[20.0, 30], [25, 140], [130, 80]])
    found = register_from_landmarks(clicked, transforms.apply(matrix, clicked), source, target)
    assert found.verdict is Verdict.DOUBTFUL
    assert "only your 3 landmarks" in found.reason
    assert corner_error(found.matrix, matrix, target) < 1e-6


def test_two_landmarks_are_not_enough():
    source, target, _ = registration_pair(0)
    with pytest.raises(ValueError, match="at least 3 landmarks"):
        register_from_landmarks(np.zeros((2, 2)), np.zeros((2, 2)), source, target)


@pytest.mark.parametrize("kind", [TransformKind.SIMILARITY, TransformKind.AFFINE])
def test_landmarks_on_one_line_are_refused_where_they_do_not_suffice(kind):
    source, target, _ = registration_pair(0)
    points = np.array([[10.0, 10], [10, 10], [10, 10]])
    if kind is TransformKind.AFFINE:
        points += [[0, 0], [20, 20], [40, 40]]
    with pytest.raises(ValueError, match="too close to one point or line"):
        register_from_landmarks(points, 2 * points, source, target, RegistrationSettings(kind=kind))


def stack_of(images):
    return Image(np.stack([image.array for image in images]), "ZYX", name="stack")


def test_one_transform_serves_a_stack():
    made = [registration_pair(seed) for seed in (30, 31, 32)]
    source, target = (stack_of([p[side] for p in made]) for side in (0, 1))
    found = register(source, target)
    assert found.verdict is Verdict.GOOD, found.reason
    assert not found.slices
    assert corner_error(found.matrix, made[0][2], target) < 0.1


def test_planes_that_moved_are_reported_and_can_be_registered_one_by_one():
    made = [registration_pair(33 + i, shift=(4.0 * i, 0.0)) for i in range(3)]
    source, target = (stack_of([p[side] for p in made]) for side in (0, 1))
    together = register(source, target)
    assert together.verdict is Verdict.DOUBTFUL
    assert "slice by slice" in together.reason
    found = register(source, target, RegistrationSettings(slice_by_slice=True))
    assert found.verdict is Verdict.GOOD
    for one, (_, image, matrix) in zip(found.slices, made, strict=True):
        assert corner_error(one.matrix, matrix, image) < 0.1


def test_a_stack_is_doubtful_where_most_planes_cannot_be_registered():
    made = [registration_pair(seed, noise=0.02 if seed == 40 else 3.0) for seed in (40, 41, 42)]
    source, target = (stack_of([p[side] for p in made]) for side in (0, 1))
    found = register(source, target, TWICE)
    assert found.verdict is Verdict.DOUBTFUL
    assert "only 1 of 3 sampled planes could be registered" in found.reason


def test_planes_too_noisy_one_by_one_are_registered_by_the_means_of_neighbours():
    scene = registration_pair(45, noise=0)
    rng = np.random.default_rng(0)
    source, target = (
        Image(side.array + rng.normal(0, 400, (40, *side.shape)).astype(np.float32), "ZYX")
        for side in scene[:2]
    )
    one = register(*(Image(side.array[0], "YX") for side in (source, target)), TWICE)
    assert not one.verdict.is_usable
    found = register(source, target, TWICE)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, scene[2], target) < 0.5


def test_a_stack_whose_transform_is_inexact_is_doubtful(monkeypatch):
    source, target = (stack_of([side] * 3) for side in registration_pair(46)[:2])
    assert register(source, target, TWICE).verdict is Verdict.GOOD
    inexact = replace(registration(deformed=False), expected_error=5.4)
    monkeypatch.setattr(run, "register_planes", lambda *_: inexact)
    found = register(source, target, TWICE)
    assert found.verdict is Verdict.DOUBTFUL
    assert "may be off by 5.4 px" in found.reason


@pytest.mark.parametrize("slice_by_slice", [False, True])
def test_a_stack_is_registered_to_its_projection_as_a_whole(slice_by_slice):
    """Each plane shows a part of the field only, as the planes of a bent surface do."""
    source, target, matrix = registration_pair(47)
    planes = np.zeros((6, *source.shape), np.uint8)
    bands = np.array_split(np.arange(source.shape[0]), 6)
    for plane, rows in zip(planes, bands, strict=True):
        plane[rows] = source.array[rows]
    settings = replace(TWICE, slice_by_slice=slice_by_slice)
    found = register(Image(planes, "ZYX"), target, settings)
    assert found.verdict is Verdict.GOOD, found.reason
    assert corner_error(found.matrix, matrix, target) < 0.1
    assert not found.slices


def test_a_plane_that_fails_takes_the_transform_of_its_neighbour():
    made = [registration_pair(36), registration_pair(37)]
    source, target = (stack_of([p[side] for p in made]) for side in (0, 1))
    source.array[1] = 0
    found = register(source, target, RegistrationSettings(slice_by_slice=True))
    assert found.verdict is Verdict.DOUBTFUL
    assert "planes 1 " in found.reason
    assert found.slices[1].verdict is Verdict.FAILED
    np.testing.assert_array_equal(found.slices[1].matrix, found.slices[0].matrix)


def test_other_axes_are_refused_in_words():
    _, target, _ = registration_pair(0)
    colour = Image(np.zeros((3, 64, 64)), "CYX", name="colour")
    with pytest.raises(ValueError, match="colour has the axes CYX"):
        register(colour, target)
    stacks = [Image(np.zeros((depth, 64, 64)), "ZYX") for depth in (2, 3)]
    with pytest.raises(ValueError, match="different numbers of planes"):
        register(*stacks)


def test_a_bad_pair_does_not_stop_the_rest():
    source, target, _ = registration_pair(23)
    colour = Image(np.zeros((3, 64, 64)), "CYX", name="colour")
    pairs = [ImagePair(colour, target), ImagePair(source, target, name="fine")]
    events = list(register_all_events(pairs, TWICE))
    assert [e.index for e in events] == [0, 1]
    assert [e.registration.verdict for e in events] == [Verdict.FAILED, Verdict.GOOD]
    assert "axes CYX" in events[0].registration.reason
    assert events[1].pair.name == "fine"
    assert (events[1].progress.done, events[1].progress.total) == (2, 2)


def test_all_pairs_are_returned_registered_and_progress_is_reported():
    source, target, _ = registration_pair(23)
    colour = Image(np.zeros((3, 64, 64)), "CYX", name="colour")
    pairs = PairList((ImagePair(source, target), ImagePair(colour, target)), ("S9: no target.",))
    reported = []
    found = register_all(pairs, TWICE, progress=reported.append)
    assert [p.registration.verdict for p in found] == [Verdict.GOOD, Verdict.FAILED]
    assert found.unmatched == pairs.unmatched
    assert [(now.done, now.total) for now in reported] == [(1, 2), (2, 2)]
    assert pairs.pairs[0].registration is None


def test_wrong_arguments_are_refused_at_the_call():
    source, target, _ = registration_pair(23)
    pair = ImagePair(source, target)
    with pytest.raises(TypeError, match=r"pairs\[0\] must be ImagePair, got tuple"):
        register_all_events([(source, target)])
    with pytest.raises(TypeError, match="settings must be RegistrationSettings, got dict"):
        register_all_events([pair], {"magnification": 2})
    with pytest.raises(ValueError, match="no pair to register"):
        register_all([])


def test_closing_the_generator_stops_the_batch():
    source, target, _ = registration_pair(24)
    unreadable = object.__new__(ImagePair)  # has no images
    events = register_all_events([ImagePair(source, target), unreadable], TWICE)
    next(events)
    events.close()
    assert list(events) == []


def test_a_saved_registration_is_read_back_the_same(tmp_path):
    source, target, _ = registration_pair(25)
    found = replace(register(source, target, TWICE), unit="µm", target_pixel_size=0.01)
    path = tmp_path / "registration.json"
    found.save(path)
    again = Registration.load(path)
    assert to_plain(again) == to_plain(found)
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert again.matrix.dtype == np.float64
    assert again.verdict is found.verdict and again.kind is found.kind
    assert list(tmp_path.iterdir()) == [path]


OLD_FILE = Path(__file__).parents[1] / "files_of_0_1_0" / "S0.registration.json"


def test_a_registration_of_version_0_1_0_opens():
    found = Registration.load(OLD_FILE)
    values = json.loads(OLD_FILE.read_text())
    np.testing.assert_array_equal(found.matrix, values["matrix"])
    np.testing.assert_array_equal(found.matches, values["matches"])
    assert found.matches.shape == (10, 2, 2)
    assert found.verdict is Verdict.DOUBTFUL
    assert found.method is RegistrationMethod.EQUALISED_ORB
    assert (found.target_shape, found.unit) == ((160, 160), "nm")


def test_a_registration_survives_added_and_dropped_fields(tmp_path):
    """Files of later releases may hold more fields, those of earlier ones less."""
    found = Registration.load(OLD_FILE)
    stack = replace(found, slices=(found, replace(found, reason="second")))
    path = tmp_path / "registration.json"
    stack.save(path)
    values = json.loads(path.read_text())
    assert (values["format"], values["version"]) == ("napari-aeanet registration", 3)
    for one in (values, *values["slices"]):
        one["added later"] = [1, 2]
        del one["drift_vectors"], one["inverted"]
    path.write_text(json.dumps(values))
    again = Registration.load(path)
    assert again.drift_vectors.shape == (0, 2, 2)
    assert not again.inverted
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert [one.reason for one in again.slices] == [found.reason, "second"]


@pytest.mark.parametrize(
    ("key", "value"), [("version", 99), ("matrix", [[1, 0], [0, 1]]), ("verdict", "so so")]
)
def test_a_registration_file_that_does_not_fit_is_refused_with_the_reason(tmp_path, key, value):
    path = tmp_path / "registration.json"
    Registration.load(OLD_FILE).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=rf"registration\.json.*{key}"):
        Registration.load(path)


@pytest.mark.parametrize("content", ["no json", "[1]", '{"format": "other"}', "{}"])
def test_a_file_that_is_no_registration_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"other\.json"):
        Registration.load(path)


def test_world_matrix_places_the_source_on_a_calibrated_target():
    target = Image(np.zeros((8, 8)), "YX", pixel_size=(5, 5), unit="nm", origin=(100, 200))
    source, other, _ = registration_pair(26)
    found = replace(
        register(source, other, TWICE), matrix=transforms.enlargement(2), target_shape=(8, 8)
    )
    world = transforms.apply(found.world_matrix(target), np.array([[1.0, 2.0]]))[0]
    assert world.tolist() == [100 + 2.5 * 5, 200 + 4.5 * 5]


DATA = Path(__file__).parents[2].parent / "shared" / "data" / "sem_pairs_wzl"


@pytest.mark.skipif(not DATA.exists(), reason="the real SEM pairs are not here")
@pytest.mark.parametrize("number", [0, 7, 9])
def test_real_pairs_agree_with_independent_estimates(number):
    tifffile = pytest.importorskip("tifffile")
    source, target = (
        Image(tifffile.imread(DATA / name, key=number), "YX") for name in ("lr.tif", "hr.tif")
    )
    row = np.loadtxt(DATA / "registration.csv", delimiter=",")[number]
    found = register(source, target)
    assert found.verdict.is_usable, found.reason
    assert found.verdict is Verdict.GOOD
    assert found.deformation.after < 0.7 * found.deformation.before
    if max(row[4:6]) < 0.5:
        assert np.hypot(*(np.array(found.shift) - row[1:3])) < 0.7


def test_planes_are_freed_after_the_search():
    gc.disable()
    try:
        plane = np.random.default_rng(0).random((64, 64), np.float32)
        planes = search._ReducedPlanes(plane)
        planes.features(1.0, RegistrationMethod.ORB, False)
        gone = weakref.ref(planes)
        del planes
        assert gone() is None
    finally:
        gc.enable()
