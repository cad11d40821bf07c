"""What an abstract pixel changes in the restored image, which its relevance does not tell.

Relevance says where queries agree with an abstract pixel. How much that moves the result also
depends on its value v(f_j), on the share of the references in the attention, and on what the rest
of the network makes of it. Removing a set J of references turns the attention

    A(x) = q(x) · (S + Σ_j k_jᵀ v_j) / (s + r)

into the same without the terms of J, divided by s + r - |J|. `difference_events` restores with
the set and without it. `ranking_events` finds for every abstract pixel, in one gathering pass, by
how much the output of its attention changes without it,

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

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progress, Progressed, StepCounter
from napari_aeanet.models import Model
from napari_aeanet.networks import (
    Attention,
    Context,
    Network,
    PendingAttention,
    choose_device,
    gather_context,
)
from napari_aeanet.relevance.run import attention_of
from napari_aeanet.relevance.settings import Difference, Ranking, RelevanceSettings
from napari_aeanet.restoration import (
    Contexts,
    DihedralTransform,
    Memory,
    NetworkInput,
    Output,
    Restored,
    RestoreSettings,
    TileRunner,
    TransformedSource,
    restore_events,
    sheets_of,
    tiles_of,
)

DEFAULTS = RelevanceSettings()


@dataclass(frozen=True, eq=False)
class ModelWithout(Model):
    """A model some of whose abstract pixels (numbers from 0) of one attention are removed."""

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
    """`model` without some of its abstract pixels (numbers from 0).

    Raises
    ------
    ValueError
        If it has no such abstract pixels.
    """
    attention = attention_of(model.network(), model.card, layer)
    count = len(attention.reference_keys())
    if not pixels or not all(0 <= pixel < count for pixel in pixels):
        msg = (
            f"{model.card.name} has the abstract pixels 1 to {count}, asked for was the influence "
            f"of {', '.join(str(pixel + 1) for pixel in pixels) or 'none'}."
        )
        raise ValueError(msg)
    return ModelWithout(
        model.card, model.weights, model.statistics, model.path, layer, tuple(pixels)
    )


def difference_events(
    image: Image, model: Model, pixels: Sequence[int], settings: RelevanceSettings = DEFAULTS
) -> Iterator[Progressed | Difference]:
    """Restore with and without some abstract pixels; steps, and the difference at last."""
    fewer = without(model, pixels, settings.layer)
    chosen = RestoreSettings(
        output=Output.FLOAT32,
        resample=settings.resample,
        force=settings.force,
        tile=settings.tile,
        device=settings.device,
    )
    what = f"what {_words(pixels)} changes in {image.name}"
    results: list[Restored] = []
    for number, each in enumerate((model, fewer)):
        for event in restore_events(image, each, chosen):
            if isinstance(event, Restored):
                results.append(event)
            else:
                yield Progressed(_half(event.progress, number, what))
    whole, rest = results
    change = whole.image.read() - rest.image.read()
    yield Difference(
        image=whole.image.with_array(change, name=what),
        pixels=tuple(pixels),
        notices=whole.notices,
        progress=Progress(what, 1, 1, 0.0),
    )


def ranking_events(
    image: Image, model: Model, settings: RelevanceSettings = DEFAULTS
) -> Iterator[Progressed | Ranking]:
    """How much each abstract pixel of an attention moves its output; steps, and the ranking."""
    network = model.network()
    attention = attention_of(network, model.card, settings.layer)
    sheets, _ = sheets_of(
        image, model.card, network, resample=settings.resample, force=settings.force
    )
    device = choose_device(settings.device)
    passes = TileRunner(network, device)
    tiles = tiles_of(sheets[0], network, Memory.on(device), settings.tile)
    meter = StepCounter(
        f"influence in {image.name}", len(sheets) * len(tiles) * (settings.layer + 1)
    )
    squares = np.zeros(len(attention.reference_keys()) + 2)
    for sheet in sheets:
        steps = _squares(passes, sheet, tiles, settings.layer - 1, attention)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                squares += finished.value
                break
            yield Progressed(meter.step())
    change = np.sqrt(squares[:-1] / squares[-1]) if squares[-1] > 0 else np.zeros(len(squares) - 1)
    yield Ranking(change[:-1], float(change[-1]), meter.finish())


def _squares(
    passes: TileRunner,
    sheet: NetworkInput,
    tiles: Sequence[Region],
    before: int,
    attention: Attention,
) -> Generator[None, None, np.ndarray]:
    """Summed over pixels: |change without j|² for every j, without all, and |output|²."""
    contexts = Contexts([TransformedSource(sheet, DihedralTransform())], tiles, None)
    yield from contexts.gather(passes, before + 1)
    moments = torch.zeros((), dtype=torch.float64)
    for inner in tiles:
        *earlier, context = contexts.around(inner, 0)
        for _, part in passes.at_attention(sheet, inner, earlier, _query_moments):
            moments = moments + part
        yield
    return _changes(attention, context, moments)


def _query_moments(pending: PendingAttention) -> Tensor:
    """Σ_x qᵀ(x) q(x), heads side by side, in float64 on the host: (c_key, c_key)."""
    q = pending.query()[0].flatten(1).double()
    return (q @ q.T).cpu()


@torch.inference_mode()
def _changes(attention: Attention, context: Context, moments: Tensor) -> np.ndarray:
    """|change|² summed over pixels for each reference, for all, and |output|² itself.

    Without the bias of the output transform, and up to the factor of the width of a head.
    """
    assert attention.references is not None
    keys = attention.reference_keys()
    values = F.linear(attention.references, attention.v.weight.flatten(1), attention.v.bias)
    out = attention.out.weight.flatten(1).cpu().double()  # (c_out, c_value)

    def share(rows: slice) -> Tensor:
        """Their kᵀv: (heads, c_key / heads, c_value / heads)."""
        k, v = (t[rows].T[None].cpu().double() for t in (keys, values))
        return gather_context(k, v, attention.heads).sum[0]

    def square(matrix: Tensor) -> float:
        """Σ_x |W Mᵀ q(x)|², M with the blocks of the heads along its diagonal."""
        turned = out @ torch.block_diag(*matrix).T
        return float(((turned @ moments) * turned).sum())

    r = len(keys)
    everything = slice(0, r)
    total, count = context.sum[0] + share(everything), context.count + r
    mean = total / count
    removed = [(share(slice(j, j + 1)), 1) for j in range(r)] + [(share(everything), r)]
    changes = [square(mean - (total - part) / (count - rows)) for part, rows in removed]
    return np.array([*changes, square(mean)])


def _half(progress: Progress, number: int, what: str) -> Progress:
    """The progress of the first or the second of two equal jobs."""
    left = progress.seconds_left
    if left is not None and number == 0:
        left += left * progress.total / max(1, progress.total - progress.done)
    return Progress(what, number * progress.total + progress.done, 2 * progress.total, left)


def _words(pixels: Sequence[int]) -> str:
    numbers = ", ".join(str(pixel + 1) for pixel in pixels)
    return f"abstract pixel {numbers}" if len(pixels) == 1 else f"abstract pixels {numbers}"
