"""An image that is unlike the training of the model is told; one of the same kind is not."""

from dataclasses import replace

import numpy as np
import pytest

from napari_aeanet.models import load_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import RestoreSettings
from napari_aeanet.samples.sem import paired_sem

SETTINGS = RestoreSettings(device="cpu", force=True)


@pytest.fixture(scope="module")
def model():
    """The model that comes with the program; it holds the statistics of its training."""
    return load_model("demo")


@pytest.fixture(scope="module")
def micrograph():
    """A specimen outside the training of the model."""
    (specimen,) = paired_sem(1, seed=4321, shape=(192, 224))
    return specimen.source


def said(pixels, micrograph, model, settings=SETTINGS):
    image = micrograph.with_array(pixels, name="S05")
    *_, restored = restore_events(image, model, settings)
    return " ".join(restored.notices)


def test_an_image_of_the_same_kind_raises_no_alarm(micrograph, model):
    assert "unlike" not in said(micrograph.read(), micrograph, model)


@pytest.mark.parametrize("container", ["uint16", "float32"])
def test_an_image_in_a_wider_number_type_raises_no_alarm(micrograph, model, container):
    assert "unlike" not in said(micrograph.read().astype(container), micrograph, model)


def test_a_badly_scaled_image_is_told_with_the_remedy(micrograph, model):
    twelve = micrograph.read().astype(np.uint16) * 16
    wide = replace(SETTINGS, range="full")
    text = said(twelve, micrograph, model, wide)
    assert "S05 is unlike the images that the model was trained on" in text
    assert "intensity range" in text


def test_another_kind_of_image_is_told(micrograph, model):
    spots = np.random.default_rng(0).random(micrograph.shape) > 0.99
    assert "unlike" in said(200 * spots.astype(np.uint8), micrograph, model)


def test_a_model_without_statistics_says_nothing(micrograph, model):
    bare = replace(model, statistics={})
    assert "unlike" not in said(255 - micrograph.read(), micrograph, bare)
