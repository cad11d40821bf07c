"""The napari viewer and its layers: choose, read, add and look at them."""
