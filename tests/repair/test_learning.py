"""Repair by a network that learns from the stack, and only if it is better than the flow."""

from dataclasses import replace

import numpy as np
import pytest

from napari_aeanet import interpolation
from napari_aeanet.interpolation import (
    LearnStepped,
    MethodScores,
    SectionsLearnt,
    WarpedNeighbours,
    score_section,
)
from napari_aeanet.io import read_image
from napari_aeanet.repair import (
    RepairedStack,
    RepairMethod,
    RepairSettings,
    SliceState,
    learning,
    plan_repairs,
    repair_stack_events,
)
from napari_aeanet.samples.sections import SectionSettings, serial_sections

LEARNT = RepairSettings(method=RepairMethod.LEARNT, minutes=0.1, checks=2)


@pytest.fixture(scope="module")
def stack():
    settings = SectionSettings(damaged=1, neurite_size=20)
    return serial_sections(2, (16, 96, 96), settings)


@pytest.fixture(scope="module")
def run(stack, tmp_path_factory):
    path = tmp_path_factory.mktemp("learnt") / "repaired.ome.tif"
    return path, list(repair_stack_events(stack.stack, stack.damaged, LEARNT, out=path))


def test_a_network_learns_and_is_compared_before_it_is_used(run, stack):
    path, events = run
    shares = [event.progress.fraction for event in events]
    assert shares == sorted(shares)
    assert any(isinstance(event, LearnStepped) for event in events)
    (learnt,) = (event for event in events if isinstance(event, SectionsLearnt))
    assert not set(stack.damaged) & {*learnt.sections, *learnt.kept_out}
    last = events[-1]
    assert isinstance(last, RepairedStack)
    assert learnt.scores.words in last.notices
    used = RepairMethod.LEARNT if learnt.scores.is_better else RepairMethod.FLOW
    assert last.method is used
    assert last.indices(SliceState.REPAIRED) == list(stack.damaged)
    np.testing.assert_array_equal(read_image(path).read(), last.image.read())


def test_what_was_learnt_is_used_again(run, stack):
    path, events = run
    again = list(repair_stack_events(stack.stack, stack.damaged, LEARNT, out=path, overwrite=True))
    assert not any(isinstance(event, LearnStepped) for event in again)
    np.testing.assert_array_equal(again[-1].image.read(), events[-1].image.read())


def test_what_was_learnt_from_another_stack_is_refused(run, stack):
    path, _ = run
    changed = stack.stack.read() // 2
    with pytest.raises(ValueError, match="has learnt from another stack"):
        list(repair_stack_events(changed, stack.damaged, LEARNT, out=path, overwrite=True))


def test_what_was_learnt_from_a_slice_that_is_to_be_repaired_is_refused(run, stack):
    path, events = run
    (learnt,) = (event for event in events if isinstance(event, SectionsLearnt))
    damaged = [*stack.damaged, learnt.sections[0]]
    with pytest.raises(ValueError, match=r"learnt from section .* damaged one: name another"):
        list(repair_stack_events(stack.stack, damaged, LEARNT, out=path, overwrite=True))


def test_what_was_learnt_with_other_options_is_refused(run, stack):
    path, _ = run
    longer = replace(LEARNT, minutes=9.0)
    with pytest.raises(ValueError, match="learnt with other options: name another folder"):
        list(repair_stack_events(stack.stack, stack.damaged, longer, out=path, overwrite=True))


@pytest.mark.parametrize("is_better", [True, False])
def test_a_network_is_used_only_if_it_is_better(run, stack, monkeypatch, is_better):
    path, events = run
    (learnt,) = (event for event in events if isinstance(event, SectionsLearnt))
    other = np.random.default_rng(0).random((64, 64), np.float32)
    low = score_section(other, other[::-1], 1)
    high = replace(low, agreement=0.5)
    scores = MethodScores(
        learnt=high if is_better else low,
        flow=high if not is_better else low,
        smoothed=low,
        mean=low,
    )
    monkeypatch.setattr(
        interpolation,
        "learn_or_resume_events",
        lambda *_, **__: iter([replace(learnt, scores=scores)]),
    )
    planned = plan_repairs(stack.stack, stack.damaged)
    steps = learning.learnt_maker(stack.stack, planned, LEARNT, path.with_name("repaired-learnt"))
    with pytest.raises(StopIteration) as finished:
        while True:
            next(steps)
    maker = finished.value.value
    assert (maker.interpolator is not WarpedNeighbours.blended) == is_better
    assert maker.method is (RepairMethod.LEARNT if is_better else RepairMethod.FLOW)
    assert maker.words == scores.words
    assert (maker.kept_out == learnt.kept_out) if is_better else (maker.kept_out is None)


def test_a_folder_is_needed_to_learn_in(stack):
    with pytest.raises(ValueError, match="Name a folder"):
        repair_stack_events(stack.stack, stack.damaged, LEARNT)


def test_a_network_makes_single_slices_only(run, stack):
    path, _ = run
    index = next(iter(stack.damaged))
    alone = next(z for z in (3, 6, 9, 12) if abs(z - index) > 2)
    pair = [alone, alone + 1]
    *_, found = repair_stack_events(stack.truth, pair, LEARNT, learning=path.parent / "none")
    assert {found.outcomes[z].method for z in pair} == {RepairMethod.FLOW}
    assert not (path.parent / "none").exists()
    assert "by optical flow" in found.notices[0]
