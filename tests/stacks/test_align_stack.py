"""Aligning stacks of serial sections."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.io import read_image
from napari_aeanet.registration import transforms
from napari_aeanet.stacks import (
    AlignSettings,
    SectionMatch,
    SectionState,
    align_stack,
    align_stack_events,
    load_alignment,
)
from napari_aeanet.stacks.placing import place_sections

SHAPE = (128, 128)


def specimen(count: int, seed: int = 0, new: float = 0.15) -> np.ndarray:
    """Return sections of a texture that changes by a share `new` from one to the next."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.standard_normal((count, 160, 160)), (0, 3, 3))
    sections = [texture[0]]
    for fresh in texture[1:]:
        sections.append(np.sqrt(1 - new) * sections[-1] + np.sqrt(new) * fresh)
    stack = np.array(sections)
    return 120 + 35 * stack / stack.std()


def motions(count: int, seed: int = 1, shift: float = 4, turn: float = 1) -> list[np.ndarray]:
    """Return random places of sections: pixel of the specimen's field to pixel of the section."""
    rng = np.random.default_rng(seed)
    centre = transforms.centre(SHAPE)
    return [
        transforms.similarity(1, rng.normal(0, turn), centre + rng.normal(0, shift, 2))
        @ transforms.translation(-centre)
        for _ in range(count)
    ]


def recorded(sections: np.ndarray, places: list[np.ndarray]) -> np.ndarray:
    """Record the middle of each section at its place."""
    taken = []
    for section, place in zip(sections, places, strict=True):
        back = transforms.translation((16, 16)) @ np.linalg.inv(place)
        taken.append(ndimage.affine_transform(section, back[:2, :2], back[:2, 2], SHAPE, order=3))
    return np.clip(np.rint(taken), 0, 255).astype(np.uint8)


def errors(found, places: list[np.ndarray], kept: list[int]) -> list[float]:
    """Return how far each section is from its place relative to the one before, in pixels."""
    off = [np.linalg.inv(places[n]) @ found.sections[n].array() for n in kept]
    return [transforms.corner_distance(a, b, SHAPE) for a, b in pairwise(off)]


@pytest.fixture(scope="module")
def jittered() -> tuple[np.ndarray, list[np.ndarray]]:
    places = motions(8)
    return recorded(specimen(8), places), places


def test_shifts_and_turns_are_found(jittered):
    stack, places = jittered
    found = align_stack(stack)
    assert np.median(errors(found.alignment, places, [*range(8)])) < 0.5
    assert found.notices == ()
    assert {one.state for one in found.alignment.sections} == {SectionState.ALIGNED}


def test_aligned_neighbours_resemble_each_other_more(jittered):
    stack, _ = jittered

    def likeness(sections: np.ndarray) -> float:
        inner = sections[:, 20:-20, 20:-20].reshape(8, -1)
        pairs = pairwise(inner)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))

    aligned = align_stack(stack).image.read()
    assert aligned.dtype == np.uint8
    assert likeness(aligned) > likeness(stack) + 0.2


@pytest.mark.parametrize("damaged", [[3], [3, 4], [0], [7]])
def test_a_blank_section_leaves_the_others_unharmed(jittered, damaged):
    stack, places = jittered
    stack = stack.copy()
    stack[damaged] = 200
    found = align_stack(stack)
    kept = [n for n in range(8) if n not in damaged]
    assert np.median(errors(found.alignment, places, kept)) < 0.5
    assert max(errors(found.alignment, places, kept)) < 1.5
    assert found.alignment.indices(SectionState.INTERPOLATED) == damaged
    assert "nothing in common" in found.notices[0]
    assert f" {damaged[0]}" in found.notices[0]
    if damaged == [3]:
        before, own, after = (np.array(found.alignment.sections[n].shift) for n in (2, 3, 4))
        np.testing.assert_allclose(own, (before + after) / 2, atol=0.1)


def test_a_wrong_match_is_outvoted():
    good = {
        (i, j): SectionMatch(matrix=np.eye(3), correlation=0.8)
        for i in range(10)
        for j in range(i + 1, min(i + 3, 10))
    }
    wrong = SectionMatch(matrix=transforms.translation((15, 0)), correlation=0.4)
    found = place_sections(10, SHAPE, good | {(4, 5): wrong})
    assert max(np.hypot(*one.shift) for one in found.sections) < 0.5


def test_a_weak_match_counts_only_where_nothing_else_connects():
    def shifted(y: float, correlation: float) -> SectionMatch:
        return SectionMatch(matrix=transforms.translation((y, 0)), correlation=correlation)

    matches = {(i, i + 1): shifted(0, 0.7) for i in (0, 1, 4, 5)}
    weak = {(2, 4): shifted(6, 0.2), (1, 4): shifted(-9, 0.18), (0, 2): shifted(30, 0.2)}
    found = place_sections(7, SHAPE, matches | weak)
    states = [one.state for one in found.sections]
    assert states[3] is SectionState.INTERPOLATED
    assert states[4] is SectionState.UNSURE
    assert {*states[:3], *states[5:]} == {SectionState.ALIGNED}
    moved = [one.shift[0] for one in found.sections]
    assert np.ptp(moved[:3]) < 0.1
    assert np.ptp(moved[4:]) < 0.1
    assert -6 <= moved[4] - moved[2] < -3  # neither of the other weak matches: 9 and 30


