"""The dock AEANet: Pairs."""
