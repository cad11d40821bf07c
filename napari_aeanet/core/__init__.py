"""Images, lengths, tiles, intensities, resampling, metrics, progress and atomic files.

NumPy, SciPy and scikit-image only: no torch, Qt or napari.
"""
