"""Work on many images: which files, which results, what is finished, and what became of each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
