"""The dock AEANet: Restore."""
