"""Devices that workers compute on."""

from types import SimpleNamespace

import pytest
import torch

from napari_aeanet.cluster import work


@pytest.mark.parametrize(
    ("asked", "worker", "gpus", "expected"),
    [
        ("auto", 0, 2, "cuda:0"),
        ("auto", 3, 2, "cuda:1"),
        ("cuda", 1, 4, "cuda:1"),
        ("auto", 1, 1, "auto"),
        ("cpu", 1, 2, "cpu"),
        ("cuda:1", 0, 2, "cuda:1"),
        ("auto", "tcp://10.0.0.7:4000", 2, "auto"),  # of a cluster: its scheduler gives out GPUs
        ("auto", None, 2, "auto"),
    ],
)
def test_workers_of_one_computer_share_out_its_gpus(monkeypatch, asked, worker, gpus, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    this = None if worker is None else SimpleNamespace(name=worker, address="")
    monkeypatch.setattr(work, "_worker", lambda: this)
    assert work.device_here(asked) == expected
