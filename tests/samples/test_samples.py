"""Synthetic specimens: their truths hold, and they are as difficult as documented."""

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import rankdata

from napari_aeanet import samples
from napari_aeanet.samples.cells import tessellate
from napari_aeanet.samples.epithelium import EpitheliumSettings, epithelium_volume
from napari_aeanet.samples.fluorescence import fluorescence_volume
from napari_aeanet.samples.label_free import (
    LabelFreeSettings,
    label_free_volume,
    transmitted_contrast,
)
from napari_aeanet.samples.sections import SectionSettings, serial_sections
from napari_aeanet.samples.sem import Scan, SemSettings, paired_sem
from napari_aeanet.samples.textures import band_field, rough_field, smooth_field

SMALL = (236, 320)
VOLUME = (16, 96, 96)


@pytest.fixture(scope="module")
def pairs():
    return paired_sem(4, seed=1, shape=SMALL)


@pytest.fixture(scope="module")
def large_pair():
    (specimen,) = paired_sem(1, seed=7, shape=(472, 640))
    return specimen


@pytest.fixture(scope="module")
def tissue():
    return fluorescence_volume(seed=2, shape=VOLUME)


@pytest.fixture(scope="module")
def epithelium():
    return epithelium_volume(seed=2, shape=(30, 96, 96))


@pytest.fixture(scope="module")
def culture():
    return label_free_volume(seed=2, shape=VOLUME)


@pytest.fixture(scope="module")
def sections():
    return serial_sections(seed=2, shape=(12, 96, 96))


def on_target_grid(source, matrix, shape):
    """The source resampled to the target's pixels by `matrix` (source to target)."""
    back = np.linalg.inv(matrix)
    y, x = np.mgrid[: shape[0], : shape[1]]
    where = [back[k, 0] * y + back[k, 1] * x + back[k, 2] for k in (0, 1)]
    return ndimage.map_coordinates(source.astype(float), where, order=3)


def correlation(a, b, border=16):
    inner = (slice(border, -border),) * 2
    return np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1]


def auc(values, positive):
    """Probability that a value inside exceeds one outside."""
    ranks = rankdata(values).reshape(values.shape)
    inside, outside = positive.sum(), (~positive).sum()
    return (ranks[positive].sum() - inside * (inside + 1) / 2) / (inside * outside)


# Random fields


@pytest.mark.parametrize("shape", [(301,), (120, 90), (24, 60, 50)])
@pytest.mark.parametrize("make", [smooth_field, band_field, rough_field])
def test_a_field_has_the_shape_asked_for_and_unit_variance(make, shape):
    field = make(shape, 6.0, np.random.default_rng(0))
    assert field.shape == shape
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.15
    assert field.std() == pytest.approx(1, abs=0.15)


def test_a_smooth_field_is_correlated_over_its_length_along_every_axis():
    field = smooth_field((400, 800), (4, 8), np.random.default_rng(0))
    for axis, length in ((0, 4), (1, 8)):
        shifted = np.roll(field, 2 * length, axis)
        # The correlation at lag d is exp(-d^2 / (4 length^2)).
        assert np.mean(field * shifted) == pytest.approx(np.exp(-1), abs=0.06)


def test_a_band_field_has_its_power_at_its_wavelength():
    field = band_field((512, 512), 16, np.random.default_rng(0))
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512))
    assert np.average(frequency, weights=power) == pytest.approx(1 / 16, rel=0.1)


def test_cells_belong_to_their_nearest_seed_and_touch_at_membranes():
    seeds = np.array([[10.0, 10.0], [10.0, 30.0], [30.0, 20.0]])
    y, x = np.ogrid[:40, :40]
    cells = tessellate([y.astype(np.float32), x.astype(np.float32)], seeds, radius=60)
    distances = np.sort([np.hypot(*np.broadcast_arrays(y - a, x - b)) for a, b in seeds], axis=0)
    np.testing.assert_allclose(cells.nearest, distances[0], atol=1e-4)
    np.testing.assert_allclose(cells.gap, distances[1] - distances[0], atol=1e-4)
    assert cells.owner[10, 12] == 0
    assert cells.membrane(1.0)[10, 20] == pytest.approx(1)


