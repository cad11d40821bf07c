"""Dock "AEANet: Pairs"."""
