"""Small valid files of every kind that the program reads, and the calls that read them."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from napari_aeanet.core.image import Channel, Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from format_table import lif_file
from models.test_published import write_checkpoint

# Pixels of an opened image that are read, so that a claim of many stays a claim.
PIXELS_READ = 2**24
SHAPE = (24, 32)


@dataclass(frozen=True)
class Reader:
    """A kind of file.

    Parameters
    ----------
    name
        Of the file or folder that `make` writes.
    make
        Writes a valid one to a path.
    read
        Reads it, and yields sentences about parts that were refused.
    inside
        Rewrites one part of an archive and seals it again, so that checksums fit.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Iterable[str]]
    inside: bool = False


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def picture(axes: str = "YX", *leading: int) -> Image:
    """Return a calibrated image with all that a format can keep."""
    return Image(
        noise(*leading, *SHAPE),
        axes,
        pixel_size=(10.0,) * sum(axis in "ZYX" for axis in axes),
        unit="nm",
        origin=(3.0,) * sum(axis in "ZYX" for axis in axes),
        channels=(Channel(name="DAPI", colour=(0, 0, 255)),) * (leading[0] if "C" in axes else 1),
        time_interval=2.0,
    )


# Images


def read_pixels(path: Path) -> Iterable[str]:
    from napari_aeanet.io import image_facts, read_images

    for image in read_images(path):
        if np.prod(image.shape, dtype=float) <= PIXELS_READ:
            image_facts(image)
        else:
            image.read((slice(0, 1),) * len(image.shape))
    return ()


