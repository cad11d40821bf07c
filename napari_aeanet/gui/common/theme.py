"""Colours and the style sheet of the docks, taken from napari's theme."""

from __future__ import annotations

from dataclasses import dataclass

from napari.utils.theme import get_theme


@dataclass(frozen=True)
class Colours:
    """Colours as "#rrggbb". Colours of verdicts always accompany a word and a symbol.

    Those of texts have a contrast of at least 4.5 to 1 to `background`, `panel` and `list`, and
    white has it to `accent` and `hover`.
    """

    text: str
    muted: str
    line: str
    panel: str
    background: str
    list: str
    accent: str
    hover: str
    good: str
    caution: str
    bad: str


def colours(theme: str) -> Colours:
    """Return the colours for the napari theme of this name."""
    known = get_theme(theme)
    dark = known.type == "dark"
    text, background = known.text.as_hex("long"), known.background.as_hex("long")
    panel = known.foreground.as_hex("long")
    accent = known.current.as_hex("long") if dark else "#2f5fc4"
    return Colours(
        text=text,
        muted=mixed(text, background, 0.36 if dark else 0.28),
        line=mixed(text, background, 0.82),
        panel=panel,
        background=background,
        list=mixed(panel, background, 0.5),
        accent=accent,
        hover=mixed(accent, "#ffffff" if dark else "#000000", 0.08),
        good="#57c084" if dark else "#176a3a",
        caution="#e3b617" if dark else "#755300",
        bad="#f5808a" if dark else "#b01e2e",
    )


def style_sheet(theme: str) -> str:
    """Return the style sheet of a dock, by the property "role" of its widgets."""
    c = colours(theme)
    faint, size = mixed(c.text, c.background, 0.62), _points(theme)
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

    QPushButton {{ padding: 3px 7px; border: 1px solid transparent; }}
    QPushButton:disabled {{ color: {faint}; }}
    QPushButton[role="primary"] {{
        background: {c.accent}; color: white; font-weight: 600; padding: 5px 9px;
    }}
    QPushButton[role="primary"]:hover {{ background: {c.hover}; }}
    QPushButton[role="primary"]:disabled {{ background: {c.panel}; color: {c.muted}; }}
    QPushButton[role="collapsible"] {{
        border: 1px solid transparent; background: transparent; padding: 1px 0;
        font-weight: 600; text-align: left;
    }}
    QCheckBox {{ border: 1px solid transparent; }}
    QToolButton[role="picture"] {{
        background: transparent; border: 2px solid transparent; border-radius: 4px; padding: 1px;
    }}
    QToolButton[role="picture"]:checked {{ background: {c.panel}; border-color: {c.accent}; }}
    QToolButton[role="picture"]:focus {{ border: 2px solid {c.text}; }}
    QPushButton:focus, QPushButton[role="primary"]:focus, QPushButton[role="collapsible"]:focus,
    QComboBox:focus, QCheckBox:focus, QLineEdit:focus, QAbstractSpinBox:focus,
    QAbstractItemView[role="list"]:focus {{ border: 1px solid {c.text}; border-radius: 2px; }}

    QProgressBar {{
        background: {c.panel}; border: none; border-radius: 3px;
        min-height: 6px; max-height: 6px; padding: 0; margin: 0;
    }}
    QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; margin: 0; }}

    QAbstractSpinBox {{ font-size: {size}pt; }}
    QAbstractItemView[role="list"] {{
        background: {c.list}; border: 1px solid {c.line};
        border-radius: 4px; font-size: {size}pt; padding: 2px; outline: none;
    }}
    QAbstractItemView[role="list"]::item {{ padding: 3px 2px; }}
    QAbstractItemView[role="list"]::item:selected {{ background: {c.accent}; color: white; }}
    QAbstractItemView[dropping="true"] {{ border: 2px solid {c.accent}; }}
    QListView[role="list"]::indicator {{
        width: 14px; height: 14px; border: 1px solid {c.muted}; border-radius: 2px;
    }}
    QListView[role="list"]::indicator:checked {{
        background: {c.accent}; border-color: {c.accent}; image: url("theme_dark:/check.svg");
    }}
    QListView[role="list"]::indicator:selected {{ border-color: white; }}
    QTableView[role="list"] QHeaderView::section {{
        background: transparent; color: {c.muted}; border: none; padding: 3px 4px;
    }}
    """


def _points(theme: str) -> int:
    """Return the font size of labels and buttons in this theme, for lists."""
    return int(get_theme(theme).font_size.removesuffix("pt")) + 1


def mixed(first: str, second: str, share: float) -> str:
    """Return the mixture of `first` with this share of `second`."""
    channels = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)
