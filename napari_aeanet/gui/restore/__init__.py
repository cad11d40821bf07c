"""Dock AEANet: Restore: images restored by a model, and compared with their originals."""
