"""How far a result can be trusted: what is asked. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrustSettings:
    """How far a result can be trusted is found out like this. Zero means: chosen automatically.

    Parameters
    ----------
    symmetries
        Restore all eight flips and quarter turns and see where they disagree: eight times the
        time.
    resample
        Bring an image of another pixel size to the one the model was trained at.
    force
        Go on although the pixel size differs.
    tile
        Edge of the tiles in which the image is passed through the network.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    symmetries: bool = True
    resample: bool = False
    force: bool = False
    tile: int = 0
    device: str = "auto"
