"""The structure of the package: who may import whom, and what an import must not pull in."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "napari_aeanet"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up: a folder imports only from those above it in this list.
LAYERS = (
    "core",
    "io",
    "batch",
    "processes",
    "networks",
    "models",
    "exchange",
    "samples",
    "registration",
    "transform_files",
    "stacks",
    "restoration",
    "relevance",
    "pairs",
    "dataset",
    "structures",
    "trust",
    "training",
    "interpolation",
    "repair",
    "cluster",
    "evaluation",
    "reproduction",
    "benchmark",
    "doctor",
    "cli",
    "gui/common",
    "gui/viewer",
    "gui/pairs",
    "gui/train",
    "gui/restore",
    "gui/relevance",
    "gui/repair",
    "gui/evaluate",
    "gui/doctor",
    "gui",
)
# Libraries of parts: every module in them is for others.
OPEN = ("core", "gui/common", "gui/viewer")
# Of every other folder, others import from the folder itself or from one of these modules.
PUBLIC_MODULES = ("settings", "run")
QT = {"qtpy", "PyQt6", "PySide6", "superqt", "magicgui", "napari", "pyqtgraph"}
# Folders without torch, where importing a module as a whole must not load it either.
WITHOUT_TORCH = (
    "core",
    "io",
    "batch",
    "samples",
    "registration",
    "transform_files",
    "stacks",
    "pairs",
)
LONGEST_MODULE, LARGEST_FOLDER, LARGEST_GUI_FOLDER = 350, 3500, 2700


def folder_of(path: Path) -> str:
    """The folder of LAYERS that a file or folder below the package lies in; "" for its top."""
    parts = path.relative_to(PACKAGE).parts
    if path.suffix == ".py":
        parts = parts[:-1]
    return "/".join(parts[:2] if parts[:1] == ("gui",) else parts[:1])


@cache
def imports(path: Path) -> frozenset[tuple[str, str]]:
    """Everything that a module imports anywhere, as (module, name); name "" for a whole module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {(node.module or "", alias.name) for alias in node.names}
    return frozenset(found)


def file_of(module: str) -> Path:
    """The file or folder of one of our modules."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path if path.is_dir() else path.with_suffix(".py")


def imported_files(path: Path) -> set[Path]:
    """The files of ours that a module imports; a folder counts as its `__init__`."""
    found = set()
    for module, name in imports(path):
        if module.split(".")[0] != "napari_aeanet":
            continue
        target = file_of(module)
        if target.is_dir():
            inner = file_of(f"{module}.{name}") if name else target
            target = inner if inner.exists() and inner.suffix == ".py" else target / "__init__.py"
        found.add(target)
    return found


def upward_imports(path: Path) -> list[str]:
    """The imports that run from a lower layer to a higher one."""
    own = folder_of(path)
    if not own:
        return []
    return [
        f"{own} -> {other} ({target.name})"
        for target in imported_files(path)
        if (other := folder_of(target)) and LAYERS.index(other) > LAYERS.index(own)
    ]


def imports_past_the_interface(path: Path) -> list[str]:
    """Imports of a folder's inner modules or private names from outside of it."""
    found = []
    for module, name in imports(path):
        if module.split(".")[0] != "napari_aeanet" or module == "napari_aeanet":
            continue
        target = file_of(module)
        folder = folder_of(target)
        if folder in (folder_of(path), *OPEN):
            continue
        if target.is_dir():
            if name not in public_names(folder):
                found.append(f"{name} is not in __all__ of {folder}")
        elif target.stem not in PUBLIC_MODULES:
            found.append(f"{folder}/{target.stem} is behind the interface of {folder}")
    return found


