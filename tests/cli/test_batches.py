"""Many images on the command line: what is taken, skipped, refused, and told."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import micrograph, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.cli.console import collect_pairs
from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import save_model
from napari_aeanet.restoration import batch

RESTORED = "-restored.ome.tif"
ALL_PLANES = '<TiffData IFD="0" PlaneCount="3"/>'


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.aeanet"
    save_model(model_of(small_network("aeanet-2d", features=2)), path)
    return path


@pytest.fixture(scope="module")
def other_model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "other.aeanet"
    save_model(model_of(small_network("aeanet-2d", features=2, seed=1)), path)
    return path


def write(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        write_image(micrograph((16, 16), seed=number, unit="µm"), folder / name)
    return [folder / name for name in names]


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(f"*{RESTORED}")}


def restore(*words: object) -> int:
    return main(["restore", *map(str, words)])


def outcomes(folder: Path) -> list[dict[str, str]]:
    with (folder / "outcomes.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Names of the images that are restored."""
    names = []
    real = batch.restore_prepared

    def noted(prepared, *args, **options):
        names.append(prepared.image.name)
        return real(prepared, *args, **options)

    monkeypatch.setattr(batch, "restore_prepared", noted)
    return names


# --- failures, and finished files


def bad_files(folder: Path) -> list[str]:
    """Write five unusable files, each of another kind."""
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("hello")
    whole = (folder / "S1.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    np.save(folder / "complex.npy", np.ones((16, 16), complex))
    np.save(folder / "flat.npy", np.ones(16))
    return ["empty.tif", "text.tif", "cut.tif", "complex.npy", "flat.npy"]


def test_sixty_images_of_which_five_are_bad(model, tmp_path, capsys, computed):
    data, out = tmp_path / "data", tmp_path / "out"
    write(data, *(f"S{n}.tif" for n in range(1, 56)))
    bad = bad_files(data)
    assert restore(data, "-m", model, "-o", out) == 1
    errors = capsys.readouterr().err
    assert len(computed) == len(results(out)) == 55
    assert "55 of 60 images done, 5 failed" in errors
    rows = {Path(row["input"]).name: row for row in outcomes(out)}
    assert len(rows) == 60
    for name in bad:
        assert rows[name]["status"] == "failed"
        (line,) = (line for line in errors.splitlines() if name in line)
        assert rows[name]["reason"] in line and "Traceback" not in line
    computed.clear()
    before = results(out)
    assert restore(data, "-m", model, "-o", out) == 1
    assert computed == []
    assert results(out) == before
    errors = capsys.readouterr().err
    assert "0 of 60 images done, 55 complete before and skipped, 5 failed" in errors
    assert {row["status"] for row in outcomes(out)} == {"skipped", "failed"}


def test_a_killed_batch_is_completed_with_the_same_bytes(model, tmp_path):
    data = tmp_path / "data"
    write(data, *(f"S{n}.tif" for n in range(6)))
    assert restore(data, "-m", model, "-o", tmp_path / "whole") == 0
    # The process kills itself while it writes the fourth result, before the renaming.
    code = (
        "import os, sys, signal\n"
        "from napari_aeanet.core import atomic\n"
        "from napari_aeanet.cli import main\n"
        "flush = atomic._flush\n"
        "def flushed(path):\n"
        "    flush(path)\n"
        "    if path.name.startswith('.S3-restored') and path.suffix == '.tif':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic._flush = flushed\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["restore", str(data), "-m", str(model), "-o", str(tmp_path / "killed")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert len(results(tmp_path / "killed")) == 3
    assert main(words) == 0
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    names = [sorted(p.name for p in (tmp_path / end).iterdir()) for end in ("killed", "whole")]
    assert names[0] == names[1]  # nothing is left behind


@pytest.mark.parametrize("after", ["result", "record"])
def test_a_result_without_a_complete_record_is_made_again(after, model, tmp_path, monkeypatch):
    """A process may also die between the result and its record."""
    write(tmp_path, "S1.tif", "S2.tif")
    out = tmp_path / "out"
    real = batch.write_image

    def stopped(image, path, **options):
        real(image, path, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch, "write_image", stopped)
        assert restore(tmp_path, "-m", model, "-o", out) == 130
    if after == "record":
        (out / f"S1{RESTORED}").unlink()
    assert restore(tmp_path, "-m", model, "-o", out) == 0
    assert len(results(out)) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("image", "from another image"),
        ("model", "with another model"),
        ("settings", r"with other settings (symmetries)"),
        ("result", "was changed after it was made"),
        ("record", "there is no record of how it was made"),
    ],
)
def test_a_result_made_otherwise_is_neither_kept_nor_replaced(
    change, reason, model, other_model, tmp_path, capsys
):
    data, out = tmp_path / "data", tmp_path / "out"
    write(data, "S1.tif", "S2.tif")
    assert restore(data, "-m", model, "-o", out) == 0
    result, words = out / f"S1{RESTORED}", ["-m", model]
    if change == "image":
        write_image(micrograph((16, 16), seed=9, unit="µm"), data / "S1.tif")
    elif change == "model":
        words = ["-m", other_model]
    elif change == "settings":
        words += ["--symmetries"]
    elif change == "result":
        write_image(micrograph((16, 16), unit="µm"), result)
    else:
        (out / "S1-restored.run.yaml").unlink()
    before = result.read_bytes()
    capsys.readouterr()
    assert restore(data, *words, "-o", out) == 1
    errors = capsys.readouterr().err
    assert reason in errors and str(result) in errors
    assert result.read_bytes() == before
    assert restore(data, *words, "-o", out, "--overwrite") == 0
    assert restore(data, *words, "-o", out) == 0