def test_a_straight_fibre_stays_straight():
    count = 20
    y, x = np.mgrid[:160, :160]
    sections = specimen(count, seed=5)
    along = np.linspace(-1, 1, count)
    lines = np.stack([80 + 12 * along, 80 - 8 * along], axis=1)
    for section, (cy, cx) in zip(sections, lines, strict=True):
        section += 90 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18)
    places = motions(count, seed=6)
    found = align_stack(recorded(sections, places)).alignment
    at = np.array(
        [
            transforms.apply(np.linalg.inv(one.array()) @ place, line[None] - 16)[0]
            for one, place, line in zip(found.sections, places, lines, strict=True)
        ]
    )
    fit = np.polynomial.polynomial.polyfit(along, at, 1)
    straight = np.polynomial.polynomial.polyval(along, fit).T
    assert np.linalg.norm(at - straight, axis=1).max() < 1


def test_errors_of_matches_do_not_bend_a_stack():
    """Errors add up along a stack; the recorded places of scattered sections hold them back."""
    count = 200
    rng = np.random.default_rng(0)
    scatter = rng.normal(0, 5, (count, 2))
    matches = {}
    for i in range(count):
        for j in range(i + 1, min(i + 3, count)):
            told = scatter[j] - scatter[i] + rng.normal(0, 0.3 * (j - i), 2)
            matches[i, j] = SectionMatch(matrix=transforms.translation(told), correlation=0.6)
    found = place_sections(count, SHAPE, matches)
    left = np.array([one.shift for one in found.sections]) + scatter
    left -= left.mean(axis=0)
    neighbours = np.linalg.norm(np.diff(left, axis=0), axis=1)
    assert np.median(neighbours) < 0.5
    slow = ndimage.uniform_filter1d(left, 20, axis=0)
    assert np.linalg.norm(slow, axis=1).max() < 2.5


def test_a_steady_drift_is_followed():
    drift = np.cumsum(np.full((40, 2), 5.0), axis=0)
    matches = {
        (i, j): SectionMatch(matrix=transforms.translation(drift[j] - drift[i]), correlation=0.7)
        for i in range(40)
        for j in range(i + 1, min(i + 3, 40))
    }
    found = place_sections(40, SHAPE, matches)
    left = np.array([one.shift for one in found.sections]) + drift
    assert np.linalg.norm(np.diff(left, axis=0), axis=1).max() < 0.2


def test_nothing_in_common_leaves_a_stack_as_it_is():
    stack = np.random.default_rng(0).integers(0, 255, (4, *SHAPE)).astype(np.uint8)
    found = align_stack(stack)
    np.testing.assert_array_equal(found.image.read(), stack)
    assert "No section matches" in found.notices[0]


def test_a_break_is_told(jittered):
    stack, _ = jittered
    both = np.concatenate([stack[:4], specimen(4, seed=9)[:, 16:-16, 16:-16].astype(np.uint8)])
    found = align_stack(both)
    (told,) = found.notices
    assert "match was found across the stack before section 4" in told
    parts = {(i, i + 1): SectionMatch(matrix=np.eye(3), correlation=0.7) for i in (0, 1, 3, 4)}
    placed = place_sections(6, SHAPE, parts)
    assert placed.indices(SectionState.BREAK) == [3]


def test_a_lazy_stack_is_streamed_to_a_file_with_transforms_and_table(jittered, tmp_path):
    stack, _ = jittered
    image = Image(stack, "ZYX", pixel_size=(50, 4, 4), unit="nm", name="stack")
    path = tmp_path / "aligned.ome.zarr"
    found = align_stack(image, out=path)
    again = read_image(path)
    np.testing.assert_array_equal(again.read(), align_stack(image).image.read())
    np.testing.assert_array_equal(found.image.read(), again.read())
    assert (again.pixel_size, again.unit, again.dtype) == ((50, 4, 4), "nm", np.uint8)
    assert load_alignment(tmp_path / "aligned-transforms.json") == found.alignment
    rows = (tmp_path / "aligned-sections.csv").read_text().splitlines()
    assert len(rows) == 9
    assert rows[1].startswith("0,aligned,")
    with pytest.raises(FileExistsError, match="exists already"):
        align_stack(image, out=path)
    align_stack(image, out=path, overwrite=True)


def test_a_stopped_alignment_writes_nothing(jittered, tmp_path):
    stack, _ = jittered
    events = align_stack_events(stack, out=tmp_path / "aligned.ome.zarr")
    shares = [next(events).progress.fraction for _ in range(10)]
    assert shares == sorted(shares)
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_missing_pixels_stay_missing(jittered):
    stack = jittered[0].astype(np.float32)
    stack[2, 60:64, 60:64] = np.nan
    section = align_stack(stack).image.read()[2]
    assert 16 <= np.isnan(section).sum() <= 49


def test_what_is_no_stack_of_sections_is_refused(jittered):
    with pytest.raises(ValueError, match="has the axes 'YX'"):
        align_stack(jittered[0][0])
    with pytest.raises(ValueError, match="reach must be 1 to 3"):
        AlignSettings(reach=4)
