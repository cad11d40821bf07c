"""The check of the computer: each finding in words, and nothing that has to be installed."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import without_modules

from napari_aeanet.cli import main
from napari_aeanet.doctor import Checkup, Condition, check_computer, check_computer_events
from napari_aeanet.doctor import facts as sources
from napari_aeanet.doctor.facts import ProbeError, required_packages
from napari_aeanet.doctor.findings import (
    basic_findings,
    qt_findings,
    self_test_finding,
    too_old,
    torch_findings,
)
from napari_aeanet.doctor.self_test import EXPECTED, restored_sample, sample_image
from napari_aeanet.doctor.settings import (
    CardFacts,
    ComputerFacts,
    Package,
    QtFacts,
    SelfTestFacts,
    TorchFacts,
)

GOOD, NOTE, BROKEN = Condition.GOOD, Condition.NOTE, Condition.BROKEN
CARD = CardFacts(names=("RTX 4090",), driver="550.54", cuda="12.4")
WELL = ComputerFacts(
    program="0.1.0",
    python="3.12.4",
    python_path="/venv/bin/python",
    python_required=">=3.11",
    system="Linux-6.1",
    machine="x86_64",
    packages=(
        Package(name="numpy", version="2.1.0", lowest="2.0"),
        Package(name="torch", version="2.6.0", lowest="2.4"),
        Package(name="napari", version="0.9.2", lowest="0.9.2", extra="napari"),
    ),
    torch=TorchFacts(version="2.6.0+cu124", cuda="12.4", devices=("RTX 4090",), threads=8),
    card=CARD,
    qt=QtFacts(binding="PyQt6", version="6.8"),
    memory=16 * 10**9,
    free_memory=8 * 10**9,
    free_disk={"/home": 50 * 10**9},
    cores=8,
)
CPU_TORCH = TorchFacts(version="2.6.0+cpu", threads=8)


def every_finding(facts):
    return [*basic_findings(facts), *torch_findings(facts), *qt_findings(facts)]


def test_a_good_computer_has_good_findings_only():
    found = every_finding(WELL)
    assert {finding.condition for finding in found} == {GOOD}
    topics = ("Python", "Packages", "Memory", "Disk", "Cores", "PyTorch", "Graphics card")
    assert tuple(finding.topic for finding in found) == (*topics, "napari", "Qt")


def packages(**versions):
    """The packages of WELL in other versions."""
    return tuple(replace(p, version=versions.get(p.name, p.version)) for p in WELL.packages)


FAULTS = {
    "CPU-only torch with a card": (
        {"torch": CPU_TORCH},
        ("Graphics card", NOTE, "built for the CPU and does not use RTX 4090", "pytorch.org"),
    ),
    "a driver without nvidia-smi": (
        {"torch": CPU_TORCH, "card": CardFacts(driver="550.54")},
        ("Graphics card", NOTE, "does not use the NVIDIA card", "pytorch.org"),
    ),
    "old driver": (
        {
            "torch": replace(WELL.torch, devices=()),
            "card": replace(CARD, driver="470.1", cuda="11.4"),
        },
        ("Graphics card", BROKEN, "driver 470.1 of RTX 4090 serves CUDA up to 11.4", "Update the"),
    ),
    "a driver of the same main version is not too old": (
        {
            "torch": replace(WELL.torch, devices=(), trouble="CUDA unknown error"),
            "card": replace(CARD, cuda="12.0"),
        },
        ("Graphics card", BROKEN, "cannot use RTX 4090 (CUDA unknown error)", "Restart"),
    ),
    "hidden card": (
        {"torch": replace(WELL.torch, devices=()), "hidden_cards": True},
        ("Graphics card", NOTE, "CUDA_VISIBLE_DEVICES", "Unset"),
    ),
    "card that the build does not know": (
        {"torch": replace(WELL.torch, trouble="no kernel image is available")},
        ("Graphics card", BROKEN, "no kernel image is available", "--device cpu"),
    ),
    "CUDA build without a card": (
        {"torch": replace(WELL.torch, devices=()), "card": None},
        ("Graphics card", NOTE, "no NVIDIA card", "download.pytorch.org/whl/cpu"),
    ),
    "Apple GPU out of reach": (
        {"torch": TorchFacts(version="2.6.0", mps="unusable"), "card": None},
        ("Graphics card", NOTE, "Apple GPU is not used", "Update macOS"),
    ),
    "Intel Python on an Apple computer": (
        {"torch": CPU_TORCH, "card": None, "system": "macOS-14.5", "machine": "arm64"},
        ("Graphics card", NOTE, "made for Intel", "arm64"),
    ),
    "no torch": (
        {"torch": None, "packages": packages(torch=None)},
        ("PyTorch", BROKEN, "not installed", "pip install torch"),
    ),
    "broken torch": (
        {"torch": None, "errors": {"torch": "OSError: libtorch.so"}},
        ("PyTorch", BROKEN, "cannot be loaded (OSError: libtorch.so)", "--force-reinstall"),
    ),
    "old torch": (
        {"torch": TorchFacts(version="2.1.0+cpu"), "card": None},
        ("PyTorch", BROKEN, "2.4 or later is needed", "--upgrade"),
    ),
    "old package": (
        {"packages": packages(numpy="1.26.4")},
        ("Packages", BROKEN, "numpy 1.26.4 is older than the lowest, 2.0", '"numpy>=2.0"'),
    ),
    "missing package": (
        {"packages": packages(numpy=None)},
        ("Packages", BROKEN, "numpy is missing", '"numpy>=2.0"'),
    ),
    "not installed": (
        {"packages": WELL.packages[-1:]},
        ("Packages", NOTE, "not installed", "with pip"),
    ),
    "old napari": (
        {"packages": packages(napari="0.6.1")},
        ("napari", BROKEN, "napari 0.6.1 is older than the lowest, 0.9.2", '"napari>=0.9.2"'),
    ),
    "no napari": (
        {"packages": packages(napari=None), "qt": None},
        ("napari", NOTE, "need no napari", "napari-aeanet[all]"),
    ),
    "missing Qt": (
        {
            "qt": None,
            "errors": {"qt": "qtpy.QtBindingsNotFoundError: No Qt bindings could be found"},
        },
        ("Qt", BROKEN, "Qt is missing", "napari-aeanet[all]"),
    ),
    "Qt without its libraries": (
        {"qt": None, "errors": {"qt": "ImportError: libEGL.so.1"}},
        ("Qt", BROKEN, "cannot be loaded (ImportError: libEGL.so.1)", "libegl1"),
    ),
    "no screen": (
        {"qt": QtFacts(binding="PyQt6", version="6.8", screen=False)},
        ("Qt", NOTE, "no screen", "command line"),
    ),
    "two Qts": ({"opencv_with_qt": True}, ("Qt", NOTE, "opencv-python", "uninstall")),
    "little memory": (
        {"free_memory": 10**9},
        ("Memory", NOTE, "1.0 of 16.0 GB", "Close other programs"),
    ),
    "no memory": ({"free_memory": 10**8}, ("Memory", BROKEN, "0.1 of 16.0 GB", "Close other")),
    "unknown memory": ({"memory": None}, ("Memory", NOTE, "psutil", "pip install psutil")),
    "full disk": ({"free_disk": {"/d": 10**7}}, ("Disk", BROKEN, "disk of /d", "Free some space")),
    "few threads": ({"thread_limit": "1"}, ("Cores", NOTE, "OMP_NUM_THREADS=1", "Unset")),
    "old Python": ({"python": "3.10.4"}, ("Python", BROKEN, "too old", "new environment")),
    "new Python": ({"python": "3.14.0"}, ("Python", NOTE, "newer than the tested", "3.12")),
    "32 bits": ({"bits": 32}, ("Python", BROKEN, "32-bit", "64-bit")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_finding_with_its_advice(name):
    changes, (topic, condition, text, advice) = FAULTS[name]
    wrong = [f for f in every_finding(replace(WELL, **changes)) if f.condition is not GOOD]
    (finding,) = [f for f in wrong if f.topic == topic]
    assert finding.condition is condition
    assert text in finding.text and advice in finding.advice
    assert wrong == [finding]


def test_a_wrong_result_of_the_self_test_is_broken_and_rounding_is_not():
    found = SelfTestFacts(device="cpu", difference=1e-5, limit=1e-3, seconds=3)
    assert self_test_finding(found).condition is GOOD
    wrong = self_test_finding(replace(found, difference=0.2))
    assert wrong.condition is BROKEN and "0.2 of its range" in wrong.text and wrong.advice


def test_the_self_test_gives_the_stored_result_and_notices_another():
    expected = np.load(EXPECTED)
    np.testing.assert_allclose(restored_sample("cpu"), expected, atol=1e-3 * np.ptp(expected))
    assert EXPECTED.stat().st_size < 10_000
    # A result that is not restored at all is far from it.
    enlarged = np.kron(sample_image(), np.ones((2, 2)))[::6, ::6]
    assert np.abs(enlarged - expected).max() > 0.1 * np.ptp(expected)


@pytest.fixture
def probes(monkeypatch):
    """Facts in the place of those of this computer."""

    def give(facts):
        def found(value, topic):
            if value is None:
                raise ProbeError(facts.errors.get(topic, "unknown"))
            return value

        test = SelfTestFacts(device="cuda", difference=1e-5, limit=2e-2, seconds=2)
        monkeypatch.setattr(
            sources, "basic_facts", lambda: replace(facts, torch=None, qt=None, errors={})
        )
        monkeypatch.setattr(sources, "torch_facts", lambda: found(facts.torch, "torch"))
        monkeypatch.setattr(sources, "qt_facts", lambda: found(facts.qt, "qt"))
        monkeypatch.setattr(sources, "self_test_facts", lambda device: replace(test, device=device))

    return give


def test_every_kind_of_device_is_tested(probes):
    probes(WELL)
    *events, last = check_computer_events()
    assert [f.topic for f in last.findings[-2:]] == ["Self-test on cuda", "Self-test on cpu"]
    assert len(last.facts.self_tests) == 2
    assert last.summary == "Everything works." and not last.is_broken
    assert all(event.progress.done <= event.progress.total for event in events)
    assert len(check_computer(self_test=False).findings) == len(last.findings) - 2


def test_the_command_fails_with_advice_if_pytorch_cannot_be_used(probes, capsys):
    probes(replace(WELL, torch=None, errors={"torch": "OSError: libtorch.so"}))
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "BROKEN PyTorch: PyTorch is installed, but cannot be loaded" in text
    assert "-> Install it anew: pip install torch" in text
    assert "1 of 8 checks found something broken." in text


def test_advice_alone_is_no_failure_and_a_wrong_self_test_is_one(probes, monkeypatch, capsys):
    probes(replace(WELL, qt=None, errors={"qt": "ImportError: libEGL.so.1"}, free_memory=10**8))
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "BROKEN Qt:" in text and "BROKEN Memory:" in text
    wrong = SelfTestFacts(device="cpu", difference=0.5, limit=1e-3, seconds=3)
    monkeypatch.setattr(sources, "self_test_facts", lambda device: wrong)
    assert main(["doctor"]) == 1


def test_findings_and_facts_are_given_as_json(probes, capsys):
    probes(replace(WELL, torch=CPU_TORCH))
    assert main(["doctor", "--json", "--no-self-test"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["broken"] is False
    assert found["facts"]["card"]["names"] == ["RTX 4090"]
    assert [f["topic"] for f in found["findings"] if f["condition"] == "note"] == ["Graphics card"]


def test_required_versions_are_those_of_the_installed_program():
    found = {package.name: package for package in required_packages()}
    assert found["numpy"].lowest and found["numpy"].extra == ""
    assert found["napari"].extra == "napari"
    assert "pytest" not in found and "mkdocs" not in found


def test_an_old_napari_is_refused_before_a_dock_fails_in_it(monkeypatch):
    assert too_old("napari") == too_old("numpy") == ""
    monkeypatch.setattr(sources.metadata, "version", lambda _: "0.6.1")
    assert "napari 0.9.2 or later, and 0.6.1 is installed" in too_old("napari")
    with pytest.raises(ImportError, match=r"pip install --upgrade .napari>=0\.9\.2"):
        importlib.reload(importlib.import_module("napari_aeanet.gui"))


SMI = """#!/bin/sh
case "$1" in
  --query-gpu=name) echo "NVIDIA A40"; echo "NVIDIA A40";;
  *) echo "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |";;
esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_cards_are_read_from_their_driver(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert sources.basic_facts().card == CardFacts(
        names=("NVIDIA A40", "NVIDIA A40"), driver="550.54.15", cuda="12.4"
    )
    program.write_text("#!/bin/sh\nexit 9\n")  # a driver that was just updated
    assert sources.basic_facts().card == CardFacts()


def test_a_driver_without_its_program_is_seen(tmp_path, monkeypatch):
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\n")
    monkeypatch.setattr(sources, "DRIVER_FILE", version)
    monkeypatch.setattr(sources.shutil, "which", lambda _: None)
    assert sources.basic_facts().card == CardFacts(driver="535.183.01")
    version.unlink()
    assert sources.basic_facts().card is None


def test_the_check_runs_without_torch_qt_and_psutil(tmp_path):
    blocked = without_modules(tmp_path, "torch", "qtpy", "PyQt6", "napari", "psutil")
    command = [sys.executable, "-m", "napari_aeanet", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=blocked, check=False)
    assert done.returncode == 1, done.stderr
    found = {f["topic"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["PyTorch"]["condition"] == found["Qt"]["condition"] == "broken"
    assert "No module named 'torch'" in found["PyTorch"]["text"]
    assert "psutil" in found["Memory"]["text"]


def test_a_probe_that_crashes_is_a_finding(monkeypatch):
    def crash(*_, **__):
        return subprocess.CompletedProcess([], -4, "", "")

    monkeypatch.setattr(sources.subprocess, "run", crash)
    with pytest.raises(ProbeError, match="signal 4"):
        sources.torch_facts()


def test_the_last_event_is_the_whole_checkup(probes):
    probes(WELL)
    *_, last = check_computer_events(self_test=False)
    assert isinstance(last, Checkup)
