"""Dock "AEANet: Train"."""
