"""Pairs as arrays on one grid: intensity ranges, alignment, and patches of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
