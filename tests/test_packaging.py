"""The plain install is enough: for servers without a window system, and inside of napari."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from helpers import model_of, registration_pair, small_network, without_modules
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from napari_aeanet.cli import COMMANDS
from napari_aeanet.io.files import write_image
from napari_aeanet.models.model_file import save_model

TOP = Path(__file__).parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# No server has them; the rest of the GUI must not be needed either.
WINDOWS = (
    "qtpy",
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "superqt",
    "magicgui",
    "napari",
    "vispy",
    "pyqtgraph",
    "psygnal",
    "npe2",
    "app_model",
    "IPython",
    "qtconsole",
    "OpenGL",
)


def names_of(requirements) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


CORE = names_of(PROJECT["dependencies"])
DOCKS = names_of(PROJECT["optional-dependencies"]["napari"])

SERVER = """
import sys
from pathlib import Path
import numpy as np
import napari_aeanet as aeanet
from napari_aeanet.cli import COMMANDS, main
from napari_aeanet.models import presets

for name in aeanet.__all__:
    getattr(aeanet, name)
for name in COMMANDS:
    assert main([name, "--help"]) == 0, name
assert main(["restore", "S05.tif", "-m", "m.aeanet"]) == 0
assert main(["info", "S05.tif"]) == 0
plain = presets.quick_config
presets.quick_config = lambda preset: plain(preset).with_changes(features=8)
rng = np.random.default_rng(0)
pixels = [rng.integers(0, 255, (64, 96)).astype(np.uint8) for _ in range(2)]
pairs = [aeanet.ImagePair(p, p[::-1], name=f"S{n}") for n, p in enumerate(pixels)]
settings = aeanet.TrainSettings(steps=2, patch=16, batch=2, device="cpu")
print(aeanet.train(pairs, settings, "run").bundle)
print("loaded:", sorted({m.split(".")[0] for m in sys.modules} & set(sys.argv[1:])))
"""


def test_everything_but_the_docks_works_without_a_window_system(tmp_path):
    source, _, _ = registration_pair(source_shape=(64, 64))
    write_image(source, tmp_path / "S05.tif")
    save_model(model_of(small_network("aeanet-2d", features=2)), tmp_path / "m.aeanet")
    (tmp_path / "blocked").mkdir()
    environment = without_modules(tmp_path / "blocked", *WINDOWS)
    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(screen, None)
    command = [sys.executable, "-W", "error", "-c", SERVER, *WINDOWS]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout
    assert all(f"napari-aeanet {name}" in done.stdout for name in COMMANDS)
    assert (tmp_path / "S05-restored.tif").exists() or list(tmp_path.glob("S05-restored*"))


# Distributions that are imported but cannot be installed beside the others.
NOT_INSTALLED = {"bioimageio": ["bioimageio.core"]}


def imported(folder: str) -> set[str]:
    """The distributions that the modules of a folder import."""
    by_module = {**metadata.packages_distributions(), **NOT_INSTALLED}
    found = set()
    for path in (TOP / "napari_aeanet").rglob("*.py"):
        in_gui = "gui" in path.relative_to(TOP / "napari_aeanet").parts
        if in_gui != (folder == "gui"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                modules = [getattr(node, "module", None) or ""] * isinstance(node, ast.ImportFrom)
            for module in modules:
                top = module.split(".")[0]
                if top and top not in sys.stdlib_module_names and top != "napari_aeanet":
                    found.add(canonicalize_name((by_module.get(top) or [top])[0]))
    return found


def test_everything_that_is_imported_is_declared_and_the_other_way_round():
    optional = names_of(
        line
        for name, lines in PROJECT["optional-dependencies"].items()
        if name not in ("all", "napari", "test", "docs", "dev")
        for line in lines
    )
    assert imported("rest") - optional <= CORE
    assert imported("gui") <= CORE | DOCKS
    assert CORE - {"imagecodecs"} <= imported("rest") | imported("gui")  # used by tifffile
    assert imported("gui") | {"npe2"} >= DOCKS  # reads the manifest


def test_inside_of_napari_nothing_is_missing_after_a_plain_install():
    """Its plugin manager runs `pip install napari-aeanet`, without an extra."""
    pytest.importorskip("napari")
    brought, waiting = set(), ["napari"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in brought:
            continue
        brought.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found = [Requirement(line) for line in lines]
        waiting += [
            one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    assert brought >= DOCKS


def test_the_versions_of_python_are_those_of_the_metadata():
    listed = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    lowest = int(PROJECT["requires-python"].removeprefix(">=3."))
    from napari_aeanet.doctor.findings import NEWEST_TESTED, OLDEST

    assert [int(minor) for minor in listed] == list(range(lowest, NEWEST_TESTED[1] + 1))
    assert (3, lowest) == OLDEST


def test_the_citation_belongs_to_this_program():
    cited = yaml.safe_load((TOP / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert (cited["title"], cited["license"]) == (PROJECT["name"], PROJECT["license"])
    assert "version" not in cited  # stands in one place, `__version__`
    for work in (cited, *cited["references"]):
        assert work["authors"] and work["title"]


def test_every_requirement_has_its_reason():
    reasons = (TOP / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for name in CORE | DOCKS:
        assert re.search(rf"\b{name}\b", reasons, re.I), name
