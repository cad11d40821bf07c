"""Align two planes: find the transform, measure its evidence, judge it, warp."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
