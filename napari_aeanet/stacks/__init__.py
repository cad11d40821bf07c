"""Align stacks of serial sections: match neighbours, place all sections, resample one by one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
