"""Time and bytes of restoring a large volume on 1 to 64 workers, by simulation.

    python benchmarks/scale.py
    python benchmarks/scale.py --planes 1 --side 8192
    python benchmarks/scale.py --bandwidth 0.1

Prints a table in Markdown; nothing is restored. The calls of one plane on the workers are simulated
one by one, as `napari_aeanet.cluster` sends them: all of gathering, then all of predicting, a call
for each shard of the result, three calls waiting for each worker, results taken by the client in
order. Rates are those of the exact AEANet (32 features, tiles of 256, one thread) in CPU seconds;
docs/scale.md tells how they were measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

SHARD, TILE, HALO, WAITING = 1024, 256, 24, 3
# Seconds of a thread for a megapixel: as far as the attention, and from there to the result.
GATHER, PREDICT = 0.93, 1.10
# Bytes that a tile keeps for each pixel from gathering to predicting, halo included.
SUSPENDED = 390
# Bytes of the context of a tile, and seconds of the client for each: to read it and to add it.
CONTEXT, ADDING = 66_032, 6.6e-5
# Seconds of the client for a shard: its two calls and answers, notes, and the coarser levels.
ANSWERING = 0.041
# Seconds until a worker has loaded everything.
START = 5.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """The volume, and what the workers have.

    `memory` is in GB, for the tiles that a worker keeps; `bandwidth` (of the storage, for all
    together) and `network` (of the client) are in GB/s. `spread` is the standard deviation of the
    duration of a call, as a share of it.
    """

    planes: int
    side: int
    memory: float
    bandwidth: float
    network: float
    spread: float


@dataclass(frozen=True)
class Cost:
    """Seconds of one plane, and bytes that it moves."""

    gather: float
    predict: float
    storage: float
    client: float
    shards: int
    read: float
    contexts: float

    @property
    def plane(self) -> float:
        """Reading and writing go on beside the computing: what takes longer counts."""
        return max(self.gather + self.predict, self.storage)

    def limit(self, workers: int) -> str:
        """Name what keeps it from being faster."""
        if self.storage >= self.gather + self.predict:
            return "storage"
        if self.client > 0.8 * self.plane:
            return "client"
        return "number of shards" if self.shards < 4 * workers else "computing"


def cost(workers: int, site: Site) -> Cost:
    """Simulate one plane of a byte a pixel."""
    random = np.random.default_rng(0)
    pixels = site.side**2
    shards = [
        min(SHARD, site.side - y) * min(SHARD, site.side - x) / 1e6
        for y in range(0, site.side, SHARD)
        for x in range(0, site.side, SHARD)
    ]
    tiles = (SHARD // TILE) ** 2
    kept = min(1.0, workers * site.memory * 1e9 / (SUSPENDED * pixels))
    sending = tiles * CONTEXT / (site.network * 1e9)
    answer = ANSWERING / 2 + sending

    def durations(rate: float) -> Iterator[float]:
        for size in shards:
            yield size * rate * max(0.2, random.normal(1, site.spread))

    gather = simulated(list(durations(GATHER)), workers, answer + tiles * ADDING)
    predict = simulated(list(durations(PREDICT + (1 - kept) * GATHER)), workers, answer)
    read = pixels * ((TILE + 2 * HALO) / TILE) ** 2 * (2 - kept)
    return Cost(
        gather,
        predict,
        storage=(read + 1.07 * pixels) / (site.bandwidth * 1e9),
        client=len(shards) * (2 * answer + tiles * ADDING),
        shards=len(shards),
        read=read,
        contexts=2 * len(shards) * tiles * CONTEXT,
    )


def simulated(durations: list[float], workers: int, answer: float) -> float:
    """Return when the client has taken the last result.

    Call n is sent when the client has taken the result of call n - 3 workers, and is begun by the
    first free worker. The client takes the results in their order, one after the other.
    """
    free, finished, taken = [0.0] * workers, [], 0.0
    for number, duration in enumerate(durations):
        sent = 0.0
        if number >= WAITING * workers:
            taken = max(taken, finished[number - WAITING * workers]) + answer
            sent = taken
        end = max(heappop(free), sent) + duration
        heappush(free, end)
        finished.append(end)
    for end in finished[max(0, len(durations) - WAITING * workers) :]:
        taken = max(taken, end) + answer
    return taken


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--planes", type=int, default=1000)
    options.add_argument("--side", type=int, default=32_768, help="pixels along Y and X")
    options.add_argument("--memory", type=float, default=3.0, help="GB of a worker for kept tiles")
    options.add_argument("--bandwidth", type=float, default=1.0, help="of the storage in GB/s")
    options.add_argument("--network", type=float, default=1.0, help="of the client in GB/s")
    options.add_argument("--spread", type=float, default=0.1, help="of the duration of a call")
    site = Site(**vars(options.parse_args()))
    size = site.planes * site.side**2 / 1e12
    print(f"{site.planes} planes of {site.side} x {site.side}: {size:.2f} TB\n")
    print(
        "| workers | gathering h | predicting h | storage h | client h | all h | times as fast "
        "| read TB | contexts TB | limited by |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    alone = START + site.planes * cost(1, site).plane
    for workers in (1, 2, 4, 8, 16, 32, 64):
        found = cost(workers, site)
        whole = START + site.planes * found.plane
        stages = (found.gather, found.predict, found.storage, found.client)
        hours = [f"{site.planes * seconds / 3600:.3g}" for seconds in stages]
        moved = [f"{site.planes * count / 1e12:.2g}" for count in (found.read, found.contexts)]
        cells = [str(workers), *hours, f"{whole / 3600:.3g}", f"{alone / whole:.1f}", *moved]
        print(f"| {' | '.join(cells)} | {found.limit(workers)} |")


if __name__ == "__main__":
    main()
