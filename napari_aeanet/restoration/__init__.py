"""Apply a model to an image: exactly in tiles, or patch by patch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
