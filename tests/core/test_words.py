"""Amounts of memory in sentences."""

import pytest

from napari_aeanet.core.words import bytes_in_words, shortened


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (5_240_000, "5.2 MB"),
        (9_960_000, "10 MB"),
        (999_600_000, "1.0 GB"),
        (12.1e9, "12 GB"),
        (3e15, "3000 TB"),
    ],
)
def test_bytes_are_told_in_the_unit_that_suits_them(count, words):
    assert bytes_in_words(count) == words


def test_what_is_repeated_from_a_file_is_short_and_one_line():
    assert shortened("two\n lines") == "two lines"
    assert shortened("a" * 300) == "a" * 200 + "..."
    assert shortened((1, 2), most=3) == "(1,..."
