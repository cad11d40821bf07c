"""Dock AEANet: Repair: damaged slices of a stack found, previewed, repaired and saved."""
