"""Dock AEANet: Evaluate: images and models compared with the truth."""
