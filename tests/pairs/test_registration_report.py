"""Tables and contact sheets of many registrations."""

import csv
import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers import registration_pair

from napari_aeanet.core.image import Image
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.pairs.registration_report import (
    checkerboard,
    contact_sheet,
    pair_checkerboard,
    save_contact_sheet,
    save_table,
    table,
)
from napari_aeanet.pairs.run import register_all_events
from napari_aeanet.registration import Deformation
from napari_aeanet.registration.settings import RegistrationSettings


@pytest.fixture(scope="module")
def registered():
    source, target, _ = registration_pair(0)
    target = replace(target, pixel_size=(5.0, 5.0), unit="nm")
    flat = Image(np.zeros((64, 64), np.uint8), "YX", name="flat")
    pairs = [ImagePair(source, target, name="S01"), ImagePair(flat, target, name="S02, µ")]
    return [e.pair for e in register_all_events(pairs, RegistrationSettings(magnification=2))]


def test_the_table_has_a_row_per_pair_and_leaves_unknowns_empty(registered):
    rows = list(
        csv.DictReader(io.StringIO(table([*registered, ImagePair(*[registered[0].source] * 2)])))
    )
    assert [row["pair"] for row in rows] == ["S01", "S02, µ"]
    assert rows[0]["verdict"] == "good" and float(rows[0]["scale"]) == pytest.approx(2, abs=0.01)
    assert rows[0]["unit"] == "nm"
    assert rows[1]["verdict"] == "failed" and "same value" in rows[1]["reason"]
    assert rows[1]["scale"] == rows[1]["drift_px"] == ""


def test_a_saved_table_opens_with_its_characters_in_every_program(registered, tmp_path):
    found = replace(registered[0].registration, unit="µm", target_pixel_size=0.5)
    pairs = [replace(registered[0], registration=found), *registered]
    save_table(pairs, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == ["S01", "S01", "S02, µ"]
    assert rows[0]["unit"] == "um"


def test_the_contact_sheet_shows_every_pair_with_its_verdict(registered, tmp_path):
    figure = contact_sheet(registered)
    assert [axes.get_title() for axes in figure.axes] == ["S01: good", "S02, µ: failed"]
    save_contact_sheet(registered, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10


def test_the_contact_sheet_shows_the_drift_that_is_followed(registered):
    deformation = Deformation(coefficients=np.zeros((5, 5, 2)), before=1.4, after=0.2)
    height, width = registered[0].target.shape
    centre = [(height - 1) / 2, (width - 1) / 2]
    vectors = np.array([[centre, [0, 4.0]], [[-1, 0], [0, 1]]])
    found = replace(
        registered[0].registration,
        deformation=deformation,
        drift_vectors=vectors,
        remaining_vectors=vectors / 4,
    )
    (axes,) = contact_sheet([replace(registered[0], registration=found)]).axes
    assert axes.get_title() == "S01: good; follows drift, 1.4 px -> 0.2 px"
    assert [one.get_text() for one in axes.get_legend().get_texts()] == [
        "drift (× 10)",
        "what remains (× 10)",
    ]
    drawn = axes.collections[0]
    assert len(drawn.U) == 1 and (drawn.U[0], drawn.V[0]) == (40, 0)
    shown = min(width, 480), min(height, 480)
    np.testing.assert_allclose(drawn.XY[0], [(n - 1) / 2 for n in shown], atol=1)


def test_an_empty_contact_sheet_is_an_empty_figure(tmp_path):
    save_contact_sheet([], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


def test_the_source_of_a_checkerboard_has_the_contrast_of_the_target():
    target = np.random.default_rng(0).normal(100, 20, (60, 60))
    board = checkerboard(3 * target - 7, target)
    np.testing.assert_allclose(board, target)


def test_the_checkerboard_of_an_inverted_pair_shows_one_contrast(registered):
    pair = registered[0]
    inverted = pair.source.with_array(255 - pair.source.array)
    found = replace(pair.registration, inverted=True)
    board = pair_checkerboard(replace(pair, source=inverted, registration=found))
    np.testing.assert_allclose(board, pair_checkerboard(pair), atol=1)


def test_a_checkerboard_takes_its_squares_in_turn():
    first, second = np.tile([0.0, 1.0], (16, 8)), np.tile([[0.0], [1.0]], (8, 16))
    board = checkerboard(first, second, squares=2)
    np.testing.assert_array_equal(board[:8, :8], first[:8, :8])
    np.testing.assert_array_equal(board[:8, 8:], second[:8, 8:])
