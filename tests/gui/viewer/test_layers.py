"""From layers to images and back: nothing about place and scale is lost or made up."""

import numpy as np
import pytest
from helpers import micrograph
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.layers._source import layer_source

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.layers import Frame, image_to_layer, layer_to_image, unusable_because
from napari_aeanet.io.files import write_image


def centre_of_field(layer):
    return layer.data_to_world((np.array(layer.data.shape) - 1) / 2)


def corner_of_field(layer):
    return layer.data_to_world(np.full(layer.ndim, -0.5))


def test_an_image_survives_the_way_through_a_layer():
    image = micrograph()
    back = layer_to_image(image_to_layer(image))
    assert (back.axes, back.pixel_size, back.unit, back.origin, back.name) == (
        image.axes,
        image.pixel_size,
        image.unit,
        image.origin,
        image.name,
    )


def test_an_unknown_pixel_size_stays_unknown():
    layer = image_to_layer(Image(np.zeros((4, 5)), "YX"))
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    image = layer_to_image(layer)
    assert image.pixel_size == (None, None)
    assert image.unit is None


def test_axes_in_different_units_are_brought_to_one():
    layer = ImageLayer(
        np.zeros((3, 4, 5)),
        scale=(1, 20, 20),
        translate=(2, 0, 7),
        units=("um", "nm", "nm"),
        axis_labels=("z", "y", "x"),
    )
    image = layer_to_image(layer)
    assert image.unit == "nm"
    assert image.pixel_size == pytest.approx((1000, 20, 20))
    assert image.origin == pytest.approx((2000, 0, 7))


@pytest.mark.parametrize(
    ("labels", "shape", "axes"),
    [
        (("y", "x"), (4, 5), "YX"),
        (("time", "y", "x"), (3, 4, 5), "TYX"),
        (("c", "z", "y", "x"), (2, 3, 4, 5), "CZYX"),
        (None, (3, 4, 5), "ZYX"),
        (("y", "x", "z"), (3, 4, 5), "ZYX"),  # not an order that images can have
    ],
)
def test_axes_come_from_the_labels_where_these_are_known(labels, shape, axes):
    assert layer_to_image(ImageLayer(np.zeros(shape), axis_labels=labels)).axes == axes


def test_a_calibration_that_napari_dropped_is_read_from_the_file(tmp_path):
    path = tmp_path / "S05.ome.tif"
    image = micrograph()
    write_image(image, path)
    with layer_source(path=str(path)):
        layer = ImageLayer(image.array)  # as napari's own reader makes it
    found = layer_to_image(layer)
    assert found.pixel_size == image.pixel_size
    assert found.unit == "nm"
    assert found.source == path


def test_a_calibration_of_the_layer_wins_over_that_of_the_file(tmp_path):
    path = tmp_path / "S05.ome.tif"
    write_image(micrograph(), path)
    with layer_source(path=str(path)):
        layer = ImageLayer(micrograph().array, scale=(7, 7), units="nm")
    assert layer_to_image(layer).pixel_size == (7, 7)


@pytest.mark.parametrize(
    ("make_layer", "word"),
    [
        (lambda: Labels(np.zeros((4, 5), int), name="cells"), "labels"),
        (lambda: ImageLayer(np.zeros((4, 5, 3), np.uint8), rgb=True), "colour"),
        (lambda: ImageLayer(np.zeros((1, 1, 1, 1, 4, 5))), "6 dimensions"),
    ],
    ids=["labels", "colours", "dimensions"],
)
def test_layers_that_cannot_be_used_say_why(make_layer, word):
    layer = make_layer()
    assert word in unusable_because(layer)
    with pytest.raises(ValueError, match=word):
        layer_to_image(layer)


