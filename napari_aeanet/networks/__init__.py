"""Networks in PyTorch: described by a configuration, built by `build`.

Importing this folder does not import torch; building a network does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
