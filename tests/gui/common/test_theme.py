"""Colours of the docks: readable in every theme, with the keyboard too."""

import pytest
from helpers import contrast

from napari_aeanet.gui.common.theme import colours, mixed, style_sheet

LEAST = 4.5  # WCAG 2.1, AA


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_can_be_read_on_every_background(theme, qapp):
    c = colours(theme)
    backgrounds = (c.background, c.panel, c.list)
    for role in ("text", "muted", "good", "caution", "bad"):
        for background in backgrounds:
            assert contrast(getattr(c, role), background) >= LEAST, (role, background)
    for blue in (c.accent, c.hover):
        assert contrast("#ffffff", blue) >= LEAST
    for background in backgrounds:  # the ring of the focus
        assert contrast(c.text, background) >= 3
    sheet = style_sheet(theme)
    assert {c.muted, c.good, c.caution, c.bad, c.accent, c.hover, c.list} <= set(
        part.strip("; ") for part in sheet.replace(":", " ").replace(";", " ").split()
    )
    for control in ("QPushButton", "QComboBox", "QCheckBox", "QLineEdit", "QAbstractSpinBox"):
        assert f"{control}:focus" in sheet


def test_colours_are_mixed_channel_by_channel():
    assert mixed("#000000", "#ff8000", 0.5) == "#804000"
