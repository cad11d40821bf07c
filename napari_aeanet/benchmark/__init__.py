"""Measure the devices of this computer: accuracy, exactness, memory and speed.

`napari-aeanet doctor --benchmark` is its command.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