# Everything is a function of its seed


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: paired_sem(1, seed, (96, 128))[0].source,
        lambda seed: paired_sem(1, seed, (96, 128))[0].target,
        lambda seed: fluorescence_volume(seed, (8, 48, 48)).noisy[0],
        lambda seed: epithelium_volume(seed, (30, 48, 48)).volume,
        lambda seed: label_free_volume(seed, (8, 48, 48)).transmitted,
        lambda seed: serial_sections(seed, (9, 64, 64)).stack,
    ],
    ids=["sem source", "sem target", "fluorescence", "epithelium", "label-free", "sections"],
)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(make):
    first, again, other = make(3), make(3), make(4)
    np.testing.assert_array_equal(first.array, again.array)
    assert not np.array_equal(first.array, other.array)


def test_a_longer_list_begins_with_the_shorter_one(pairs):
    (first,) = paired_sem(1, seed=1, shape=SMALL)
    np.testing.assert_array_equal(first.source.array, pairs[0].source.array)
    assert not np.array_equal(pairs[0].target.array, pairs[1].target.array)


# Paired SEM


def test_pairs_are_8_bit_of_the_shape_asked_for_and_calibrated(pairs):
    for specimen in pairs:
        for image in (specimen.source, specimen.target):
            assert image.shape == SMALL
            assert image.dtype == np.uint8
            assert image.unit == "nm"
        assert specimen.source.pixel_size == (10.0, 10.0)
        assert specimen.target.pixel_size == (5.0, 5.0)
        assert specimen.truth.shape == specimen.clusters.shape == SMALL


def test_nominal_places_put_both_fields_on_one_centre(pairs):
    source, target = pairs[0].source, pairs[0].target
    for k, n in enumerate(SMALL):
        centre = source.origin[k] + source.pixel_size[k] * (n - 1) / 2
        assert centre == pytest.approx(target.origin[k] + target.pixel_size[k] * (n - 1) / 2)


def test_the_targets_field_lies_inside_the_sources(pairs):
    height, width = SMALL
    corners = np.array([[y, x, 1] for y in (0, height - 1) for x in (0, width - 1)])
    for specimen in pairs:
        visible = corners @ np.linalg.inv(specimen.matrix).T[:, :2]
        assert (visible > 0).all()
        assert (visible < np.array(SMALL) - 1).all()


def test_the_true_matrix_is_a_similarity_within_the_limits(pairs):
    settings = SemSettings()
    for specimen in pairs:
        (a, b), (c, d) = specimen.matrix[:2, :2]
        assert (a, b) == pytest.approx((d, -c))
        assert abs(np.degrees(np.arctan2(c, a))) <= settings.rotation
        assert abs(np.hypot(a, c) / 2 - 1) <= settings.scale_error
    assert not np.allclose(pairs[0].matrix, pairs[1].matrix)


def test_the_true_matrix_aligns_the_pair_and_a_wrong_one_does_not(pairs):
    for specimen in pairs:
        smooth = ndimage.gaussian_filter(specimen.truth.array, 1.5)
        source = specimen.source.array
        best = correlation(on_target_grid(source, specimen.matrix, SMALL), smooth)
        assert best > 0.85
        for shift in ([0.7, 0], [-0.7, 0], [0, 0.7], [0, -0.7]):
            wrong = specimen.matrix.copy()
            wrong[:2, 2] += shift
            assert correlation(on_target_grid(source, wrong, SMALL), smooth) < best


def test_without_disturbances_the_matrix_is_exact_to_a_hundredth_of_a_pixel():
    calm = Scan(beam=8.5, dose=1e6, jitter=0, flicker=0)
    settings = SemSettings(drift=0, source=calm, target=replace(calm, beam=4))
    (specimen,) = paired_sem(1, seed=5, shape=SMALL, settings=settings)
    smooth = ndimage.gaussian_filter(specimen.truth.array, 1.5)
    for axis in (0, 1):
        offsets = np.array([-0.5, 0, 0.5])
        scores = []
        for offset in offsets:
            matrix = specimen.matrix.copy()
            matrix[axis, 2] += offset
            warped = on_target_grid(specimen.source.array, matrix, SMALL)
            scores.append(correlation(warped, smooth))
        curvature, slope, _ = np.polyfit(offsets, scores, 2)
        assert abs(slope / (2 * curvature)) < 0.01


