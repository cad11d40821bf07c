"""Make a section from its neighbours: alignment, optical flow, networks, measures of quality."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
