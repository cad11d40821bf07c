"""Workers as jobs of SLURM: the site file, the job script, and the jobs from first to last.

The scheduler of dask runs in this process. The jobs are sent by `sbatch` itself: dask-jobqueue
only logs that a job was refused, and would wait for it without an end.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.schema import from_plain
from napari_aeanet.io import read_yaml, refuse_unknown_keys

# Lost jobs are sent again, all together so many times for each worker.
MOST_RENEWALS = 10
SECONDS_BETWEEN_LOOKS = 60.0
SECONDS_WITHOUT_SCHEDULER = 120
_WALLTIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")
_TEMPLATE = """\
#!/bin/bash
{directives}
{prologue}
exec {python} -m distributed.cli.dask_worker {address} --nworkers 1 --nthreads 1 \
--memory-limit {memory}MB --death-timeout {timeout} --no-dashboard{more}
"""


@dataclass(frozen=True, kw_only=True)
class SlurmSite:
    """A site file: what a job of one worker asks of SLURM.

    Parameters
    ----------
    cores
        Cores of a job, and threads of its worker.
    memory
        Memory of a job in GB.
    walltime
        Longest time of a job, as SLURM writes it: "4:00:00", "2-00:00:00".
    queue, account
        Partition, and whose budget; empty for those of the site.
    interface
        Network by which the jobs reach this computer ("ib0"); empty for the usual one.
    directives
        More options of sbatch: ["--gres=gpu:1"].
    prologue
        Lines of the shell before the worker starts: ["module load python"].
    python
        Python with napari-aeanet on the nodes; empty for the one that is running.
    logs
        Folder for what the jobs print.
    local_directory
        Folder on a node for temporary files; empty for that of the site.
    """

    cores: int
    memory: float
    walltime: str
    queue: str = ""
    account: str = ""
    interface: str = ""
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str = ""
    logs: str = "logs"
    local_directory: str = ""

    def __post_init__(self) -> None:
        check_options(self)
        if self.cores < 1 or self.memory < 1:
            raise ValueError("cores must be at least 1, and memory at least 1 GB")
        if not _WALLTIME.fullmatch(self.walltime):
            msg = f'walltime must be a time such as "4:00:00" or "2-00:00:00", got {self.walltime}'
            raise ValueError(msg)
        for field in fields(self):
            value = getattr(self, field.name)
            for text in value if isinstance(value, tuple) else (str(value),):
                if not text.isprintable():
                    raise ValueError(f"{field.name} must be of single lines")


def read_site(path: Path) -> SlurmSite:
    """Read a site file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not YAML, lacks a key, or has one that is unknown or does not fit.
    """
    values = read_yaml(path, "a site file")
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a site file: it needs lines such as cores: 8.")
    refuse_unknown_keys(values, [field.name for field in fields(SlurmSite)], f"{path}")
    if isinstance(values.get("walltime"), int):  # YAML reads 4:00:00 as a number of seconds
        raise ValueError(f'{path}: put walltime in quotes, such as "4:00:00".')
    return from_plain(SlurmSite, values, f"{path}")


def job_script(
    site: SlurmSite, address: str = "tcp://SCHEDULER", options: Mapping[str, object] | None = None
) -> str:
    """Return the script of a job, whose worker asks the scheduler at `address` for work.

    `options` is the configuration of dask on the worker.
    """
    wanted = {
        "job-name": "napari-aeanet",
        "partition": site.queue,
        "account": site.account,
        "time": site.walltime,
        "ntasks": 1,
        "cpus-per-task": site.cores,
        "mem": f"{round(site.memory * 1000)}M",
        "output": f"{site.logs}/napari-aeanet-%j.log",
    }
    directives = [f"--{name}={value}" for name, value in wanted.items() if value != ""]
    exports = [
        f"export DASK_{name.replace('.', '__').replace('-', '_').upper()}={value}"
        for name, value in (options or {}).items()
    ]
    more = {"--interface": site.interface, "--local-directory": site.local_directory}
    return _TEMPLATE.format(
        directives="\n".join(f"#SBATCH {one}" for one in [*directives, *site.directives]),
        prologue="\n".join([*exports, *site.prologue]),
        python=quote(site.python or sys.executable),
        address=address,
        memory=round(site.memory * 1000),
        timeout=SECONDS_WITHOUT_SCHEDULER,
        more="".join(f" {name} {quote(value)}" for name, value in more.items() if value),
    )


class SlurmJobs:
    """Jobs of SLURM, one for each worker. As a context manager it cancels them at the end.

    Parameters
    ----------
    script
        Job script.
    logs
        Folder for what the jobs print, which is made.
    count
        Number of jobs.
    """

    def __init__(self, script: str, logs: Path, count: int) -> None:
        self._script, self._logs = script, logs
        self._renewals = MOST_RENEWALS * count
        self._looked_at = monotonic()
        self._jobs: list[str] = []
        logs.mkdir(parents=True, exist_ok=True)
        try:
            for _ in range(count):
                self._jobs.append(self._sent())
        except BaseException:
            self._cancel()
            raise

    def __enter__(self) -> SlurmJobs:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()

    def renew(self) -> None:
        """Send jobs that ended (at their walltime, or with their node) again; at times only."""
        if monotonic() - self._looked_at < SECONDS_BETWEEN_LOOKS:
            return
        self._looked_at = monotonic()
        words = _run("squeue", "--noheader", "--format=%A", "--jobs=" + ",".join(self._jobs))
        there = set(words.split())
        for number, job in enumerate(self._jobs):
            if job not in there:
                self._renewals -= 1
                if self._renewals < 0:
                    msg = f"Jobs of SLURM ended again and again: see {self._logs} for the reason."
                    raise RuntimeError(msg)
                self._jobs[number] = self._sent()

    def _sent(self) -> str:
        """Return the number of a new job."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "job.sh"
            file.write_text(self._script)
            return _run("sbatch", "--parsable", str(file)).strip().partition(";")[0]

    def _cancel(self) -> None:
        if self._jobs:
            subprocess.run(["scancel", *self._jobs], capture_output=True, check=False)


def _run(*words: Any) -> str:
    """Return what a program of SLURM prints."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        msg = f"{words[0]} is not found: work on a computer from which jobs are sent to SLURM."
        raise ValueError(msg) from error
    if done.returncode:
        reason = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
        raise RuntimeError(f"{words[0]} failed ({reason}): check the site file.")
    return done.stdout
