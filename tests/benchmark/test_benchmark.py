"""The benchmark of a computer, in small on the CPU."""

import json
import subprocess
import sys
from dataclasses import replace
from time import perf_counter

import pytest
import torch
from helpers import CPU

from napari_aeanet.benchmark import (
    BenchmarkReport,
    BenchmarkSettings,
    Measured,
    Measurement,
    accuracy,
    benchmark_events,
    examples,
    floor,
    page_of,
    restoring_speed,
    run,
    save_report,
    short_memory,
)
from napari_aeanet.benchmark.busy import busy_share, covered
from napari_aeanet.benchmark.settings import LIMIT_EXACT, Part
from napari_aeanet.cli import main
from napari_aeanet.doctor import facts
from napari_aeanet.doctor.settings import QtFacts, TorchFacts
from napari_aeanet.networks.network import Network

TINY = BenchmarkSettings(
    device="cpu", presets=("unet-2d-fast",), patch=16, batch=2, edges=(32, 48), seconds=0.1
)
QUICK_EXACT = (("unet-2d-fast", (50, 38), 16),)


@pytest.fixture(scope="module")
def events():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy, "EXACT", QUICK_EXACT)
        patch.setattr(floor, "MATRIX", {"cpu": 256})
        patch.setattr(floor, "COPIED_BYTES", {"cpu": 2**20})
        return list(benchmark_events(TINY))


@pytest.fixture(scope="module")
def report(events):
    assert isinstance(events[-1], BenchmarkReport)
    return events[-1]


def figures(report, part):
    return {one.name: one for one in report.measurements if one.part is part}


def test_every_part_is_measured(report):
    assert {one.part for one in report.measurements} == set(Part)
    assert not report.failed
    assert report.summary == "All 4 checks of accuracy passed."
    notes = [one.note for one in report.measurements]
    assert not [note for note in notes if "could not be measured" in note]


def test_figures_come_one_by_one_with_their_progress(events):
    measured = [event for event in events if isinstance(event, Measured)]
    assert tuple(event.measurement for event in measured) == events[-1].measurements
    done = [event.progress.fraction for event in events]
    assert done == sorted(done)
    assert done[-1] == 1


def test_training_is_compared_with_a_bare_loop_and_a_floor(report):
    found = figures(report, Part.TRAINING)
    ours, bare, least = (found[name].value for name in ("napari-aeanet", "bare loop", "floor"))
    assert found["share of the bare loop"].value == pytest.approx(ours / bare)
    assert found["120,000 steps"].value == pytest.approx(120_000 / ours / 3600)
    assert min(ours, bare, least) > 0
    assert "GFLOP" in found["floor"].note


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is one of Linux")
def test_memory_ran_out_for_real(report):
    restoring, training = figures(report, Part.SHORT_MEMORY).values()
    assert "smaller tiles were taken at a limit of" in restoring.note
    assert restoring.value <= LIMIT_EXACT
    assert training.note == "refused in one sentence"


def test_what_takes_too_long_is_left_out_and_said():
    steps = restoring_speed.restoring_speed(CPU, (32, 4096), perf_counter() + 0.5)
    found = [one for one in steps if one is not None]
    assert [one.value is None for one in found] == [False, False, True, True, False]
    assert "left out" in found[2].note


def test_a_rim_of_tiles_that_is_too_small_fails_the_check(monkeypatch):
    monkeypatch.setattr(accuracy, "EXACT", QUICK_EXACT)
    (right,) = accuracy.exactness(CPU)
    monkeypatch.setattr(Network, "halo", lambda self, known: (8, 8))
    (wrong,) = accuracy.exactness(CPU)
    assert not right.is_failed
    assert wrong.is_failed


def test_a_wrong_gradient_fails_the_check(monkeypatch):
    real = accuracy.output_and_gradient

    def slightly_wrong(network, x):
        output, gradient = real(network, x)
        return output, gradient * (1.05 if x.dtype == torch.float32 else 1)

    monkeypatch.setattr(accuracy, "output_and_gradient", slightly_wrong)
    output, gradient = accuracy.network_accuracy(CPU, "unet-2d-fast")
    assert not output.is_failed
    assert gradient.is_failed
    assert accuracy.relative_error(torch.tensor([float("nan")]), torch.ones(1)) == float("inf")


def broken(*_):
    raise RuntimeError("no kernel image is available\nfor this card")


def one_check(device, preset):
    yield measurement(device=str(device), name=preset)


@pytest.fixture
def only_networks(monkeypatch):
    """A computer that is looked at without processes, and a benchmark of one network only."""
    monkeypatch.setattr(facts, "torch_facts", lambda: TorchFacts(version="2.13.0"))
    monkeypatch.setattr(facts, "qt_facts", lambda: QtFacts(binding="PyQt6"))
    for name in ("exactness", "precision", "short_memory", "training_speed", "restoring_speed"):
        monkeypatch.setattr(run, name, lambda *_: iter(()))
    monkeypatch.setattr(run, "network_accuracy", one_check)
    monkeypatch.setattr(run, "DEFAULTS", TINY)
    monkeypatch.setattr(run.benchmark_events, "__defaults__", (TINY,))


def measurement(**changes):
    known = {"device": "cpu", "part": Part.NETWORKS, "name": "x", "value": 1e-6, "limit": 1e-3}
    return Measurement(**(known | changes))


