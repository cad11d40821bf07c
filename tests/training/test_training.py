"""Training: events, run folder, stopping, resuming, and never a model worse than its input."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import blurred_pairs, eight_bit_image, small_config

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.progress import Progress, Progressed, returned
from napari_aeanet.dataset import gain_over, mean_gain, scratch_array
from napari_aeanet.dataset.pair_samples import samples_of
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.networks.batch_norm import estimate_norms
from napari_aeanet.networks.unet import UNet
from napari_aeanet.pairs import load_pairs
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.training import run_state, trainer
from napari_aeanet.training.context_search import best_field, context_gains
from napari_aeanet.training.plan import first_plan
from napari_aeanet.training.preflight import TrainingRefused
from napari_aeanet.training.run import (
    resume,
    resume_events,
    train,
    train_each,
    train_each_events,
    train_events,
)
from napari_aeanet.training.run_folder import RunFolder
from napari_aeanet.training.settings import (
    Finished,
    FinishReason,
    Intensities,
    KeptOut,
    Noticed,
    Planned,
    Previewed,
    Profile,
    Saved,
    Stepped,
    TrainSettings,
    Validated,
)
from napari_aeanet.training.setup import data_for_new_run
from napari_aeanet.trust import IntervalCalibration

TINY = TrainSettings(steps=8, patch=16, batch=2)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)


def until(events, kind, step):
    """Return the first event of this kind at this step."""
    for event in events:
        if isinstance(event, kind) and event.step == step:
            return event
    raise AssertionError(f"no {kind.__name__} at step {step}")


def planned(events) -> Planned:
    """Return the event with the plan, which follows the preparation."""
    return next(event for event in events if isinstance(event, Planned))


def data_of(pairs, settings, folder):
    return returned(data_for_new_run(dict(enumerate(pairs)), settings, None, folder))


def same_weights(first: Path, second: Path) -> bool:
    first, second = load_model(first / "best.aeanet"), load_model(second / "best.aeanet")
    return first.weights.keys() == second.weights.keys() and all(
        np.array_equal(first.weights[name], second.weights[name]) for name in first.weights
    )


def test_a_run_of_100_steps_never_predicts_worse_than_its_input(tmp_path):
    settings = TrainSettings(steps=100, patch=24, batch=2)
    events = list(train_events(blurred_pairs(), settings, tmp_path / "run"))
    assert events[-1].psnr_gain > 1
    assert events[-1].ssim_gain > 0.03
    assert min(e.psnr_gain for e in events if isinstance(e, Validated)) >= 0


def test_events_report_the_whole_run(tmp_path):
    events = list(train_events(blurred_pairs(), TINY, tmp_path / "run"))
    assert isinstance(events[-1], Finished)
    assert [e.step for e in events if isinstance(e, Stepped)] == list(range(1, 9))
    assert planned(events).folder == tmp_path / "run"
    assert events[-1].bundle == tmp_path / "run" / "best.aeanet"
    phases = [e.progress.line("step").split(",")[0] for e in events]
    assert phases[:7] == [
        *(
            f"{what}: pair {n} of 2"
            for what in ("checking", "preparing", "comparing")
            for n in (1, 2)
        ),
        "training: step 0 of 8",
    ]
    assert phases[-3:-1] == ["final check: part 2 of 3", "final check: part 3 of 3"]
    shares = [e.progress.fraction for e in events]
    assert shares == sorted(shares)
    final = [e.progress.fraction for e in events if e.progress.what == "final check"]
    assert 0 < final[0] < 1
    assert shares[-1] == 1
    assert max(shares[:-1]) < 1
    assert events[-1].progress.done == events[-1].progress.total == 8
    validated = [e for e in events if isinstance(e, Validated)]
    assert [e.is_final for e in validated] == [False] * (len(validated) - 1) + [True]
    kinds = {type(e) for e in events}
    assert kinds == {Planned, Stepped, Validated, Previewed, Saved, Progressed, Finished}


def test_the_untrained_quick_model_is_its_input(tmp_path):
    first = until(train_events(blurred_pairs(), TINY, tmp_path / "run"), Validated, 0)
    assert first.psnr_gain == pytest.approx(0, abs=1e-6)


def test_the_preview_shows_kept_out_pixels_in_the_intensities_of_the_target(tmp_path):
    pairs = blurred_pairs()
    shown = until(train_events(pairs, TINY, tmp_path / "run"), Previewed, 0)
    assert shown.origin[1] >= 96  # the right quarter of 128 columns
    box = tuple(slice(o, o + n) for o, n in zip(shown.origin, shown.target.shape, strict=True))
    np.testing.assert_allclose(shown.target, pairs[shown.pair].target.array[box], atol=1e-3)
    np.testing.assert_allclose(shown.source, pairs[shown.pair].source.array[box], atol=1e-3)


def test_the_bundle_knows_where_it_comes_from(tmp_path):
    final = list(train_events(blurred_pairs(), TINY, tmp_path / "run"))[-1]
    model = load_model(final.bundle)
    assert model.card.preset == "aeanet-2d"
    assert model.card.pixel_size == (5.0, 5.0)
    assert model.card.unit == "nm"
    assert model.card.ratio == (1.0, 1.0)
    assert model.card.gain == {"psnr": final.psnr_gain, "ssim": final.ssim_gain}
    plan = model.card.provenance["plan"]
    assert [pair["name"] for pair in plan["pairs"]] == ["S0", "S1"]
    assert plan["settings"]["seed"] == 0
    assert "torch" in plan["versions"]
    assert len(model.card.provenance["curves"]["loss"]) == 8
    assert model.statistics["feature_covariance"].shape == (32, 32)
    assert np.linalg.eigvalsh(model.statistics["feature_covariance"]).min() > -1e-6
    model.network()


def test_the_kept_out_part_never_enters_training(tmp_path):
    pairs = blurred_pairs()
    spoilt = [with_right_side(pair, 0) for pair in pairs]
    for name, chosen in (("as it is", pairs), ("spoilt", spoilt)):
        with_settings = TrainSettings(steps=2, patch=16, batch=2)
        events = train_events(chosen, with_settings, tmp_path / name)
        until(events, Stepped, 2)
        events.close()
    logs = [RunFolder(tmp_path / name).read_log() for name in ("as it is", "spoilt")]
    first, second = ([row.loss for row in log if row.loss] for log in logs)
    assert first == second
    assert len(first) == 2


def with_right_side(pair: ImagePair, value: int) -> ImagePair:
    """Return the pair with its kept-out side and its guard band overwritten."""
    target = pair.target.array.copy()
    target[:, 96 - 24 :] = value
    return ImagePair(pair.source, pair.target.with_array(target))


def test_whole_images_can_be_kept_out_instead(tmp_path):
    settings = TrainSettings(steps=2, patch=16, batch=2, kept_out=KeptOut.WHOLE_IMAGES)
    events = list(train_events(blurred_pairs(4), settings, tmp_path / "run"))
    plan = RunFolder(tmp_path / "run").read_plan()
    learnt, checked = ({box[0] for box in plan.split[part]} for part in ("train", "check"))
    assert learnt | checked == {0, 1, 2, 3}
    assert not learnt & checked
    assert next(e for e in events if isinstance(e, Previewed)).pair in checked


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        settings = TrainSettings(steps=3, patch=16, batch=2, seed=seed)
        list(train_events(blurred_pairs(), settings, tmp_path / name))
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize("kind", [Stepped, Validated, Saved])
def test_stopped_and_resumed_is_the_same_as_never_stopped(tmp_path, kind):
    pairs = blurred_pairs()
    list(train_events(pairs, TINY, tmp_path / "whole"))
    settings = TINY
    events = train_events(pairs, settings, tmp_path / "parts")
    until(events, kind, 3)
    events.close()
    events = resume_events(pairs, tmp_path / "parts")
    until(events, Stepped, 6)
    events.close()
    final = list(resume_events(pairs, tmp_path / "parts"))[-1]
    assert isinstance(final, Finished)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (RunFolder(tmp_path / name).read_log() for name in ("whole", "parts"))
    assert [(r.step, r.loss, r.psnr_gain) for r in whole] == [
        (r.step, r.loss, r.psnr_gain) for r in parts
    ]


def test_stopping_keeps_a_model_that_loads(tmp_path):
    events = train_events(blurred_pairs(), TINY, tmp_path / "run")
    planned(events)
    events.close()
    assert load_model(tmp_path / "run" / "best.aeanet").network() is not None
    assert not (tmp_path / "run" / "lock").exists()


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    pairs = blurred_pairs()
    settings = TrainSettings(steps=2, patch=16, batch=2)
    first = list(train_events(pairs, settings, tmp_path / "run"))[-1]
    before = first.bundle.read_bytes()
    again = list(resume_events(pairs, tmp_path / "run"))
    assert [type(e) for e in again] == [Progressed, Progressed, Planned, Finished]
    assert again[-1].psnr_gain == first.psnr_gain
    assert first.bundle.read_bytes() == before


def test_resuming_other_pairs_is_refused(tmp_path):
    settings = TrainSettings(steps=2, patch=16, batch=2)
    list(train_events(blurred_pairs(), settings, tmp_path / "run"))
    with pytest.raises(ValueError, match="S0 differs"):
        list(resume_events(blurred_pairs(seed=1), tmp_path / "run"))
    with pytest.raises(ValueError, match="S2 differs"):
        list(resume_events(blurred_pairs(3), tmp_path / "run"))


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from helpers import blurred_pairs, small_config
from napari_aeanet.models import presets
from napari_aeanet.training.settings import Stepped, TrainSettings
from napari_aeanet.training.run import train_events
presets.quick_config = small_config
pairs, folder = blurred_pairs(), {folder!r}
settings = TrainSettings(steps=8, patch=16, batch=2)
for event in train_events(pairs, settings, folder):
    print(type(event).__name__, getattr(event, "step", ""), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_killed_run_resumes_to_the_same_model(tmp_path):
    folder = tmp_path / "killed"
    list(train_events(blurred_pairs(), TINY, tmp_path / "whole"))
    run_until_killed(folder, "Stepped 3")
    assert isinstance(list(resume_events(blurred_pairs(), folder))[-1], Finished)
    assert same_weights(tmp_path / "whole", folder)


def run_until_killed(folder: Path, line: str) -> None:
    """Train in another process, and kill it when it prints `line`."""
    script = KILLED.format(tests=str(Path(__file__).parents[1]), folder=str(folder))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for printed in process.stdout:
            if printed.strip() == line:
                break
        else:
            raise AssertionError(f"the run ended without printing {line}")
        process.kill()
        process.wait()


OLD_FILES = Path(__file__).parents[1] / "files_of_0_1_0"


def test_a_run_of_version_0_1_0_is_resumed(tmp_path):
    folder = Path(shutil.copytree(OLD_FILES / "run", tmp_path / "run"))
    assert RunFolder(folder).read_progress().step == 3
    pairs = load_pairs(OLD_FILES / "pairs.json")
    events = list(resume_events(pairs, folder))
    assert [e.step for e in events if isinstance(e, Stepped)] == [4, 5, 6]
    assert isinstance(events[-1], Finished)
    card = load_model(folder / "best.aeanet").card
    assert (card.network["features"], card.network["references"]) == (4, 3)
    steps = [row.step for row in RunFolder(folder).read_log() if row.loss is not None]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_training_in_one_call_returns_the_last_event_and_reports_its_progress(tmp_path):
    seen = []
    finished = train(blurred_pairs(), TINY, tmp_path / "run", progress=seen.append)
    assert isinstance(finished, Finished)
    assert (seen[0].what, seen[-1].done, seen[-1].total) == ("checking", 8, 8)
    assert resume(blurred_pairs(), str(tmp_path / "run")).psnr_gain == finished.psnr_gain


def test_an_error_in_the_progress_function_stops_the_run_which_can_be_resumed(tmp_path):
    def stop(progress):
        if progress.what == "training" and progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(blurred_pairs(), TINY, tmp_path / "run", progress=stop)
    assert not (tmp_path / "run" / "lock").exists()
    assert resume(blurred_pairs(), tmp_path / "run").progress.done == 8


def test_training_each_pair_in_one_call_returns_all_last_events(tmp_path):
    settings = TrainSettings(steps=1, patch=16, batch=2)
    folders = [e.bundle.parent.name for e in train_each(blurred_pairs(), settings, tmp_path)]
    assert folders == ["001", "002"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [0]}, "pairs[0] must be ImagePair, got int."),
        ({"pairs": blurred_pairs(1)[0]}, "pairs must be a sequence of ImagePair, got ImagePair."),
        ({"settings": None}, "settings must be TrainSettings, got NoneType."),
        ({"folder": 1}, "folder must be a path, got int."),
        ({"start_from": "best.aeanet"}, "start_from must be Model, got str."),
    ],
)
def test_arguments_of_a_wrong_type_are_refused_at_the_call(tmp_path, change, message):
    arguments = {"pairs": blurred_pairs(1), "settings": TINY, "folder": tmp_path} | change
    functions = [train_events, train]
    if "start_from" not in change:
        functions += [train_each_events, train_each]
    for function in functions:
        with pytest.raises(TypeError) as error:
            function(**arguments)
        assert str(error.value) == message
    if change.keys() & {"pairs", "folder"}:
        del arguments["settings"]
        for function in (resume, resume_events):
            with pytest.raises(TypeError, match=re.escape(message)):
                function(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "steps must not be negative, got -1."),
        ({"minutes": -3.0}, "minutes must not be negative, got -3.0."),
        ({"minutes": float("nan")}, "minutes must be a finite number, got nan."),
        ({"minutes": float("inf")}, "minutes must be a finite number, got inf."),
        ({"minutes": 0.0}, "minutes must be more than 0, or give a number of steps."),
        ({"patch": -8}, "patch must not be negative, got -8."),
        ({"patch": 1}, "patch must be at least 8 pixels, got 1."),
        ({"batch": -1}, "batch must not be negative, got -1."),
        ({"batch": 1}, "batch must be at least 2 patches, got 1."),
        ({"seed": -1}, "seed must not be negative, got -1."),
        ({"jitter": 1.5}, "jitter is a share and must be at most 1, got 1.5."),
        ({"region": (-1, 0, 9, 9)}, "region must not be negative, got -1."),
    ],
)
def test_impossible_settings_are_refused_in_words(settings, message):
    with pytest.raises(ValueError) as error:
        TrainSettings(**settings)
    assert str(error.value) == message


def test_no_time_is_needed_where_a_number_of_steps_decides():
    assert TrainSettings(minutes=0.0, steps=5).steps == 5


def shifted_pairs():
    return [
        ImagePair(p.source.with_array(np.roll(p.source.array, 4, axis=0)), p.target)
        for p in blurred_pairs(3)
    ]


def test_a_training_that_would_be_wrong_is_refused_and_leaves_nothing(tmp_path):
    folder = tmp_path / "models" / "run"
    with pytest.raises(TrainingRefused, match="3 of 3 pairs are shifted, by up to 4") as error:
        train(shifted_pairs(), TINY, folder)
    assert "pass force=True" in str(error.value)
    assert error.value.report.unregistered == 3
    assert list(tmp_path.iterdir()) == []
    finished = train(shifted_pairs(), TINY, folder, force=True)
    assert finished.notices[0].startswith("Forced although: 3 of 3 pairs are shifted")


def test_an_empty_folder_that_was_there_before_stays(tmp_path):
    with pytest.raises(TrainingRefused):
        train(shifted_pairs(), TINY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_pair_that_cannot_be_used_is_left_out_also_when_the_run_is_resumed(tmp_path):
    pairs = blurred_pairs(3)
    flat = pairs[0].target.with_array(np.zeros_like(pairs[0].target.array))
    pairs[1] = ImagePair(pairs[1].source, flat, name="flat")
    events = train_events(pairs, TINY, tmp_path / "run")
    assert [n.split(":")[0] for n in planned(events).notices] == ["flat is left out"]
    until(events, Stepped, 3)
    events.close()
    assert isinstance(list(resume_events(pairs, tmp_path / "run"))[-1], Finished)
    plan = RunFolder(tmp_path / "run").read_plan()
    assert (plan.left_out, [pair["name"] for pair in plan.pairs]) == ((1,), ["S0", "S2"])


@pytest.mark.parametrize("preset", ["gvtnet-2d", "unet-2d"])
def test_other_networks_learn_too(tmp_path, preset):
    settings = TrainSettings(preset=preset, steps=6, patch=16, batch=2)
    final = list(train_events(blurred_pairs(), settings, tmp_path / "run"))[-1]
    assert final.psnr_gain >= 0
    assert load_model(final.bundle).card.preset == preset


def test_the_automatic_network_suits_task_and_profile():
    published = TrainSettings(profile=Profile.PUBLISHED)
    assert first_plan(published).settings.preset == "aeanet-2d"
    assert first_plan(published, enlarged=True).settings.preset == "aeanet-2d"
    assert first_plan(TrainSettings(), enlarged=True).settings.preset == "aeanet-2d-fast"
    assert first_plan(TrainSettings(), task="projection").settings.preset == "aeanet-projection"
    with pytest.raises(ValueError, match="aeanet-2d-fast was not published: choose aeanet-2d"):
        first_plan(replace(published, preset="aeanet-2d-fast"))


def test_the_published_recipe_is_taken_as_published(tmp_path):
    settings = TrainSettings(profile=Profile.PUBLISHED, patch=16, batch=2)
    events = train_events(blurred_pairs(), settings, tmp_path / "run")
    assert planned(events).steps == 120_000
    until(events, Stepped, 1)
    events.close()
    plan = RunFolder(tmp_path / "run").read_plan()
    assert [plan.rate(step) for step in (0, 9_999, 10_000, 119_999)] == pytest.approx(
        [4e-4, 4e-4, 2e-4, 4e-4 / 2**11]
    )
    assert not plan.config.offset


def test_a_volume_is_trained_by_a_volume_network(tmp_path):
    pairs = blurred_pairs(1, (8, 32, 96))
    settings = TrainSettings(preset="aeanet-3d", steps=2, patch=16, batch=2)
    final = list(train_events(pairs, settings, tmp_path / "run"))[-1]
    assert load_model(final.bundle).card.pixel_size == (20.0, 5.0, 5.0)


def test_a_stack_is_learnt_to_be_projected(tmp_path):
    stack = blurred_pairs(1, (6, 48, 192))[0].source
    projection = eight_bit_image(stack.array.max(axis=0) / 255, "S0")
    settings = TrainSettings(preset="aeanet-projection", steps=2, patch=16, batch=2)
    events = list(train_events([ImagePair(stack, projection)], settings, tmp_path / "run"))
    assert isinstance(events[-1], Finished)
    shown = next(e for e in events if isinstance(e, Previewed))
    assert shown.restored.shape == shown.target.shape == shown.source.shape


def test_fine_tuning_starts_from_the_model_it_is_given(tmp_path):
    settings = TrainSettings(steps=40, patch=16, batch=2)
    first = list(train_events(blurred_pairs(), settings, tmp_path / "first"))[-1]
    model = load_model(first.bundle)
    events = train_events(blurred_pairs(seed=5), TINY, tmp_path / "second", start_from=model)
    assert until(events, Validated, 0).psnr_gain > 0.2
    events.close()
    plan = RunFolder(tmp_path / "second").read_plan()
    assert plan.start == model.card.name
    assert plan.learning_rate < 1e-3
    final = list(resume_events(blurred_pairs(seed=5), tmp_path / "second"))[-1]
    assert load_model(final.bundle).card.network == model.card.network


def test_an_uncertainty_is_learnt_beside_the_image(tmp_path):
    settings = TrainSettings(steps=40, patch=16, batch=2, uncertainty=True)
    final = list(train_events(blurred_pairs(), settings, tmp_path / "run"))[-1]
    assert final.psnr_gain > 0
    model = load_model(final.bundle)
    with torch.no_grad():
        sigma = model.network().outputs(torch.rand(1, 1, 16, 16))["sigma"]
    assert (sigma > 0).all()
    assert IntervalCalibration.of(model.statistics, "run").score == "sigma"


def test_averaged_weights_are_checked_kept_and_resumed(tmp_path):
    settings = TrainSettings(steps=40, patch=16, batch=2, average=True)
    list(train_events(blurred_pairs(), settings, tmp_path / "whole"))
    events = train_events(blurred_pairs(), settings, tmp_path / "parts")
    until(events, Stepped, 4)
    events.close()
    list(resume_events(blurred_pairs(), tmp_path / "parts"))
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    list(train_events(blurred_pairs(), replace(settings, average=False), tmp_path / "plain"))
    assert not same_weights(tmp_path / "whole", tmp_path / "plain")


def test_the_average_follows_its_formula_also_after_loading_a_state():
    plan = first_plan(TrainSettings(steps=9, patch=16, batch=2, average=True))
    one, other = (trainer.Trainer(plan, torch.device("cpu")) for _ in range(2))
    expected = {name: p.detach().clone() for name, p in one.network.named_parameters()}
    for step in range(1, 5):
        if step == 3:
            other.load_state(one.state())
            one = other
        one.launch(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
        one.complete(1e-2)
        for name, parameter in one.network.named_parameters():
            expected[name].lerp_(parameter.detach(), 1 - (1 + step) / (10 + step))
    state = one.state()
    assert all(torch.equal(state[f"average/{name}"], value) for name, value in expected.items())
    with one.averaged():
        assert torch.equal(next(one.network.parameters()), next(iter(expected.values())))
    assert not torch.equal(next(one.network.parameters()), next(iter(expected.values())))


def test_a_fused_optimiser_counts_its_steps_on_the_device_after_loading_a_state():
    plan = first_plan(TINY)
    one = trainer.Trainer(plan, torch.device("cpu"))
    one.launch(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    one.complete(1e-3)
    other = trainer.Trainer(plan, torch.device("meta"))  # stands in for a GPU
    other._optimiser.param_groups[0]["fused"] = True
    state = one.state()
    other.load_state({k: v.to("meta") if k.startswith("network/") else v for k, v in state.items()})
    moments = [m for found in other._optimiser.state.values() for m in found.values()]
    assert moments
    assert {moment.device.type for moment in moments} == {"meta"}


@pytest.mark.parametrize("is_stopped", [False, True])
def test_the_memory_of_the_device_is_given_back_once_its_tensors_are_dropped(
    tmp_path, monkeypatch, is_stopped
):
    at_release = []

    def count(device):
        tensors = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
        at_release.append(sum(tensor.numel() == 320 * 640 for tensor in tensors))

    monkeypatch.setattr(run_state, "release_memory", count)
    pairs = blurred_pairs(1, (320, 640))
    events = train_events(pairs, replace(TINY, steps=1), tmp_path / "run")
    planned(events)
    events.close() if is_stopped else list(events)
    assert at_release == [0]


def test_a_run_without_further_gain_stops_early(tmp_path):
    # At this rate the weights hardly move, and no check finds a better model.
    settings = TrainSettings(steps=30, patch=16, batch=2, patience=2, learning_rate=1e-12)
    final = list(train_events(blurred_pairs(), settings, tmp_path / "run"))[-1]
    assert final.reason == FinishReason.NO_GAIN
    assert final.progress.done < 30
    assert "does not restore better than its input" in final.summary


def spoil_losses(monkeypatch, steps):
    """Let the loss of these steps (counted from 0, throughout) be NaN."""
    count = iter(range(1000))
    original = trainer.loss_of

    def spoilt(*args):
        return original(*args) * (float("nan") if next(count) in steps else 1.0)

    monkeypatch.setattr(trainer, "loss_of", spoilt)


def test_a_step_that_is_not_finite_changes_nothing_and_is_reported(tmp_path, monkeypatch):
    spoil_losses(monkeypatch, {2})
    events = list(train_events(blurred_pairs(), TINY, tmp_path / "run"))
    assert ["left out" in e.text for e in events if isinstance(e, Noticed)] == [True]
    assert np.isfinite(events[-1].psnr_gain)
    model = load_model(events[-1].bundle)
    assert all(np.isfinite(array).all() for array in model.weights.values())


def test_after_several_such_steps_the_run_goes_back_and_goes_slower(tmp_path, monkeypatch):
    spoil_losses(monkeypatch, {2, 3, 4})
    events = list(train_events(blurred_pairs(), TINY, tmp_path / "run"))
    notices = [e.text for e in events if isinstance(e, Noticed)]
    assert "0.5 of the learning rate" in notices[-1]
    rows = [row for row in RunFolder(tmp_path / "run").read_log() if row.loss is not None]
    assert rows[-1].rate < 0.5 * 1e-3


def test_a_run_that_never_gets_finite_is_an_error(tmp_path, monkeypatch):
    spoil_losses(monkeypatch, set(range(1000)))
    settings = TrainSettings(steps=100, patch=16, batch=2)
    with pytest.raises(ValueError, match="does not stay finite"):
        list(train_events(blurred_pairs(), settings, tmp_path / "run"))
    assert load_model(tmp_path / "run" / "best.aeanet").card.gain["psnr"] == 0


def test_too_little_memory_makes_smaller_parts_of_at_least_two_images(tmp_path, monkeypatch):
    sizes = []
    original = UNet.outputs

    def limited(self, x):
        if self.training and len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.training:
            sizes.append(len(x))
        return original(self, x)

    monkeypatch.setattr(UNet, "outputs", limited)
    settings = TrainSettings(steps=2, patch=16, batch=8)
    events = list(train_events(blurred_pairs(), settings, tmp_path / "run"))
    assert sizes == [2] * 8
    assert any("made in 4 parts" in e.text for e in events if isinstance(e, Noticed))
    with pytest.raises(MemoryError, match="smaller patches"):
        list(
            train_events(
                blurred_pairs(), TrainSettings(steps=1, patch=16, batch=3), tmp_path / "odd"
            )
        )


def test_parts_of_a_batch_have_the_gradient_of_the_whole(tmp_path, monkeypatch):
    # Without batch normalisation and batch-aware attention the parts of a batch are independent.
    def independent(preset):
        return replace(small_config(preset), batch_norm=False, batch_aware=False)

    monkeypatch.setattr(presets, "quick_config", independent)
    plan = first_plan(TrainSettings(steps=1, patch=16, batch=4, weight_decay=0.1))
    images = torch.rand(2, 4, 1, 16, 16)
    weights = []
    for parts in (1, 2):
        one = trainer.Trainer(plan, torch.device("cpu"))
        one.parts = parts
        one.launch(*images)
        assert one.complete(1e-3) == pytest.approx(float((images[0] - images[1]).abs().mean()))
        weights.append(one.weights())
    for name in weights[0]:
        np.testing.assert_allclose(weights[0][name], weights[1][name], atol=1e-6)


def test_a_full_disk_is_reported_and_the_training_goes_on(tmp_path, monkeypatch):
    original, full = RunFolder.write_state, True

    def limited(self, state, progress):
        if full and progress.step > 0:
            raise OSError(28, "No space left on device")
        original(self, state, progress)

    monkeypatch.setattr(RunFolder, "write_state", limited)
    events = train_events(blurred_pairs(), TINY, tmp_path / "run")
    notice = next(e for e in events if isinstance(e, Noticed))
    assert "No space left on device" in notice.text
    assert "continues in memory" in notice.text
    full = False
    assert isinstance(list(events)[-1], Finished)
    assert RunFolder(tmp_path / "run").read_state()[1].finished


def test_self_training_makes_one_model_a_pair_and_can_be_resumed(tmp_path):
    settings = TrainSettings(steps=2, patch=16, batch=2)
    events = train_each_events(blurred_pairs(), settings, tmp_path)
    first = next(e for e in events if isinstance(e, Finished))
    assert first.bundle == tmp_path / "001" / "best.aeanet"
    until(events, Stepped, 1)
    events.close()
    again = [
        e for e in train_each_events(blurred_pairs(), settings, tmp_path) if isinstance(e, Finished)
    ]
    names = [load_model(e.bundle).card.provenance["plan"]["pairs"] for e in again]
    assert [[pair["name"] for pair in pairs] for pairs in names] == [["S0"], ["S1"]]


def test_a_pair_that_cannot_be_trained_on_does_not_end_self_training(tmp_path):
    good, bad = blurred_pairs()
    pairs = [replace(bad, registration=registration_of(bad, Verdict.FAILED)), good]
    settings = TrainSettings(steps=1, patch=16, batch=2)
    with pytest.raises(ValueError, match="1 of 2 pairs could not be trained on") as error:
        train_each(pairs, settings, tmp_path)
    assert "S1: There is no pair to train on" in str(error.value)
    assert load_model(tmp_path / "002" / "best.aeanet").card.name.endswith("S0")
    assert not (tmp_path / "001").exists()
    with pytest.raises(ValueError, match=r"1 of 1 pairs could not be trained on\. Correct"):
        train_each(pairs[:1], settings, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_progress_of_self_training_is_that_of_all_pairs(tmp_path):
    settings = TrainSettings(steps=2, patch=16, batch=2)
    all_events = list(train_each_events(blurred_pairs(), settings, tmp_path))
    fractions = [event.progress.fraction for event in all_events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    first = next(event for event in all_events if isinstance(event, Finished))
    assert first.progress.fraction == 0.5
    assert {event.progress.what.split(":")[0] for event in all_events} == {"S0", "S1"}


def test_failed_registrations_are_left_out_with_a_notice(tmp_path):
    good, bad = blurred_pairs()
    failed = registration_of(bad, Verdict.FAILED)
    settings = TrainSettings(steps=1, patch=16, batch=2)
    pairs = [replace(bad, registration=failed), good]
    events = list(train_events(pairs, settings, tmp_path / "run"))
    reason = "it could not be registered (): mark three landmarks in both images, or leave the pair"
    assert planned(events).notices == (f"S1 is left out: {reason} out.",)
    assert events[-1].notices == planned(events).notices
    assert next(e for e in events if isinstance(e, Previewed)).pair == 1
    with pytest.raises(ValueError, match="no pair to train on"):
        list(train_events(pairs[:1], settings, tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def registration_of(pair: ImagePair, verdict: Verdict) -> Registration:
    nothing = np.empty((0, 2, 2))
    return Registration(
        matrix=np.array([[1, 0, 4], [0, 1, -30], [0, 0, 1]], dtype=float),
        kind=TransformKind.SIMILARITY,
        source_shape=pair.source.shape,
        target_shape=pair.target.shape,
        verdict=verdict,
        reason="",
        matches=nothing,
        drift_vectors=nothing,
    )


def test_pixels_outside_of_the_overlap_never_enter_a_patch_or_a_check(tmp_path):
    pair = blurred_pairs(1)[0]
    pair = replace(pair, registration=registration_of(pair, Verdict.GOOD))
    settings = TrainSettings(steps=3, patch=16, batch=2)
    events = list(train_events([pair], settings, tmp_path / "run"))
    sample = samples_of({0: pair}, Normalisation(), tmp_path).samples[0]
    rows, columns = np.nonzero(sample.valid)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 95, 0, 97)
    shown = next(e for e in events if isinstance(e, Previewed))
    box = tuple(slice(o, o + n) for o, n in zip(shown.origin, shown.target.shape, strict=True))
    assert sample.valid[box].all()
    data = data_of([pair], settings, tmp_path)
    for step in range(20):
        rng = np.random.default_rng([0, step])
        positions = data.sampler.draw(2, rng)
        assert all(sample.valid[y : y + 16, x : x + 16].all() for y, x in positions.start)


def test_running_statistics_become_the_average_over_the_batches():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2, momentum=0.05))
    batches = [torch.randn(4, 2, 8, 8) * scale + shift for scale, shift in ((1, 0), (2, 3))]
    estimate_norms(network, batches)
    norm = network[0]
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    assert norm.momentum == 0.05
    assert not norm.training


def test_statistics_are_estimated_on_the_way_that_predicts():
    plan = first_plan(TINY)
    network = networks.build(plan.config)
    seen = []
    attention = network.bottom
    original = type(attention).forward

    def watched(self, *args, **kwargs):
        seen.append(self.training)
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(attention), "forward", watched)
        estimate_norms(network, [torch.rand(4, 1, 16, 16)])
    assert seen == [False]


def test_brightness_and_contrast_change_alike_in_source_and_target(tmp_path):
    plain = data_of(blurred_pairs(), TINY, tmp_path)
    shaken = data_of(blurred_pairs(), replace(TINY, jitter=0.2), tmp_path)
    device = torch.device("cpu")
    (x, y), (x2, y2) = plain.batch(0, device), shaken.batch(0, device)
    assert not torch.equal(x, x2)
    for k in range(len(x)):
        slope = (x2[k].max() - x2[k].min()) / (x[k].max() - x[k].min())
        shift = x2[k].mean() - slope * x[k].mean()
        torch.testing.assert_close(y2[k], slope * y[k] + shift, atol=1e-4, rtol=0)
        assert abs(slope - 1) <= 0.2


def test_pixels_that_do_not_fit_into_memory_are_kept_in_a_file(tmp_path, monkeypatch):
    list(train_events(blurred_pairs(), TINY, tmp_path / "memory"))
    monkeypatch.setattr(scratch_array, "SHARE", 0.0)
    events = train_events(blurred_pairs(), TINY, tmp_path / "file")
    until(events, Stepped, 2)
    size = (tmp_path / "file" / "scratch" / "sources.raw").stat().st_size
    assert size == 4 * 2 * 96 * 128
    list(events)
    assert same_weights(tmp_path / "memory", tmp_path / "file")
    assert not (tmp_path / "file" / "scratch").exists()


def test_stacks_of_different_depths_are_cut_to_their_middle(tmp_path):
    pairs = []
    for depth in (6, 9):
        stack = blurred_pairs(1, (depth, 48, 192))[0].source
        pairs.append(ImagePair(stack, eight_bit_image(stack.array.max(axis=0) / 255, "S")))
    settings = TrainSettings(preset="aeanet-projection", steps=1, patch=16, batch=2)
    data = data_of(pairs, settings, tmp_path)
    assert "the middle 6 of each" in data.notices[0]
    second = data.samples[1].source * data.samples[1].source_scaling.scale
    second += data.samples[1].source_scaling.offset
    np.testing.assert_allclose(second, pairs[1].source.array[1:7], atol=1e-3)


def test_images_of_more_bits_are_normalised_by_percentiles_in_a_quick_run(tmp_path):
    pairs = []
    for pair in blurred_pairs():
        dim = [im.with_array(im.array.astype(np.uint16) * 4) for im in (pair.source, pair.target)]
        pairs.append(ImagePair(*dim))
    quick = data_of(pairs, TINY, tmp_path)
    assert quick.plan.normalisation.kind == NormalisationKind.PERCENTILE
    assert "more than 8 bits" in quick.notices[0]
    assert np.ptp(quick.samples[0].target) > 0.8
    chosen = replace(TINY, intensities=Intensities.FULL_SCALE)
    notices = data_of(pairs, chosen, tmp_path).notices
    assert len(notices) == 2 and all("(10 bit) were taken as the full range" in n for n in notices)


def test_channels_and_time_points_are_samples_of_their_own(tmp_path):
    pairs = blurred_pairs(4)
    source, target = (
        Image(np.stack([getattr(p, side).array for p in pairs]).reshape(2, 2, 96, 128), "TCYX")
        for side in ("source", "target")
    )
    samples = samples_of(
        {0: ImagePair(source, target, name="S")}, Normalisation(), tmp_path
    ).samples
    assert [s.name for s in samples] == ["S t=0 c=0", "S t=0 c=1", "S t=1 c=0", "S t=1 c=1"]
    for sample, pair in zip(samples, pairs, strict=True):
        np.testing.assert_allclose(sample.target[0] * 255, pair.target.array, atol=1e-4)


def test_the_context_of_the_whole_image_is_kept_unless_a_smaller_field_is_better():
    assert best_field({}) is None
    assert best_field({"256": 2.0, "512": 1.9, "whole": 1.995}) is None
    assert best_field({"256": 2.1, "512": 2.2, "whole": 2.0}) == 512


def test_each_field_is_measured_as_restoring_with_it_would_give(tmp_path):
    pairs = blurred_pairs(1, (120, 300))
    settings = TrainSettings(steps=10, patch=16, batch=2)
    final = list(train_events(pairs, settings, tmp_path / "run"))[-1]
    data = data_of(pairs, settings, tmp_path)
    one = trainer.Trainer(data.plan, torch.device("cpu"))
    one.load_weights(load_model(final.bundle).weights)
    gains = returned(context_gains(one, data, [0], lambda: Progress("training", 10, 10)))
    assert gains.keys() == {"256", "whole"}
    restored = one.predict(torch.from_numpy(data.samples[0].source)[None])[0].numpy()
    sample = data.samples[0]
    expected = mean_gain(
        [gain_over(sample, area, restored[(slice(None), *area.box)]) for area in data.split.check]
    )
    assert gains["whole"] == pytest.approx(expected.psnr, abs=1e-3)
    assert gains["256"] != gains["whole"]
