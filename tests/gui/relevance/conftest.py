"""Fixtures of the tests of AEANet: Relevance."""

import numpy as np
import pytest
from helpers import micrograph, with_random_structures

from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.models.model_file import Model, load_model, save_model


@pytest.fixture
def relevance(dock):
    return dock("Relevance")


@pytest.fixture
def lively_model(model_file, tmp_path):
    """A model file with random weights and biases, whose abstract pixels do something."""
    model, rng = load_model(model_file), np.random.default_rng(0)
    weights = {
        name: array + (0.2 * rng.standard_normal(array.shape)).astype(array.dtype)
        if array.dtype.kind == "f" and "running" not in name
        else array
        for name, array in model.weights.items()
    }
    path = tmp_path / "lively.aeanet"
    save_model(Model(model.card, weights), path)
    return path


@pytest.fixture
def structured(model_file, tmp_path):
    """A model file with three kinds of structure that nobody has fitted."""
    path = tmp_path / "structured.aeanet"
    save_model(with_random_structures(load_model(model_file), 3), path)
    return path


@pytest.fixture
def computed(viewer, relevance, session, lively_model, finish, click):
    """The dock with the maps of one image."""
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(lively_model)
    click(relevance, "relevance_run")
    finish(session)
    return relevance
