"""The order of the gallery, and the attentions of a model from its configuration alone."""

import numpy as np
import pytest
from helpers import miniature

from napari_aeanet import networks
from napari_aeanet.models.presets import all_presets, preset
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.program import Apply, attentions
from napari_aeanet.relevance.clustering import MapStatistics, by_score, group_maps


def test_similar_maps_form_groups_the_strongest_first_and_blank_ones_last():
    rng = np.random.default_rng(0)
    waves, spots = rng.standard_normal((2, 30, 40))
    nothing = np.full((30, 40), 7.0)
    maps = np.stack([spots, nothing, 3 * waves, 2 * spots, 2.5 * waves + 0.1, -waves])
    groups = group_maps(maps)
    assert [group.members for group in groups] == [(2, 4), (3, 0), (5,), (1,)]
    assert [group.is_blank for group in groups] == [False, False, False, True]


def test_every_abstract_pixel_is_in_one_group():
    maps = np.random.default_rng(1).standard_normal((17, 3, 12, 9))
    maps[5:9] = 0
    members = [member for group in group_maps(maps) for member in group.members]
    assert sorted(members) == list(range(17))


def test_maps_that_are_all_blank_are_no_error():
    (group,) = group_maps(np.zeros((4, 5, 5)))
    assert group.is_blank
    assert group.members == (0, 1, 2, 3)


def test_pixels_are_ranked_by_their_score_in_units_of_their_own_spread():
    maps = np.zeros((3, 8, 8))
    maps[0] = 100 * np.random.default_rng(0).standard_normal((8, 8))
    maps[0, 2, 3] = 1
    maps[1, 2, 3] = 0.5  # quiet elsewhere
    maps[2, 2, 3], maps[2, 5, 5] = -3, 9
    assert by_score(MapStatistics.of(maps).scores_at(maps, (2, 3))) == (1, 2, 0)
    constant = MapStatistics.of(np.full((1, 4, 4), 9.0))
    assert constant.scores_at(np.full((1, 4, 4), 9.0), (1, 1)) == 0


@pytest.mark.parametrize("found", all_presets(), ids=lambda found: found.name)
def test_a_configuration_lists_the_attentions_of_its_network(found):
    network = networks.build(miniature(found.config))
    program = network.program()
    steps = [program[i] for i in attentions(program)]
    layers = network.config.attention_layers()
    assert len(layers) == len(steps)
    for layer, step, grid in zip(layers, steps, network.attention_grids(), strict=True):
        assert isinstance(step, Apply)
        assert isinstance(step.layer, AttentionBlock)
        attention = step.layer.attention
        references = attention.references
        assert layer.references == (0 if references is None else len(references))
        assert layer.heads == attention.heads
        assert layer.stride == grid.stride[-1]


def test_a_layer_is_named_by_its_grid():
    (layer,) = preset("aeanet-2d").config.abstract_pixel_layers()
    assert layer.words == "1: a value for every 4th pixel"
    assert not preset("gvtnet-3d").config.abstract_pixel_layers()
