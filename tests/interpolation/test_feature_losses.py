"""Losses on features, and the file of VGG-16 weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_aeanet.interpolation.feature_losses import (
    BALANCE,
    NUMBERS,
    LossFeatures,
    PublishedLoss,
    feature_distance,
    gram,
    load_features,
    random_features,
    style_balance,
    style_distances,
)


def sections(count: int, seed=0) -> Tensor:
    return torch.rand(count, 1, 16, 24, generator=torch.Generator().manual_seed(seed))


def vgg16_state() -> dict[str, Tensor]:
    """The entries of torchvision's file that matter, and one more, with small weights."""
    shapes = {name: value.shape for name, value in LossFeatures().state_dict().items()}
    state = {
        f"features.{NUMBERS[int(name.split('.')[1])]}.{name.split('.')[2]}": torch.zeros(shape)
        for name, shape in shapes.items()
    }
    return state | {"classifier.6.bias": torch.zeros(1000)}


def test_features_are_those_of_vgg16():
    """A sequence as torchvision builds it, up to relu4_3, gives the same four maps."""
    network = random_features()
    layers: list[nn.Module] = []
    wanted = {3: 0, 8: 1, 15: 2, 22: 3}
    convolutions = iter(network.convolutions)
    for number in range(23):
        if number in NUMBERS:
            layers.append(next(convolutions))
        elif number in (4, 9, 16):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers.append(nn.ReLU())
    found, y = network(sections(2)), sections(2).repeat(1, 3, 1, 1)
    for number, one in enumerate(layers):
        y = one(y)
        if number in wanted:
            torch.testing.assert_close(found[wanted[number]], y)


def test_the_substitute_is_always_the_same():
    first, second = random_features().state_dict(), random_features().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(map_.std() > 0.01 for map_ in random_features()(sections(1)))


def test_gram_matrices():
    features = torch.rand(2, 3, 4, 5)
    expected = torch.einsum("nchw,ndhw->ncd", features, features) / (3 * 4 * 5)
    torch.testing.assert_close(gram(features), expected)


def test_distances_are_zero_between_equal_sections_alone():
    network = random_features()
    first, second = network(sections(2)), network(sections(2, seed=1))
    for distance in (feature_distance, style_distances):
        assert torch.as_tensor(distance(first, first)).sum() == 0
        assert torch.as_tensor(distance(first, second)).min() > 0


def test_the_balance_pulls_towards_the_distance_of_the_truth():
    """Too near to a neighbour counts negative, too far positive; the truth itself attracts."""
    features = [torch.full((1, 1, 2, 2), value) for value in (1.0, 2.0, 3.0, 4.0)]
    at = [[one] for one in features]
    near, far = style_balance(at[1], at[1], (at[0], at[3])), (at[0], at[3])
    assert near == 0  # the truth
    result, truth = at[2], at[1]
    d = style_distances
    expected = (
        BALANCE[0] * d(result, at[0])  # farther from the section before than the truth is
        + BALANCE[1] * d(result, truth)
        - BALANCE[2] * d(result, at[3])  # nearer to the section after
    )
    torch.testing.assert_close(style_balance(result, truth, far), expected.mean())


def test_the_published_loss_leads_to_the_truth():
    loss, truth = PublishedLoss(random_features()), sections(2)
    neighbours = torch.cat((sections(2, 1), sections(2, 2)), dim=1)
    result = sections(2, 3).requires_grad_()
    value = loss(result, truth, neighbours)
    value.backward()
    assert result.grad.abs().max() > 0
    assert loss(truth, truth, neighbours) < value


def test_weights_are_read_from_a_file_of_torchvision(tmp_path):
    state = vgg16_state()
    state["features.0.bias"] += torch.arange(64)
    torch.save(state, tmp_path / "vgg16.pth")
    network = load_features(tmp_path / "vgg16.pth")
    assert torch.equal(network.convolutions[0].bias, torch.arange(64.0))
    assert not any(one.requires_grad for one in network.parameters())


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda s: without(s, "features.21.bias"), "features.21.bias' is missing"),
        (lambda s: s | {"features.7.weight": torch.zeros(128, 128, 1, 1)}, "shape"),
        (lambda s: s | {"features.0.bias": torch.full((64,), torch.nan)}, "not finite"),
        (lambda s: list(s), "is missing"),
        (lambda s: {"model": LossFeatures(8)}, "weights"),  # runs code when unpickled
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, spoil, word):
    path = tmp_path / "weights.pth"
    torch.save(spoil(vgg16_state()), path)
    with pytest.raises(ValueError, match=word) as caught:
        load_features(path)
    assert str(path) in str(caught.value)
    assert "torchvision" in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        load_features(tmp_path / "none.pth")
