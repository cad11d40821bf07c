"""Commands of the Layers menu: one click, the docks do the rest."""

import numpy as np
import pytest
from helpers import integer_noise, micrograph
from napari._app_model import get_app_model

from napari_aeanet.gui.commands import find_damaged_slices, register_layers, restore_layer
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.samples import paired_sem


@pytest.fixture
def command(viewer, qtbot):
    """The form of a command in the viewer, as the menu opens it."""

    def open_form(factory):
        made = factory()
        viewer.window.add_dock_widget(made)
        return made

    return open_form


def test_the_commands_are_in_the_menus_and_in_the_palette(viewer):
    app = get_app_model()
    for menu, command in (("filter", "restore_layer"), ("register", "register_layers")):
        listed = [
            getattr(item, "command", None) for item in app.menus.get_menu(f"napari/layers/{menu}")
        ]
        assert any(c is not None and command in c.id for c in listed)


def test_a_layer_is_restored_by_one_click(viewer, session, model_file, command, finish):
    session.add_model(model_file)
    layer = viewer.add_layer(image_to_layer(micrograph()))
    form = command(restore_layer)
    assert form.image.value is layer
    form(patches=False)
    finish(session)
    assert [x.name for x in viewer.layers if x.metadata.get(PLUGIN_METADATA_KEY)] == [
        "S05 restored"
    ]


def test_what_cannot_be_restored_is_refused_in_words(viewer, session, command, told):
    colour = viewer.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="photo")
    command(restore_layer)(image=colour)
    assert any("photo is a colour" in message for message in told())
    layer = viewer.add_layer(image_to_layer(micrograph()))
    session.models, session.model = {}, None
    command(restore_layer)(image=layer)
    assert any("Choose a model first" in message for message in told())
    assert not session.is_busy


def test_two_layers_are_registered_by_one_click(viewer, session, command, finish):
    specimen = paired_sem(1, shape=(236, 320))[0]
    source = viewer.add_layer(image_to_layer(specimen.source))
    target = viewer.add_layer(image_to_layer(specimen.target))
    command(register_layers)(source=source, target=target)
    finish(session)
    (entry,) = session.pairs
    assert entry.pair.registration.verdict.is_usable


def test_a_layer_is_not_registered_to_itself(viewer, session, command, told):
    layer = viewer.add_layer(image_to_layer(micrograph()))
    command(register_layers)(source=layer, target=layer)
    assert any("the same layer" in message for message in told())
    assert session.pairs == ()


def test_damage_is_looked_for_by_one_click_and_nothing_is_repaired(
    viewer, session, command, finish, told
):
    command(find_damaged_slices)(stack=viewer.add_layer(image_to_layer(micrograph())))
    assert any("is a single image" in message for message in told())
    layer = viewer.add_image(integer_noise(5, 48, 48), name="stack")
    command(find_damaged_slices)(stack=layer)
    assert session.job.title == "looking for damage in stack"
    finish(session)
    assert [one for one in viewer.layers if one.ndim == 3] == [layer]
