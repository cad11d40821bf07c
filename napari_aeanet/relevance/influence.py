"""The effect of abstract pixels on the restored image, which relevance maps do not show.

Relevance is the agreement of queries with an abstract pixel. The change of the result also depends
on its value v(f_j), on the share of the references in the attention, and on the rest of the
network. Removing a set J of references turns the attention

    A(x) = q(x) · (S + Σ_j k_jᵀ v_j) / (s + r)

into the same without the terms of J, divided by s + r - |J|. `difference_events` restores with
the set and without it. `ranking_events` finds for every abstract pixel, in one gathering pass, the
relative change of its attention's output without it,

    influence_j = √( Σ_x |A(x) - A_without_j(x)|² / Σ_x |A(x)|² )

exactly: with D_j the difference of the two small matrices (and the output transform after it)
the sum is tr(D_jᵀ · Σ_x qᵀq · D_j), and Σ_x qᵀq is gathered in tiles like the context itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.progress import Progress, Progressed, StepCounter
from napari_aeanet.io import ImageSource
from napari_aeanet.models import Model
from napari_aeanet.networks import Attention, Context, Network, PendingAttention, gather_context
from napari_aeanet.relevance.run import attention_of
from napari_aeanet.relevance.settings import Difference, Ranking, RelevanceSettings
from napari_aeanet.restoration import (
    ModelSource,
    NetworkInput,
    PreparedRun,
    Restored,
    TileRunner,
    prepare_analysis,
    restore_prepared,
)

DEFAULTS = RelevanceSettings()


@dataclass(frozen=True, eq=False)
class ModelWithout(Model):
    """A model without some of the abstract pixels (numbers from 0) of one attention."""

    layer: int = 1
    removed: tuple[int, ...] = ()

    def network(self) -> Network:
        network = super().network()
        attention = attention_of(network, self.card, self.layer)
        assert attention.references is not None
        kept = [i for i in range(len(attention.references)) if i not in set(self.removed)]
        rows = attention.references.detach()[kept]
        attention.references = nn.Parameter(rows) if kept else None
        return network


def without(model: Model, pixels: Sequence[int], layer: int = 1) -> ModelWithout:
    """Return `model` without some of its abstract pixels (numbers from 0).

    Raises
    ------
    ValueError
        If it has no such abstract pixels.
    """
    attention = attention_of(model.network(), model.card, layer)
    count = len(attention.reference_keys())
    if not pixels or not all(0 <= pixel < count for pixel in pixels):
        numbers = ", ".join(str(pixel + 1) for pixel in pixels) or "none"
        raise ValueError(f"{model.card.name} has the abstract pixels 1 to {count}, got {numbers}.")
    return ModelWithout(
        model.card, model.weights, model.statistics, model.path, layer, tuple(pixels)
    )


def difference_events(
    image: ImageSource,
    model: ModelSource,
    pixels: Sequence[int],
    settings: RelevanceSettings = DEFAULTS,
) -> Iterator[Progressed | Difference]:
    """Return a generator that restores with and without some abstract pixels.

    Steps, and the difference at last. The arguments are checked at once.

    Raises
    ------
    TypeError, ValueError
        If there are no such abstract pixels, or the image does not suit the model.
    """
    check_type("settings", settings, RelevanceSettings)
    prepared = prepare_analysis(image, model, settings)
    numbers = check_items("pixels", pixels, int)
    return _difference(prepared, without(prepared.model, numbers, settings.layer))


def ranking_events(
    image: ImageSource, model: ModelSource, settings: RelevanceSettings = DEFAULTS
) -> Iterator[Progressed | Ranking]:
    """Return a generator that measures the influence of each abstract pixel of an attention.

    Steps, and the ranking at last. The arguments are checked at once.

    Raises
    ------
    TypeError, ValueError
        If the model has no abstract pixels there, or the image does not suit it.
    """
    check_type("settings", settings, RelevanceSettings)
    prepared = prepare_analysis(image, model, settings, context="whole")
    attention = attention_of(prepared.network, prepared.model.card, settings.layer)
    return _ranking(prepared, attention, settings.layer - 1)


def _difference(prepared: PreparedRun, fewer: ModelWithout) -> Iterator[Progressed | Difference]:
    numbers = ", ".join(str(pixel + 1) for pixel in fewer.removed)
    several = "s" if len(fewer.removed) > 1 else ""
    what = f"influence of abstract pixel{several} {numbers} in {prepared.image.name}"
    results: list[Restored] = []
    for number, run in enumerate((prepared, prepared.with_model(fewer))):
        for event in restore_prepared(run):
            if isinstance(event, Restored):
                results.append(event)
            else:
                yield Progressed(_half(event.progress, number, what))
    whole, rest = results
    change = whole.image.read() - rest.image.read()
    yield Difference(
        image=whole.image.with_array(change, name=what),
        pixels=fewer.removed,
        notices=whole.notices,
        progress=Progress(what, 1, 1, 0.0),
    )


def _half(progress: Progress, number: int, what: str) -> Progress:
    """Return the progress of the first or the second of two equal jobs as that of both."""
    left = progress.seconds_left
    if left is not None and number == 0:
        left += left * progress.total / max(1, progress.total - progress.done)
    return Progress(what, number * progress.total + progress.done, 2 * progress.total, left)


def _ranking(
    prepared: PreparedRun, attention: Attention, before: int
) -> Iterator[Progressed | Ranking]:
    """Yield the events for the attention that comes after `before` others."""
    steps = len(prepared.inputs) * len(prepared.layout.tiles) * (before + 2)
    counter = StepCounter(f"influence in {prepared.image.name}", steps)
    squares = np.zeros(len(attention.reference_keys()) + 2)
    with prepared.runner(suspends=False) as runner:
        for source in prepared.inputs:
            squares += yield from _squares(prepared, runner, source, before, attention, counter)
    change = np.sqrt(squares[:-1] / squares[-1]) if squares[-1] > 0 else np.zeros(len(squares) - 1)
    yield Ranking(change[:-1], float(change[-1]), counter.finish())


def _squares(
    prepared: PreparedRun,
    runner: TileRunner,
    source: NetworkInput,
    before: int,
    attention: Attention,
    counter: StepCounter,
) -> Generator[Progressed, None, np.ndarray]:
    """Return sums over pixels: |change without j|² for every j, without all, and |output|²."""
    contexts = prepared.contexts(source)
    for _ in contexts.gather(runner, before + 1):
        yield Progressed(counter.step())
    moments = torch.zeros((), dtype=torch.float64)
    for inner in prepared.layout.tiles:
        *earlier, context = contexts.around(inner)
        for _, part in runner.at_attention(source, inner, earlier, query_moments):
            moments = moments + part
        yield Progressed(counter.step())
    return _changes(attention, context, moments)


def query_moments(pending: PendingAttention) -> Tensor:
    """Return Σ_x qᵀ(x) q(x), heads side by side, in float64 on the host: (c_key, c_key)."""
    # To the host first: Apple's GPUs have no float64.
    q = pending.query()[0].flatten(1).cpu().double()
    return q @ q.T


@torch.inference_mode()
def _changes(attention: Attention, context: Context, moments: Tensor) -> np.ndarray:
    """Return |change|² summed over pixels for each reference, for all, and |output|² itself.

    Without the bias of the output transform, and up to the factor of the width of a head.
    """
    assert attention.references is not None
    keys = attention.reference_keys()
    values = F.linear(attention.references, attention.v.weight.flatten(1), attention.v.bias)
    out = attention.out.weight.flatten(1).cpu().double()  # (c_out, c_value)

    def share(rows: slice) -> Tensor:
        """Return kᵀv of some references: (heads, c_key / heads, c_value / heads)."""
        k, v = (t[rows].T[None].cpu().double() for t in (keys, values))
        return gather_context(k, v, attention.heads).sum[0]

    def square(matrix: Tensor) -> float:
        """Return Σ_x |W Mᵀ q(x)|², M with the blocks of the heads along its diagonal."""
        transform = out @ torch.block_diag(*matrix).T
        return float(((transform @ moments) * transform).sum())

    r = len(keys)
    everything = slice(0, r)
    total, count = context.sum[0] + share(everything), context.count + r
    mean = total / count
    removed = [(share(slice(j, j + 1)), 1) for j in range(r)] + [(share(everything), r)]
    changes = [square(mean - (total - part) / (count - rows)) for part, rows in removed]
    return np.array([*changes, square(mean)])
