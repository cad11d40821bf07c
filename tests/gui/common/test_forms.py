"""Forms are generated from settings classes: nothing is lost between form and settings."""

from dataclasses import dataclass, fields

import pytest
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.forms import SettingsForm, descriptions
from napari_aeanet.registration.settings import RegistrationSettings
from napari_aeanet.restoration.settings import RestoreSettings
from napari_aeanet.training.settings import Loss, TrainSettings

CLASSES = (TrainSettings, RestoreSettings, RegistrationSettings)
# Fields of several types have a control of their own.
HIDDEN = {RestoreSettings: ("range",)}


@pytest.fixture
def form(qtbot):
    def make(*arguments, **keywords):
        made = SettingsForm(*arguments, **keywords)
        qtbot.addWidget(made.native)
        return made

    return make


@pytest.mark.parametrize("kind", CLASSES)
def test_an_untouched_form_gives_the_defaults(form, kind):
    assert form(kind(), hidden=HIDDEN.get(kind, ())).value() == kind()


@pytest.mark.parametrize("kind", CLASSES)
def test_every_field_has_a_control_with_help(form, kind):
    hidden = HIDDEN.get(kind, ())
    made = form(kind(), hidden=hidden)
    for field in fields(kind):
        if field.name in hidden:
            continue
        control = made.native.findChild(QWidget, f"setting_{field.name}")
        assert control is not None
        assert len(control.toolTip()) > 10


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 3e-4), ("steps", 120_000), ("uncertainty", True), ("loss", Loss.MSE)],
)
def test_what_is_entered_comes_out(form, name, value):
    made = form(TrainSettings())
    made.set(name, value)
    assert getattr(made.value(), name) == pytest.approx(value) if name != "loss" else value


def test_hidden_fields_keep_their_value_or_take_that_from_elsewhere(form):
    made = form(TrainSettings(minutes=3.0), hidden=("minutes", "preset"))
    assert made.native.findChild(QWidget, "setting_minutes") is None
    assert made.value().minutes == 3.0
    assert made.value(preset="unet-2d").preset == "unet-2d"


def test_a_new_field_appears_by_itself(form):
    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Settings of a test.

        Parameters
        ----------
        strength
            How strong it is,
            on two lines.
        """

        strength: int = 7

    made = form(Settings())
    assert made.value() == Settings()
    assert descriptions(Settings) == {"strength": "How strong it is, on two lines."}


def test_automatic_values_are_never_shown_as_zero(form):
    made = form(TrainSettings(), automatic=("patch", "learning_rate"))
    patch = made.native.findChild(QWidget, "setting_patch")
    rate = made.native.findChild(QWidget, "setting_learning_rate")
    assert (patch.lineEdit().text(), rate.text()) == ("", "automatic")
    assert patch.lineEdit().placeholderText() == "automatic"
    made.show_automatic({"patch": 96})
    assert patch.lineEdit().placeholderText() == "automatic (96)"
    assert made.value() == TrainSettings()
    made.set("patch", 32)
    assert patch.lineEdit().text() == "32"
    made.set("patch", 0)
    assert patch.lineEdit().text() == ""
    assert made.value().patch == 0