def test_one_existing_result_is_refused_and_nothing_changes(model, tmp_path, capsys):
    (path,) = write(tmp_path, "S1.tif")
    assert restore(path, "-m", model) == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    capsys.readouterr()
    assert restore(path, "-m", model) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "exists already" in line and "--overwrite" in line
    assert restore(path, "-m", model, "--symmetries") == 2
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert restore(path, "-m", model, "--skip-existing") == 0
    assert restore(path, "-m", model, "--symmetries", "--overwrite") == 0
    assert results(tmp_path) != {path.name: data for path, data in before.items()}


def test_settings_that_change_nothing_do_not_make_results_anew(model, tmp_path, computed):
    write(tmp_path, "S1.tif", "S2.tif")
    assert restore(tmp_path, "-m", model) == 0
    computed.clear()
    assert restore(tmp_path, "-m", model, "--tile", "8", "--memory", "1", "--device", "cpu") == 0
    assert computed == []


@pytest.mark.parametrize("command", ["restore", "relevance", "trust"])
def test_the_intensity_range_of_the_series_is_part_of_the_record(command, model, tmp_path, capsys):
    """A brighter image changes the range of all, so the results of the others are not complete."""
    dim = micrograph((16, 16), unit="µm")
    for name in ("S1", "S2"):
        write_image(dim.with_array(dim.array.astype(np.uint16) * 4), tmp_path / f"{name}.tif")
    words = [command, str(tmp_path), "-m", str(model)]
    assert main(words) == main(words) == 0
    write_image(dim.with_array(dim.array.astype(np.uint16) * 300), tmp_path / "S3.tif")
    capsys.readouterr()
    assert main(words) == 1
    errors = capsys.readouterr().err
    assert "1 of 3 images done, 2 failed" in errors
    assert "with other settings (range)" in errors
    assert main([*words, "--overwrite"]) == main(words) == 0
    assert main([*words, "--dry-run"]) == 0
    assert "0 to do, 3 complete" in capsys.readouterr().out


def test_a_record_without_an_option_means_its_default(model, tmp_path, computed):
    """As written by a version that did not have the option yet."""
    write(tmp_path, "S1.tif", "S2.tif")
    assert restore(tmp_path, "-m", model) == 0
    record = tmp_path / "S1-restored.run.yaml"
    kept = [line for line in record.read_text().splitlines() if "symmetries" not in line]
    record.write_text("\n".join(kept))
    computed.clear()
    assert restore(tmp_path, "-m", model) == 0
    assert computed == []
    assert restore(tmp_path / "S1.tif", "-m", model, "--symmetries", "--skip-existing") == 2


def test_a_streamed_result_is_recognised_and_overwritten(model, tmp_path, computed):
    (path,) = write(tmp_path, "S1.tif")
    words = [path, "-m", model, "-o", tmp_path / "S1.ome.zarr"]
    assert restore(*words) == 0
    assert restore(*words) == 2
    assert restore(*words, "--skip-existing") == 0
    assert len(computed) == 1
    assert restore(*words, "--overwrite") == 0
    assert len(computed) == 2
    assert read_image(tmp_path / "S1.ome.zarr").shape == (16, 16)


