"""Pairs of source and target images: sources, checks, registration, lists on disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
