"""The range of an image: by the user, metadata, the series, the training, or its pixels."""

import numpy as np
import pytest

from napari_aeanet.core import intensity_range
from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity_range import (
    TrainedRange,
    channel_ranges,
    checked_choice,
    common_range,
    image_range,
)

TWELVE = DeclaredRange(0.0, 4095.0, "SignificantBits")
ON_8_BIT = TrainedRange(0.0, 255.0, "uint8")
ON_16_BIT = TrainedRange(0.0, 65535.0, "uint16")


def image(dtype, *values, **changes):
    return Image(np.array([values], dtype), "YX", **changes)


def limits(found):
    return found.low, found.high


def decided(one, trained=ON_8_BIT, series=None, choice="auto"):
    (found,) = channel_ranges(one, choice, trained, series)
    return limits(found)


@pytest.fixture
def looked(monkeypatch):
    """The images whose pixels were looked at."""
    found = []
    plain = intensity_range.extremes
    monkeypatch.setattr(
        intensity_range, "extremes", lambda image: found.append(image) or plain(image)
    )
    return found


class Lazy:
    """An array that lies in a file."""

    def __init__(self, array):
        self._array = array
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype

    def __getitem__(self, region):
        return self._array[region]


# --- the pixels themselves


@pytest.mark.parametrize(
    ("dtype", "low", "high", "expected"),
    [
        ("uint8", 3, 90, (0, 255)),
        ("uint16", 3, 255, (0, 255)),
        ("uint16", 3, 900, (0, 1023)),
        ("uint16", 3, 3900, (0, 4095)),
        ("uint16", 3, 4100, (0, 4095)),  # interpolation overshoots
        ("uint16", 3, 60000, (0, 65535)),
        ("uint32", 0, 2**32 - 1, (0, 2**32 - 1)),
        ("uint64", 0, 3900, (0, 4095)),
        ("int8", 0, 120, (0, 127)),
        ("int16", 0, 3900, (0, 4095)),
        ("int16", 0, 32000, (0, 32767)),
        ("int16", -30, 3900, (0, 4095)),  # a background was subtracted
        ("int8", -128, 127, (-128, 127)),
        ("int16", -120, 127, (-128, 127)),
        ("int16", -30000, 31000, (-32768, 32767)),
        ("int16", -32768, -28700, (-32768, -28673)),  # 12 bit, moved to begin at the lowest
        ("float32", 0, 1, (0, 1)),
        ("float32", 0, 0.3, (0, 1)),
        ("float32", -0.02, 1.03, (0, 1)),
        ("float32", 0, 0.01, (0, 0.01)),
        ("float32", 0, 250, (0, 255)),
        ("float32", 0, 258, (0, 255)),
        ("float32", 0, 900, (0, 1023)),
        ("float32", 0, 10, (0, 10)),
        ("float32", 0, 1e20, (0, 1e20)),
        ("float32", -0.5, 0.5, (-0.5, 0.5)),
        ("float32", -128, 127, (-128, 127)),
        ("float32", -3, 4, (-3, 4)),
        ("float16", 0, 255, (0, 255)),
        ("float64", 0, 4095, (0, 4095)),
    ],
)
def test_the_smallest_usual_range_that_holds_all_pixels(dtype, low, high, expected):
    assert limits(image_range(image(dtype, low, high))) == pytest.approx(expected)


def test_nan_and_infinity_do_not_count():
    assert limits(image_range(image("float32", 0, 250, np.nan, np.inf))) == (0, 255)


@pytest.mark.parametrize("value", [0, 1, 7])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_constant_images_have_a_range(dtype, value):
    found = image_range(image(dtype, value, value))
    assert found.low < found.high


@pytest.mark.parametrize(
    ("high", "is_guess"), [(900, True), (2200, False), (3900, False), (4095, False), (60000, False)]
)
def test_a_range_is_a_guess_where_others_are_as_likely(high, is_guess):
    assert image_range(image("uint16", 0, high)).is_ambiguous == is_guess


# --- metadata


def test_metadata_come_before_the_training_and_the_pixels():
    frame = image("uint16", 3, 900, intensity_range=TWELVE)
    assert decided(frame) == decided(frame, ON_16_BIT) == (0, 4095)
    (found,) = channel_ranges(frame)
    assert "as the file says (SignificantBits)" in found.reason
    assert not found.is_ambiguous


def test_metadata_that_the_pixels_contradict_do_not_count():
    assert decided(image("uint16", 3, 65000, intensity_range=TWELVE)) == (0, 65535)


def test_a_display_range_counts_only_if_no_pixel_lies_outside():
    shown = DeclaredRange(0.0, 4095.0, "display range of ImageJ", is_display=True)
    assert decided(image("uint16", 3, 900, intensity_range=shown)) == (0, 4095)
    assert decided(image("uint16", 3, 4096, intensity_range=shown), ON_16_BIT) == (0, 65535)


