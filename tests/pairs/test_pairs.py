"""Pairs: found in folders, tables, stacks and NPZ files; checked; saved and opened again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import REAL_DATA, integer_noise, needs_real_data
from hypothesis import given
from hypothesis import strategies as st

from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.pairs.checks import check_pairs
from napari_aeanet.pairs.name_matching import match_names, parse_name
from napari_aeanet.pairs.pair import ImagePair, PairList, Severity
from napari_aeanet.pairs.pair_list import load_pairs, save_pairs
from napari_aeanet.pairs.sources import (
    guess_pairs,
    pairs_from_csv,
    pairs_from_folders,
    pairs_from_images,
    pairs_from_npz,
    pairs_from_stacks,
)
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind


def image(name: str = "a", *shape: int, seed: int = 0, **fields) -> Image:
    shape = shape or (32, 40)
    return Image(integer_noise(*shape, seed=seed), "TCZYX"[-len(shape) :], name=name, **fields)


def write_files(folder, *names: str, shape=(32, 40)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        write_image(Image(integer_noise(*shape, seed=seed), "YX"), folder / name)


def errors_of(pair: ImagePair) -> list[str]:
    return [p.message for p in check_pairs([pair]) if p.severity is Severity.ERROR]


def notes_of(pair: ImagePair) -> list[str]:
    return [p.message for p in check_pairs([pair]) if p.severity is Severity.NOTE]


def registration(verdict: Verdict = Verdict.GOOD, shape=(32, 40), target=(64, 80)) -> Registration:
    return Registration(
        matrix=np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]]),
        kind=TransformKind.SIMILARITY,
        source_shape=shape,
        target_shape=target,
        verdict=verdict,
        reason="few matches",
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
    )


# Matching by name


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("S01", "S01"),
        ("S01_lr", "S01_hr"),
        ("lr-S01", "HR S01"),
        ("S01_low_res", "S01_high_res"),
        ("S01_noisy", "S01_gt"),
        ("S01_noisy", "S01_ground_truth"),
        ("S01_10000", "S01_20000"),
        ("S01_x10k", "S01_x20k"),
        ("lr [3]", "hr [3]"),
    ],
)
def test_names_of_one_specimen_match(source, target):
    assert match_names(["other", source], [target, "another"]) == [(1, 0)]


@pytest.mark.parametrize(("source", "target"), [("S01_lr", "S02_hr"), ("S1", "S10"), ("a", "b")])
def test_names_of_different_specimens_do_not_match(source, target):
    assert match_names([source], [target]) == []


def test_frame_numbers_that_look_like_magnifications_are_kept_apart():
    names = ["f_1000", "f_1100", "f_1200"]
    assert match_names(names, names[::-1]) == [(0, 2), (1, 1), (2, 0)]
    assert match_names(["f_1000", "f_1100"], ["f_2000", "f_2100"]) == []


def test_words_that_all_names_of_a_side_have_do_not_hinder_a_match():
    sources = ["field_00_fast", "field_01_fast", "field_02_fast"]
    assert match_names(sources, ["slow field 02", "slow field 00"]) == [(0, 1), (2, 0)]
    assert match_names(["S1 fast", "S2 fast"], ["S1 slow", "S3 slow"]) == [(0, 0)]
    # Of one name everything is common, and it says nothing.
    assert match_names(["a fast"], ["a slow"]) == []
    assert match_names(["a 1", "a"], ["b 2", "b"]) == []


some_names = st.lists(
    st.sampled_from(["S1_lr", "S1_hr", "S1", "S2", "x 1000", "x 2000"]), max_size=6
)


@given(sources=some_names, targets=some_names)
def test_every_name_is_matched_once_at_most(sources, targets):
    matched = match_names(sources, targets)
    assert len({i for i, _ in matched}) == len({j for _, j in matched}) == len(matched)


def test_a_name_with_both_roles_has_none():
    assert parse_name("low_vs_high").role is None


def test_open_images_are_paired_by_name_and_otherwise_in_order():
    sources, targets = [image("b_lr"), image("a_lr")], [image("a_hr"), image("b_hr")]
    found = pairs_from_images(sources, targets)
    assert [(p.source.name, p.target.name) for p in found] == [("b_lr", "b_hr"), ("a_lr", "a_hr")]
    found = pairs_from_images([image("x"), image("y")], [image("u"), image("v")])
    assert [(p.source.name, p.target.name) for p in found] == [("x", "u"), ("y", "v")]


def test_a_pair_list_is_a_sequence_of_its_pairs():
    first, second = ImagePair(image("x"), image("u")), ImagePair(image("y"), image("v"))
    pairs = PairList((first, second), ("z: no target found.",))
    assert isinstance(pairs, Sequence)
    assert (len(pairs), pairs[-1], pairs[:1], list(pairs)) == (2, second, (first,), [first, second])
    assert first in pairs and not PairList()


def test_roles_are_guessed_from_names():
    names = ["S1 hr", "S1 lr", "S2 20000", "S2 10000", "notes"]
    found = guess_pairs([image(name) for name in names])
    assert [(p.source.name, p.target.name) for p in found] == [
        ("S1 lr", "S1 hr"),
        ("S2 10000", "S2 20000"),
    ]
    assert len(found.unmatched) == 1
    assert found.unmatched[0].startswith("notes:")


def test_two_images_without_a_role_are_a_pair_with_the_smaller_as_source():
    large, small = image("first", 64, 80), image("second", 32, 40)
    (pair,) = guess_pairs([large, small])
    assert (pair.source, pair.target) == (small, large)


# Folders, tables, stacks, NPZ


def test_folders_are_matched_and_unmatched_names_are_listed(tmp_path):
    write_files(tmp_path / "lr", "S1_lr.tif", "S2_lr.png", "S10_lr.tif", "S3_lr.tif")
    write_files(tmp_path / "hr", "S1_hr.ome.tif", "S2_hr.tif", "S10_hr.tif", "S4_hr.tif")
    (tmp_path / "lr" / "notes.txt").write_text("not an image")
    (tmp_path / "lr" / "._S1_lr.tif").write_text("left behind by another system")
    found = pairs_from_folders(tmp_path / "lr", tmp_path / "hr")
    assert [(p.source.source.name, p.target.source.name) for p in found] == [
        ("S1_lr.tif", "S1_hr.ome.tif"),
        ("S2_lr.png", "S2_hr.tif"),
        ("S10_lr.tif", "S10_hr.tif"),
    ]
    assert found.unmatched == ("S3_lr: no target found.", "S4_hr: no source found.")
    assert found.problems == ()


def test_a_file_that_cannot_be_read_is_a_problem_of_its_pair_alone(tmp_path):
    write_files(tmp_path / "lr", "S1.tif", "S2.tif")
    write_files(tmp_path / "hr", "S1.tif", "S2.tif")
    (tmp_path / "hr" / "S1.tif").write_text("no image")
    found = pairs_from_folders(tmp_path / "lr", tmp_path / "hr")
    assert [pair.name for pair in found] == ["S2"]
    assert [problem.pair for problem in found.problems] == ["S1"]
    assert str(tmp_path / "hr" / "S1.tif") in str(found.problems[0])


def test_an_image_of_a_format_that_is_not_read_is_a_problem_of_its_pair(tmp_path):
    for name in ("lr/a.tif", "hr/a.tif", "hr/a.dm4", "lr/b.dm4", "hr/b.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith(".tif"):
            write_image(Image(np.zeros((8, 8), np.uint8), "YX"), tmp_path / name)
        else:
            (tmp_path / name).write_bytes(b"x")
    found = pairs_from_folders(tmp_path / "lr", tmp_path / "hr")
    assert [pair.name for pair in found.pairs] == ["a"]
    (problem,) = found.problems
    assert "b.dm4 has a format that cannot be read here" in problem.message


def test_folders_of_page_stacks_are_paired_page_by_page(tmp_path):
    for side in ("lr", "hr"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "run.npy", integer_noise(3, 32, 40))
    found = pairs_from_folders(tmp_path / "lr", tmp_path / "hr")
    assert [pair.name for pair in found] == ["run [0]", "run [1]", "run [2]"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_names_pairs_relative_to_itself(delimiter, tmp_path):
    write_files(tmp_path / "images", "a.tif", "b.tif")
    rows = [["Source", "target", "name"], ["images/a.tif", "images/b.tif", "first"]]
    text = "\ufeff" + "\n".join(delimiter.join(row) for row in rows) + "\n"
    (tmp_path / "pairs.csv").write_text(text, encoding="utf-8")
    (pair,) = pairs_from_csv(tmp_path / "pairs.csv")
    assert (pair.name, pair.source.name, pair.target.name) == ("first", "a", "b")


def test_stacks_are_paired_page_by_page(tmp_path):
    np.save(tmp_path / "lr.npy", integer_noise(3, 32, 40, seed=1))
    np.save(tmp_path / "hr.npy", integer_noise(3, 64, 80, seed=2))
    found = pairs_from_stacks(tmp_path / "lr.npy", tmp_path / "hr.npy")
    assert [pair.name for pair in found] == ["lr [0]", "lr [1]", "lr [2]"]
    np.testing.assert_array_equal(found.pairs[1].target.read(), integer_noise(3, 64, 80, seed=2)[1])


@needs_real_data
def test_the_real_pairs_are_twenty_at_twice_the_resolution():
    folder = REAL_DATA / "sem_pairs_wzl"
    found = pairs_from_stacks(folder / "lr.tif", folder / "hr.tif")
    assert len(found) == 20
    assert {pair.factors for pair in found} == {(2.0, 2.0)}
    assert check_pairs(found.pairs) == []


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 1, 32, 40), "YX"), ((2, 3, 32, 40), "CYX"), ((2, 1, 4, 32, 40), "ZYX")]
)
def test_npz_files_of_the_published_tools_are_read(shape, axes, tmp_path):
    x, y = integer_noise(*shape, seed=1), integer_noise(*shape, seed=2)
    np.savez(tmp_path / "train.npz", X=x, Y=y)
    found = pairs_from_npz(tmp_path / "train.npz")
    assert [pair.source.axes for pair in found] == [axes] * 2
    np.testing.assert_array_equal(found.pairs[1].source.read(), x[1].squeeze())
    np.testing.assert_array_equal(found.pairs[1].target.read(), y[1].squeeze())


@pytest.mark.parametrize(
    ("shape", "extra", "axes", "count"),
    [
        ((1, 16, 32, 40), {}, "ZYX", 1),  # one sample a file, without channels
        ((1, 3, 32, 40), {}, "CYX", 1),
        ((2, 8, 32, 40), {"axes": "SZYX"}, "ZYX", 2),
        ((2, 8, 32, 40, 1), {"axes": "SZYXC"}, "ZYX", 2),
        ((2, 1, 8, 32, 40), {"axes": "nonsense"}, "ZYX", 2),
        ((8, 32, 40), {"axes": "ZYX"}, "ZYX", 1),
    ],
)
def test_npz_files_say_their_axes_or_show_them(shape, extra, axes, count, tmp_path):
    x, y = integer_noise(*shape, seed=1), integer_noise(*shape, seed=2)
    np.savez(tmp_path / "train.npz", X=x, Y=y, **extra)
    found = pairs_from_npz(tmp_path / "train.npz")
    assert [pair.source.axes for pair in found] == [axes] * count
    planes = x.reshape(count, *[n for n in shape[-4:] if n not in (1, 2)])
    np.testing.assert_array_equal(found.pairs[-1].source.read(), planes[-1])


def test_an_npz_of_impossible_axes_is_refused_with_the_right_ones(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 8, 8)), Y=np.zeros((4, 8, 8)))
    with pytest.raises(ValueError, match=r"shape \(4, 8, 8\), but \(n, c, y, x\) or"):
        pairs_from_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", X=np.zeros((4, 8, 8)), Y=np.zeros((4, 8)), axes="ZYX")
    with pytest.raises(ValueError, match=r"'Y' has shape \(4, 8\), but \(z, y, x\) is needed"):
        pairs_from_npz(tmp_path / "b.npz")


def test_pages_without_a_meaning_are_a_stack_beside_a_stack_or_where_the_task_says_so(tmp_path):
    for name in ("low", "GT"):
        (tmp_path / name).mkdir()
    pages, stack = integer_noise(5, 32, 40, seed=1), integer_noise(5, 32, 40, seed=2)
    tifffile.imwrite(tmp_path / "low" / "a.tif", pages)
    tifffile.imwrite(tmp_path / "GT" / "a.tif", pages)
    folders = tmp_path / "low", tmp_path / "GT"
    assert [pair.source.axes for pair in pairs_from_folders(*folders)] == ["YX"] * 5
    by_task = pairs_from_folders(*folders, stack_axis="Z")
    assert [pair.source.axes for pair in by_task] == ["ZYX"]
    tifffile.imwrite(tmp_path / "GT" / "a.tif", stack, metadata={"axes": "ZYX"}, ome=True)
    by_partner = pairs_from_folders(*folders)
    assert [(pair.source.axes, pair.target.axes) for pair in by_partner] == [("ZYX", "ZYX")]
    np.testing.assert_array_equal(by_partner.pairs[0].source.read(), pages)
    by_files = pairs_from_stacks(tmp_path / "GT" / "a.tif", tmp_path / "low" / "a.tif")
    assert by_files.pairs[0].target.axes == "ZYX"


# On the grid of the target


def test_a_source_of_the_target_s_size_stays_as_it_is():
    pair = ImagePair(image(seed=1), image(seed=2))
    assert pair.on_target_grid() is pair.source


@pytest.mark.parametrize(("size", "factor"), [((64, 80), 2), ((48, 60), 1.5), ((16, 20), 0.5)])
def test_a_resized_source_covers_the_same_field(size, factor):
    rows, columns = np.mgrid[:32, :40].astype(np.float32)
    source = Image(3 * rows + 5 * columns, "YX", (6.0, 6.0), "nm", (100.0, 200.0))
    result = ImagePair(source, image("t", *size)).on_target_grid()
    assert result.shape == size
    assert result.pixel_size == pytest.approx((6 / factor, 6 / factor))
    # A ramp in the world stays that ramp in the world, away from the border.
    rows, columns = np.mgrid[: size[0], : size[1]]
    y = (result.origin[0] + rows * result.pixel_size[0] - 100) / 6
    x = (result.origin[1] + columns * result.pixel_size[1] - 200) / 6
    # (The bicubic kernel ripples by 0.4; a quarter of a pixel of misplacement would make 2.)
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(result.read()[inner], (3 * y + 5 * x)[inner], atol=0.5)


def test_resizing_keeps_the_type_and_does_not_wrap_around():
    edge = np.zeros((32, 40), np.uint8)
    edge[:, 20:] = 255  # the bicubic kernel overshoots on both sides
    result = ImagePair(Image(edge, "YX"), image("t", 64, 80)).on_target_grid()
    assert result.dtype == np.uint8
    assert result.read()[:, :39].max() < 100
    assert result.read()[:, 41:].min() > 150


def test_a_registered_source_is_resampled_by_its_registration():
    bright = np.zeros((32, 40), np.float32)
    bright[10, 20] = 1
    pair = ImagePair(Image(bright, "YX"), image("t", 64, 80), registration())
    values = pair.on_target_grid().read()
    y, x = np.unravel_index(values.argmax(), values.shape)
    assert (y // 2, x // 2) == (10, 20)


def test_a_volume_and_its_projection_are_a_pair_whose_planes_stay():
    pair = ImagePair(image("v", 7, 32, 40), image("p", 32, 40))
    assert pair.size_problem() is None
    assert pair.factors == (1, 1, 1)
    assert pair.on_target_grid() is pair.source


# Checks


def test_good_pairs_have_no_problem():
    assert check_pairs([ImagePair(image(seed=1), image(seed=2))]) == []
    assert check_pairs([ImagePair(image(seed=1), image("t", 64, 80, seed=2))]) == []


def test_a_target_one_pixel_short_of_twice_the_source_still_fits():
    assert ImagePair(image("s", 472, 640), image("t", 943, 1280)).size_problem() is None


def test_sizes_that_do_not_scale_evenly_are_an_error_until_registered():
    pair = ImagePair(image("s", 32, 40, seed=1), image("t", 64, 100, seed=2))
    assert "do not scale" in errors_of(pair)[0]
    with pytest.raises(ValueError, match="s: 32 x 40 pixels do not scale to 64 x 100"):
        pair.on_target_grid()
    found = registration(target=(64, 100))
    assert errors_of(ImagePair(pair.source, pair.target, found)) == []


def test_axes_and_channels_that_differ_are_an_error():
    assert "axes" in errors_of(ImagePair(image("s", 32, 40), image("t", 3, 32, 40)))[0]
    channels = [Image(integer_noise(n, 32, 40, seed=n), "CYX") for n in (2, 3)]
    assert "along C" in errors_of(ImagePair(*channels))[0]


def test_one_image_on_both_sides_is_an_error():
    assert "the same image" in errors_of(ImagePair(image(), image()))[0]


def test_constant_images_are_an_error():
    flat = Image(np.full((32, 40), 7, np.uint8), "YX", name="flat")
    assert "'flat' has the value 7 everywhere" in errors_of(ImagePair(flat, image()))[0]


def test_an_image_of_one_pixel_is_an_error():
    errors = errors_of(ImagePair(image("s", 1, 1, seed=1), image("t", 1, 1, seed=2)))
    assert any("source 's' has only 1 x 1 pixels" in error for error in errors)


def test_pixels_that_are_not_finite_are_noted_and_an_error_if_all_are():
    array = integer_noise(32, 40).astype(np.float32)
    array[3, 4] = np.inf
    assert "not finite" in notes_of(ImagePair(Image(array, "YX"), image(seed=2)))[0]
    nothing = Image(np.full((32, 40), np.nan, np.float32), "YX")
    assert "finite number" in errors_of(ImagePair(nothing, image(seed=2)))[0]


def test_saturation_is_noted():
    array = integer_noise(32, 40)
    array[:4] = 255
    assert "saturated" in notes_of(ImagePair(Image(array, "YX"), image(seed=2)))[0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (image("s", 64, 80, seed=1), image("t", 32, 40, seed=2)),
        (
            image("s", seed=1, pixel_size=(5.0, 5.0), unit="nm"),
            image("t", seed=2, pixel_size=(0.01, 0.01), unit="µm"),
        ),
    ],
)
def test_a_finer_source_is_noted_as_perhaps_swapped(source, target):
    assert "swapped" in notes_of(ImagePair(source, target))[0]
    assert notes_of(ImagePair(target, source)) == []


def test_verdicts_of_registrations_are_problems():
    images = image(seed=1), image("t", 64, 80, seed=2)
    failed = ImagePair(*images, registration(Verdict.FAILED))
    assert "could not be registered (few matches)" in errors_of(failed)[0]
    doubtful = ImagePair(*images, registration(Verdict.DOUBTFUL))
    assert "doubtful" in notes_of(doubtful)[0]
    assert check_pairs([ImagePair(*images, registration())]) == []


def test_all_problems_of_all_pairs_are_named_at_once():
    flat = Image(np.zeros((8, 8), np.uint8), "YX", name="flat")
    pairs = [ImagePair(flat, image("t", 9, 30), name="A"), ImagePair(flat, flat, name="B")]
    problems = check_pairs(pairs)
    assert {problem.pair for problem in problems} == {"A", "B"}
    assert len([p for p in problems if p.pair == "A"]) >= 4
    assert all(str(p).startswith(f"{p.pair}: ") for p in problems)


# Saved and opened again


def test_a_saved_list_moves_with_its_images(tmp_path):
    write_files(tmp_path / "here" / "lr", "S1.tif", "S2.tif")
    write_files(tmp_path / "here" / "hr", "S1.tif", "S2.tif", shape=(64, 80))
    found = pairs_from_folders(tmp_path / "here" / "lr", tmp_path / "here" / "hr")
    save_pairs(found.pairs, tmp_path / "here" / "pairs.json")
    shutil.move(tmp_path / "here", tmp_path / "there")
    opened = load_pairs(tmp_path / "there" / "pairs.json")
    assert opened.problems == ()
    for ours, theirs in zip(opened, found, strict=True):
        assert ours.name == theirs.name
        assert ours.registration is None
        np.testing.assert_array_equal(ours.source.read(), theirs.source.read())
        np.testing.assert_array_equal(ours.target.read(), theirs.target.read())


def test_pages_and_npz_entries_are_found_again(tmp_path):
    np.save(tmp_path / "lr.npy", integer_noise(3, 32, 40, seed=1))
    np.save(tmp_path / "hr.npy", integer_noise(3, 64, 80, seed=2))
    np.savez(
        tmp_path / "t.npz",
        X=integer_noise(2, 1, 32, 40, seed=3),
        Y=integer_noise(2, 1, 32, 40, seed=4),
    )
    pairs = [
        *pairs_from_stacks(tmp_path / "lr.npy", tmp_path / "hr.npy"),
        *pairs_from_npz(tmp_path / "t.npz"),
    ]
    save_pairs(pairs[::-1], tmp_path / "pairs.json")
    opened = load_pairs(tmp_path / "pairs.json")
    assert opened.problems == ()
    for ours, theirs in zip(opened, pairs[::-1], strict=True):
        np.testing.assert_array_equal(ours.source.read(), theirs.source.read())
        np.testing.assert_array_equal(ours.target.read(), theirs.target.read())


def test_a_stack_read_as_a_volume_and_a_cut_image_are_read_so_again(tmp_path):
    np.save(tmp_path / "v.npy", integer_noise(3, 32, 40, seed=1))
    volume = read_image(tmp_path / "v.npy", stack_axis="Z")
    np.save(tmp_path / "p.npy", integer_noise(40, 40, seed=2))
    page = read_image(tmp_path / "p.npy")
    cut = page.with_array(page.array[:32])
    save_pairs([ImagePair(volume, cut)], tmp_path / "pairs.json")
    (pair,) = load_pairs(tmp_path / "pairs.json")
    assert pair.source.axes == "ZYX"
    np.testing.assert_array_equal(pair.target.read(), cut.read())


def test_a_registration_is_kept_with_its_pair(tmp_path):
    write_files(tmp_path / "i", "a.tif")
    write_files(tmp_path / "i", "b.tif", shape=(64, 80))
    images = read_image(tmp_path / "i" / "a.tif"), read_image(tmp_path / "i" / "b.tif")
    save_pairs([ImagePair(*images, registration(), "P")], tmp_path / "pairs.json")
    (pair,) = load_pairs(tmp_path / "pairs.json")
    np.testing.assert_array_equal(pair.registration.matrix, registration().matrix)
    assert pair.registration.verdict is Verdict.GOOD


def test_the_evidence_of_a_registration_takes_little_space(tmp_path):
    write_files(tmp_path / "i", "a.tif")
    write_files(tmp_path / "i", "b.tif", shape=(64, 80))
    images = read_image(tmp_path / "i" / "a.tif"), read_image(tmp_path / "i" / "b.tif")
    rng = np.random.default_rng(0)
    plane = replace(
        registration(),
        matches=rng.uniform(0, 1000, (1000, 2, 2)),
        drift_vectors=rng.uniform(0, 1000, (90, 2, 2)),
    )
    whole = replace(plane, slices=(plane,) * 3)
    save_pairs([ImagePair(*images, whole, "P")], tmp_path / "pairs.json")
    assert (tmp_path / "pairs.json").stat().st_size < 13_000
    (pair,) = load_pairs(tmp_path / "pairs.json")
    read = pair.registration
    assert (read.inliers, len(read.slices), read.slices[2].inliers) == (1000, 3, 1000)
    assert 100 < len(read.matches) < 200
    distances = np.abs(read.matches[:, None] - plane.matches[None]).max(axis=(2, 3))
    assert distances.min(axis=1).max() < 0.01
    np.testing.assert_allclose(read.drift_vectors, plane.drift_vectors, atol=0.01)
    np.testing.assert_array_equal(read.matrix, plane.matrix)
    # Saved again, it loses nothing more.
    save_pairs([pair], tmp_path / "again.json")
    (again,) = load_pairs(tmp_path / "again.json")
    assert again.registration.inliers == 1000
    np.testing.assert_array_equal(again.registration.matches, read.matches)


def test_names_with_brackets_and_line_breaks_are_kept_in_a_pair_list(tmp_path):
    write_files(tmp_path, "a.tif", "b.tif")
    images = read_image(tmp_path / "a.tif"), read_image(tmp_path / "b.tif")
    save_pairs([ImagePair(*images, name="P [\n 1,\n 2\n]")], tmp_path / "pairs.json")
    assert load_pairs(tmp_path / "pairs.json")[0].name == "P [\n 1,\n 2\n]"


def test_acceptance_is_saved_and_defaults_to_false(tmp_path):
    write_files(tmp_path / "i", "a.tif", "b.tif", "c.tif", "d.tif")
    a, b, c, d = (read_image(tmp_path / "i" / f"{n}.tif") for n in "abcd")
    path = tmp_path / "pairs.json"
    save_pairs([ImagePair(a, b, accepted=True), ImagePair(c, d)], path)
    assert [pair.accepted for pair in load_pairs(path)] == [True, False]
    content = json.loads(path.read_text())
    for entry in content["pairs"]:
        del entry["accepted"]
    path.write_text(json.dumps(content))
    assert [pair.accepted for pair in load_pairs(path)] == [False, False]


OLD_FILES = Path(__file__).parents[1] / "files_of_0_1_0"


def test_a_pair_list_of_version_0_1_0_opens():
    opened = load_pairs(OLD_FILES / "pairs.json")
    assert opened.problems == ()
    values = json.loads((OLD_FILES / "pairs.json").read_text())["pairs"]
    for pair, entry in zip(opened, values, strict=True):
        found, expected = pair.registration, entry["registration"]
        assert (pair.name, pair.accepted) == (entry["name"], entry["accepted"])
        assert found.verdict == expected["verdict"]
        np.testing.assert_array_equal(found.matrix, expected["matrix"])
        np.testing.assert_array_equal(found.matches, expected["matches"])
    found = Registration.load(OLD_FILES / "S0.registration.json")
    np.testing.assert_array_equal(opened.pairs[0].registration.matrix, found.matrix)


def test_a_list_with_more_or_fewer_fields_opens_and_a_damaged_entry_is_one_problem(tmp_path):
    write_files(tmp_path / "i", "a.tif", "b.tif")
    images = (read_image(tmp_path / "i" / f"{n}.tif") for n in "ab")
    path = tmp_path / "pairs.json"
    save_pairs([ImagePair(*images, registration(shape=(32, 40), target=(32, 40)))] * 4, path)
    content = json.loads(path.read_text())
    assert (content["format"], content["version"]) == ("napari-aeanet pairs", 2)
    first, second, third, _ = content["pairs"]
    first["added later"] = first["registration"]["added later"] = 1
    del first["registration"]["matches"], first["accepted"]
    del second["source"]["file"]
    third["registration"]["matrix"] = "none"
    content["pairs"].append("no entry")
    path.write_text(json.dumps(content))
    opened = load_pairs(path)
    assert [pair.name for pair in opened] == ["a", "a"]
    assert opened.pairs[0].registration.inliers == 0
    assert [problem.pair for problem in opened.problems] == ["a", "a", "pair 4"]
    assert "source.file" in opened.problems[0].message
    assert "registration.matrix" in opened.problems[1].message
    assert all(str(path) in str(problem) for problem in opened.problems)


def test_pairs_whose_files_are_gone_or_changed_are_problems_and_the_rest_opens(tmp_path):
    write_files(tmp_path / "i", "a.tif", "b.tif", "c.tif", "d.tif")
    a, b, c, d = (read_image(tmp_path / "i" / f"{n}.tif") for n in "abcd")
    save_pairs([ImagePair(a, b), ImagePair(c, d), ImagePair(b, d)], tmp_path / "pairs.json")
    (tmp_path / "i" / "a.tif").unlink()
    write_files(tmp_path / "i", "c.tif", shape=(50, 60))
    opened = load_pairs(tmp_path / "pairs.json")
    assert [pair.name for pair in opened] == ["b"]
    assert [problem.pair for problem in opened.problems] == ["a", "c"]
    assert "does not exist" in opened.problems[0].message
    assert "has changed" in opened.problems[1].message


def test_images_that_lie_in_no_file_cannot_be_saved_as_pairs(tmp_path):
    with pytest.raises(ValueError, match="save s, t as image files first"):
        save_pairs([ImagePair(image("s"), image("t"))], tmp_path / "pairs.json")
    assert list(tmp_path.iterdir()) == []


def test_the_file_names_its_images_relative_to_itself(tmp_path):
    write_files(tmp_path / "i", "a.tif", "b.tif")
    pair = ImagePair(*(read_image(tmp_path / "i" / f"{n}.tif") for n in "ab"))
    save_pairs([pair], tmp_path / "pairs.json")
    content = json.loads((tmp_path / "pairs.json").read_text())
    assert content["pairs"][0]["source"]["file"] == "i/a.tif"


def test_one_file_in_each_folder_is_a_pair_whatever_the_names(tmp_path):
    for side, name in (("bf", "brightfield_1.tif"), ("st", "dapi_7.tif")):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / name, np.zeros((8, 8), np.uint8))
    found = pairs_from_folders(tmp_path / "bf", tmp_path / "st")
    assert [pair.target.name for pair in found] == ["dapi_7"]
    assert found.unmatched == (
        "brightfield_1 and dapi_7 are taken as a pair, as there are no others: their names differ.",
    )