@pytest.mark.parametrize(
    "looks",
    [
        {"scale": (10, 10), "units": ("nm", "nm"), "translate": (100, 50)},
        {"scale": (10, 8), "units": ("nm", "nm"), "rotate": 30, "shear": (0.2,)},
        {"affine": np.array([[1, 0.1, 3], [0, 2, 4], [0, 0, 1]])},
        {"scale": (2, 2), "translate": (5, 5)},
        {},
    ],
    ids=["calibrated", "turned and sheared", "affine", "scaled without unit", "plain"],
)
def test_a_result_on_a_finer_grid_covers_the_field_of_its_source(looks):
    layer = ImageLayer(np.random.default_rng(0).random((24, 32)), **looks)
    image = layer_to_image(layer)
    finer = image.regridded(np.zeros((48, 64), np.float32), (2, 2), name="finer")
    result = ImageLayer(finer.array, **Frame.of(layer, image).place(finer))
    assert centre_of_field(result) == pytest.approx(centre_of_field(layer))
    assert corner_of_field(result) == pytest.approx(corner_of_field(layer))
    assert result.units == layer.units
    assert tuple(result.contrast_limits) == tuple(layer.contrast_limits)


def test_a_result_overlays_a_layer_whose_calibration_only_its_file_knows(tmp_path):
    path = tmp_path / "S05.ome.tif"
    write_image(micrograph(), path)
    with layer_source(path=str(path)):
        layer = ImageLayer(micrograph().array)
    image = layer_to_image(layer)
    finer = image.regridded(np.zeros((96, 128), np.uint8), (2, 2))
    result = ImageLayer(finer.array, **Frame.of(layer, image).place(finer))
    assert centre_of_field(result) == pytest.approx(centre_of_field(layer))
    assert tuple(result.scale) == (0.5, 0.5)


def test_a_projection_lies_in_the_plane_of_its_volume():
    volume = Image(np.zeros((6, 8, 10)), "ZYX", (2.0, 1.0, 1.0), "µm", (4.0, 1.0, 2.0))
    layer = image_to_layer(volume)
    flat = Image(np.zeros((8, 10)), "YX", (1.0, 1.0), "µm", (1.0, 2.0), name="flat")
    result = ImageLayer(flat.array, **Frame.of(layer, layer_to_image(layer)).place(flat))
    assert centre_of_field(result) == pytest.approx(centre_of_field(layer)[1:])


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_coarser_grid_lies_where_its_centres_are(calibrated):
    known = {"pixel_size": (10.0, 10.0), "unit": "nm"} if calibrated else {}
    image = Image(np.zeros((48, 64), np.uint8), "YX", **known)
    layer = image_to_layer(image)
    size = 10.0 if calibrated else 1.0
    place = Frame.of(layer, layer_to_image(layer)).place_grid(
        "YX", (2 * size,) * 2, (3 * size,) * 2
    )
    grid = ImageLayer(np.zeros((24, 32)), **place)
    # Grid pixel (4, 5) lies at image pixel 3 + 2 * (4, 5).
    assert grid.data_to_world((4, 5)) == pytest.approx(layer.data_to_world((11, 13)))


class OnlyRegions:
    """An array that lies elsewhere: it has regions, and no methods of numpy."""

    def __init__(self, pixels):
        self._pixels = pixels
        self.shape, self.ndim = pixels.shape, pixels.ndim
        self.dtype, self.size = pixels.dtype, pixels.size
        self.read = []

    def __getitem__(self, region):
        self.read.append(region)
        return self._pixels[region]


@pytest.mark.parametrize("dtype", ["bool", "uint16"])
@pytest.mark.parametrize("levels", [1, 2])
def test_lazy_arrays_of_any_library_are_images_and_stay_unread(dtype, levels):
    lazy = OnlyRegions(np.eye(40, 50).astype(dtype))
    data = lazy if levels == 1 else [lazy, lazy._pixels[::2, ::2]]
    layer = ImageLayer(data, contrast_limits=(0, 1), multiscale=levels > 1)
    lazy.read.clear()
    image = layer_to_image(layer)
    assert image.shape == (40, 50)
    assert not lazy.read
    np.testing.assert_array_equal(image.read(), np.eye(40, 50))
    assert image.dtype == (np.uint8 if dtype == "bool" else np.uint16)


def test_an_image_lies_where_the_viewer_shows_it():
    moved = np.array([[1, 0, 300], [0, 1, 0], [0, 0, 1]])
    layer = image_to_layer(micrograph(), affine=moved)
    assert layer_to_image(layer).origin == (400, 50)
