"""One-click commands on layers, for napari's Layers menu and its command palette.

They hand their work to the docks, where it can be watched, paused and stopped. magicgui reads the
annotations, so they are types here, not strings.
"""

from magicgui import magic_factory
from napari import Viewer
from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.layers import layer_to_image, unusable_because
from napari_aeanet.pairs import ImagePair


@magic_factory(
    call_button="Restore",
    image={"label": "Image", "tooltip": "The image to restore"},
    patches={
        "label": "Patch by patch",
        "tooltip": "Each patch by itself, as in the papers; otherwise the whole image's context",
    },
)
def restore_layer(viewer: Viewer, image: Image, patches: bool = False) -> None:
    """Restore a layer with the model that was used last."""
    if _is_refused(image):
        return
    dock = open_dock(viewer, "Restore")
    dock.images.tick_only(image)
    dock.choices.use.setCurrentIndex(int(patches))
    if dock.row.run_button.isEnabled():
        dock.run()
    else:
        show_warning(dock.row.run_button.toolTip())


@magic_factory(
    call_button="Register",
    source={"label": "Source", "tooltip": "The image that is moved: noisy, of low resolution"},
    target={"label": "Target", "tooltip": "The image on which it shall lie"},
)
def register_layers(viewer: Viewer, source: Image, target: Image) -> None:
    """Find how one layer lies on another, and make a pair of them."""
    if _is_refused(source) or _is_refused(target):
        return
    if source is target:
        show_warning("Source and target are the same layer: choose two.")
        return
    dock = open_dock(viewer, "Pairs")
    dock.register_pair(ImagePair(layer_to_image(source), layer_to_image(target)))


def _is_refused(layer: Image | None) -> bool:
    """Whether a layer cannot be used, which the user is told."""
    reason = "Open an image first." if layer is None else unusable_because(layer)
    if reason:
        show_warning(reason)
    return bool(reason)
