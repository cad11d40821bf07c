"""napari docks and commands; the only folder that imports qtpy, magicgui or napari."""
