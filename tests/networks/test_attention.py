"""The attention operators: the theorems, the linear path, batch-aware training."""

from __future__ import annotations

from math import prod

import pytest
import torch
from helpers import randomise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_aeanet.networks.attention import (
    Attention,
    AttentionSettings,
    Context,
    apply_context,
    gather_context,
    split_heads,
)
from napari_aeanet.networks.attention_block import AttentionBlock, PendingAttention

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(2, 5), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 2**31)


def attention(dims: int, *, channels: int = 8, out: int | None = None, query="same", **options):
    operator = Attention(
        dims, channels, out or channels, query=query, settings=AttentionSettings(**options)
    ).double()
    randomise(operator)
    return operator.eval()


def random_map(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def attend(operator: Attention, x: Tensor) -> Tensor:
    return operator.attend(operator.q(x), operator.gather(x))


def permute_pixels(x: Tensor, seed: int) -> Tensor:
    order = torch.randperm(prod(x.shape[2:]), generator=torch.Generator().manual_seed(seed))
    return x.flatten(2)[..., order].unflatten(-1, x.shape[2:])


def naive(operator: Attention, x: Tensor, divisor: int | None = None) -> Tensor:
    """The definition, with the s × (r + s) matrix of all pairs."""
    heads = operator.heads
    tokens = x.flatten(2)  # (N, C, s)
    if operator.references is not None:
        rows = operator.references.T[None].expand(len(x), -1, -1)
        tokens = torch.cat((rows, tokens), dim=2)
    flat = tokens.unflatten(-1, (-1, *[1] * (x.dim() - 3)))  # 1×1 convolutions do not mind
    q = operator.q(x)
    size = q.shape[2:]
    q, k, v = (split_heads(t, heads) for t in (q, operator.k(flat), operator.v(flat)))
    q = q * q.shape[2] ** -0.5
    matrix = q.transpose(-1, -2) @ k / (divisor or k.shape[-1])
    y = (matrix @ v.transpose(-1, -2)).transpose(-1, -2)
    return operator.out(y.flatten(1, 2).unflatten(-1, size))


# The theorems


@quick
@given(
    shape=shapes, references=st.sampled_from([0, 3]), heads=st.sampled_from([1, 2, 4]), seed=seeds
)
def test_attention_is_equivariant_under_any_permutation_of_pixels(shape, references, heads, seed):
    operator = attention(len(shape), references=references, heads=heads)
    x = random_map(2, 8, *shape, seed=seed)
    then = permute_pixels(attend(operator, x), seed)
    first = attend(operator, permute_pixels(x, seed))
    torch.testing.assert_close(first, then, rtol=0, atol=1e-12)


@quick
@given(shape=shapes, seed=seeds)
def test_attention_with_a_learned_query_is_invariant_and_so_not_equivariant(shape, seed):
    operator = attention(len(shape))
    query = random_map(1, 8, *shape, seed=1)  # the same for every image
    x = random_map(1, 8, *shape, seed=seed)
    moved = permute_pixels(x, seed)
    y, y_moved = (operator.attend(query, operator.gather(image)) for image in (x, moved))
    torch.testing.assert_close(y_moved, y, rtol=0, atol=1e-12)
    expected = permute_pixels(y, seed)
    if not torch.equal(moved, x):
        assert (y_moved - expected).abs().max() > 1e-6


# The linear path


@quick
@given(
    shape=shapes, references=st.sampled_from([0, 3]), heads=st.sampled_from([1, 2, 4]), seed=seeds
)
def test_the_linear_path_equals_the_matrix_of_all_pairs(shape, references, heads, seed):
    operator = attention(len(shape), references=references, heads=heads)
    x = random_map(2, 8, *shape, seed=seed)
    torch.testing.assert_close(attend(operator, x), naive(operator, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("divisor", ["keys", "queries"])
@pytest.mark.parametrize(
    ("query", "out", "queries"), [("up", 4, 96), ("down", 16, 6), ("nearest", 8, 24 * 16)]
)
def test_size_changing_attention_equals_the_matrix_of_all_pairs(query, out, queries, divisor):
    operator = attention(2, out=out, query=query, divisor=divisor)
    x = random_map(1, 8, 4, 6)
    expected = naive(operator, x, divisor=queries if divisor == "queries" else 24)
    torch.testing.assert_close(attend(operator, x), expected, rtol=0, atol=1e-12)


@quick
@given(cut=st.integers(1, 8), references=st.sampled_from([0, 3]), seed=seeds)
def test_contexts_of_disjoint_pixels_add_up(cut, references, seed):
    operator = attention(2, references=references)
    x = random_map(1, 8, 9, 5, seed=seed)
    whole = operator.gather(x)
    total = operator.gather(x[:, :, :cut]).on_host() + operator.gather(x[:, :, cut:]).on_host()
    assert total.count == whole.count
    torch.testing.assert_close(total.sum, whole.sum, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        operator.attend(operator.q(x), total), attend(operator, x), rtol=0, atol=1e-12
    )


def test_nothing_of_the_size_of_all_pairs_is_formed():
    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                self.numbers = max(self.numbers, result.numel())
            return result

    operator = attention(2, references=3)
    x = random_map(1, 8, 64, 64)
    with Largest() as largest, torch.no_grad():
        attend(operator, x)
    assert 0 < largest.numbers <= x.numel()


def test_references_share_the_context_by_their_number():
    operator = attention(2, references=3)
    x = random_map(1, 8, 4, 4)
    q = operator.q(x)
    context = operator.gather(x)
    share = operator.reference_context()
    assert share.count == 3
    together = apply_context(q, context, share)
    separately = apply_context(q, context) * 16 / 19 + apply_context(q, share) * 3 / 19
    torch.testing.assert_close(together, separately, rtol=0, atol=1e-12)


def test_self_attention_refuses_to_return_reference_keys():
    with pytest.raises(ValueError, match="no shared references"):
        attention(2).reference_keys()


def test_a_context_of_half_precision_maps_is_summed_in_single_precision():
    k = torch.full((1, 2, 40_000), 3.0, dtype=torch.float16)
    context = gather_context(k, k, heads=1)
    assert context.sum.dtype == torch.float32
    assert context.sum[0, 0, 0, 0] == 360_000  # beyond the largest number of half precision


def test_a_context_kept_on_the_host_serves_a_single_precision_network():
    operator = attention(2, references=3).float()
    x = random_map(1, 8, 4, 4).float()
    y = operator.attend(operator.q(x), operator.gather(x).on_host())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, attend(operator, x))


# Softmax


def test_softmax_attention_is_the_dense_form():
    operator = attention(2, normalisation="softmax")
    x = random_map(2, 8, 4, 5)
    q, k, v = (split_heads(t, 2) for t in (operator.q(x), operator.k(x), operator.v(x)))
    weights = torch.softmax(q.transpose(-1, -2) @ k / 2, dim=-1)  # √(8 / 2) = 2
    y = (weights @ v.transpose(-1, -2)).transpose(-1, -2).flatten(1, 2).unflatten(-1, (4, 5))
    torch.testing.assert_close(operator.attend_softmax(operator.q(x), x), operator.out(y))


# Batch-aware training


def block(references: int = 3) -> AttentionBlock:
    made = AttentionBlock(
        2,
        8,
        8,
        momentum=0.1,
        settings=AttentionSettings(references=references, batch_aware=True),
    ).double()
    randomise(made)
    return made.train()


def test_the_first_half_attends_to_its_whole_half_and_the_second_to_the_references():
    operator = attention(2, references=3, batch_aware=True)
    x = random_map(4, 8, 3, 5)
    q = operator.q(x)
    y = operator.attend_batch_aware(q, x)
    side_by_side = torch.cat((x[0:1], x[1:2]), dim=3)  # one image made of both
    of_both = operator.gather(side_by_side)
    first = operator.out(apply_context(q[:2], of_both))
    torch.testing.assert_close(y[:2], first, rtol=0, atol=1e-12)
    torch.testing.assert_close(y[2:], attend(operator, x[2:]), rtol=0, atol=1e-12)


def test_gradients_reach_the_references_through_the_second_half_only():
    made = block()
    y = made(random_map(4, 8, 4, 4))
    y[:2].sum().backward(retain_graph=True)
    untouched = made.attention.references.grad
    assert untouched is None or not untouched.any()
    y[2:].sum().backward()
    assert made.attention.references.grad.any()


def test_gradients_reach_keys_and_values_from_both_halves():
    for half in (slice(2), slice(2, None)):
        made = block()
        made(random_map(4, 8, 4, 4))[half].square().sum().backward()
        assert made.attention.k.weight.grad.any()
        assert made.attention.v.weight.grad.any()


@pytest.mark.parametrize(("images", "first"), [(2, 1), (3, 1), (5, 2)])
def test_an_odd_batch_splits_with_the_smaller_half_first(images, first):
    made = block()
    y = made(random_map(images, 8, 4, 4))
    reached = []
    for image in range(images):
        made.attention.references.grad = None
        y[image].sum().backward(retain_graph=True)
        gradient = made.attention.references.grad
        reached.append(gradient is not None and bool(gradient.any()))
    assert reached == [False] * first + [True] * (images - first)


def test_a_batch_of_one_goes_through_the_references():
    operator = attention(2, references=3, batch_aware=True)
    x = random_map(1, 8, 4, 4)
    y = operator.attend_batch_aware(operator.q(x), x)
    torch.testing.assert_close(y, attend(operator, x), rtol=0, atol=1e-12)


def test_batch_aware_training_works_without_references():
    y = block(references=0)(random_map(4, 8, 4, 4))
    assert torch.isfinite(y).all()


def test_evaluation_does_not_depend_on_the_other_images():
    made = block().eval()
    x = random_map(4, 8, 4, 4)
    alone = torch.cat([made(image[None]) for image in x])
    torch.testing.assert_close(made(x), alone, rtol=0, atol=1e-12)


# Pending attention


def test_a_pending_attention_gives_its_context_and_query_over_the_interior():
    operator = attention(2, out=4, query="up", references=3)
    x = random_map(1, 8, 6, 8)
    interior = (slice(1, 4), slice(2, 8))
    pending = PendingAttention(operator, x, interior)
    inside = x[:, :, 1:4, 2:8]
    torch.testing.assert_close(pending.gather().sum, operator.gather(inside).sum)
    torch.testing.assert_close(pending.query(), operator.q(x)[:, :, 2:8, 4:16])
    torch.testing.assert_close(pending.keys(), operator.k(inside))
    assert pending.reference_keys().shape == (3, 4)


def test_contexts_joined_over_the_batch_count_all_pixels():
    context = Context(torch.ones(3, 2, 4, 4), 10)
    assert context.joined().count == 30
    assert (context.joined().sum == 3).all()
