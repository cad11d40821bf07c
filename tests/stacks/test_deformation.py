"""Following the local deformation of serial sections."""

import json
import pickle
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.core.pieces import Mapper
from napari_aeanet.registration import LARGEST_STRAIN, Deform, Deformation, largest_strain
from napari_aeanet.stacks import (
    AlignSettings,
    align_stack,
    align_stack_events,
    load_alignment,
    save_alignment,
    table,
)
from napari_aeanet.stacks.following import follow_sections
from napari_aeanet.stacks.resampling import resampled_section

COUNT, SIDE = 10, 192
SHAPE = (SIDE, SIDE)
OFF = AlignSettings(deform=Deform.OFF)
CELLS = 4


def specimen(seed: int = 0, new: float = 0.1) -> np.ndarray:
    """Return sections of a texture of which a share `new` is new in each."""
    rng = np.random.default_rng(seed)
    fresh = ndimage.gaussian_filter(rng.standard_normal((COUNT, *SHAPE)), (0, 3, 3))
    sections = [fresh[0]]
    for one in fresh[1:]:
        sections.append(np.sqrt(1 - new) * sections[-1] + np.sqrt(new) * one)
    stack = np.array(sections)
    return 120 + 35 * stack / stack.std()


def waves(seed: int = 1, amplitude: float = 2.0) -> np.ndarray:
    """Return a displacement (2, side, side) for every section: waves of random phase."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, (COUNT, 2, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE * 2 * np.pi
    return amplitude * np.stack(
        [np.sin(x + y + phases[:, 0]), np.cos(x - y + phases[:, 1])], axis=1
    )


def recorded(sections: np.ndarray, warps: np.ndarray) -> np.ndarray:
    grid = np.mgrid[:SIDE, :SIDE]
    taken = [
        ndimage.map_coordinates(section, grid + warp, order=3, mode="reflect")
        for section, warp in zip(sections, warps, strict=True)
    ]
    return np.clip(np.rint(taken), 0, 255).astype(np.uint8)


def errors(found, warps: np.ndarray, kept: list[int]) -> list[float]:
    """Return the median distance of each section relative to the one before, over the middle."""
    at = np.linspace(30, SIDE - 31, 15)
    points = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    lie = []
    for n in kept:
        place = found.sections[n]
        p = points
        if place.deformation is not None:
            p = p + place.deformation.at(p, SHAPE)
        q = p @ place.array()[:2, :2].T + place.array()[:2, 2]
        moved = [ndimage.map_coordinates(axis, q.T, order=3, mode="nearest") for axis in warps[n]]
        lie.append(q + np.stack(moved, axis=1))
    return [float(np.median(np.linalg.norm(b - a, axis=1))) for a, b in pairwise(lie)]


@pytest.fixture(scope="module")
def warped() -> tuple[np.ndarray, np.ndarray]:
    warps = waves()
    return recorded(specimen(), warps), warps


@pytest.fixture(scope="module")
def aligned(warped):
    return align_stack(warped[0])


def test_warps_of_sections_are_followed(warped, aligned):
    stack, warps = warped
    found, plain = (
        np.median(errors(one.alignment, warps, [*range(COUNT)]))
        for one in (aligned, align_stack(stack, OFF))
    )
    assert len(aligned.alignment.deformed()) >= COUNT - 2
    assert plain > 1.5
    assert found < 0.5 * plain
    for index in aligned.alignment.deformed():
        one = aligned.alignment.sections[index].deformation
        assert aligned.alignment.followed(index) > 0.5
        assert one.after < one.before


def test_followed_neighbours_resemble_each_other_more(warped, aligned):
    def likeness(stack: np.ndarray) -> float:
        inner = stack[:, 20:-20, 20:-20].reshape(COUNT, -1)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairwise(inner)]))

    pixels = aligned.image.read()
    assert pixels.dtype == np.uint8
    assert likeness(pixels) > likeness(align_stack(warped[0], OFF).image.read()) + 0.1


def test_sections_without_warps_keep_their_places():
    stack = recorded(specimen(seed=3), np.zeros((COUNT, 2, *SHAPE)))
    found = align_stack(stack).alignment
    assert found.deformed() == []
    assert found == align_stack(stack, OFF).alignment


def test_a_course_through_the_tissue_is_left_as_it_is():
    """Leave alone what bends steadily from section to section: it is no deformation."""
    steady = np.linspace(-1, 1, COUNT)[:, None, None, None] * waves(amplitude=6)[:1]
    found = align_stack(recorded(specimen(seed=4), steady)).alignment
    followed = [found.followed(n) for n in range(1, COUNT - 1)]
    assert np.median(followed) < 0.3


def test_a_blank_section_leaves_the_others_unharmed(warped, aligned):
    stack, warps = warped
    stack = stack.copy()
    stack[5] = 200
    found = align_stack(stack).alignment
    assert found.sections[5].deformation is None
    kept = [n for n in range(COUNT) if n != 5]
    with_it, without = (np.median(errors(one, warps, kept)) for one in (aligned.alignment, found))
    assert without < with_it + 0.2


def motions(u: np.ndarray, noise: float, seed: int = 0) -> dict[tuple[int, int], np.ndarray]:
    """Return motions of one smoothness from the coefficients of sections, (n, k, k, 2)."""
    rng = np.random.default_rng(seed)
    told = np.diff(u, axis=0) + rng.normal(0, noise, (len(u) - 1, *u.shape[1:]))
    return {(n, n + 1): one[None] for n, one in enumerate(told)}


def coefficients(count: int, size: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, size / SIDE, (count, CELLS + 3, CELLS + 3, 2))


def test_independent_deformations_are_told_from_noise_and_from_steps():
    u = coefficients(20, 2)
    found = follow_sections(20, SHAPE, motions(u, 0.2 / SIDE))
    assert sum(one is not None for one in found) >= 19
    off = [one.coefficients - true for one, true in zip(found, u, strict=True) if one is not None]
    assert np.sqrt(np.mean(np.square(off))) * SIDE < 0.6
    steps = np.cumsum(coefficients(20, 2, seed=2), axis=0)  # each keeps what those before have
    assert follow_sections(20, SHAPE, motions(steps, 0.0)) == [None] * 20


def test_noise_alone_is_not_followed():
    u = np.zeros((12, CELLS + 3, CELLS + 3, 2))
    followed = [
        sum(one is not None for one in follow_sections(12, SHAPE, motions(u, 2 / SIDE, seed)))
        for seed in range(10)
    ]
    assert np.count_nonzero(followed) <= 1


def test_deformations_are_told_from_a_course_that_goes_on():
    u, course = coefficients(20, 2), coefficients(1, 3, seed=3)
    told = {pair: one + course for pair, one in motions(u, 0.2 / SIDE).items()}
    found = follow_sections(20, SHAPE, told)[2:-2]
    assert all(one is not None for one in found)
    off = [one.coefficients - true for one, true in zip(found, u[2:-2], strict=True)]
    assert np.sqrt(np.mean(np.square(off))) * SIDE < 1.3


def test_a_single_deformed_section_is_followed_alone():
    u = np.zeros((20, CELLS + 3, CELLS + 3, 2))
    u[8] = coefficients(1, 2)[0]
    found = follow_sections(20, SHAPE, motions(u, 0.2 / SIDE))
    assert [n for n, one in enumerate(found) if one is not None] == [8]
    assert np.sqrt(np.mean(np.square(found[8].coefficients - u[8]))) * SIDE < 0.5


def test_long_stacks_are_divided_without_a_seam(monkeypatch):
    u = coefficients(60, 2)
    told = motions(u, 0.3 / SIDE)
    whole = follow_sections(60, SHAPE, told)
    monkeypatch.setattr("napari_aeanet.stacks.following.WINDOW", 20)
    monkeypatch.setattr("napari_aeanet.stacks.following.MARGIN", 15)
    parts = follow_sections(60, SHAPE, told)
    for one, other in zip(whole, parts, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert np.abs(one.coefficients - other.coefficients).max() * SIDE < 0.3


def test_nothing_folds():
    found = follow_sections(12, SHAPE, motions(coefficients(12, 60), 0.5 / SIDE))
    strains = [largest_strain(one.coefficients) for one in found if one is not None]
    assert max(strains) == pytest.approx(LARGEST_STRAIN, rel=0.01)


def test_short_stacks_and_gaps_are_not_deformed():
    u = coefficients(6, 2)
    told = motions(u, 0.1 / SIDE)
    few = {pair: told[pair] for pair in [(0, 1), (1, 2), (4, 5)]}
    assert follow_sections(6, SHAPE, few) == [None] * 6


def test_a_section_is_resampled_once_through_place_and_deformation():
    values = np.zeros((7, 7, 2))
    values[..., 0] = 3 / 64
    values[..., 1] = -2 / 64
    moved = Deformation(coefficients=values, before=1.0, after=0.5)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    found = resampled_section(pixels, np.eye(3), moved)
    np.testing.assert_array_equal(found[:60, 2:], pixels[3:63, :-2])
    assert not found[61:].any()
    holes = pixels.astype(np.float32)
    holes[20, 20] = np.nan
    assert np.isnan(resampled_section(holes, np.eye(3), moved)[17, 22])


def test_large_sections_are_resampled_in_strips(monkeypatch, aligned, warped):
    place = aligned.alignment.sections[aligned.alignment.deformed()[0]]
    whole = partial(resampled_section, warped[0][0], place.array(), place.deformation)
    expected = whole()
    monkeypatch.setattr("napari_aeanet.stacks.resampling.PIXELS_AT_ONCE", 1000)
    np.testing.assert_array_equal(whole(), expected)


def test_deformations_are_saved_and_listed(aligned, tmp_path):
    path = tmp_path / "places.json"
    save_alignment(aligned.alignment, path)
    again = load_alignment(path)
    index = aligned.alignment.deformed()[0]
    before, after = (one.sections[index].deformation for one in (aligned.alignment, again))
    np.testing.assert_array_equal(before.coefficients, after.coefficients)
    head, *rows = (line.split(",") for line in table(again).splitlines())
    row = dict(zip(head, rows[index], strict=True))
    assert float(row["follows_px"]) == pytest.approx(again.followed(index), abs=1e-3)
    assert float(row["after_px"]) == pytest.approx(after.after, abs=1e-3)


def test_transforms_of_version_1_are_read(aligned, tmp_path):
    path = tmp_path / "places.json"
    save_alignment(aligned.alignment, path)
    values = json.loads(path.read_bytes()) | {"version": 1}
    for one in values["sections"]:
        del one["deformation"]
    path.write_text(json.dumps(values))
    sections = aligned.alignment.sections
    expected = replace(
        aligned.alignment, sections=tuple(replace(one, deformation=None) for one in sections)
    )
    assert load_alignment(path) == expected


def test_progress_rises_and_a_stop_while_motion_is_measured_writes_nothing(warped, tmp_path):
    events = align_stack_events(warped[0], out=tmp_path / "aligned.ome.zarr")
    shares = []
    for event in events:
        shares.append(event.progress.fraction)
        if "locally" in event.progress.what:
            break
    assert shares == sorted(shares)
    events.close()
    assert list(tmp_path.iterdir()) == []


class InParts(Mapper):
    """Computes pieces in parts, as other processes do."""

    def map(self, work, image, pieces, *, overlap=0):
        pieces = iter(pieces)
        while part := list(islice(pieces, 3)):
            yield None
            yield from pickle.loads(pickle.dumps(list(work(image, part))))


def test_division_into_parts_changes_nothing(warped, aligned):
    *_, parts = align_stack_events(warped[0], mapper=InParts())
    np.testing.assert_array_equal(parts.image.read(), aligned.image.read())
    assert table(parts.alignment) == table(aligned.alignment)
