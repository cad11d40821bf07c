"""Docks and commands of napari; the only folder that imports qtpy, magicgui or napari."""
