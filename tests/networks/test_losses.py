"""Losses: known values and minima."""

import math

import pytest
import torch

from napari_aeanet.networks import losses

each_with_its_best_sigma = pytest.mark.parametrize(
    ("loss", "best"),
    [
        (losses.laplace, lambda error: error.abs().mean()),
        (losses.gaussian, lambda error: (error**2).mean().sqrt()),
    ],
)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 4, 1, 8, 8, generator=generator, dtype=torch.float64)


def test_plain_losses_have_their_definitions(images):
    p, y = images
    assert losses.mae(p, y) == pytest.approx((p - y).abs().mean())
    assert losses.mse(p, y) == pytest.approx(((p - y) ** 2).mean())
    assert losses.charbonnier(p, y) == pytest.approx(((p - y) ** 2 + 1e-6).sqrt().mean())


def test_charbonnier_has_a_gradient_where_images_are_equal(images):
    p = images[0].clone().requires_grad_()
    losses.charbonnier(p, images[0]).backward()
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("loss", [losses.mae, losses.mse, losses.charbonnier])
def test_plain_losses_are_smallest_for_equal_images(loss, images):
    p, y = images
    assert loss(y, y) < loss(0.5 * (p + y), y) < loss(p, y)


def test_likelihoods_with_sigma_one_are_the_plain_errors(images):
    p, y = images
    one = torch.ones_like(y)
    assert losses.laplace(p, one, y) == pytest.approx((p - y).abs().mean())
    assert losses.gaussian(p, one, y) == pytest.approx(((p - y) ** 2).mean() / 2)


@each_with_its_best_sigma
def test_the_best_sigma_is_the_typical_error(loss, best, images):
    p, y = images
    sigma = best(p - y)
    at_best = loss(p, sigma * torch.ones_like(y), y)
    for factor in (0.9, 1.1, math.pi):
        assert loss(p, factor * sigma * torch.ones_like(y), y) > at_best


@pytest.mark.parametrize(
    ("loss", "plain"), [(losses.laplace, losses.mae), (losses.gaussian, losses.mse)]
)
def test_the_equal_beta_gives_the_gradient_of_the_plain_error(loss, plain, images):
    p, y = images[0].clone().requires_grad_(), images[1]
    sigma = torch.rand(p.shape) + 0.01
    gradients = []
    for value in (loss(p, sigma, y, beta=losses.EQUAL_BETA[loss]), plain(p, y)):
        (gradient,) = torch.autograd.grad(value, p, retain_graph=True)
        gradients.append(gradient / gradient.abs().max())
    torch.testing.assert_close(*gradients)


@each_with_its_best_sigma
def test_beta_weighs_pixels_by_a_power_of_sigma(loss, best, images):
    p, y = images
    sigma = best(p - y)
    for beta in (0.0, 0.25, 0.5, 1.0):
        weighted = loss(p, sigma * torch.ones_like(y), y, beta=beta)
        assert weighted == pytest.approx(sigma ** (2 * beta) * loss(p, sigma, y))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@each_with_its_best_sigma
def test_beta_leaves_the_best_sigma_where_it_is(loss, best, beta, images):
    p, y = images
    for factor, grows in ((0.9, False), (1.1, True)):
        sigma = (factor * best(p - y)).clone().requires_grad_()
        loss(p, sigma * torch.ones_like(y), y, beta=beta).backward()
        assert (sigma.grad > 0) == grows
