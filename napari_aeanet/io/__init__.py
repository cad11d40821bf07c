"""Read and write image files: TIFF, OME-Zarr, PNG and others, with calibration."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
