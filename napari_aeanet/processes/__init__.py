"""Processes that train one network together, started by torchrun: who they are, what they exchange.

Importing this folder does not import torch; joining the others does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
