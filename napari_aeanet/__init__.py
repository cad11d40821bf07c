"""Restore microscopy images with augmented equivariant attention networks (AEANet).

The public names are imported when they are first used, so that importing the package costs
nothing: napari imports every plugin at its start.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
