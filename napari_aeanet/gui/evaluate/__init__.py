"""The dock AEANet: Evaluate."""
