"""Pairs of source and target images: where they come from, checks, registration, lists."""
