"""Dock AEANet: Relevance: maps of abstract pixels, their influence, and trust in a result."""