# --- the series


def test_a_dim_image_stays_dim_in_a_bright_series():
    dim, bright = image("uint16", 3, 900), image("uint16", 3, 3900)
    series = common_range([dim, bright])
    assert decided(dim, series=series) == decided(bright, series=series) == (0, 4095)


def test_metadata_of_one_image_hold_for_its_series():
    known, other = image("uint16", 3, 700, intensity_range=TWELVE), image("uint16", 3, 900)
    series = common_range([known, other])
    assert decided(other, series=series) == (0, 4095)
    (found,) = channel_ranges(other, series=series)
    assert "other images of the series" in found.reason


def test_metadata_that_contradict_each_other_hold_for_their_own_image_only():
    ten = DeclaredRange(0.0, 1023.0, "SignificantBits")
    images = [
        image("uint16", 3, 900, intensity_range=ten),
        image("uint16", 3, 3000, intensity_range=TWELVE),
        image("uint16", 3, 800),
    ]
    series = common_range(images)
    found = [decided(one, series=series) for one in images]
    assert found == [(0, 1023), (0, 4095), (0, 4095)]


def test_number_types_of_a_series_have_ranges_of_their_own():
    images = [image("uint16", 0, 3900), image("float32", 0, 0.8), image("uint8", 0, 20)]
    series = common_range(images)
    assert [decided(one, series=series) for one in images] == [(0, 4095), (0, 1), (0, 255)]


def test_a_series_of_8_bit_or_with_metadata_is_not_looked_at(looked):
    large = Image(Lazy(np.zeros((4, 5), np.uint16)), "YX", intensity_range=TWELVE)
    common_range([image("uint8", 1, 2), large])
    assert not looked
    common_range([image("uint16", 1, 2)])
    assert len(looked) == 1


def test_time_points_and_channels_share_one_range():
    values = np.zeros((2, 2, 4, 4), np.uint16)
    values[0, 0], values[1, 1] = 900, 3900
    first, second = channel_ranges(Image(values, "TCYX"))
    assert limits(first) == limits(second) == (0, 4095)


def test_a_dim_channel_of_decimal_numbers_stays_dim():
    values = np.zeros((2, 4, 4), np.float32)
    values[0], values[1] = 90, 3900
    first, second = channel_ranges(Image(values, "CYX"))
    assert limits(first) == limits(second) == (0, 4095)


def test_a_probability_beside_intensities_has_a_range_of_its_own():
    values = np.zeros((2, 4, 4), np.float32)
    values[0], values[1] = 0.9, 3900
    assert [limits(one) for one in channel_ranges(Image(values, "CYX"))] == [(0, 1), (0, 4095)]


# --- the training


def test_a_model_of_16_bit_takes_a_dim_16_bit_image_as_it_was_trained():
    assert decided(image("uint16", 3, 900), ON_16_BIT) == (0, 65535)
    assert decided(image("uint16", 3, 900), TrainedRange(0, 4095, "uint16")) == (0, 4095)


def test_an_image_brighter_than_the_training_has_its_own_range():
    assert decided(image("uint16", 3, 9000), TrainedRange(0, 4095, "uint16")) == (0, 16383)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "int16", "float16", "float32"])
def test_8_bits_in_a_wider_type_are_8_bits_for_a_model_of_8_bits(dtype):
    assert decided(image(dtype, 3, 200)) == (0, 255)


def test_decimal_numbers_up_to_1_are_not_8_bits():
    assert decided(image("float32", 0, 0.9)) == (0, 1)
    assert decided(image("float32", 0, 0.9), TrainedRange(0, 4095, "float32")) == (0, 1)


# --- the user


def test_a_choice_of_the_user_comes_first():
    frame = image("uint16", 3, 900, intensity_range=TWELVE)
    assert decided(frame, choice=(100.0, 2000.0)) == (100, 2000)
    assert decided(frame, choice="full") == (0, 65535)
    assert decided(image("int16", 3, 900), choice="full") == (-32768, 32767)
    assert decided(image("float32", -2, 900), choice="full") == (-2, 900)
    assert decided(image("uint8", 3, 90), choice=(0.0, 100.0)) == (0, 100)


@pytest.mark.parametrize("wrong", ["wide", (5, 5), (9, 1), (1, 2, 3), (0, float("inf")), 7, None])
def test_other_choices_are_refused_with_what_is_allowed(wrong):
    with pytest.raises(ValueError, match="two numbers, the lower one first"):
        checked_choice(wrong)


def test_lists_and_whole_numbers_are_choices_too():
    assert checked_choice([0, 4095]) == (0.0, 4095.0)


def test_a_range_is_written_with_its_bit_depth():
    assert str(image_range(image("uint16", 0, 3900))) == "0 to 4095 (12 bit)"
    assert str(image_range(image("float32", 0, 0.9))) == "0 to 1"
