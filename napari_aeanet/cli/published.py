"""`napari-aeanet import-published`: the authors' checkpoints as model files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class ImportPublished:
    """Convert a TensorFlow checkpoint published by the papers' authors to a model file.

    Parameters
    ----------
    prefix
        Checkpoint: its .index file, or its name without ending.
    output
        Model file to write (.aeanet).

    Examples
    --------
    napari-aeanet import-published checkpoints/model.ckpt-120000.index -o gvtnet.aeanet
    """

    prefix: Positional[Path]
    output: Annotated[Path, arg(aliases=["-o"])]

    def run(self) -> int:
        from napari_aeanet.models import import_model, save_model

        model = import_model(self.prefix)
        save_model(model, self.output)
        print(f"{self.output}: {model.card.preset}, {model.card.note}")
        return 0
