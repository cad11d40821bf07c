"""Alignment of sections in AEANet: Repair."""

from dataclasses import replace

import numpy as np
import pytest

from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.repair import choices
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.io import read_image
from napari_aeanet.samples.sections import SectionSettings, serial_sections
from napari_aeanet.stacks import align_stack, load_alignment, side_files

SHIFT = 6  # px, between neighbouring sections


@pytest.fixture(scope="session")
def shifted():
    """Five sections of one specimen, every second of them moved along x."""
    made = serial_sections(seed=4, shape=(5, 96, 128), settings=SectionSettings(damaged=0)).stack
    pixels = made.read()
    moved = [np.roll(one, SHIFT * (n % 2), axis=1) for n, one in enumerate(pixels)]
    return replace(made, array=np.stack(moved), name="block")


@pytest.fixture
def stack(viewer, repair, shifted):
    return viewer.add_layer(image_to_layer(shifted))


@pytest.fixture
def aligned(repair, stack, session, finish, click):
    click(repair, "repair_align")
    finish(session)
    return repair


def test_the_aligned_stack_is_a_new_layer_that_is_chosen(aligned, viewer, stack, shifted):
    made = viewer.layers["block aligned"]
    assert aligned.stack.layer is made
    np.testing.assert_array_equal(stack.data, shifted.read())
    np.testing.assert_array_equal(made.data, align_stack(shifted).image.read())
    assert layer_to_image(made).pixel_size == shifted.pixel_size
    assert "5 of 5 sections, moved by up to" in aligned.alignment._line.text()
    assert "Not saved yet" in aligned.alignment._line.text()
    assert aligned.row.run_button.text() == "Find damage"


def test_an_aligned_stack_is_saved_with_the_places_of_its_sections(
    aligned, viewer, click, session, finish, monkeypatch, tmp_path
):
    path = tmp_path / "block.ome.tif"
    monkeypatch.setattr(
        choices.QFileDialog, "getSaveFileName", lambda *_: (str(path), "OME-TIFF (*.ome.tif)")
    )
    click(aligned, "repair_save_aligned")
    finish(session)
    np.testing.assert_array_equal(read_image(path).read(), viewer.layers["block aligned"].data)
    assert len(load_alignment(side_files(path)[0]).sections) == 5
    assert "Saved as block.ome.tif" in aligned.alignment._line.text()
    assert aligned.alignment._save.isHidden()


def test_a_section_without_a_match_is_named(repair, viewer, shifted, session, finish, click):
    pixels = shifted.read().copy()
    pixels[2] = np.random.default_rng(0).integers(0, 255, pixels[2].shape)
    viewer.add_layer(image_to_layer(replace(shifted, array=pixels)))
    click(repair, "repair_align")
    finish(session)
    assert "! Aligned: 4 of 5 sections" in repair.alignment._line.text()
    assert "Section 2 has nothing in common" in repair.row.line.text


def test_another_stack_chosen_meanwhile_stays_chosen(repair, viewer, stack, session, finish, click):
    click(repair, "repair_align")
    other = viewer.add_image(np.zeros((5, 64, 64), np.uint8), name="other")
    repair.choose_stack(other)
    finish(session)
    assert repair.stack.layer is other
    assert "block aligned" in viewer.layers
    assert "block aligned is made" in repair.row.line.text


def test_a_stopped_alignment_changes_nothing(repair, viewer, stack, session, finish, click):
    click(repair, "repair_align")
    session.job.stop()
    finish(session)
    assert session.job is None or session.job.state is State.STOPPED
    assert list(viewer.layers) == [stack]
    assert repair.stack.layer is stack