# --- inputs


def test_results_are_not_taken_as_inputs(model, tmp_path, monkeypatch, capsys, computed):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "S1.tif", "S2.tif")
    assert restore(".", "-m", model) == 0
    assert restore("S1.tif", "-m", model, "-o", "better.tif") == 0
    computed.clear()
    capsys.readouterr()
    every = sorted(map(str, tmp_path.glob("*.tif")))  # as a shell would give them
    for inputs in (["."], ["*.tif"], [str(tmp_path / "*.tif")]):
        assert restore(*inputs, "-m", model) == 0
        assert "were not taken as input" in capsys.readouterr().err
    every.remove(str(tmp_path / "better.tif"))
    assert restore(*every, "-m", model) == 0
    assert computed == []
    assert restore(f"S1{RESTORED}", "-m", model, "-o", "twice.tif") == 0
    assert len(computed) == 1


def test_lists_and_job_files(model, tmp_path, monkeypatch):
    write(tmp_path / "data", "S1.tif", "S2.tif")
    (tmp_path / "list.txt").write_text("# both\ndata/S1.tif\n\ndata/S2.tif\n")
    (tmp_path / "jobs.csv").write_text(
        "input;output\ndata/S1.tif;a/one.tif\ndata/S2.tif;b/two.png\n"
    )
    assert restore(tmp_path / "list.txt", "-m", model, "-o", tmp_path / "out") == 0
    assert len(results(tmp_path / "out")) == 2
    assert restore(tmp_path / "jobs.csv", "-m", model) == 0
    assert read_image(tmp_path / "a" / "one.tif").shape == (16, 16)
    assert read_image(tmp_path / "b" / "two.png").shape == (16, 16)
    assert restore(tmp_path / "jobs.csv", "-m", model) == 0


@pytest.mark.parametrize("command", ["relevance", "trust"])
def test_analyses_take_folders_and_skip_what_is_complete(command, model, tmp_path, capsys):
    write(tmp_path, "S1.tif", "S2.tif")
    (tmp_path / "bad.tif").write_text("hello")
    assert main([command, str(tmp_path), "-m", str(model)]) == 1
    assert "2 of 3 images done, 1 failed" in capsys.readouterr().err
    assert main([command, str(tmp_path), "-m", str(model)]) == 1
    errors = capsys.readouterr().err
    assert "0 of 3 images done, 2 complete before and skipped, 1 failed" in errors


def test_info_describes_the_images_of_a_folder(tmp_path, capsys):
    write(tmp_path / "deep", "S1.tif")
    write(tmp_path, "S2.tif")
    assert main(["info", str(tmp_path)]) == 0
    assert "S1" not in capsys.readouterr().out
    assert main(["info", str(tmp_path), "--recursive"]) == 0
    assert "S1" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["globs", "lists"])
def test_pairs_are_found_by_globs_and_lists(kind, tmp_path):
    write(tmp_path / "lr", "S1.tif", "S2.tif", "S1-restored.tif")
    write(tmp_path / "hr", "S2.tif", "S1.png")
    sides = [tmp_path / side / "S*" for side in ("lr", "hr")]
    if kind == "lists":
        for side in ("lr", "hr"):
            (tmp_path / f"{side}.txt").write_text(f"{side}/S2.tif")
        sides = [tmp_path / "lr.txt", tmp_path / "hr.txt"]
    names = [pair.name for pair in collect_pairs(tuple(sides)).pairs]
    assert names == (["S1", "S2"] if kind == "globs" else ["S2"])


def test_a_run_file_makes_its_result_again_with_the_same_bytes(model, tmp_path):
    """Also where the range of intensities was decided for all images together."""
    dim = micrograph((16, 16), unit="µm")
    for number in (4, 12):
        pixels = dim.array.astype(np.uint16) * number
        write_image(dim.with_array(pixels), tmp_path / f"S{number}.tif")
    assert restore(tmp_path, "-m", model) == 0
    before = results(tmp_path)
    record = tmp_path / "S4-restored.run.yaml"
    assert restore("--config", record) == 2  # it is there already
    assert restore("--config", record, "--overwrite") == 0
    assert results(tmp_path) == before
    assert restore(tmp_path, "-m", model) == 0


