"""Descriptions of models, images and pairs."""

from dataclasses import replace

import pytest
from helpers import micrograph

from napari_aeanet.gui.common.text import estimate_text, model_lines, model_role, size_fit


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (2.13, "2.1 dB better than its input"),
        (-3.51, "3.5 dB worse than its input"),
        (0.02, "No better than its input"),
        (-0.02, "No better than its input"),
    ],
)
def test_a_model_that_makes_images_worse_is_not_called_better(card, gain, words):
    measured = replace(card, gain={"psnr": gain})
    assert model_lines(measured).startswith(words)
    assert model_role(measured) == ("hint" if "better than" in words and gain > 1 else "caution")
    assert model_role(replace(card, gain={})) == "hint"


def test_a_model_that_does_not_enlarge_has_one_pixel_size(card):
    equal = replace(card, ratio=(1.0, 1.0), pixel_size=(10.0, 10.0))
    assert "10 nm a pixel" in model_lines(equal)
    assert "→" not in model_lines(equal)
    assert size_fit(equal, micrograph()).text == "10 nm a pixel, as trained."
    assert "10 nm → 5 nm a pixel" in model_lines(card)


@pytest.mark.parametrize(
    ("value", "text"), [(0.052, "0.05"), (0.26, "0.3"), (1.26, "1.3"), (26.4, "26")]
)
def test_an_estimate_has_two_digits_at_most(value, text):
    assert estimate_text(value) == text
