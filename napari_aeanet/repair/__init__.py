"""Find damaged slices of a stack of serial sections, and replace them from their neighbours."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
