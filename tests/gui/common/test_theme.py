"""Colours of the docks: readable in every theme, with the keyboard too."""

import pytest

from napari_aeanet.gui.common.theme import colours, mixed, style_sheet

LEAST = 4.5  # WCAG 2.1, AA


def luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


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
