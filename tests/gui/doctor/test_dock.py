"""The dock AEANet: Check my computer."""

import pytest
from qtpy.QtWidgets import QApplication

from napari_aeanet.core.progress import Progress
from napari_aeanet.doctor import Checkup, Condition, Finding, Found
from napari_aeanet.doctor.settings import ComputerFacts
from napari_aeanet.gui.doctor import dock as doctor_dock

FINDINGS = (
    Finding("Python", Condition.GOOD, "Python 3.12."),
    Finding("Graphics card", Condition.NOTE, "The card is not used.", "Take another build."),
    Finding("PyTorch", Condition.BROKEN, "It cannot be loaded.", "Install it anew."),
)
FACTS = ComputerFacts(program="0", python="3.12", python_path="", system="", machine="")


@pytest.fixture
def checked(dock, session, finish, monkeypatch):
    """The dock after its check, with these findings."""

    def events():
        for number, finding in enumerate(FINDINGS):
            yield Found(finding, Progress("checking", number, 3))
        yield Checkup(FINDINGS, FACTS, Progress("checking", 3, 3))

    monkeypatch.setattr(doctor_dock, "check_computer_events", events)
    opened = dock("Check my computer")
    finish(session)
    return opened


def test_the_check_begins_with_the_dock_and_shows_each_finding_with_its_advice(checked):
    assert [line.property("role") for line in checked._labels] == ["plain", "caution", "bad"]
    assert "It cannot be loaded.\n→ Install it anew." in checked._labels[2].text()
    assert checked.row.line.text == "1 of 3 checks found something broken."


def test_the_findings_can_be_copied_and_the_check_repeated(checked, click, session, finish):
    click(checked, "doctor_copy")
    assert "⚠ Graphics card: The card is not used." in QApplication.clipboard().text()
    click(checked, "doctor_run")
    finish(session)
    assert len(checked._labels) == len(FINDINGS)


def test_it_is_offered_in_the_menu(manifest_widgets):
    assert "AEANet: Check my computer" in manifest_widgets


@pytest.fixture
def manifest_widgets():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-aeanet")
    return [widget.display_name for widget in manifest.contributions.widgets]