def tiff(**options: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        array = noise(3, *SHAPE, dtype=options.pop("dtype", "uint8"))
        tifffile.imwrite(path, array, photometric="minisblack", **options)

    return make


def written(axes: str = "YX", *leading: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        from napari_aeanet.io import write_image

        write_image(picture(axes, *leading), path)

    return make


def zarr_04(path: Path) -> None:
    from napari_aeanet.io.ome_zarr import write_omezarr

    write_omezarr(picture("CYX", 2), path, "0.4")


def coded(encode: Callable[..., bytes], samples: int = 1) -> Callable[[Path], None]:
    pixels = np.squeeze(np.stack([noise(*SHAPE)] * samples, axis=-1))
    return lambda path: path.write_bytes(encode(pixels)) and None


def with_sidecar(path: Path) -> None:
    path.mkdir()
    tifffile.imwrite(path / "S05.tif", noise(*SHAPE), metadata=None)
    (path / "S05.txt").write_text(
        "$CM_FORMAT S05\n$$SM_MICRON_BAR 152\n$$SM_MICRON_MARKER 100nm\n", encoding="latin-1"
    )


# Pairs, registrations, tables


def make_pair_list(path: Path) -> None:
    from napari_aeanet.io import read_image, write_image
    from napari_aeanet.pairs import ImagePair, save_pairs

    for name in ("lr", "hr"):
        write_image(picture(), path.with_name(f"{name}.tif"))
    source, target = (read_image(path.with_name(f"{name}.tif")) for name in ("lr", "hr"))
    save_pairs([ImagePair(source, target, registration(), "S05")], path)


def registration() -> Any:
    from napari_aeanet.registration import Registration, Verdict
    from napari_aeanet.registration.transforms import TransformKind

    one = {
        "matrix": np.eye(3),
        "kind": TransformKind.SIMILARITY,
        "source_shape": SHAPE,
        "target_shape": SHAPE,
        "verdict": Verdict.GOOD,
        "reason": "the detail agrees",
        "matches": np.arange(24.0).reshape(6, 2, 2),
        "expected_error": 0.2,
        "target_pixel_size": 5.0,
        "unit": "nm",
    }
    return Registration(**one, slices=(Registration(**one),))


def read_pair_list(path: Path) -> Iterable[str]:
    from napari_aeanet.pairs import check_pairs, load_pairs

    found = load_pairs(path)
    for pair in found.pairs:
        if pair.registration is not None:
            pair.registration.sentence()
    check_pairs(found.pairs)
    return [problem.message for problem in found.problems]


def read_registration(path: Path) -> Iterable[str]:
    from napari_aeanet.registration import Registration

    Registration.load(path).sentence()
    return ()


def read_table_of_pairs(path: Path) -> Iterable[str]:
    from napari_aeanet.pairs import pairs_from_csv

    return [problem.message for problem in pairs_from_csv(path).problems]


def make_table(path: Path) -> None:
    for name in ("lr", "hr"):
        tifffile.imwrite(path.with_name(f"{name}.tif"), noise(*SHAPE), metadata=None)
    path.write_text('source,target,name\nlr.tif,hr.tif,S05\n"lr.tif",hr.tif,"S 06"\n')


def read_npz_pairs(path: Path) -> Iterable[str]:
    from napari_aeanet.pairs import pairs_from_npz

    pairs_from_npz(path)
    return ()


def read_inputs(path: Path) -> Iterable[str]:
    from napari_aeanet.batch import find_inputs

    find_inputs([path])
    return ()


def make_run_file(path: Path) -> None:
    from napari_aeanet.io import RunRecord, UsedFile, program_versions, write_record

    used = UsedFile(path=path.with_name("S05.tif"), sha256="0" * 64)
    record = RunRecord(
        command="restore",
        inputs=(used,),
        models=(UsedFile(path=path.with_name("sem.aeanet"), sha256="1" * 64),),
        results=(used,),
        options={"use": "whole-image", "context": "512", "tile": 0, "range": [0, 4095]},
        notes=("none",),
        versions=program_versions(),
    )
    write_record(record, path)


def read_run_file(path: Path) -> Iterable[str]:
    from napari_aeanet.cli.options import recorded
    from napari_aeanet.cli.restore import Restore

    recorded(Restore, "restore", path)
    return ()


# Models and runs


def tiny_model() -> Any:
    from napari_aeanet import networks
    from napari_aeanet.models import Model, ModelCard
    from napari_aeanet.networks import UNetConfig

    config = UNetConfig(features=2, levels=2, encoder_blocks=(1, 0), decoder_blocks=(1,))
    state = networks.build(config).state_dict()
    card = ModelCard(
        name="tiny",
        preset="aeanet-2d",
        network=networks.config_to_json(config),
        ratio=(2.0, 2.0),
        pixel_size=(5.0, 5.0),
        unit="nm",
        context=512,
        gain={"psnr": 2.0},
        provenance={"steps": 10, "pairs": [{"name": "S05"}]},
    )
    return Model(card, {name: value.numpy() for name, value in state.items()})


def make_model(path: Path) -> None:
    from napari_aeanet.models import save_model

    save_model(tiny_model(), path)


def read_model(path: Path) -> Iterable[str]:
    from napari_aeanet.models import load_model

    load_model(path).network()
    return ()


def make_lif(path: Path) -> None:
    lif_file(path, noise(3, *SHAPE, dtype="uint16"))


def make_checkpoint(path: Path) -> None:
    path.mkdir()
    kernel = noise(3, 3, 2, 4, dtype="float32")
    variables = {"first_convolution/kernel": kernel, "global_step": np.array([7], "int64")}
    write_checkpoint(path / path.name, variables)


def read_checkpoint(path: Path) -> Iterable[str]:
    from napari_aeanet.models.tensorflow_checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path / path.name)
    for name in checkpoint.variables:
        checkpoint.read(name)
    return ()


def make_itk(path: Path) -> None:
    from dataclasses import replace

    from napari_aeanet.transform_files import save_itk

    save_itk(replace(registration(), slices=()), path)


def read_itk(path: Path) -> Iterable[str]:
    from napari_aeanet.transform_files import load_itk

    load_itk(path, SHAPE, SHAPE).sentence()
    return ()


def make_scene(path: Path) -> None:
    from dataclasses import replace

    from napari_aeanet.registration import Deformation
    from napari_aeanet.transform_files import save_scene

    wave = 0.02 * np.sin(np.arange(50.0)).reshape(5, 5, 2)
    deformation = Deformation(coefficients=wave, before=1.0, after=0.1)
    save_scene(replace(registration(), slices=(), deformation=deformation), path)


def read_scene(path: Path) -> Iterable[str]:
    from napari_aeanet.transform_files import load_scene

    load_scene(path, SHAPE, SHAPE).sentence()
    return ()


def make_alignment(path: Path) -> None:
    from napari_aeanet.stacks import save_alignment
    from napari_aeanet.stacks.settings import SectionPlace, SectionState, StackAlignment

    place = SectionPlace(
        state=SectionState.ALIGNED,
        matrix=((1.0, 0.0, 2.0), (0.0, 1.0, -3.0), (0.0, 0.0, 1.0)),
        shift=(2.0, -3.0),
        turn=0.5,
        correlation=0.7,
        error=0.1,
    )
    save_alignment(StackAlignment(shape=SHAPE, sections=(place, place)), path)


def read_alignment(path: Path) -> Iterable[str]:
    from napari_aeanet.stacks import load_alignment

    load_alignment(path)
    return ()


def make_run(path: Path) -> None:
    import torch

    from napari_aeanet import networks
    from napari_aeanet.training.plan import Plan
    from napari_aeanet.training.run_folder import LogRow, RunFolder, RunProgress
    from napari_aeanet.training.settings import Loss, TrainSettings

    path.mkdir()
    folder = RunFolder(path)
    from napari_aeanet.core.intensity import Normalisation

    model = tiny_model()
    folder.write_plan(
        Plan(
            settings=TrainSettings(steps=10),
            network=networks.config_to_json(model.card.config),
            normalisation=Normalisation(),
            patch=(16, 16),
            batch=4,
            steps=10,
            learning_rate=1e-3,
            beta1=0.9,
            decay=None,
            loss=Loss.MAE,
            longest_gradient=1.0,
            check_every=5,
            pairs=({"name": "S05", "target_hash": "0", "shape": list(SHAPE)},),
            split={"train": [[0, [[0, 16], [0, 16]]]]},
        )
    )
    folder.write_state({"network.w": torch.zeros(3)}, RunProgress(step=5))
    folder.add_to_log([LogRow(1, 0.5, 1e-3, None, None, 0.1), LogRow(5, None, 1e-3, 1.0, 0.1, 1.0)])
    (path / "lock").write_text(json.dumps({"process": 1, "since": 0.0}))


def read_run(path: Path) -> Iterable[str]:
    from napari_aeanet.training import RunFolder
    from napari_aeanet.training.run_folder import reopen

    with reopen(path) as folder:
        folder.read_log()
    folder = RunFolder(path)
    assert folder.read_plan().config
    folder.read_progress()
    folder.read_state()
    return ()


READERS: dict[str, Reader] = {
    "TIFF": Reader("a.tif", tiff(metadata=None), read_pixels),
    "TIFF, tiled, deflate": Reader("a.tif", tiff(tile=(16, 16), compression="zlib"), read_pixels),
    "TIFF, LZW, 16 bit": Reader(
        "a.tif", tiff(compression="lzw", predictor=True, dtype="uint16"), read_pixels
    ),
    "OME-TIFF": Reader("a.ome.tif", written("TCZYX", 1, 2, 2), read_pixels),
    "ImageJ TIFF": Reader("a.tif", written("ZYX", 3), read_pixels),
    "BigTIFF": Reader("a.tif", tiff(bigtiff=True), read_pixels),
    "OME-Zarr 0.4": Reader("a.ome.zarr", zarr_04, read_pixels),
    "OME-Zarr 0.5": Reader("a.ome.zarr", written("ZYX", 2), read_pixels),
    "PNG": Reader("a.png", written(), read_pixels),
    "JPEG": Reader("a.jpg", coded(imagecodecs.jpeg_encode), read_pixels),
    "BMP": Reader("a.bmp", coded(imagecodecs.bmp_encode), read_pixels),
    "GIF": Reader("a.gif", coded(imagecodecs.gif_encode), read_pixels),
    "WebP": Reader("a.webp", coded(imagecodecs.webp_encode, 3), read_pixels),
    "NPY": Reader("a.npy", lambda path: np.save(path, noise(2, *SHAPE)), read_pixels),
    "TIFF with a text beside it": Reader(
        "images", with_sidecar, lambda path: read_pixels(path / "S05.tif")
    ),
    "NPZ": Reader(
        "a.npz",
        lambda path: np.savez_compressed(path, X=noise(2, 1, 8, 8), Y=noise(2, 1, 8, 8)),
        read_npz_pairs,
    ),
    "NPZ, inside": Reader(
        "a.npz",
        lambda path: np.savez(path, X=noise(2, 1, 8, 8), Y=noise(2, 1, 8, 8)),
        read_npz_pairs,
        inside=True,
    ),
    "pair list": Reader("pairs.json", make_pair_list, read_pair_list),
    "registration": Reader("one.json", lambda path: registration().save(path), read_registration),
    "table of pairs": Reader("pairs.csv", make_table, read_table_of_pairs),
    "job file": Reader(
        "jobs.csv",
        lambda path: path.write_text("input,output\na.tif,b.tif\n") and None,
        read_inputs,
    ),
    "list of files": Reader(
        "list.txt", lambda path: path.write_text("a.tif\nb.tif\n") and None, read_inputs
    ),
    "run file": Reader("a.run.yaml", make_run_file, read_run_file),
    "model file": Reader("a.aeanet", make_model, read_model),
    "model file, inside": Reader("a.aeanet", make_model, read_model, inside=True),
    "run folder": Reader("run", make_run, read_run),
    "LIF": Reader("a.lif", make_lif, read_pixels),
    "TensorFlow checkpoint": Reader("m.ckpt", make_checkpoint, read_checkpoint),
    "ITK transform": Reader("a.tfm", make_itk, read_itk),
    "OME-Zarr scene": Reader("a.zarr", make_scene, read_scene),
    "stack alignment": Reader("a-transforms.json", make_alignment, read_alignment),
}


def entries_of(path: Path) -> dict[str, bytes]:
    """Return the entries of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sealed(entries: dict[str, bytes]) -> bytes:
    """Return an archive of these entries, with the checksums that a model file has."""
    if "checksums.json" in entries:
        sums = {n: hashlib.sha256(d).hexdigest() for n, d in entries.items() if n[:5] != "check"}
        entries = {**entries, "checksums.json": json.dumps(sums).encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()
