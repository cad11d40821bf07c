"""Structures: kinds of local structure, fitted to a trained model, as maps of probabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
