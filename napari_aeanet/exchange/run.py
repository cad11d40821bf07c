"""Export models for other programs; every form is tested before a file is written."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import ndimage

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
)
from napari_aeanet.exchange import judge
from napari_aeanet.exchange.graph import (
    ONNX_LIBRARIES,
    compare,
    difference,
    needed,
    of_module,
    of_onnx,
    of_torchscript,
    onnx_graph,
    own_outputs,
    state_bytes,
    torchscript_graph,
    whole_image_network,
)
from napari_aeanet.exchange.package import (
    fixed_scaling,
    in_intensities,
    normalised,
    package_entries,
)
from napari_aeanet.exchange.settings import (
    ENDINGS,
    Exported,
    ExportEvent,
    ExportSettings,
    Target,
)
from napari_aeanet.io import check_place, read_image
from napari_aeanet.models import Model, load_model
from napari_aeanet.networks import Network

DEFAULTS = ExportSettings()
STATE, ONNX, TORCHSCRIPT = "pytorch_state_dict", "onnx", "torchscript"
# Pixels of test images: along Y and X, along Z.
TEST_PIXELS, TEST_PLANES = 128, 16


def export_model(
    model: Model | Path | str,
    out: Path | str,
    settings: ExportSettings = DEFAULTS,
    *,
    overwrite: bool = False,
    progress: ProgressOption = False,
) -> Exported:
    """Write a model for other programs and return how closely each form gives its results.

    Parameters
    ----------
    model
        A model, or its file (.aeanet).
    out
        The file to write: .zip (bioimage.io), .onnx or .pt (TorchScript).
    settings
        Format and description.
    overwrite
        Replace the file.
    progress
        True for a progress bar, or a function that is called with every `Progress`.

    Raises
    ------
    ValueError
        If a package is missing, or the exported model does not give the results of this program;
        nothing is written then.
    FileExistsError
        If `out` exists.
    """
    events = export_events(model, out, settings, overwrite=overwrite)
    return result_of(Exported, events, progress)


def export_events(
    model: Model | Path | str,
    out: Path | str,
    settings: ExportSettings = DEFAULTS,
    *,
    overwrite: bool = False,
) -> Iterator[ExportEvent]:
    """Return the generator of an export: progress, and `Exported` at last.

    The arguments are checked at once. See `export_model`.
    """
    check_type("model", model, Model, Path, str)
    check_type("settings", settings, ExportSettings)
    out = as_path("out", out)
    ending = ENDINGS[settings.to]
    if out.suffix.lower() != ending:
        raise ValueError(f"{out} cannot be written: choose a name that ends in {ending}.")
    check_place(out)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists already: choose another name, or --overwrite.")
    found = model if isinstance(model, Model) else load_model(model)
    if settings.to is Target.ONNX or (settings.to is Target.BIOIMAGEIO and settings.onnx):
        for name in ONNX_LIBRARIES:
            needed(name)
    image = None if settings.image is None else read_image(settings.image)
    return _exported(found, out, settings, test_image(found, image))


def test_image(model: Model, image: Image | None) -> np.ndarray:
    """Return a test image (1, C, pixels...) in intensities: of an image, or a texture."""
    config, network = model.card.config, model.network()
    most = [TEST_PLANES if axis == "Z" else TEST_PIXELS for axis in network.input_axes]
    if image is None:
        shape = [-(-n // grid) * grid for n, grid in zip(most, network.grid, strict=True)]
        noise = np.random.default_rng(0).standard_normal((config.in_channels, *shape))
        smooth = ndimage.gaussian_filter(noise, (0, *[2] * len(shape)))
        texture = np.clip(0.5 + smooth / (6 * smooth.std()), 0, 1)
        span = fixed_scaling(model)
        values = texture if span is None else texture * span.scale + span.offset
        return values[None].astype(np.float32)
    if not set(network.input_axes) <= set(image.axes):
        msg = (
            f"{image.name} has the axes {image.axes}, and the model needs {network.input_axes}: "
            "give another image for the test."
        )
        raise ValueError(msg)
    region: list[slice | int] = []
    for axis, n in zip(image.axes, image.shape, strict=True):
        if axis in network.input_axes:
            k = network.input_axes.index(axis)
            kept = min(n, most[k]) // network.grid[k] * network.grid[k]
            region.append(slice((n - kept) // 2, (n - kept) // 2 + kept))
        else:
            region.append(0)
    values = image.read(tuple(region)).astype(np.float32)
    if not values.size or not np.isfinite(values).all():
        msg = f"{image.name} cannot be the test image: it is too small, or has empty pixels."
        raise ValueError(msg)
    return np.broadcast_to(values, (1, config.in_channels, *values.shape)).copy()


test_image.__test__ = False  # type: ignore[attr-defined]  # no test of pytest


def _exported(
    model: Model, out: Path, settings: ExportSettings, image: np.ndarray
) -> Iterator[ExportEvent]:
    is_package = settings.to is Target.BIOIMAGEIO
    counter = StepCounter(f"exporting {model.card.name}", 2 + 2 * is_package)
    network = model.network()
    plain = whole_image_network(network)
    differences = {STATE: compare(STATE, of_module(plain), network)}
    yield Progressed(counter.step())
    weights: dict[str, bytes] = {}
    if settings.to is Target.TORCHSCRIPT:
        weights[TORCHSCRIPT] = torchscript_graph(plain, network)
        read = of_torchscript(weights[TORCHSCRIPT])
        differences[TORCHSCRIPT] = compare(TORCHSCRIPT, read, network)
    elif settings.to is Target.ONNX or settings.onnx:
        weights[ONNX] = onnx_graph(plain, network)
        differences[ONNX] = compare(ONNX, of_onnx(weights[ONNX]), network)
    yield Progressed(counter.step())
    notices: list[str] = []
    if not is_package:
        (content,) = weights.values()
        write_bytes_atomically(out, content)
    else:
        weights[STATE] = state_bytes(plain)
        if not settings.author:
            notices.append("The package names no author: give one before you publish it.")
        tensors = [image, *_expected(model, network, image)]
        with replacing(out) as temporary:
            entries = package_entries(model, network, settings, weights, tensors)
            _write_package(temporary, entries)
            yield Progressed(counter.step())
            differences["bioimageio.core"] = _tested(
                temporary, tensors[1:], network, settings.python or sys.executable
            )
            yield Progressed(counter.step())
    done: Progress = counter.finish()
    yield Exported(out, done, differences, tuple(notices))


def _expected(model: Model, network: Network, image: np.ndarray) -> list[np.ndarray]:
    """Return this program's outputs for an image in intensities."""
    names = ("prediction", *network.extras)
    outputs = own_outputs(network, normalised(model, image))
    return [in_intensities(model, *one) for one in zip(names, outputs, strict=True)]


def _write_package(path: Path, entries: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            # With a fixed date, the same model gives the same file.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)


def _tested(
    path: Path, expected: Sequence[np.ndarray], network: Network, python: Path | str
) -> float:
    """Let bioimageio.core test a package, and return its difference from our results.

    Raises
    ------
    ValueError
        If the package fails.
    """
    with TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs.npz"
        done = subprocess.run(
            [python, judge.__file__, path, outputs], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(_refusal(done))
        with np.load(outputs) as archive:
            found = {name: archive[name] for name in archive.files}
    names = ("prediction", *network.extras)
    return max(
        difference(form, [found[f"{form} {name}"] for name in names], expected, network)
        for form in dict.fromkeys(name.partition(" ")[0] for name in found)
    )


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a package was not written, from the answer of the judge."""
    if done.stdout.strip():
        said = "; ".join(done.stdout.split("\n"))[:300]
        return f"The model was not exported: the test of bioimageio.core fails ({said})."
    said = (done.stderr.strip() or "no answer").split("\n")[-1][:200]
    return (
        f"The model was not exported: bioimageio.core cannot test it ({said}). Give a Python that "
        'has it by --python, or install it: pip install "napari-aeanet[bioimageio]".'
    )
