"""Jobs of SLURM: the site file, the script, and a run on jobs that stand-ins of SLURM start."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import integer_noise, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.cluster import (
    ClusterSettings,
    SlurmSite,
    job_script,
    read_site,
    restore_on_cluster,
    slurm,
)
from napari_aeanet.core.image import Image
from napari_aeanet.io import open_levels, write_image
from napari_aeanet.models import save_model
from napari_aeanet.restoration import RestoreSettings, restore

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of dask, about its own processes

SITE = {"cores": 1, "memory": 4, "walltime": "1:00:00", "interface": "lo"}
EXACT = RestoreSettings(tile=32, context="whole", device="cpu")
# A job is a process here, and its number is that of the process.
PROGRAMS = {
    "sbatch": 'cp "$2" sent.sh; setsid bash sent.sh > job.log 2>&1 < /dev/null & '
    'echo $! > number; echo "$!;here"',
    "scancel": 'echo "$@" >> cancelled; for job in "$@"; do kill -- "-$job"; done',
    "squeue": 'for job in ${3//[^0-9]/ }; do kill -0 "$job" && echo "$job"; done; true',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image, a model and a site file, and stand-ins of SLURM on the path."""
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        stand_in(tmp_path, name, text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    write_image(Image(integer_noise(66, 98), "YX"), tmp_path / "a.ome.zarr")
    save_model(model_of(small_network("aeanet-2d", features=2)), tmp_path / "m.aeanet")
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(SITE))
    return tmp_path


def stand_in(folder: Path, name: str, text: str) -> None:
    file = folder / "bin" / name
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)


def test_an_image_is_restored_by_a_job_that_is_cancelled_at_the_end(folder):
    image = restore_on_cluster(
        "a.ome.zarr",
        "m.aeanet",
        "c.ome.zarr",
        EXACT,
        ClusterSettings(dask="slurm", site=Path("site.yaml"), workers=1),
    )
    expected = restore("a.ome.zarr", "m.aeanet", EXACT, out=folder / "one.ome.zarr")
    np.testing.assert_array_equal(image.read(), expected.read())
    assert open_levels(folder / "c.ome.zarr")[0][...].any()
    assert (folder / "cancelled").read_text() == (folder / "number").read_text()
    assert "#SBATCH --cpus-per-task=1" in (folder / "sent.sh").read_text()


def test_a_stack_is_aligned_by_a_job(folder):
    write_image(Image(integer_noise(3, 66, 98), "ZYX"), folder / "s.ome.zarr")
    words = ["align", "s.ome.zarr", "--dask", "slurm", "--site", "site.yaml", "--workers", "1"]
    assert main([*words, "-o", "c.ome.zarr"]) == main(["align", "s.ome.zarr", "-o", "one.ome.zarr"])
    found, expected = (open_levels(folder / f"{name}.ome.zarr")[0][...] for name in ("c", "one"))
    np.testing.assert_array_equal(found, expected)
    assert (folder / "cancelled").read_text() == (folder / "number").read_text()


def test_jobs_that_ended_are_sent_again_but_not_for_ever(folder, monkeypatch):
    stand_in(folder, "sbatch", "echo 1 >> sent; wc -l < sent")
    stand_in(folder, "squeue", "echo 2")
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(slurm, "MOST_RENEWALS", 1)
    with slurm.SlurmJobs("", folder / "logs", 2) as jobs:
        jobs.renew()  # 2 is there, 1 is not
        assert (folder / "sent").read_text() == "1\n" * 3
        jobs.renew()  # as little as 3, which came for 1
        with pytest.raises(RuntimeError, match=r"again and again: see .*logs"):
            jobs.renew()
    assert (folder / "cancelled").read_text() == "4 2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo 'invalid partition  specified' >&2; exit 1", "invalid partition specified"),
        (None, "sbatch is not found"),
    ],
)
def test_a_job_that_is_refused_is_told(text, words, folder, monkeypatch):
    if text is None:
        monkeypatch.setenv("PATH", "")
    else:
        stand_in(folder, "sbatch", text)
    with pytest.raises((RuntimeError, ValueError), match=words):
        slurm.SlurmJobs("", folder / "logs", 2)


def test_the_script_asks_for_what_the_site_file_says():
    site = SlurmSite(
        cores=8,
        memory=31.5,
        walltime="2-00:00:00",
        queue="cpu",
        account="imaging",
        directives=("--constraint=avx2",),
        prologue=("module load python",),
        python="/opt/with space/python",
        local_directory="/scratch",
    )
    lines = job_script(site, "tcp://10.0.0.1:1", {"a.b-c": False}).splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {line for line in lines if line.startswith("#SBATCH")} == {
        "#SBATCH --job-name=napari-aeanet",
        "#SBATCH --partition=cpu",
        "#SBATCH --account=imaging",
        "#SBATCH --time=2-00:00:00",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=31500M",
        "#SBATCH --output=logs/napari-aeanet-%j.log",
        "#SBATCH --constraint=avx2",
    }
    assert lines[-3:-1] == ["export DASK_A__B_C=False", "module load python"]
    assert lines[-1].startswith("exec '/opt/with space/python' -m distributed.cli.dask_worker tcp:")
    assert lines[-1].endswith(" --local-directory /scratch")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cores": 0}, "cores must be at least 1"),
        ({"cores": "many"}, "cores: .*valid integer"),
        ({"memory": None}, "memory: .*number"),
        ({"walltime": 3600}, "put walltime in quotes"),
        ({"walltime": "an hour"}, "walltime must be a time"),
        ({"partition": "cpu"}, "unknown partition; known are cores, .*queue"),
        ({"queue": "cpu\n#SBATCH --exclusive"}, "queue must be of single lines"),
        ({"prologue": ["a\nb"]}, "prologue must be of single lines"),
    ],
)
def test_a_site_file_with_a_mistake_is_refused_before_anything_is_written(changes, words, folder):
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE | changes))
    before = sorted(file.name for file in folder.iterdir())
    with pytest.raises(ValueError, match=f"site.yaml: .*{words}"):
        restore_on_cluster(
            "a.ome.zarr",
            "m.aeanet",
            "c.ome.zarr",
            EXACT,
            ClusterSettings(dask="slurm", site=Path("site.yaml")),
        )
    assert sorted(file.name for file in folder.iterdir()) == before


@pytest.mark.parametrize("text", ["[", "cores", "\0"])
def test_a_file_of_another_kind_is_refused(text, folder):
    (folder / "site.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"site\.yaml is not a site file"):
        read_site(folder / "site.yaml")
    with pytest.raises(FileNotFoundError, match="check the path"):
        read_site(folder / "none.yaml")
    with pytest.raises(ValueError, match="needs a site file"):
        ClusterSettings(dask="slurm")


def test_the_command_shows_the_script_and_starts_nothing(folder, capsys):
    words = ["restore", "a.ome.zarr", "-m", "m.aeanet", "-o", "c.ome.zarr", "--job-script"]
    assert main([*words, "--dask", "slurm", "--site", "site.yaml"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n#SBATCH --job-name=napari-aeanet\n")
    assert not {"sent.sh", "logs", "c.partial.ome.zarr"} & {f.name for f in folder.iterdir()}
    assert main(words) == 2
    assert "--site FILE.yaml" in capsys.readouterr().err
