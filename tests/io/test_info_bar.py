"""The text band under electron microscope images: found where there is one, and only there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers import REAL_DATA, needs_real_data

from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_image, read_images, write_image
from napari_aeanet.io.info_bar import crop_text_band, find_text_band


def micrograph(height: int = 480, width: int = 640, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 8)
    noisy = 110 + 500 * smooth + rng.normal(scale=12, size=(height, width))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def with_band(image: np.ndarray, height: int = 60, paper: int = 0, ink: int = 255) -> np.ndarray:
    band = np.full((height, image.shape[1]), paper, np.uint8)
    text = "SU8000 5.0kV 8.2mm x20.0k SE(U)"
    cv2.putText(band, text, (8, height - 20), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 2)
    cv2.line(band, (image.shape[1] - 120, height // 3), (image.shape[1] - 10, height // 3), ink, 2)
    return np.vstack([image, band])


@pytest.mark.parametrize(("paper", "ink"), [(0, 255), (255, 0), (40, 230)])
@pytest.mark.parametrize("height", [40, 64, 100])
def test_a_band_is_found_where_it_begins(paper, ink, height):
    image = with_band(micrograph(), height, paper, ink)
    assert find_text_band(image) == 480


def test_a_band_with_a_frame_around_it_is_found():
    image = with_band(micrograph())
    image[480:482] = 255
    assert find_text_band(image) == 480


def test_a_band_that_was_compressed_with_loss_is_found():
    _, encoded = cv2.imencode(".jpg", with_band(micrograph()), [cv2.IMWRITE_JPEG_QUALITY, 90])
    row = find_text_band(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))
    assert row == pytest.approx(480, abs=1)


def test_a_band_below_an_image_of_little_contrast_is_found():
    image = (100 + micrograph() / 10).astype(np.uint8)
    assert find_text_band(with_band(image)) == 480


def test_a_band_in_16_bits_is_found():
    assert find_text_band(with_band(micrograph()).astype(np.uint16) * 257) == 480


@pytest.mark.parametrize("seed", range(5))
def test_images_without_a_band_are_left_alone(seed):
    assert find_text_band(micrograph(seed=seed)) is None


def test_an_empty_margin_without_text_is_no_text_band():
    assert find_text_band(np.vstack([micrograph(), np.zeros((60, 640), np.uint8)])) is None


def test_a_dark_background_with_bright_cells_is_no_text_band():
    image = np.zeros((480, 640), np.uint8)
    for x in range(40, 640, 90):
        cv2.circle(image, (x, 440), 20, 220, -1)
        cv2.circle(image, (x, 100), 30, 180, -1)
    assert find_text_band(image) is None


def test_a_constant_image_and_a_tiny_one_have_no_text_band():
    assert find_text_band(np.zeros((200, 200), np.uint8)) is None
    assert find_text_band(np.zeros((1, 1), np.uint8)) is None
    assert find_text_band(np.full((100, 100), np.nan)) is None


@needs_real_data
def test_there_is_no_false_alarm_on_real_data():
    for file in REAL_DATA.glob("*/*.tif"):
        for image in read_images(file):
            planes = image.read() if image.axes == "ZYX" else [image.read()]
            assert [find_text_band(plane) for plane in planes] == [None] * len(planes), file


def test_reading_says_that_there_is_a_band(tmp_path):
    write_image(Image(with_band(micrograph()), "YX"), tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    assert image.shape == (540, 640)
    assert "text band" in image.notices[0]


def test_the_band_is_cut_off_on_request_and_the_image_stays_in_place(tmp_path):
    written = Image(with_band(micrograph()), "YX", (5.0, 5.0), "nm", (10.0, 20.0))
    write_image(written, tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif", crop_text_band=True)
    np.testing.assert_array_equal(image.read(), written.read()[:480])
    assert (image.pixel_size, image.origin) == (written.pixel_size, pytest.approx(written.origin))
    assert "cut off" in image.notices[0]


def test_cutting_leaves_an_image_without_band_as_it_is():
    image = Image(micrograph(), "YX")
    assert crop_text_band(image) is image
