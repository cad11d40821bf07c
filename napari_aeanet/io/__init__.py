"""Read and write image files: TIFF, OME-Zarr, PNG and others, with calibration."""
