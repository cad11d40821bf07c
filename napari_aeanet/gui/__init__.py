"""Docks and commands of napari; the only folder that imports qtpy, magicgui or napari."""

from napari_aeanet.doctor import too_old

# Inside of napari pip installs without the extra that would refuse an old napari.
if _reason := too_old("napari"):
    raise ImportError(_reason)
