"""The dock AEANet: Train."""
