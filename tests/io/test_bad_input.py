"""Bad input gives one sentence that names the file, the problem and the remedy, and no debris."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers import integer_noise

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.files import read_image, read_images, write_image
from napari_aeanet.pairs.checks import check_pairs
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.pairs.pair_list import load_pairs, save_pairs
from napari_aeanet.pairs.sources import (
    pairs_from_csv,
    pairs_from_folders,
    pairs_from_npz,
    pairs_from_stacks,
)

PICTURE = Image(integer_noise(40, 50), "YX", name="picture")


def sentence(call, *args, error=ValueError, names: Path, **kwargs) -> str:
    """The message of the error that `call` raises; it names the file and is one sentence."""
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert str(names) in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message.replace(str(names), "")) < 260
    assert "Errno" not in message
    return message


LAYOUTS = {
    "plain": {},
    "pages": {"metadata": None},
    "compressed": {"compression": "zlib"},
    "tiled": {"tile": (16, 16)},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "bigtiff": {"bigtiff": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
def test_a_truncated_tiff_is_refused_whatever_its_layout(layout, left, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, integer_noise(6, 64, 64), photometric="minisblack", **LAYOUTS[layout])
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    assert "again" in sentence(read_images, path, names=path)


def test_a_tiff_whose_pages_run_in_a_circle_is_refused_at_once(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for number in range(3):
            tif.write(integer_noise(8, 9, seed=number), metadata=None, contiguous=False)
    with tifffile.TiffFile(path) as tif:
        second, last = tif.pages[1].offset, tif.pages[2].offset
        at = last + 2 + 12 * len(tif.pages[2].tags)
    content = bytearray(path.read_bytes())
    assert content[at : at + 4] == bytes(4)
    content[at : at + 4] = second.to_bytes(4, "little")
    path.write_bytes(content)
    assert "circle" in sentence(read_images, path, names=path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cut", [1, 3, 8, 30])
def test_a_tiff_without_its_last_bytes_is_refused_or_read_in_full(layout, cut, tmp_path):
    path, array = tmp_path / "a.tif", integer_noise(6, 64, 64)
    tifffile.imwrite(path, array, photometric="minisblack", **LAYOUTS[layout])
    path.write_bytes(path.read_bytes()[:-cut])
    try:
        images = read_images(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        np.testing.assert_array_equal(np.squeeze([image.read() for image in images]), array)


@pytest.mark.parametrize("layout", ["plain", "compressed", "tiled", "imagej", "ome"])
def test_a_large_tiff_whose_pixels_are_cut_off_is_refused_before_they_are_read(
    layout, tmp_path, monkeypatch
):
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, integer_noise(64, 64), photometric="minisblack", **LAYOUTS[layout])
    path.write_bytes(path.read_bytes()[:-500])
    sentence(read_images, path, names=path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".npy"])
def test_other_truncated_files_are_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, integer_noise(40, 50))
    else:
        cv2.imwrite(str(path), integer_noise(40, 50))
    path.write_bytes(path.read_bytes()[:-500])
    assert "again" in sentence(read_images, path, names=path)


@pytest.mark.parametrize("left", [0.5, 0.9])
def test_a_truncated_jpeg_is_refused(left, tmp_path):
    """Its decoder fills the rest with grey."""
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), integer_noise(200, 200))
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    assert "again" in sentence(read_images, path, names=path)


@pytest.mark.parametrize(
    ("suffix", "claim"),
    [(".bmp", 2**30), (".bmp", -(2**31)), (".jpg", 65535), (".gif", 65535), (".png", 2**16)],
)
def test_a_picture_that_claims_more_pixels_than_it_holds_is_refused_at_once(
    suffix, claim, tmp_path
):
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        path.write_bytes(imagecodecs.gif_encode(integer_noise(20, 20)))
    else:
        cv2.imwrite(str(path), integer_noise(20, 20))
    content = bytearray(path.read_bytes())
    if suffix == ".bmp":
        content[22:26] = claim.to_bytes(4, "little", signed=True)
    elif suffix == ".gif":
        content[6:10] = claim.to_bytes(2, "little") * 2
    elif suffix == ".png":
        content[16:24] = claim.to_bytes(4, "big") * 2
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    else:
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = claim.to_bytes(2, "big") * 2
    path.write_bytes(content)
    assert "cannot be in" in sentence(read_images, path, names=path) or suffix == ".bmp"


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp", ".npy"])
def test_text_with_the_ending_of_an_image_is_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_text("These are my notes, not an image.\n" * 9)
    sentence(read_images, path, names=path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp", ".npy"])
def test_an_empty_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.touch()
    assert "0 bytes" in sentence(read_images, path, names=path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    path = tmp_path / "a.tif"
    message = sentence(read_images, path, error=FileNotFoundError, names=path)
    assert "does not exist" in message


def test_a_file_of_another_kind_is_refused_with_the_kinds_that_can_be_read(tmp_path):
    path = tmp_path / "a.docx"
    path.touch()
    assert ".tif" in sentence(read_images, path, names=path)


def test_a_folder_is_no_image(tmp_path):
    sentence(read_images, tmp_path, error=IsADirectoryError, names=tmp_path)


def test_a_zarr_folder_without_an_image_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    sentence(read_images, path, names=path)
    (path / "zarr.json").write_text("{")
    sentence(read_images, path, names=path)


def test_an_ome_zarr_without_its_pixels_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_image(PICTURE, path)
    (path / "0" / "zarr.json").unlink()
    sentence(read_images, path, names=path)


def test_an_ome_zarr_with_a_damaged_chunk_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_image(PICTURE, path)
    (chunk,) = (p for p in (path / "0" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:20])
    sentence(read_images, path, names=path)


def test_damaged_ome_metadata_are_refused(tmp_path):
    path = tmp_path / "a.ome.tif"
    write_image(PICTURE, path)
    path.write_bytes(path.read_bytes().replace(b"</Pixels>", b"</Pixel> "))
    sentence(read_images, path, names=path)


def test_a_colour_image_is_refused(tmp_path):
    colours = integer_noise(40, 50, 3)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    cv2.imwrite(str(tmp_path / "a.png"), colours)
    cv2.imwrite(str(tmp_path / "a.bmp"), colours)
    for path in sorted(tmp_path.iterdir()):
        assert "grey" in sentence(read_images, path, names=path)


def test_transparency_that_hides_pixels_is_refused(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(
        str(path), np.stack([integer_noise(40, 50)] * 3 + [integer_noise(40, 50, seed=1)], axis=-1)
    )
    assert "transparency" in sentence(read_images, path, names=path)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_complex_numbers_are_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    array = integer_noise(40, 50).astype(np.complex64)
    if suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array)
    assert "complex" in sentence(read_images, path, names=path)


def test_npy_files_of_objects_or_records_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    sentence(read_images, path, names=path)
    np.save(path, np.zeros((8, 8), dtype=[("a", "u1"), ("b", "f4")]))
    sentence(read_images, path, names=path)


def test_a_5d_array_without_names_for_its_axes_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, integer_noise(2, 2, 2, 8, 8))
    assert "5 dimensions" in sentence(read_images, path, names=path)


def test_a_5d_image_beside_a_3d_one_is_named_as_a_problem():
    volume = Image(integer_noise(3, 32, 40), "ZYX", name="volume")
    many = Image(integer_noise(2, 2, 3, 32, 40), "TCZYX", name="many")
    (problem,) = check_pairs([ImagePair(many, volume)])
    assert "'TCZYX'" in str(problem)
    assert "'ZYX'" in str(problem)


def test_several_images_where_one_is_needed_are_counted(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, integer_noise(7, 40, 50))
    assert "7 separate images" in sentence(read_image, path, names=path)


def test_an_image_of_one_pixel_opens_and_is_named_as_a_problem_of_its_pair(tmp_path):
    write_image(Image(integer_noise(1, 1), "YX"), tmp_path / "a.tif")
    tiny = read_image(tmp_path / "a.tif")
    assert tiny.shape == (1, 1)
    problems = check_pairs([ImagePair(tiny, PICTURE, name="P")])
    assert any("source 'a' has only 1 x 1 pixels" in str(problem) for problem in problems)


def test_constant_images_and_not_finite_pixels_open_and_are_named_as_problems(tmp_path):
    flat, holes = np.full((40, 50), 3, np.float32), integer_noise(40, 50).astype(np.float32)
    holes[:4] = [[np.nan], [np.inf], [-np.inf], [np.nan]]
    write_image(Image(flat, "YX"), tmp_path / "flat.tif")
    write_image(Image(holes, "YX"), tmp_path / "holes.tif")
    pair = ImagePair(read_image(tmp_path / "flat.tif"), read_image(tmp_path / "holes.tif"))
    problems = "\n".join(map(str, check_pairs([pair])))
    assert "source 'flat' has the value 3 everywhere" in problems
    assert "10 % of the pixels of the target 'holes' are not finite" in problems


# Pairs


def folders(tmp_path, sources, targets):
    for side, names in (("lr", sources), ("hr", targets)):
        (tmp_path / side).mkdir()
        for name in names:
            write_image(PICTURE, tmp_path / side / name)
    return tmp_path / "lr", tmp_path / "hr"


def test_a_missing_target_is_named_and_the_rest_is_paired(tmp_path):
    found = pairs_from_folders(*folders(tmp_path, ["a.tif", "b.tif"], ["a.tif"]))
    assert [pair.name for pair in found] == ["a"]
    assert found.unmatched == ("b: no target found.",)


def test_duplicate_stems_are_named_and_the_rest_is_paired(tmp_path):
    found = pairs_from_folders(*folders(tmp_path, ["a.tif", "a.png", "b.tif"], ["a.tif", "b.tif"]))
    assert [pair.name for pair in found] == ["b"]
    assert (
        str(found.problems[0])
        == f"a: {tmp_path / 'lr'} holds a.png and a.tif: keep only one of them."
    )


def test_a_folder_that_is_missing_no_folder_or_empty_is_refused(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    write_image(PICTURE, there / "a.tif")
    absent, file, empty = tmp_path / "absent", there / "a.tif", tmp_path / "empty"
    empty.mkdir()
    sentence(pairs_from_folders, there, absent, error=FileNotFoundError, names=absent)
    sentence(pairs_from_folders, file, there, error=NotADirectoryError, names=file)
    assert "no images" in sentence(pairs_from_folders, there, empty, names=empty)


def test_a_folder_without_the_right_to_read_it_is_refused(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    message = sentence(
        pairs_from_folders, tmp_path, tmp_path, error=PermissionError, names=tmp_path
    )
    assert "Permission denied" in message


def test_stacks_of_different_length_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", integer_noise(3, 40, 50))
    np.save(tmp_path / "b.npy", integer_noise(2, 40, 50))
    message = sentence(
        pairs_from_stacks, tmp_path / "a.npy", tmp_path / "b.npy", names=tmp_path / "a.npy"
    )
    assert "3 images" in message


def test_tables_without_the_columns_or_with_gaps_are_told(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("left,right\na.tif,b.tif\n")
    assert "source,target" in sentence(pairs_from_csv, path, names=path)
    path.write_bytes(b"\xff\xfe\x00binary")
    sentence(pairs_from_csv, path, names=path)
    path.write_text("source,target\na.tif,\nb.tif,c.tif\n")
    found = pairs_from_csv(path)
    assert [str(problem) for problem in found.problems] == [
        f"a: line 2 of {path} names no target file: fill it in.",
        f"b: {tmp_path / 'b.tif'} does not exist: check its name and folder.",
    ]


def test_npz_files_of_another_layout_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, A=integer_noise(2, 1, 8, 8))
    assert "'X'" in sentence(pairs_from_npz, path, names=path)
    np.savez(path, X=integer_noise(2, 8, 8), Y=integer_noise(2, 8, 8))
    assert "(n, c, y, x)" in sentence(pairs_from_npz, path, names=path)
    np.savez(path, X=integer_noise(2, 1, 8, 8), Y=integer_noise(3, 1, 8, 8))
    assert "2 sources" in sentence(pairs_from_npz, path, names=path)
    np.savez(path, X=np.array([{}], dtype=object), Y=integer_noise(3, 1, 8, 8))
    sentence(pairs_from_npz, path, names=path)
    path.write_text("no archive")
    sentence(pairs_from_npz, path, names=path)
    path.unlink()
    sentence(pairs_from_npz, path, error=FileNotFoundError, names=path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}'])
def test_files_that_are_no_pair_list_are_refused(text, tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(text)
    sentence(load_pairs, path, names=path)


def test_a_pair_list_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text('{"format": "napari-aeanet pairs", "version": 99, "pairs": []}')
    assert "99" in sentence(load_pairs, path, names=path)


# Writing

WRITTEN = ["a.tif", "a.ome.tif", "a.ome.zarr", "a.png"]


@pytest.mark.parametrize("name", WRITTEN)
def test_an_output_folder_that_is_missing_or_a_file_is_told(name, tmp_path):
    path = tmp_path / "absent" / name
    sentence(write_image, PICTURE, path, error=FileNotFoundError, names=path)
    (tmp_path / "file").touch()
    path = tmp_path / "file" / name
    sentence(write_image, PICTURE, path, error=OSError, names=path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", WRITTEN)
def test_pixels_that_cannot_be_read_leave_no_half_written_file(name, tmp_path):
    class Broken:
        shape, ndim, dtype = (40, 50), 2, np.dtype(np.uint8)

        def __getitem__(self, region):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "before.txt").touch()
    path = tmp_path / name
    sentence(write_image, Image(Broken(), "YX"), path, error=OSError, names=path)
    assert [p.name for p in tmp_path.iterdir()] == ["before.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are a Unix feature")
@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_is_told_and_leaves_what_was_there(name, tmp_path):
    # A limit on the size of files fails a write in its middle, as a full disk does.
    code = f"""
