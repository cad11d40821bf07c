"""Processes that work together: their shares, their devices, and what they compute in common."""

import numpy as np
import pytest
import torch
from several_processes import in_processes, normalised
from torch import nn

from napari_aeanet.processes import ALONE, ProcessGroup, joint_norms, launcher, process_count
from napari_aeanet.processes.launch import NEEDED


def started(monkeypatch, rank, count):
    """The environment of one of several processes."""
    values = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    for name in NEEDED:
        monkeypatch.setenv(name, "1")
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(("count", "size"), [(4, 2), (7, 3), (8, 1)])
def test_shares_are_disjoint_and_make_up_the_whole_batch(count, size):
    shares = [range(count)[ProcessGroup(rank, size).share(count)] for rank in range(size)]
    assert [n for share in shares for n in share] == list(range(count))
    assert min(map(len, shares)) >= 2


def test_a_batch_too_small_for_the_processes_is_refused():
    with pytest.raises(ValueError, match=r"batch of 4 patches is too small for 3.*--batch 6"):
        ProcessGroup(0, 3).share(4)
    assert ALONE.share(2) == slice(0, 2)


def test_only_what_torchrun_sets_makes_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert process_count() == 1
    assert launcher() == ["napari-aeanet"]
    started(monkeypatch, 1, 4)
    assert process_count() == 4
    assert launcher()[:3] == ["torchrun", "--nproc-per-node", "4"]


def test_every_process_has_a_gpu_of_its_own(monkeypatch):
    started(monkeypatch, 1, 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    group = ProcessGroup(1, 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [group.device_name(name) for name in ("auto", "cuda")] == ["cuda:1"] * 2
    assert group.device_name("cpu") == "cpu"
    with pytest.raises(ValueError, match="cannot share cuda:0"):
        group.device_name("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes on this computer, and 1 GPUs"):
        group.device_name("auto")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert group.device_name("auto") == "cpu"
    assert ALONE.device_name("cuda:7") == "cuda:7"


def test_batch_normalisation_sees_the_batch_of_all_processes():
    rng = np.random.default_rng(0)
    # A mean far from zero, and parts that differ: sums of squares would lose digits.
    x = rng.normal(1e4, 1, (5, 3, 4, 6)) + 10 * np.arange(5)[:, None, None, None]
    dy = rng.normal(size=x.shape)
    parts = [slice(0, 2), slice(2, 5)]
    first, second = in_processes(normalised, x, dy, parts)
    for one, other in zip(first[2:], second[2:], strict=True):
        np.testing.assert_array_equal(one, other)
    with joint_norms(nn.Identity(), ALONE):  # nothing of its own
        norm = nn.BatchNorm2d(3, momentum=0.1, dtype=torch.float64)
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(0))
        whole = torch.from_numpy(x).requires_grad_()
        y = norm(whole)
        y.backward(torch.from_numpy(dy))
    expected = [
        y,
        whole.grad,
        norm.weight.grad,
        norm.bias.grad,
        norm.running_mean,
        norm.running_var,
    ]
    found = [np.concatenate(own) for own in zip(first[:2], second[:2], strict=True)] + first[2:]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-9, atol=1e-9)
