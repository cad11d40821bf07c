"""Compression of files: smaller, readable by others, and the same pixels."""

import numpy as np
import pytest
import tifffile
import zarr
from helpers import assert_same_image, micrograph

from napari_aeanet.io import Compression, read_image, write_image

SMOOTH = np.add.outer(np.arange(300), np.arange(400)) // 8


def smooth_image(dtype="uint16"):
    return micrograph().with_array(SMOOTH.astype(dtype))


@pytest.mark.parametrize("compression", [Compression.DEFLATE, Compression.LZW, Compression.ZSTD])
@pytest.mark.parametrize("ending", [".ome.tif", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_compressed_tiff_is_smaller_and_the_same(compression, ending, dtype, tmp_path):
    image = smooth_image(dtype)
    write_image(image, tmp_path / f"plain{ending}")
    path = tmp_path / f"S05{ending}"
    write_image(image, path, compression=compression)
    assert path.stat().st_size < (tmp_path / f"plain{ending}").stat().st_size / 2
    assert_same_image(read_image(path), image)
    np.testing.assert_array_equal(tifffile.imread(path), image.array)


def test_without_the_option_a_tiff_is_not_compressed(tmp_path):
    write_image(smooth_image(), tmp_path / "S05.tif")
    with tifffile.TiffFile(tmp_path / "S05.tif") as file:
        assert file.pages[0].compression == 1


@pytest.mark.parametrize(
    ("compression", "codecs"),
    [("as usual", "zstd"), ("none", ""), ("deflate", "gzip"), ("zstd", "zstd")],
)
def test_an_ome_zarr_has_the_codec(compression, codecs, tmp_path):
    path = tmp_path / "S05.ome.zarr"
    write_image(smooth_image(), path, compression=Compression(compression))
    (shards,) = zarr.open_group(path, mode="r")["0"].metadata.to_dict()["codecs"]
    found = shards["configuration"]["codecs"]
    assert [codec["name"] for codec in found] == ["bytes", *([codecs] if codecs else [])]
    np.testing.assert_array_equal(read_image(path).read(), smooth_image().array)


@pytest.mark.parametrize(
    ("name", "compression"), [("S05.png", "lzw"), ("S05.ome.zarr", "lzw"), ("S05.png", "none")]
)
def test_what_a_format_lacks_is_refused_with_what_it_has(name, compression, tmp_path):
    with pytest.raises(ValueError, match=rf"{name} cannot be written .*this format has .*deflate"):
        write_image(smooth_image("uint8"), tmp_path / name, compression=Compression(compression))
    assert list(tmp_path.iterdir()) == []
