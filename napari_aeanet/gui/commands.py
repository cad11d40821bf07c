"""One-click commands on layers, for napari's Layers menu and its command palette.

The docks run the work, so that it can be paused and stopped there. magicgui reads the annotations:
they are types here, not strings.
"""

from magicgui import magic_factory
from napari import Viewer
from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.viewer.layers import layer_to_image, unusable_because
from napari_aeanet.pairs import ImagePair


@magic_factory(
    call_button="Restore",
    image={"label": "Image", "tooltip": "The image to restore"},
    patches={
        "label": "Patch by patch",
        "tooltip": "Each patch by itself, as in the papers; else with the whole image's context",
    },
)
def restore_layer(viewer: Viewer, image: Image, patches: bool = False) -> None:
    """Restore a layer with the chosen model."""
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
    source={"label": "Source", "tooltip": "Image to move: noisy, of low resolution"},
    target={"label": "Target", "tooltip": "Image to align it with"},
)
def register_layers(viewer: Viewer, source: Image, target: Image) -> None:
    """Register one layer with another, and add them as a pair."""
    if _is_refused(source) or _is_refused(target):
        return
    if source is target:
        show_warning("Source and target are the same layer: choose two.")
        return
    dock = open_dock(viewer, "Pairs")
    dock.register_pair(ImagePair(layer_to_image(source), layer_to_image(target)))


@magic_factory(
    call_button="Find damaged slices",
    stack={"label": "Stack", "tooltip": "Serial sections, some of them damaged"},
)
def find_damaged_slices(viewer: Viewer, stack: Image) -> None:
    """Look for damaged slices of a stack; the Repair dock shows and repairs them."""
    if _is_refused(stack):
        return
    dock = open_dock(viewer, "Repair")
    dock.choose_stack(stack)
    if reason := dock.busy_reason() or dock.stack.reason:
        show_warning(reason)
    else:
        dock.find_damage()


def _is_refused(layer: Image | None) -> bool:
    """Return True if a layer cannot be used, and show why."""
    reason = "Open an image first." if layer is None else unusable_because(layer)
    if reason:
        show_warning(reason)
    return bool(reason)
