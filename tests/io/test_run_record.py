"""Run files: how a result was made, and whether it would be made the same way again."""

from dataclasses import replace
from pathlib import Path

import pytest

from napari_aeanet.io import RunRecord, UsedFile, read_record, run_file, write_record


@pytest.fixture
def record(tmp_path) -> RunRecord:
    for name in ("S05.tif", "sem.aeanet", "out/S05-restored.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return RunRecord(
        command="restore",
        inputs=(UsedFile.of(tmp_path / "S05.tif"),),
        models=(UsedFile.of(tmp_path / "sem.aeanet"),),
        results=(UsedFile.of(tmp_path / "out" / "S05-restored.tif"),),
        options={"out": tmp_path / "out", "use": "patches", "margin": 8, "device": "cpu"},
        notes=("pixel size of 10 µm",),
        versions={"napari-aeanet": "1.0"},
    )


def written(record: RunRecord) -> Path:
    path = run_file(record.results[0].path, "S05-restored")
    write_record(record, path)
    return path


def test_a_record_that_was_written_is_of_the_same_work(record):
    path = written(record)
    assert path.name == "S05-restored.run.yaml"
    found = read_record(path)
    assert found.is_same_work(record)
    assert found.are_results_unchanged()
    assert (found.notes, found.versions) == (record.notes, record.versions)


def test_paths_are_relative_so_that_a_folder_can_be_moved(record, tmp_path):
    text = written(record).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "path: ../S05.tif" in text
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    found = read_record(moved / "out" / "S05-restored.run.yaml")
    assert found.inputs[0].path.read_text() == "S05.tif"
    assert found.are_results_unchanged()


def test_other_contents_options_or_commands_are_other_work(record, tmp_path):
    (tmp_path / "S05.tif").write_text("changed")
    found = read_record(written(record))
    assert not found.is_same_work(replace(record, inputs=(UsedFile.of(tmp_path / "S05.tif"),)))
    assert not found.is_same_work(replace(record, command="trust"))
    faster = replace(record, options={**record.options, "device": "cuda"})
    assert not found.is_same_work(faster)
    assert found.is_same_work(faster, neutral=["device"])
    elsewhere = replace(record, options={**record.options, "out": tmp_path})
    assert found.is_same_work(elsewhere)


def test_a_changed_or_missing_result_is_noticed(record):
    found = read_record(written(record))
    found.results[0].path.write_text("changed")
    assert not found.are_results_unchanged()
    found.results[0].path.unlink()
    assert not found.are_results_unchanged()


def test_a_folder_counts_with_all_files_in_it(tmp_path):
    (tmp_path / "a.ome.zarr" / "0").mkdir(parents=True)
    chunk = tmp_path / "a.ome.zarr" / "0" / "chunk"
    chunk.write_text("one")
    before = UsedFile.of(tmp_path / "a.ome.zarr")
    chunk.write_text("other")
    assert UsedFile.of(tmp_path / "a.ome.zarr") != before


def test_a_file_by_hand_needs_the_options_alone(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("options:\n  use: patches\n")
    assert read_record(path) == RunRecord(options={"use": "patches"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a run file"),
        ("[1, 2]", "not a run file"),
        ("format: other", "not a run file"),
        ("options: {a: [", "not YAML"),
        ("version: 99", "version 99"),
        ("optoins: {}", "unknown optoins; known are command, inputs"),
        ("inputs: [{path: a, md5: b}]", "inputs: unknown md5"),
        ("inputs: 3", "inputs"),
        ("!!python/object/apply:os.system ['echo x']", "not YAML"),
    ],
)
def test_other_files_are_refused_in_one_sentence(text, words, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
