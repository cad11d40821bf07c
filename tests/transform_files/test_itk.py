"""Registrations as ITK files: the same points, and the same after reading."""

from dataclasses import replace

import numpy as np
import pytest
from registrations import places_in_source, registration

from napari_aeanet.registration import Verdict
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.transform_files import load_itk, save_itk

SIZES = {"source_pixel_size": 9.5, "target_pixel_size": 4.25}


@pytest.mark.parametrize("deformed", [False, True])
def test_simpleitk_takes_every_point_to_the_same_place(tmp_path, deformed):
    itk = pytest.importorskip("SimpleITK")
    made = registration(deformed=deformed)
    save_itk(made, tmp_path / "S01.tfm", **SIZES)
    read = itk.ReadTransform(str(tmp_path / "S01.tfm"))
    points = np.random.default_rng(1).uniform([0, 0], [119, 159], (200, 2))
    expected = places_in_source(made, points)
    for (y, x), place in zip(points, expected, strict=True):
        found = read.TransformPoint((x * 4.25, y * 4.25))
        np.testing.assert_allclose(np.array(found[::-1]) / 9.5, place, atol=1e-6)


def test_simpleitk_s_own_file_of_a_turn_about_a_centre_is_read(tmp_path):
    itk = pytest.importorskip("SimpleITK")
    turn = itk.Similarity2DTransform(0.5, 0.2, (3.0, -4.0), (30.0, 50.0))
    itk.WriteTransform(turn, str(tmp_path / "turn.tfm"))
    found = load_itk(tmp_path / "turn.tfm", (60, 80), (120, 160))
    place = turn.TransformPoint((12.0, 34.0))[::-1]
    np.testing.assert_allclose(places_in_source(found, [[34.0, 12.0]])[0], place, atol=1e-9)


@pytest.mark.parametrize("deformed", [False, True])
def test_a_file_is_read_as_it_was_written(tmp_path, deformed):
    made = registration(deformed=deformed)
    save_itk(made, tmp_path / "S01.tfm", **SIZES)
    found = load_itk(tmp_path / "S01.tfm", (60, 80), (120, 160), **SIZES)
    points = np.random.default_rng(1).uniform([0, 0], [119, 159], (50, 2))
    np.testing.assert_allclose(
        places_in_source(found, points), places_in_source(made, points), atol=1e-9
    )
    assert found.is_deformed is deformed
    assert found.verdict is Verdict.DOUBTFUL and "S01.tfm" in found.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": Verdict.FAILED}, "not registered"),
        ({"kind": TransformKind.HOMOGRAPHY}, "not a homography"),
        ({"slices": (registration(),)}, "not one transform per plane"),
    ],
)
def test_what_an_itk_file_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        save_itk(replace(registration(), **changes), tmp_path / "S01.tfm")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "hello",
        "#Insight Transform File V1.0\n",
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: 1 0\n",
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: 1 x\n",
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1\n",
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\n"
        "Parameters: 0 0 0 0 1 1\n",
        "#Insight Transform File V1.0\nTransform: BSplineTransform_double_2_2\nParameters: 1\n"
        "FixedParameters: 4 4 0 0 1 1 1 0 0 1\n",
    ],
)
def test_a_file_that_is_none_ends_in_one_sentence_with_its_name(tmp_path, content):
    path = tmp_path / "S01.tfm"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"S01\.tfm") as error:
        load_itk(path, (60, 80), (120, 160))
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_spline_over_another_field_is_refused(tmp_path):
    save_itk(registration(), tmp_path / "S01.tfm")
    with pytest.raises(ValueError, match="does not lie over a target of 120 x 150 pixels"):
        load_itk(tmp_path / "S01.tfm", (60, 80), (120, 150))
