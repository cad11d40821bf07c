"""Figures of matplotlib as files, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from napari_aeanet.core.atomic import write_bytes_atomically


def write_figure(figure: Any, path: Path, **options: Any) -> None:
    """Write a figure in the format of the ending of `path`; `options` are those of `savefig`.

    It is drawn in memory first: on a full disk, matplotlib's writer of PDF fails with an error of
    its own.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower(), **options)
    write_bytes_atomically(path, content.getvalue())
