"""The house keeps its shape: who may import whom, and what importing us must not pull in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "napari_aeanet"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Each room and the rooms (or outside packages) that it must not import.
FORBIDDEN = {
    "data": {"torch", "engine", "models", "gui", "cli", "qtpy", "magicgui", "napari"},
    "sample_data": {"torch", "engine", "models", "gui", "cli", "qtpy", "magicgui", "napari"},
    "models": {"data", "engine", "gui", "cli", "sample_data", "qtpy", "magicgui", "napari"},
    "engine": {"gui", "cli", "qtpy", "magicgui", "napari"},
    "cli": {"gui", "qtpy", "magicgui"},
    "gui": {"cli"},
}


def imported_names(path: Path) -> set[str]:
    """Top-level packages that a module imports anywhere; our own by their room."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {n.split(".")[1] for n in names if n.startswith("napari_aeanet.")}
    return ours | {n.split(".")[0] for n in names if not n.startswith("napari_aeanet")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_what_lies_below_it(path):
    room = path.relative_to(PACKAGE).parts[0]
    assert not imported_names(path) & FORBIDDEN.get(room, set())


def test_the_import_check_sees_a_forbidden_import(tmp_path):
    module = tmp_path / "bad.py"
    module.write_text("def f():\n    from napari_aeanet.gui import session\n    import torch.nn\n")
    assert {"gui", "torch"} <= imported_names(module)


HEAVY = ("torch", "qtpy", "PyQt6", "PySide6", "napari", "magicgui", "skimage", "scipy", "numpy")


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import napari_aeanet", HEAVY),
        (
            "from npe2 import PluginManifest;"
            "PluginManifest.from_distribution('napari-aeanet').validate_imports",
            ("torch", "qtpy", "PyQt6", "napari_aeanet.gui"),
        ),
        ("import napari_aeanet.models.presets", ("torch", "qtpy", "PyQt6")),
        ("import napari_aeanet.training.settings", ("torch", "qtpy", "PyQt6")),
        ("import napari_aeanet.restoration.settings", ("torch", "qtpy", "PyQt6")),
        ("import napari_aeanet.models.model_file", ("torch", "qtpy", "PyQt6")),
        ("import napari_aeanet.cli", ("torch", "qtpy", "PyQt6", "napari")),
    ],
)
def test_importing_stays_light(statement, unwanted):
    code = f"{statement}\nimport sys\nprint([m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_manifest_in_the_top_folder_is_the_one_in_the_package():
    top = PACKAGE.parent / "napari.yaml"
    assert top.is_symlink()
    assert top.resolve() == (PACKAGE / "napari.yaml").resolve()


def test_nothing_below_the_surfaces_prints():
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] in {"cli"}:
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if getattr(c.func, "id", "") == "print"], path