@cache
def public_names(folder: str) -> frozenset[str]:
    """`__all__` of a folder, read from its stub or its `__init__` without importing it."""
    stub = PACKAGE / folder / "__init__.pyi"
    if stub.exists():
        body = ast.parse(stub.read_text(encoding="utf-8")).body
        return frozenset(a.name for n in body if isinstance(n, ast.ImportFrom) for a in n.names)
    for node in ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Members of circular imports."""
    found = []
    for start in arrows:
        seen: set[str] = set()
        waiting = list(arrows[start])
        while waiting:
            here = waiting.pop()
            if here not in seen:
                seen.add(here)
                waiting.extend(arrows.get(here, ()))
        if start in seen:
            found.append(start)
    return found


by_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))


def test_every_folder_has_its_place_in_the_layers():
    assert {folder_of(path) for path in MODULES} - {""} == set(LAYERS)


@by_module
def test_a_folder_imports_only_from_those_below_it(path):
    assert not upward_imports(path)


@by_module
def test_other_folders_are_used_through_their_interface(path):
    assert not imports_past_the_interface(path)


@by_module
def test_cli_and_gui_do_not_import_each_other(path):
    used = {folder_of(target).split("/")[0] for target in imported_files(path)}
    forbidden = {"cli": "gui", "gui": "cli"}.get(folder_of(path).split("/")[0])
    assert forbidden not in used


@by_module
def test_only_the_gui_imports_qt_and_napari(path):
    if not folder_of(path).startswith("gui"):
        assert not {module.split(".")[0] for module, _ in imports(path)} & QT


@by_module
def test_torch_stays_out_of_the_folders_that_need_none(path):
    if folder_of(path) in WITHOUT_TORCH or path.stem in ("settings", "presets"):
        assert "torch" not in {module.split(".")[0] for module, _ in imports(path)}


def test_no_files_import_each_other_in_a_circle():
    arrows = {str(path): {str(target) for target in imported_files(path)} for path in MODULES}
    assert not circles(arrows)


def test_no_folders_import_each_other_in_a_circle():
    arrows: dict[str, set[str]] = {folder: set() for folder in LAYERS}
    for path in MODULES:
        own = folder_of(path)
        arrows.setdefault(own, set()).update(
            {folder_of(target) for target in imported_files(path)} - {own, ""}
        )
    assert not circles(arrows)


def test_reversed_and_inner_imports_are_seen(monkeypatch):
    path = PACKAGE / "core" / "image.py"
    wrong = {("napari_aeanet.restoration", "TileRunner"), ("napari_aeanet.io.tiff", "read_tiff")}
    monkeypatch.setattr(sys.modules[__name__], "imports", lambda _: frozenset(wrong))
    assert sorted(upward_imports(path)) == [
        "core -> io (tiff.py)",
        "core -> restoration (__init__.py)",
    ]
    assert imports_past_the_interface(path) == ["io/tiff is behind the interface of io"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


@by_module
def test_modules_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("folder", LAYERS)
def test_folders_are_of_a_readable_size(folder):
    files = [path for path in MODULES if folder_of(path) == folder]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert lines <= (LARGEST_GUI_FOLDER if folder.startswith("gui") else LARGEST_FOLDER)


def test_no_public_class_name_is_used_twice():
    """The exported networks (`exchange/plain_*`) have the names of those that they repeat."""
    places: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "exchange" or not path.name.startswith("plain_"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("__init__.pyi")))
def test_no_public_name_is_that_of_a_module_beside_it(stub):
    """`from folder import name` would give the module once that was imported."""
    lines = (n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom))
    names = {alias.name for line in lines if line.module for alias in line.names}
    modules = {path.stem for path in stub.parent.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert not names & modules


def test_every_folder_says_what_it_is_for():
    for folder in LAYERS:
        init = PACKAGE / folder / "__init__.py"
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), folder


HEAVY = ("torch", "qtpy", "PyQt6", "napari", "magicgui", "skimage", "scipy", "numpy", "pydantic")


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import napari_aeanet", HEAVY),
        *(
            (f"import napari_aeanet.{folder}", ("torch", "qtpy", "PyQt6", "napari"))
            for folder in LAYERS
            if not folder.startswith("gui")
        ),
        *(
            (f"import napari_aeanet.{path.parent.name}.settings", ("torch", "qtpy", "PyQt6"))
            for path in sorted(PACKAGE.glob("*/settings.py"))
        ),
        ("import napari_aeanet.models.presets", ("torch", "qtpy", "PyQt6")),
        ("import napari_aeanet.models.model_file", ("torch", "qtpy", "PyQt6")),
        ("from napari_aeanet.networks import UNetConfig", ("torch", "qtpy", "PyQt6")),
        ("from napari_aeanet.models import presets, load_model", ("torch", "qtpy", "PyQt6")),
        ("from napari_aeanet.pairs import load_pairs", ("torch", "qtpy", "PyQt6")),
    ],
)
def test_importing_stays_light(statement, unwanted):
    assert loaded_by(statement, unwanted) == "[]"


def test_every_command_of_the_manifest_can_be_imported():
    """Check the Python names of the manifest; reading it alone imports none of them."""
    read = (
        "from npe2 import PluginManifest;"
        "manifest = PluginManifest.from_distribution('napari-aeanet')"
    )
    assert loaded_by(read, ("torch", "qtpy", "PyQt6", "napari_aeanet.gui")) == "[]"
    assert loaded_by(f"{read}; manifest.validate_imports()", ("torch",)) == "[]"


def loaded_by(statement: str, modules: tuple[str, ...]) -> str:
    """Those of `modules` that a new interpreter has loaded after a statement, as text."""
    code = f"{statement}\nimport sys\nprint([m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip().splitlines()[-1]


def test_the_manifest_in_the_top_folder_is_the_one_in_the_package():
    top = PACKAGE.parent / "napari.yaml"
    assert top.is_symlink()
    assert top.resolve() == (PACKAGE / "napari.yaml").resolve()


@by_module
def test_nothing_below_the_command_line_prints(path):
    if folder_of(path) != "cli":
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if getattr(c.func, "id", "") == "print"]


OUTSIDE = [
    path for name in ("benchmarks", "scripts") for path in (PACKAGE.parent / name).glob("*.py")
]


@pytest.mark.parametrize("path", sorted(OUTSIDE), ids=lambda path: path.name)
def test_scripts_import_what_there_is(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
