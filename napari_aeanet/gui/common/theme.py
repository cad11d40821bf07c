"""Colours and the style sheet of the docks, taken from napari's theme."""

from __future__ import annotations

from dataclasses import dataclass

from napari.utils.theme import get_theme


@dataclass(frozen=True)
class Colours:
    """Colours as "#rrggbb". Colours of verdicts always accompany a word and a symbol."""

    text: str
    muted: str
    line: str
    panel: str
    background: str
    accent: str
    good: str
    caution: str
    bad: str


def colours(theme: str) -> Colours:
    """Return the colours for the napari theme of this name."""
    known = get_theme(theme)
    dark = known.type == "dark"
    text, background = known.text.as_hex("long"), known.background.as_hex("long")
    return Colours(
        text=text,
        muted=_mixed(text, background, 0.36),
        line=_mixed(text, background, 0.82),
        panel=known.foreground.as_hex("long"),
        background=background,
        accent=known.current.as_hex("long") if dark else "#2f5fc4",
        good="#57c084" if dark else "#1b7a43",
        caution="#e3b617" if dark else "#8a6200",
        bad="#f2727c" if dark else "#b01e2e",
    )


def style_sheet(theme: str) -> str:
    """Return the style sheet of a dock, by the property "role" of its widgets."""
    c = colours(theme)
    faint, size = _mixed(c.text, c.background, 0.62), _points(theme)
    return f"""
    QLabel {{ padding: 0; margin: 0; }}
    QLabel[role="heading"] {{ font-weight: 600; }}
    QLabel[role="hint"] {{ color: {c.muted}; }}
    QLabel[role="good"] {{ color: {c.good}; }}
    QLabel[role="caution"] {{ color: {c.caution}; }}
    QLabel[role="bad"] {{ color: {c.bad}; }}
    QFrame[role="footer"] {{ border-top: 1px solid {c.line}; }}
    QFrame[role="notice"] {{ border: 1px solid {c.caution}; border-radius: 4px; }}
    QFrame[role="notice"] QLabel {{ border: none; }}

    QPushButton {{ padding: 4px 8px; }}
    QPushButton:disabled {{ color: {faint}; }}
    QPushButton[role="primary"] {{
        background: {c.accent}; color: white; font-weight: 600; padding: 6px 10px;
    }}
    QPushButton[role="primary"]:hover {{ background: {_mixed(c.accent, "#ffffff", 0.14)}; }}
    QPushButton[role="primary"]:disabled {{ background: {c.panel}; color: {c.muted}; }}
    QPushButton[role="collapsible"] {{
        border: none; background: transparent; padding: 2px 0; font-weight: 600; text-align: left;
    }}

    QProgressBar {{
        background: {c.panel}; border: none; border-radius: 3px;
        min-height: 6px; max-height: 6px; padding: 0; margin: 0;
    }}
    QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; margin: 0; }}

    QAbstractSpinBox {{ font-size: {size}pt; }}
    QAbstractItemView[role="list"] {{
        background: {_mixed(c.panel, c.background, 0.5)}; border: 1px solid {c.line};
        border-radius: 4px; font-size: {size}pt; padding: 2px; outline: none;
    }}
    QAbstractItemView[role="list"]::item {{ padding: 3px 2px; }}
    QAbstractItemView[role="list"]::item:selected {{ background: {c.accent}; color: white; }}
    QAbstractItemView[dropping="true"] {{ border: 2px solid {c.accent}; }}
    QListView[role="list"]::indicator {{
        width: 14px; height: 14px; border: 1px solid {c.muted}; border-radius: 2px;
    }}
    QListView[role="list"]::indicator:checked {{
        background: {c.accent}; border-color: {c.accent}; image: url("theme_{theme}:/check.svg");
    }}
    QTableView[role="list"] QHeaderView::section {{
        background: transparent; color: {c.muted}; border: none; padding: 3px 4px;
    }}
    """


def _points(theme: str) -> int:
    """Return the font size of labels and buttons in this theme, for lists."""
    return int(get_theme(theme).font_size.removesuffix("pt")) + 1


def _mixed(first: str, second: str, share: float) -> str:
    """Return the mixture of `first` with this share of `second`."""
    channels = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)