# --- before the work


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("S1.tif/out.tif", "is a file, not a folder"),
        ("x.jpg", "choose a name that ends in"),
        (f"{'x' * 250}.ome.tif", "258 bytes"),
        ("x.png", "PNG holds"),
    ],
)
def test_places_that_cannot_be_written_to_are_told_before_the_work(
    out, reason, model, tmp_path, capsys, computed
):
    (path,) = write(tmp_path, "S1.tif")
    words = ["--output", "32-bit-float"] if out == "x.png" else []
    assert restore(path, "-m", model, "-o", tmp_path / out, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert computed == []
    assert [file.name for file in tmp_path.iterdir()] == ["S1.tif"]


def test_a_full_disk_is_told_before_the_work(model, tmp_path, monkeypatch, capsys, computed):
    (path,) = write(tmp_path, "S1.tif")
    usage = (0, 0, 100)
    monkeypatch.setattr(
        "napari_aeanet.io.write_checks.shutil.disk_usage",
        lambda _: type("Usage", (), {"free": usage[2]}),
    )
    assert restore(path, "-m", model) == 2
    assert "free on the disk" in capsys.readouterr().err
    assert computed == []


def test_a_folder_that_may_not_be_written_to(model, tmp_path, monkeypatch, capsys):
    (path,) = write(tmp_path, "S1.tif")
    monkeypatch.setattr("napari_aeanet.io.write_checks.os.access", lambda *_: False)
    assert restore(path, "-m", tmp_path / "there is none.aeanet") == 2
    assert "you may not write in" in capsys.readouterr().err


def test_one_file_cannot_hold_several_results(model, tmp_path, capsys):
    inputs = write(tmp_path, "S1.tif", "S2.tif")
    assert restore(*inputs, "-m", model, "-o", tmp_path / "out.tif") == 2
    assert "is the name of one file, but there are 2 images" in capsys.readouterr().err
    np.save(tmp_path / "pages.npy", np.zeros((2, 16, 16), np.uint8))
    assert restore(tmp_path / "pages.npy", "-m", model, "-o", tmp_path / "out.tif") == 2
    assert "holds 2 images" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()


def test_another_table_is_not_replaced_by_that_of_the_outcomes(model, tmp_path, capsys):
    write(tmp_path / "data", "S1.tif", "S2.tif")
    table = tmp_path / "out" / "outcomes.csv"
    table.parent.mkdir()
    table.write_text("my results\n")
    assert restore(tmp_path / "data", "-m", model, "-o", tmp_path / "out") == 2
    assert "is no table of outcomes" in capsys.readouterr().err
    assert table.read_text() == "my results\n"
    named = tmp_path / "what.json"
    words = [tmp_path / "data", "-m", model, "-o", tmp_path / "out", "--outcomes", named]
    assert restore(*words) == restore(*words) == 0
    assert '"skipped"' in named.read_text()


def test_a_dry_run_tells_all_and_writes_nothing(model, tmp_path, capsys, computed):
    data, out = tmp_path / "data", tmp_path / "out"
    write(data, "S1.tif", "S2.tif", "S3.tif")
    assert restore(data / "S1.tif", data / "S1.tif", "-m", model, "-o", out) == 0
    (data / "bad.tif").write_text("hello")
    before = sorted(tmp_path.rglob("*"))
    computed.clear()
    capsys.readouterr()
    assert restore(data, "-m", model, "-o", out, "--dry-run") == 1
    text = capsys.readouterr().out
    assert f"{data / 'S2.tif'} → {out / f'S2{RESTORED}'}: YX 16 × 16 uint8, 1 tile" in text
    assert f"{out / f'S1{RESTORED}'}: complete, skipped" in text
    assert "bad.tif is not a complete TIFF file" in text
    assert "2 to do" in text and "1 complete, 1 with a problem" in text
    assert computed == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["pairs.json", "registration.csv", "checkerboards.png"])
