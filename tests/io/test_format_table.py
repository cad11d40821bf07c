"""The table of formats in the docs says what writing and reading does."""

from __future__ import annotations

from format_table import PAGE, in_page, table

from napari_aeanet.io import READERS, WRITABLE


def test_the_table_of_formats_is_up_to_date(tmp_path):
    found = in_page(PAGE.read_text(encoding="utf-8"))
    assert found == table(tmp_path), "run: python tests/format_table.py"


def test_the_page_names_every_ending_that_is_read_or_written():
    text = PAGE.read_text(encoding="utf-8")
    assert [ending for ending in (*READERS, *WRITABLE) if f"`{ending}`" not in text] == []