def test_drift_has_the_strength_asked_for_and_no_part_of_the_matrix():
    from napari_aeanet.samples.sem import _drift

    matrix = np.array([[2.0, 0, -100], [0, 2.0, -150], [0, 0, 1]])
    drift = _drift(matrix, (200, 300), 0.3, np.random.default_rng(0))
    shared = drift[:, 50:150]  # the rows that the target shows
    assert shared.std(axis=1) == pytest.approx([0.3, 0.3], rel=0.02)
    for course in shared:
        assert np.polyfit(np.arange(100), course, 1) == pytest.approx([0, 0], abs=1e-3)


def test_the_target_is_the_truth_with_little_noise_of_no_bias(pairs):
    for specimen in pairs:
        error = specimen.target.array - specimen.truth.array
        assert abs(error.mean()) < 0.3
        assert 0.8 < error.std() < 3


def test_the_source_is_clearly_worse_than_the_target(pairs):
    for specimen in pairs:
        warped = on_target_grid(specimen.source.array, specimen.matrix, SMALL)
        target = specimen.target.array.astype(float)
        gain, offset = np.polyfit(warped.ravel(), target.ravel(), 1)
        error = gain * warped + offset - target
        assert 20 < 20 * np.log10(255 / error.std()) < 32


def test_noise_of_the_two_images_is_independent_and_new_for_every_specimen(large_pair):
    exposed = SemSettings()
    blank = replace(
        exposed,
        source=replace(exposed.source, dose=1e9, flicker=0),
        target=replace(exposed.target, dose=1e9, flicker=0),
    )
    (clean,) = paired_sem(1, seed=7, shape=(472, 640), settings=blank)
    np.testing.assert_array_equal(clean.truth.array, large_pair.truth.array)
    np.testing.assert_array_equal(clean.matrix, large_pair.matrix)
    noise = [
        large_pair.source.array.astype(float) - clean.source.array,
        large_pair.target.array.astype(float) - clean.target.array,
    ]
    assert noise[0].std() > 3 * noise[1].std()
    warped = on_target_grid(noise[0], large_pair.matrix, noise[1].shape)
    assert abs(correlation(warped, noise[1])) < 0.02
    assert abs(correlation(noise[0], noise[1])) < 0.02


def test_shot_noise_grows_with_brightness():
    settings = SemSettings(drift=0)
    calm = replace(settings, source=replace(settings.source, dose=1e9, flicker=0))
    noisy = replace(settings, source=replace(settings.source, flicker=0))
    (with_noise,) = paired_sem(1, seed=4, shape=SMALL, settings=noisy)
    (without,) = paired_sem(1, seed=4, shape=SMALL, settings=calm)
    signal = without.source.array.astype(float)
    noise = with_noise.source.array - signal
    dark, bright = signal < np.quantile(signal, 0.3), signal > np.quantile(signal, 0.7)
    assert noise[bright].var() > 1.3 * noise[dark].var()


@pytest.mark.parametrize("image", ["target", "truth"])
def test_brightness_does_not_tell_clusters_from_host(large_pair, image):
    pixels = getattr(large_pair, image).array[::2, ::2]
    clusters = large_pair.clusters[::2, ::2]
    assert 0.05 < clusters.mean() < 0.6
    assert 0.45 < auc(pixels, clusters) < 0.7


def test_nor_do_the_local_mean_and_contrast(large_pair):
    pixels = large_pair.target.array.astype(float)
    mean = ndimage.uniform_filter(pixels, 21)
    contrast = np.sqrt(ndimage.uniform_filter(pixels**2, 21) - mean**2)
    clusters = large_pair.clusters[::3, ::3]
    assert auc(mean[::3, ::3], clusters) < 0.75
    assert auc(contrast[::3, ::3], clusters) < 0.75


# Fluorescence at three noise levels


