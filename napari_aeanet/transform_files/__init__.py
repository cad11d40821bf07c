"""Registrations as files of other programs: ITK transforms, OME-Zarr scenes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
