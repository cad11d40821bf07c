"""Progress of long jobs: text, remaining time, and running a job to its end."""

import io
import re

import pytest
from tqdm import tqdm

from napari_aeanet.core import progress
from napari_aeanet.core.progress import (
    BAR,
    EtaEstimator,
    Progress,
    Progressed,
    StepCounter,
    in_words,
    last_event,
    returned,
    show_on,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (5400, "1 h 30 min")],
)
def test_times_are_as_precise_as_an_estimate(seconds, expected):
    assert in_words(seconds) == expected


def test_a_line_holds_the_remaining_time_only_if_it_is_known():
    assert Progress("restoring S05", 12, 40, 28).line("tile") == (
        "restoring S05: tile 12 of 40, 28 s left"
    )
    assert Progress("restoring S05", 1, 40).line("tile") == "restoring S05: tile 1 of 40"


def test_the_first_step_is_left_out_of_the_estimate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    estimator = EtaEstimator(10)
    now[0] = 100.0  # a slow first step
    assert estimator.seconds_left(1) is None
    now[0] = 102.0
    assert estimator.seconds_left(2) is None  # one step is too few
    now[0] = 104.0
    assert estimator.seconds_left(3) == pytest.approx(2 * 7)


def test_skipped_steps_count_but_do_not_enter_the_estimate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    counter = StepCounter("restoring", 10)
    counter.skip(5)
    for now[0] in (1.0, 3.0, 5.0):
        done = counter.step()
    assert (done.done, done.total) == (8, 10)
    assert done.seconds_left == pytest.approx(2 * 2)
    assert counter.unchanged() == done
    assert counter.finish() == Progress("restoring", 10, 10, 0.0)


def test_the_last_event_is_the_result_and_every_progress_is_reported():
    events = [Progressed(Progress("work", i, 3)) for i in (1, 2, 3)]
    reported = []
    assert last_event(iter(events), reported.append) is events[-1]
    assert reported == [event.progress for event in events]
    with pytest.raises(RuntimeError, match="without a result"):
        last_event([])


def test_the_bar_of_a_job_in_phases_shows_the_share_of_all_and_never_goes_back():
    text = io.StringIO()
    phases = (
        Progress("checking", 2, 2, share=0.0, unit="pair"),
        Progress("timing", 0, 0, share=0.02),
        Progress("training", 5, 10, 90, share=0.5),
        Progress("training", 10, 10, 20, share=0.9),
        Progress("final check", 3, 3, 1, share=0.99, unit="part"),
    )
    with tqdm(file=text, unit=" step", bar_format=BAR, mininterval=0, ncols=90) as bar:
        for one in phases:
            show_on(bar, one)
    shown = text.getvalue()
    percent = [int(found) for found in re.findall(r"(\d+)%", shown)]
    assert percent == sorted(percent)
    assert max(percent) == 99
    assert "training:  50%|" in shown
    assert "step 5 of 10, 2 min left" in shown
    assert "checking:   0%|" in shown
    assert "pair 2 of 2" in shown


def test_a_generator_is_run_to_its_return_value():
    def steps():
        yield 1
        yield 2
        return "result"

    assert returned(steps()) == "result"