def test_volumes_are_16_bit_and_calibrated_in_micrometres(tissue):
    assert len(tissue.noisy) == len(tissue.exposures) == 3
    for image in (tissue.truth, *tissue.noisy):
        assert image.shape == VOLUME
        assert image.unit == "µm"
        assert image.pixel_size == (0.8, 0.25, 0.25)
    assert all(image.dtype == np.uint16 for image in tissue.noisy)


def test_every_noise_level_shows_the_truth_on_average(tissue):
    truth = tissue.truth.array
    for image, exposure in zip(tissue.noisy, tissue.exposures, strict=True):
        photons = (image.array.astype(float) - 100) / 4
        for bright in (truth < np.median(truth), truth > np.quantile(truth, 0.9)):
            expected = exposure * float(truth[bright].mean())
            assert photons[bright].mean() == pytest.approx(expected, abs=0.1 + 0.02 * expected)


def test_noise_levels_go_from_low_to_high_and_are_independent(tissue):
    truth = tissue.truth.array
    errors = [
        (image.array.astype(float) - 100) / 4 / exposure - truth
        for image, exposure in zip(tissue.noisy, tissue.exposures, strict=True)
    ]
    spreads = [error.std() for error in errors]
    assert spreads == sorted(spreads)
    assert abs(np.corrcoef(errors[0].ravel(), errors[2].ravel())[0, 1]) < 0.02


def test_resolution_along_z_is_worse_than_in_the_plane():
    pixels = fluorescence_volume(seed=0, shape=(32, 96, 96)).truth.array[14:]
    per_micrometre = [
        np.abs(np.diff(pixels, axis=axis)).mean() / size
        for axis, size in enumerate((0.8, 0.25, 0.25))
    ]
    assert per_micrometre[0] < 0.8 * min(per_micrometre[1:])


# Epithelium


def test_the_projection_is_the_clean_volume_read_at_the_height(epithelium):
    height = epithelium.height.array
    rows, columns = np.indices(height.shape)
    read = ndimage.map_coordinates(epithelium.clean.array, [height, rows, columns], order=3)
    projection = epithelium.projection.array
    assert np.abs(read - projection).max() < 0.02 * projection.max()


def test_the_surface_is_curved_and_lies_inside_the_volume(epithelium):
    height = epithelium.height.array
    assert np.ptp(height) > 4
    assert height.min() > 5
    assert height.max() < 30 - 4


def test_neither_the_brightest_nor_the_mean_voxel_is_the_answer(epithelium):
    projection = epithelium.projection.array
    volume = epithelium.volume.array.astype(float)
    shifted = epithelium.height.array + 4
    rows, columns = np.indices(shifted.shape)
    off_surface = ndimage.map_coordinates(epithelium.clean.array, [shifted, rows, columns], order=1)
    assert correlation(volume.max(axis=0), projection) < 0.9
    assert correlation(volume.mean(axis=0), projection) < 0.9
    assert off_surface.mean() < 0.5 * projection.mean()


def test_projection_and_height_are_calibrated_like_the_plane_of_the_volume(epithelium):
    assert epithelium.volume.pixel_size == (0.75, 0.25, 0.25)
    for image in (epithelium.projection, epithelium.height):
        assert image.axes == "YX"
        assert image.pixel_size == (0.25, 0.25)
        assert image.unit == "µm"


def test_fewer_photons_make_the_epithelium_noisier_and_leave_the_truth_in_place(epithelium):
    dim = epithelium_volume(seed=2, shape=(30, 96, 96), settings=EpitheliumSettings(photons=2))
    np.testing.assert_array_equal(dim.height.array, epithelium.height.array)
    np.testing.assert_allclose(dim.projection.array, epithelium.projection.array / 4, rtol=1e-5)


# Label-free


def test_transmitted_light_shows_nothing_of_a_flat_phase_and_no_phase_in_focus():
    settings = LabelFreeSettings()
    flat = np.ones((8, 64, 64), np.float32)
    assert np.abs(transmitted_contrast(flat, settings)).max() < 1e-5
    dot = np.zeros((9, 64, 64), np.float32)
    dot[4, 32, 32] = 0.1
    contrast = transmitted_contrast(dot, settings)
    assert np.abs(contrast[4]).max() < 1e-6
    np.testing.assert_allclose(contrast[2], -contrast[6], atol=1e-6)
    assert np.abs(contrast[2]).max() > 1e-3


