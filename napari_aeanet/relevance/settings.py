"""How relevance is looked at. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RelevanceSettings:
    """How relevance maps are made. Zero means: chosen automatically.

    Parameters
    ----------
    layer
        Which attention, counted from 1 in the order in which the network passes them.
    head
        One head of the attention, counted from 1; 0 for the sum over all.
    resample
        Bring an image of another pixel size to the one the model was trained at.
    force
        Go on although the pixel size differs.
    tile
        Edge of the tiles in which the image is passed through the network.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    layer: int = 1
    head: int = 0
    resample: bool = False
    force: bool = False
    tile: int = 0
    device: str = "auto"
