"""`napari-aeanet align`."""

import numpy as np
import pytest

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.io import read_image, write_image
from napari_aeanet.samples import SectionSettings, serial_sections


@pytest.fixture(scope="module")
def stack() -> Image:
    return serial_sections(0, (5, 96, 96), SectionSettings(damaged=0)).stack


@pytest.mark.parametrize("name", ["A.ome.zarr", "A.ome.tif"])
def test_a_stack_is_aligned_with_transforms_table_and_run_file(
    name, stack, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pixels = stack.read().copy()
    pixels[2] = 200
    write_image(stack.with_array(pixels), "S.ome.tif")
    assert main(["align", "S.ome.tif", "-o", name]) == 0
    said = capsys.readouterr()
    assert said.out == f"4 of 5 sections aligned: {name}\n"
    assert "Section 2 has nothing in common with its neighbours: placed between" in said.err
    aligned = read_image(name)
    assert (aligned.pixel_size, aligned.shape, aligned.dtype) == (
        stack.pixel_size,
        stack.shape,
        stack.dtype,
    )
    files = {path.name for path in tmp_path.iterdir()}
    beside = {"A-transforms.json", "A-sections.csv", "A.run.yaml"}
    assert files == {"S.ome.tif", name, *beside}
    assert main(["align", "S.ome.tif", "-o", name]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["align", "--config", "A.run.yaml", "--overwrite"]) == 0


def test_a_stack_without_anything_in_common_fails(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    write_image(noise, tmp_path / "S.tif")
    assert main(["align", f"{tmp_path}/S.tif", "-o", f"{tmp_path}/A.ome.zarr"]) == 1
    assert "No section matches another one" in capsys.readouterr().err
