"""Exceptions of libraries as one sentence about the file."""

from pathlib import Path

import pytest

from napari_aeanet.core.boundary import in_one_sentence

PATH = Path("a.tif")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError(0), ""),
        (IndexError(), ""),
        (TypeError("bad tag.\nMore."), " (bad tag. More)"),
    ],
)
def test_the_reason_is_told_if_it_says_anything(error, reason):
    with (
        pytest.raises(ValueError, match=r"a\.tif") as caught,
        in_one_sentence(PATH, "TIFF file", "copy it"),
    ):
        raise error
    assert str(caught.value) == f"a.tif is not a complete TIFF file{reason}: copy it."
