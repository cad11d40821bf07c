"""Reproduce the tables of the published papers."""
