"""Relevance maps of abstract pixels: maps, influence, clustering, export."""
