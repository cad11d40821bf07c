"""Check the computer: versions, graphics card, memory, and a test of the program itself.

Nothing here needs torch, Qt or napari: what is missing or broken is a finding. They are looked at
in processes of their own, which may crash.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