def test_a_check_that_ends_with_an_error_has_failed_and_the_rest_goes_on(
    only_networks, monkeypatch
):
    monkeypatch.setattr(run, "network_accuracy", broken)
    monkeypatch.setattr(run, "training_speed", broken)
    *_, last = benchmark_events(TINY)
    network, training = last.measurements
    assert network.is_failed and not training.is_failed
    assert network.note == "could not be measured: no kernel image is available"
    assert last.summary == "1 of 1 checks of accuracy failed: unet-2d-fast on cpu."


def test_what_there_is_no_time_for_is_left_out_and_has_not_failed(only_networks):
    *_, last = benchmark_events(replace(TINY, minutes=0.0))
    (network, *others) = last.measurements
    assert network.note == "left out: no time was left" and not last.failed
    assert {one.part for one in others} == set(Part) - {Part.NETWORKS}
    assert "3 more were left out, since there was no time." in last.summary


def test_a_benchmark_is_written_as_json_and_as_a_page(report, tmp_path):
    endless = replace(report, measurements=(*report.measurements, measurement(value=float("inf"))))
    data, page = save_report(endless, tmp_path / "new" / "folder")
    found = json.loads(data.read_text(), parse_constant=pytest.fail)
    assert found["passed"] is False
    assert found["measurements"][0]["name"] == "unet-2d-fast, output"
    assert found["measurements"][-1]["value"] is None
    assert page.read_text() == page_of(endless)
    assert "| x | inf | 0.001 | **FAILED** |  |" in page.read_text()


def test_every_table_of_the_page_has_as_many_cells_in_every_line(report):
    widths = [
        {line.count("|") for line in block.splitlines() if line.startswith("|")}
        for block in page_of(report).split("\n\n")
    ]
    assert {len(width) for width in widths} <= {0, 1}


def test_the_command_writes_both_files_once(only_networks, tmp_path, capsys):
    words = ["doctor", "--benchmark", "--no-self-test", "-o", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "All 1 checks of accuracy passed." in printed
    before = (tmp_path / "benchmark.json").read_bytes()
    assert main(words) == 2
    assert "benchmark.json exists already" in capsys.readouterr().err
    assert (tmp_path / "benchmark.json").read_bytes() == before
    assert main([*words, "--overwrite"]) == 0


def test_the_command_fails_if_a_check_fails_and_writes_all_the_same(
    only_networks, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(run, "network_accuracy", broken)
    words = ["doctor", "--benchmark", "--no-self-test", "--json", "-o", str(tmp_path)]
    assert main(words) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["benchmark"]["passed"] is False
    assert json.loads((tmp_path / "benchmark.json").read_text())["passed"] is False


def test_a_folder_without_a_benchmark_is_refused(tmp_path, capsys):
    assert main(["doctor", "-o", str(tmp_path / "o")]) == 2
    assert "give --benchmark too" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_benchmark_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    events = run.training_speed(CPU, 16, 2, 0.1)
    next(events)
    assert list(tmp_path.iterdir())
    events.close()
    assert not list(tmp_path.iterdir())


def test_unknown_devices_and_networks_are_refused_at_the_call():
    for wrong in ({"device": "tpu"}, {"presets": ("resnet",)}):
        with pytest.raises(ValueError, match=r"tpu|resnet"):
            benchmark_events(BenchmarkSettings(**wrong))
    with pytest.raises(ValueError, match="seconds must not be negative"):
        BenchmarkSettings(seconds=-1)


def test_the_share_of_busy_time_counts_overlaps_once():
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7)]) == 4
    assert covered([]) == 0
    assert busy_share(CPU, lambda: torch.rand(200, 200) @ torch.rand(200, 200)) > 0


def test_the_floor_counts_operations_and_bytes_once():
    x, weights = torch.ones(1, 2, 8, 8), torch.ones(4, 2, 3, 3)
    with floor.Roofline(1e9, 1e9) as found:
        y = torch.nn.functional.conv2d(x, weights, padding=1)
        y.transpose(-1, -2)  # a view moves nothing
        y + 1
    values = x.numel() + weights.numel() + y.numel() + 2 * y.numel()
    assert found.operations == 2 * 9 * 2 * 4 * 64
    assert found.bytes == 4 * values
    # The convolution is bound by its operations, the sum by its bytes.
    assert found.seconds == pytest.approx((found.operations + 4 * 2 * y.numel()) / 1e9)


def test_a_model_to_measure_with_has_statistics_that_are_not_fresh():
    from napari_aeanet.models import presets

    weights = examples.random_model("unet-2d", presets.preset("unet-2d").config).weights
    means = [values for name, values in weights.items() if name.endswith("running_mean")]
    assert means and all(values.any() for values in means)


def test_the_command_can_be_stopped_by_ctrl_c_and_writes_nothing(
    only_networks, monkeypatch, tmp_path
):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "network_accuracy", stopped)
    words = ["doctor", "--benchmark", "--no-self-test", "-o", str(tmp_path / "o")]
    assert main(words) == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is one of Linux")
def test_a_process_that_dies_of_too_little_memory_is_a_sentence(monkeypatch):
    def died(*_, **__):
        return subprocess.CompletedProcess([], -9, "", "")

    monkeypatch.setattr(short_memory.subprocess, "run", died)
    with pytest.raises(RuntimeError, match="-9"):
        list(short_memory.short_memory(CPU))
