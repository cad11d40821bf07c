"""Devices: list, choice, and the probe in another process."""

import subprocess

import pytest
import torch

from napari_aeanet.networks import device


def test_there_is_always_a_processor_with_memory():
    last = device.devices()[-1]
    assert last.name == "cpu"
    assert 0 < last.free <= last.memory


def test_auto_takes_the_first_device():
    assert str(device.choose_device("auto")) == device.devices()[0].name


def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are():
    with pytest.raises(ValueError, match=r"no device 'cuda:7'; it has .*cpu"):
        device.choose_device("cuda:7")


def test_a_device_is_described_by_its_name():
    assert device.describe_device(torch.device("cpu")).title.startswith("CPU, ")


def test_another_process_sees_the_same_devices():
    names = [info.name for info in device.probe_devices()]
    assert names == [info.name for info in device.devices()]


def test_a_failing_probe_gives_the_reason(monkeypatch):
    monkeypatch.setattr(device, "PROBE", "raise ValueError('no driver')")
    with pytest.raises(RuntimeError, match="could not be found: ValueError: no driver"):
        device.probe_devices()


def test_a_probe_that_hangs_is_given_up(monkeypatch):
    def hang(*_args, **kwargs):
        raise subprocess.TimeoutExpired("python", kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(RuntimeError, match="were not found within"):
        device.probe_devices()


def test_a_processor_computes_in_full_precision():
    layer = torch.nn.Linear(2, 2)
    with device.mixed_precision(torch.device("cpu")):
        assert layer(torch.ones(1, 2)).dtype == torch.float32