def test_register_replaces_nothing_unasked(name, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("precious")
    assert main(["register", "a.tif", "b.tif", "-o", str(out)]) == 2
    assert f"{out / name} exists already" in capsys.readouterr().err
    assert (out / name).read_text() == "precious"


def test_samples_and_figures_replace_nothing_unasked(model, tmp_path, capsys):
    (path,) = write(tmp_path / "lr", "S01.tif")
    before = path.read_bytes()
    assert main(["samples", "-o", str(tmp_path), "--count", "1"]) == 2
    assert path.read_bytes() == before
    figure = tmp_path / "figure.png"
    figure.write_text("precious")
    assert main(["relevance", str(path), "-m", str(model), "--figure", str(figure)]) == 2
    assert figure.read_text() == "precious"
    assert capsys.readouterr().err.count("exists already") == 2


# --- stopping


class Killer:
    """Sends a signal to this process when a step of an image is reached."""

    def __init__(self, number: signal.Signals, name: str) -> None:
        self.number, self.name = number, name

    def __call__(self, prepared, *args, **options):
        for event in self.real(prepared, *args, **options):
            if prepared.image.name == self.name:
                signal.raise_signal(self.number)
            yield event


@pytest.fixture
def interruptible():
    """Ctrl+C interrupts Python, even where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
@pytest.mark.parametrize(
    ("inputs", "out", "kept"),
    [
        (["S1.tif", "S2.tif", "S3.tif"], "out", "stopped; 1 of 3 results are kept."),
        (["S2.tif"], "out.tif", "stopped; nothing was written."),
        (["S2.tif"], "out.ome.zarr", "stopped; the finished part is kept in"),
    ],
)
def test_what_is_kept_is_told_after_a_stop(
    number, code, inputs, out, kept, model, tmp_path, monkeypatch, capsys
):
    write(tmp_path, "S1.tif", "S2.tif", "S3.tif")
    monkeypatch.chdir(tmp_path)
    killer = Killer(number, "S2")
    killer.real = batch.restore_prepared
    words = [*inputs, "-m", model, "-o", out]
    with monkeypatch.context() as patched:
        patched.setattr(batch, "restore_prepared", killer)
        assert restore(*words) == code
    assert kept in capsys.readouterr().err.splitlines()[-1]
    if out == "out":
        assert list(results(tmp_path / out)) == [f"S1{RESTORED}"]
        assert [row["status"] for row in outcomes(tmp_path / out)] == ["done"]
    else:
        assert not (tmp_path / out).exists()
    assert not list(tmp_path.rglob("S2*.run.yaml")) and not list(tmp_path.rglob(".S2*"))
    assert restore(*words) == 0


def test_a_stopped_registration_says_that_nothing_was_written(tmp_path, monkeypatch, capsys):
    inputs = write(tmp_path, "S1.tif", "S2.tif")

    def stopped(*_):
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_aeanet.pairs.register_all_events", stopped)
    assert main(["register", *map(str, inputs), "-o", str(tmp_path / "out")]) == 130
    assert "stopped; nothing was written." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_planes_are_restored_as_zeros_only_if_that_is_accepted(model, tmp_path, capsys):
    path, result = tmp_path / "S.ome.tif", tmp_path / f"S{RESTORED}"
    pixels = np.random.default_rng(0).integers(20, 200, (3, 16, 16), np.uint8)
    write_image(Image(pixels, "ZYX"), path)
    whole = tifffile.tiffcomment(path)
    # The middle plane is in no page.
    first, last = (f'<TiffData IFD="{n}" PlaneCount="1" FirstZ="{n}"/>' for n in (0, 2))
    assert ALL_PLANES in whole
    tifffile.tiffcomment(path, whole.replace(ALL_PLANES, first + last))
    assert restore(path, "-m", model) == 2
    assert "1 of 3 planes" in (said := capsys.readouterr().err)
    assert "--accept-missing" in said
    assert not result.exists()
    assert restore(path, "-m", model, "--accept-missing") == 0
    assert "Z 1 are read as 0" in capsys.readouterr().err
    assert read_image(result).shape[0] == 3
    # With all planes it is no longer the same work, so that the result is not taken for complete.
    tifffile.tiffcomment(path, whole)
    assert restore(path, "-m", model, "--skip-existing") == 2


def test_pages_given_to_a_model_of_stacks_are_to_be_saved_as_a_stack(tmp_path, capsys):
    model = tmp_path / "deep.aeanet"
    save_model(model_of(small_network("unet-3d", features=2)), model)
    pages = tmp_path / "pages.tif"
    tifffile.imwrite(pages, np.zeros((3, 16, 16), np.uint8), photometric="minisblack")
    words = ["restore", str(pages), "-m", str(model)]
    assert main([*words, "-o", str(tmp_path / "one.tif")]) == 2
    told = "or, if they are planes of one stack, save them as a stack with the axes ZYX."
    assert told in capsys.readouterr().err
    assert main(words) == 2
    assert "(save the planes of one stack as ZYX)." in capsys.readouterr().err
