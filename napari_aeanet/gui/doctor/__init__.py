"""The dock AEANet: Check my computer."""