def test_fluorescence_shows_its_truth_and_the_transmitted_light_does_not(culture):
    truth = culture.truth.array
    photons = (culture.fluorescence.array.astype(float) - 100) / 4
    assert photons.mean() == pytest.approx(truth.mean(), rel=0.02)
    middle = truth.shape[0] // 2
    assert correlation(photons[middle], truth[middle]) > 0.85
    assert abs(correlation(culture.transmitted.array[middle].astype(float), truth[middle])) < 0.5


def test_both_images_of_the_culture_have_one_grid(culture):
    assert culture.transmitted.shape == culture.fluorescence.shape == VOLUME
    assert culture.transmitted.pixel_size == culture.fluorescence.pixel_size
    assert culture.transmitted.unit == culture.fluorescence.unit == "µm"


# Serial sections


def test_the_stack_differs_from_the_truth_in_the_damaged_sections_alone(sections):
    differing = (sections.stack.array != sections.truth.array).any(axis=(1, 2))
    assert np.flatnonzero(differing).tolist() == list(sections.damaged)
    assert set(sections.damaged.values()) == {"fold", "contamination", "missing"}


def test_damaged_sections_lie_apart_and_never_at_an_end():
    for seed in range(5):
        damaged = list(serial_sections(seed, (9, 32, 32)).damaged)
        assert len(damaged) == 4
        assert damaged[0] > 0
        assert damaged[-1] < 8
        assert min(np.diff(damaged)) > 1


def test_more_damage_than_there_is_room_for_is_refused():
    with pytest.raises(ValueError, match="9 sections hold at most 4 damaged ones, got 5"):
        serial_sections(0, (9, 32, 32), SectionSettings(damaged=5))


def test_no_damage_may_be_asked_for():
    specimen = serial_sections(0, (5, 32, 32), SectionSettings(damaged=0))
    assert specimen.damaged == {}
    np.testing.assert_array_equal(specimen.stack.array, specimen.truth.array)


def test_sections_resemble_their_neighbours_more_than_distant_ones():
    truth = serial_sections(0, (14, 128, 128)).truth.array.astype(float)
    near = np.mean([correlation(truth[k], truth[k + 1], 4) for k in range(6)])
    far = np.mean([correlation(truth[k], truth[k + 8], 4) for k in range(6)])
    assert near > 0.4
    assert near > far + 0.2


# What napari is given


@cache
def opened(name):
    return getattr(samples, name)()


@pytest.mark.parametrize(
    "name",
    [
        "open_paired_sem",
        "open_fluorescence",
        "open_epithelium",
        "open_label_free",
        "open_serial_sections",
    ],
)
def test_samples_are_calibrated_layers(name):
    layers = opened(name)
    assert len({look["name"] for _, look, _ in layers}) == len(layers)
    assert sum(look.get("visible", True) for _, look, _ in layers) in (1, 2)
    for array, look, kind in layers:
        assert kind == "image"  # the first layer of labels takes napari half a second
        for key in ("scale", "translate", "units", "axis_labels"):
            assert len(look[key]) == array.ndim
        assert set(look["units"]) <= {"nm", "µm"}
        assert all(size > 0 for size in look["scale"])
        low, high = look["contrast_limits"]
        assert low < high


def test_the_sem_sample_shows_both_images_nominally_placed():
    (_, source, _), (_, target, _) = opened("open_paired_sem")
    assert (source["name"], target["name"]) == ("specimen 1 LR", "specimen 1 HR")
    assert source["contrast_limits"] == target["contrast_limits"]
    assert target["translate"] == (0.0, 0.0)
    assert source["translate"] == (-943 * 2.5, -1279 * 2.5)


def test_the_samples_need_neither_napari_nor_torch_nor_scikit_image():
    package = Path(samples.__file__).parent
    imported = set()
    for module in package.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert not imported & {"napari", "torch", "skimage"}
