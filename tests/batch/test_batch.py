"""Batches find the images that are meant, plan distinct results, and report each outcome."""

from pathlib import Path

import numpy as np
import pytest
from helpers import micrograph

from napari_aeanet.batch import find_inputs, plan_batch
from napari_aeanet.batch.run import planned_tasks
from napari_aeanet.io.files import write_image


def write(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(micrograph((8, 8), seed=number, unit="µm"), path)
    return paths


def found(inputs, folder: Path, **options) -> list[str]:
    files = find_inputs(inputs, **options).files
    return [file.path.relative_to(folder).as_posix() for file in files]


def outputs_of(inputs: list[Path], folder: Path | None = None) -> list[str]:
    """Names of the outputs without an ending, as paths where they lie beside the inputs."""
    plan, taken = plan_batch(find_inputs(inputs), folder, "-x.tif"), set()
    tasks = [task for file in plan.files for task in planned_tasks(plan, file, taken)]
    places = [str(task.outputs[0]).removesuffix("-x.tif") for task in tasks]
    return [Path(place).name if folder else place for place in places]


# --- inputs


def test_a_folder_stands_for_its_images_in_their_natural_order(tmp_path):
    write(
        tmp_path, "S10.tif", "S2.tif", "S1.png", "deep/S3.tif", "Z.ome.zarr", "U.partial.ome.zarr"
    )
    write(tmp_path, "S2-restored.ome.tif", "S1-trust.ome.tif")
    (tmp_path / "notes.docx").touch()
    (tmp_path / "._S2.tif").touch()
    named = find_inputs([tmp_path])
    assert named.is_batch
    assert [file.path.name for file in named.files] == ["S1.png", "S2.tif", "S10.tif", "Z.ome.zarr"]
    assert named.notes == (
        "S1-trust.ome.tif, S2-restored.ome.tif are results of this program and were not taken as "
        "input.",
    )
    assert found([tmp_path], tmp_path, recursive=True)[-1] == "deep/S3.tif"


def test_globs_lists_and_job_files(tmp_path, monkeypatch):
    write(tmp_path, "a/S1.tif", "b/S1.tif", "b/S2.png", "S[1].tif")
    assert found([tmp_path / "*" / "S1.*"], tmp_path) == ["a/S1.tif", "b/S1.tif"]
    assert found([tmp_path / "**" / "*.png"], tmp_path) == ["b/S2.png"]
    assert found([tmp_path / "S[1].tif"], tmp_path) == ["S[1].tif"]  # a name before a pattern
    listed, jobs = tmp_path / "list.txt", tmp_path / "jobs.csv"
    listed.write_text("\ufeffb/S2.png\r\n# a/S1.tif\r\n\r\nb/S1.tif\r\n", encoding="utf-8")
    assert found([listed], tmp_path) == ["b/S2.png", "b/S1.tif"]
    jobs.write_text("Input, Output\na/S1.tif, one.tif\nb/S1.tif,\n")
    assert [file.output for file in find_inputs([jobs]).files] == [tmp_path / "one.tif", None]


def test_one_named_file_is_no_batch_and_may_be_a_result(tmp_path):
    (path,) = write(tmp_path, "S1-restored.tif")
    assert not find_inputs([path]).is_batch
    assert found([path, path], tmp_path) == ["S1-restored.tif"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty", None, "holds no image"),
        ("*.tif", None, "holds no image"),
        ("list.txt", "# none", "names no image"),
        ("jobs.csv", "file,to\na,b", "not a job file"),
        ("jobs.csv", "input,output\n,b.tif", "line 2 of"),
        ("list.txt", b"\xff\xfe", "UTF-8"),
    ],
)
def test_places_that_name_no_image_are_refused(name, content, reason, tmp_path):
    (tmp_path / "empty").mkdir()
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        find_inputs([tmp_path / name])


def test_a_folder_of_results_says_so(tmp_path):
    write(tmp_path, "S1-restored.tif")
    with pytest.raises(ValueError, match=r"only results of this program \(S1-restored.tif\)"):
        find_inputs([tmp_path])


