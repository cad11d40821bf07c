"""Estimate how reliable each pixel of a restored image is."""
