"""What abstract pixels change: exact removal, and a ranking that is what removing would show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, random_image, small_network

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.models.model_file import Model
from napari_aeanet.relevance.influence import difference_events, ranking_events, without
from napari_aeanet.relevance.run import attention_of
from napari_aeanet.relevance.settings import Difference, Ranking, RelevanceSettings


def last_of(events):
    *_, last = events
    return last


def image_of(shape=(60, 76)):
    return Image((float_noise(shape) * 255).astype(np.uint8), "YX", name="S05")


@pytest.mark.parametrize(("name", "layer"), [("aeanet-2d", 1), ("aeanet-3d", 1)])
def test_without_all_references_it_is_the_network_that_never_had_any(name, layer):
    network = small_network(name, features=4).double()
    model = model_of(network)
    config = replace(network.config, references=0)
    others = {k: v for k, v in model.weights.items() if "references" not in k}
    plain = Model(replace(model.card, network=networks.config_to_json(config)), others)
    count = len(attention_of(network, model.card, layer).reference_keys())
    removed = without(model, range(count), layer)
    x = random_image(*(12, 28, 36)[-len(network.grid) :])
    if name == "aeanet-3d":  # the other attentions keep theirs
        for further in (2, 3):
            removed = _also(removed, further)
    with torch.no_grad():
        found = removed.network().double()(x)
        torch.testing.assert_close(found, plain.network().double()(x), rtol=0, atol=0)
        assert (model.network().double()(x) - found).abs().max() > 1e-6


def _also(model, layer):
    """`model`, all of whose references of one more attention are removed."""

    class Further(Model):
        def network(self):
            network = model.network()
            attention_of(network, self.card, layer).references = None
            return network

    return Further(model.card, model.weights)


def test_the_difference_is_restoration_with_less_restoration_without():
    model = model_of(small_network("aeanet-2d", features=4))
    found = last_of(difference_events(image_of(), model, [2, 4]))
    assert isinstance(found, Difference)
    x = torch.from_numpy(image_of().read() / np.float32(255))[None, None]
    with torch.no_grad():
        change = model.network()(x) - without(model, [2, 4]).network()(x)
    expected = 255 * change[0, 0].numpy()
    np.testing.assert_allclose(found.image.read(), expected, atol=2e-4 * np.abs(expected).max())


def test_the_ranking_is_what_removing_each_one_does_to_the_attention():
    model = model_of(small_network("aeanet-2d", features=4))
    found = last_of(ranking_events(image_of(), model))
    assert isinstance(found, Ranking)
    network = model.network().double()
    x = torch.from_numpy(image_of().read() / 255.0)[None, None]

    def output(of):
        pending = of.double().attend(x)
        attention = pending.attention
        y = attention.attend(pending.query(), pending.gather())
        return y - attention.out.bias.view(1, -1, 1, 1)

    with torch.no_grad():
        whole = output(network)
        removed = [[j] for j in range(5)] + [range(5)]
        expected = [
            float((whole - output(without(model, j).network())).norm() / whole.norm())
            for j in removed
        ]
    np.testing.assert_allclose([*found.influence, found.of_all], expected, rtol=1e-5)
    assert found.order[0] == int(np.argmax(expected[:5]))


@pytest.mark.parametrize("layer", [1, 3])
def test_the_ranking_does_not_depend_on_the_tiles(layer):
    model = model_of(small_network("aeanet-3d", features=4))
    image = Image(float_noise((8, 40, 48)), "ZYX")
    whole, tiled = (
        last_of(ranking_events(image, model, RelevanceSettings(layer=layer, tile=tile)))
        for tile in (64, 16)
    )
    np.testing.assert_allclose(tiled.influence, whole.influence, rtol=1e-5)
    assert tiled.order == whole.order


@pytest.mark.parametrize("pixels", [[], [5], [-1]])
def test_abstract_pixels_that_are_not_there_are_refused(pixels):
    with pytest.raises(ValueError, match="abstract pixels 1 to 5"):
        without(model_of(small_network("aeanet-2d", features=4)), pixels)


def test_progress_goes_from_nothing_to_everything_once():
    events = list(
        difference_events(image_of(), model_of(small_network("aeanet-2d", features=4)), [0])
    )
    shares = [event.progress.done / event.progress.total for event in events]
    assert shares == sorted(shares)
    assert shares[-1] == 1
