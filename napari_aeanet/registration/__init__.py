"""Align two images: find the transform with its evidence, judge it, resample."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
