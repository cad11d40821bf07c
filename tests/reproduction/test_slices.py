"""The table of interpolated slices, end to end on small stacks in the published layout."""

import csv

import h5py
import numpy as np
import pytest

from napari_aeanet.cli import main
from napari_aeanet.io import write_image
from napari_aeanet.reproduction import (
    ReproduceSettings,
    SliceMethodDone,
    SlicesReproduced,
    reproduce_slices,
    reproduce_slices_events,
    slice_remarks,
    slice_rows,
)
from napari_aeanet.reproduction.settings import Profile
from napari_aeanet.reproduction.slice_sets import borders_of, read_slice_sets
from napari_aeanet.samples import SectionSettings, serial_sections

COUNT = 26
METHODS = ("mean of neighbours", "optical flow", "network guided by flow", "extractor: U-Net")
TINY = ReproduceSettings(steps=2, patch=32, batch=1, methods=METHODS, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder with a CREMI file of which the cells are squares."""
    folder = tmp_path_factory.mktemp("cremi")
    stack = serial_sections(0, (COUNT, 96, 96), SectionSettings(damaged=0, neurite_size=20))
    y, x = np.mgrid[:96, :96] // 24
    with h5py.File(folder / "sample_A_20160501.hdf", "w") as file:
        file["volumes/raw"] = stack.truth.read()
        file["volumes/labels/neuron_ids"] = np.broadcast_to(1 + 4 * y + x, (COUNT, 96, 96))
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(scope="module")
def found(data, out) -> SlicesReproduced:
    return reproduce_slices(data, out, TINY)


def test_every_method_is_scored_on_the_last_fifth(found):
    assert [one.method for one in found.results] == list(METHODS)
    for result in found.results:
        assert [one.index for one in result.sections] == [21, 22, 23, 24]
        assert 5 < result.mean("psnr") < 40
        assert 0 < result.mean("dice") < 1
    trained = found.results[2:]
    assert all(result.parameters > 0 and result.steps == 2 for result in trained)
    assert found.results[0].parameters == 0
    head, *rows = slice_rows(found.results)
    assert head[-1] == "s/section"
    assert all(float(row[-1]) >= 0 for row in rows)


def test_networks_learn_from_the_first_three_fifths_only(data):
    (one,) = read_slice_sets(data)
    assert one.learnt.shape[0] == 15
    assert min(one.tested) - 1 > 15


def test_published_figures_stand_in_brackets(found):
    head, *rows = slice_rows(found.results)
    assert "membrane Dice" in head
    unet = rows[3]
    assert unet[1] == "extractor: U-Net"
    assert unet[head.index("PSNR dB")].endswith("(18.10)")
    assert "(" not in rows[0][head.index("PSNR dB")]


def test_a_second_call_computes_nothing(found, data, out):
    again = list(reproduce_slices_events(data, out, TINY))
    done = [event for event in again if isinstance(event, SliceMethodDone)]
    assert all(event.reused for event in done)
    assert again[-1].results == found.results


def test_other_settings_are_computed_anew(found, data, out):
    others = ReproduceSettings(steps=3, patch=32, batch=1, methods=METHODS[1:3], device="cpu")
    done = [
        event.reused
        for event in reproduce_slices_events(data, out, others)
        if isinstance(event, SliceMethodDone)
    ]
    assert done == [True, False]


def test_the_command_prints_and_writes_the_table(found, data, out, capsys):
    words = ["--steps", "2", "--patch", "32", "--batch", "1", "--device", "cpu", "--methods"]
    assert main(["reproduce", "slices", "-d", f"{data}", "-o", f"{out}", *words, *METHODS]) == 0
    said = capsys.readouterr().out
    assert "optical flow, sample_A_20160501, done before" in said
    assert "(18.10)" in said
    table = (out / "slices.md").read_text()
    rows = list(csv.reader(table.splitlines()[2:], delimiter="|"))
    assert len({len(row) for row in rows[:6]}) == 1


def test_any_stack_can_be_compared(data, tmp_path):
    stack = serial_sections(1, (COUNT, 64, 64), SectionSettings(damaged=0, neurite_size=16))
    write_image(stack.truth, tmp_path / "stack.ome.tif")
    settings = ReproduceSettings(methods=("optical flow",))
    (result,) = reproduce_slices(tmp_path, tmp_path / "out", settings).results
    assert np.isnan(result.mean("dice"))
    assert "membrane Dice" not in slice_rows([result])[0]


def test_borders_are_where_cells_touch_and_where_no_cell_is():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 0, 2]])
    wanted = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 1]], bool)
    np.testing.assert_array_equal(borders_of(labels), wanted)


def test_data_that_cannot_be_used_are_refused_in_words(tmp_path):
    with pytest.raises(ValueError, match="holds no stack of sections"):
        reproduce_slices(tmp_path, tmp_path / "out")
    with h5py.File(tmp_path / "other.hdf", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(ValueError, match="lacks volumes/raw"):
        reproduce_slices(tmp_path, tmp_path / "out")
    (tmp_path / "other.hdf").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="is not a complete HDF5 file"):
        reproduce_slices(tmp_path, tmp_path / "out")
    (tmp_path / "other.hdf").unlink()
    write_image(np.zeros((8, 64, 64), np.uint8), tmp_path / "short.ome.tif")
    with pytest.raises(ValueError, match=r"short.* has 8 sections, too few"):
        reproduce_slices(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="slices has no magic; it has nearest slice"):
        reproduce_slices(tmp_path, tmp_path / "out", ReproduceSettings(methods=("magic",)))


def test_the_published_profile_learns_by_the_recipe(data, tmp_path):
    settings = ReproduceSettings(
        profile=Profile.PUBLISHED, steps=1, patch=32, batch=1, methods=("SSAN",), device="cpu"
    )
    found = reproduce_slices(data, tmp_path, settings)
    (run,) = (tmp_path / "runs").iterdir()
    assert "recipe-1-published" in run.name
    text = " ".join(slice_remarks(found.results, settings))
    assert "the paper's recipe (1 step instead of all; features of fixed random filters" in text
    assert found.results[0].parameters > 100_000
