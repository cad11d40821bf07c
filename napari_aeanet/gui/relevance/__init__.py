"""The dock AEANet: Relevance."""
