"""What the tests of files share: images to write, and how to compare them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from napari_aeanet.core.image import AXES, SPATIAL_AXES, Image

REAL_DATA = Path(__file__).parents[1].parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="the real microscopy data is not on this machine"
)

_LENGTHS = st.floats(1e-3, 1e4, allow_nan=False)
_PLACES = st.floats(-1e4, 1e4, allow_nan=False)


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


@st.composite
def calibrated_images(draw: st.DrawFn, dtypes: tuple[str, ...]) -> Image:
    """Images of any axes, calibrated fully, in the plane only, or not at all."""
    leading = draw(st.lists(st.sampled_from("TCZ"), unique=True, max_size=3))
    axes = "".join(a for a in AXES if a in [*leading, "Y", "X"])
    shape = [draw(st.integers(1, 3)) for _ in leading]
    shape += [draw(st.integers(1, 20)), draw(st.integers(1, 20))]
    spatial = [a for a in axes if a in SPATIAL_AXES]
    known = draw(st.sampled_from(["", "YX", "ZYX"]))
    sizes = tuple(draw(_LENGTHS) if a in known else None for a in spatial)
    return Image(
        noise(*shape, dtype=draw(st.sampled_from(dtypes))),
        axes,
        pixel_size=sizes,
        unit=draw(st.sampled_from(["nm", "µm", "mm", "Å"])) if known else None,
        origin=tuple(draw(_PLACES) for _ in spatial),
        name="specimen",
    )


def assert_same_image(read: Image, written: Image, *, dtype: str | None = None) -> None:
    """Everything that a file should keep is as it was."""
    assert read.axes == written.axes
    assert read.dtype == np.dtype(dtype or written.dtype)
    assert read.unit == written.unit
    assert [s is None for s in read.pixel_size] == [s is None for s in written.pixel_size]
    for ours, theirs in zip(read.pixel_size, written.pixel_size, strict=True):
        assert ours is None or ours == pytest.approx(theirs, rel=1e-6)
    assert read.origin == pytest.approx(written.origin, rel=1e-6, abs=1e-9)
    np.testing.assert_array_equal(read.read(), written.read())
