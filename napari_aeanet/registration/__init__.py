"""Align two planes: find the transform, measure its evidence, judge it, warp."""
