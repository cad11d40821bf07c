"""mypy and editors see the public names, which are imported when they are first used."""

import re
import subprocess
import sys

import pytest

import napari_aeanet

pytest.importorskip("mypy")

SCRIPT = """
from pathlib import Path

import numpy as np

import napari_aeanet as aeanet
from napari_aeanet import {names}

pixels = np.zeros((64, 64), np.uint8)
image = read_image("S05.tif")
reveal_type(image)
reveal_type(restore(pixels, "sem.aeanet"))
reveal_type(restore("S05.tif", "sem.aeanet"))
reveal_type(restore(image, load_model(Path("sem.aeanet")), RestoreSettings(tile=64)))
found = register(pixels, image)
reveal_type(found.verdict)
reveal_type(resample(pixels, found, image))
reveal_type(resample(image, found, pixels))
reveal_type(ImagePair(pixels, "hr.tif").source)
reveal_type(train([ImagePair(pixels, pixels)], TrainSettings(), "run").bundle)
reveal_type(relevance_maps(pixels, "sem.aeanet").maps)
reveal_type(evaluate([Case("S05", pixels)], [Input()]).best())
reveal_type(score(pixels, image).psnr)
reveal_type(aeanet.__version__)
for event in restore_events(pixels, "sem.aeanet"):
    reveal_type(event.progress.done)
restore(5, "sem.aeanet")
"""
REVEALED = [
    "core.image.Image",
    "numpy.ndarray",
    "core.image.Image",
    "core.image.Image",
    "registration.result.Verdict",
    "numpy.ndarray",
    "core.image.Image",
    "core.image.Image",
    "pathlib.Path",
    "numpy.ndarray",
    "str",
    "float",
    "str",
    "int",
]
# Large, and of no effect on our types.
SKIPPED = ("torch", "scipy", "skimage", "pydantic", "zarr", "cv2", "matplotlib", "tifffile")


def test_the_types_of_a_script_with_every_public_name(tmp_path):
    script, config = tmp_path / "script.py", tmp_path / "mypy.ini"
    script.write_text(SCRIPT.format(names=", ".join(napari_aeanet.__all__)))
    overrides = (f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in SKIPPED)
    config.write_text("[mypy]\nignore_missing_imports = true\n" + "".join(overrides))
    command = [sys.executable, "-m", "mypy", "--config-file", config]
    command += ["--cache-dir", tmp_path / "cache"]
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(script))]
    revealed = [re.search(r'Revealed type is "(.*)"', line) for line in lines]
    types = [match[1] for match in revealed if match]
    assert len(types) == len(REVEALED), done.stdout
    for found, expected in zip(types, REVEALED, strict=True):
        assert expected in found
    (wrong,) = [line for line in lines if "error:" in line]
    assert "No overload variant" in wrong and "int" in done.stdout


def test_the_marker_for_type_checkers_is_in_the_package():
    from importlib.resources import files

    assert files("napari_aeanet").joinpath("py.typed").is_file()