def test_two_jobs_do_not_share_an_output(tmp_path):
    write(tmp_path, "S1.tif", "S2.tif")
    (tmp_path / "jobs.csv").write_text("input,output\nS1.tif,x.tif\nS2.tif,X.tif\n")
    with pytest.raises(ValueError, match="two results would be called"):
        plan_batch(find_inputs([tmp_path / "jobs.csv"]), None, "-x.tif")
    (tmp_path / "jobs.csv").write_text("input,output\nS1.tif,S2.tif\nS2.tif,x.tif\n")
    with pytest.raises(ValueError, match="would replace the input"):
        plan_batch(find_inputs([tmp_path / "jobs.csv"]), None, "-x.tif")


# --- the names


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["a/S1.tif", "b/S2.tif"], ["S1", "S2"]),
        (["x/a/lr/S1.tif", "x/b/lr/S1.tif"], ["a-S1", "b-S1"]),
        (["a/lr/S1.tif", "b/lr/S1.tif", "b/hr/S1.tif"], ["a-lr-S1", "b-lr-S1", "b-hr-S1"]),
        (["S1.tif", "a/S1.tif"], ["S1", "a-S1"]),
        (["a/S1.tif", "a/S1.png", "b/S1.tif"], ["a-S1-tif", "a-S1-png", "b-S1"]),
        (["S1.ome.tif", "S1.tif"], ["S1-ome-tif", "S1-tif"]),
        (["a/S1.tif", "b/s1.tif"], ["a-S1", "b-s1"]),  # one file on macOS and Windows
        (["a/b/S1.tif", "a-b/S1.tif"], ["a-b-S1-tif", "a-b-S1-tif-2"]),
        (["a/S1.tif", "b/S1.tif", "c/a-S1.tif"], ["a-S1-tif", "b-S1", "a-S1-tif-2"]),
    ],
)
def test_names_tell_the_inputs_apart(inputs, names, tmp_path):
    assert outputs_of(write(tmp_path, *inputs), tmp_path / "out") == names


def test_inputs_in_different_folders_keep_their_names_beside_them(tmp_path):
    inputs = write(tmp_path, "a/S1.tif", "b/S1.tif")
    assert outputs_of(inputs) == [str(path.with_suffix("")) for path in inputs]


def test_an_input_named_twice_is_read_once(tmp_path, monkeypatch):
    write(tmp_path, "S1.tif")
    monkeypatch.chdir(tmp_path)
    assert outputs_of([Path("S1.tif"), tmp_path / "S1.tif"], tmp_path) == ["S1"]


def test_pages_get_outputs_of_their_own(tmp_path):
    np.save(tmp_path / "S1.npy", np.zeros((2, 16, 16), np.uint8))
    pages = outputs_of([tmp_path / "S1.npy"], tmp_path / "out")
    assert len(set(pages)) == len(pages) > 1
    (other,) = write(tmp_path, f"{pages[1]}.tif")
    assert outputs_of([tmp_path / "S1.npy", other], tmp_path) == [*pages, f"{pages[1]}-2"]
    (result,) = write(tmp_path, f"{pages[0]}-x.tif")
    with pytest.raises(ValueError, match=r"would replace the input .*-x\.tif"):
        outputs_of([tmp_path / "S1.npy", result])


def test_images_of_other_formats_are_told_of_unless_there_is_a_readable_twin(tmp_path):
    for name in ("a.tif", "a.dm4", "b.mrc", "notes.docx", ".c.dm3"):
        (tmp_path / name).write_bytes(b"x")
    found = find_inputs([tmp_path])
    assert [file.path.name for file in found.files] == ["a.tif"]
    (note,) = found.notes
    assert "b.mrc has a format that is not read" in note
    assert "save it as TIFF" in note
    (tmp_path / "a.tif").unlink()
    with pytest.raises(ValueError, match=r"a\.dm4, b\.mrc have formats that are not read"):
        find_inputs([tmp_path])