import resource, signal, sys
import numpy as np
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.core.image import Image
path = {str(tmp_path / name)!r}
write_image(Image(np.zeros((4, 5), np.uint8), "YX"), path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 255, (900, 900)).astype(np.uint8)
try:
    write_image(Image(noise, "YX"), path)
except OSError as error:
    print(error)
assert read_image(path).shape == (4, 5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / name) in done.stdout
    assert "free space" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_is_not_put_in_the_place_of_a_folder(tmp_path):
    path = tmp_path / "a.tif"
    path.mkdir()
    (path / "kept").touch()
    sentence(write_image, PICTURE, path, error=OSError, names=path)
    assert [p.name for p in tmp_path.rglob("*")] == ["a.tif", "kept"]


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npy"])
def test_formats_that_are_not_written_are_refused_with_those_that_are(name, tmp_path):
    assert ".ome.tif" in sentence(write_image, PICTURE, tmp_path / name, names=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.png", Image(integer_noise(3, 8, 8), "ZYX")),
        ("a.png", Image(integer_noise(8, 8).astype(np.float32), "YX")),
        ("a.ome.tif", Image(integer_noise(8, 8).astype(np.int64), "YX")),
        ("a.tif", Image(integer_noise(8, 8).astype(np.complex64), "YX")),
        ("a.tif", Image(integer_noise(8, 8), "ZX")),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(name, image, tmp_path):
    message = sentence(write_image, image, tmp_path / name, names=tmp_path / name)
    assert "was not written" in message
    assert list(tmp_path.iterdir()) == []


def test_a_pair_list_that_cannot_be_written_is_told(tmp_path):
    write_image(PICTURE, tmp_path / "a.tif")
    write_image(PICTURE, tmp_path / "b.tif")
    pair = ImagePair(read_image(tmp_path / "a.tif"), read_image(tmp_path / "b.tif"))
    path = tmp_path / "absent" / "pairs.json"
    sentence(save_pairs, [pair], path, error=FileNotFoundError, names=path)
