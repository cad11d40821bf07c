"""Kill every command at every operation on files and at random moments, and complete it after.

    python benchmarks/soak.py [--only restore] [--step 1] [--random 20] [--seed 0]

Prints for each command how many kills there were, and how often something was lost, mixed, left
behind, or the next run failed; ends with 1 if anything was. See docs/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults.kill_cases import CASES, Case, check, contents, make_inputs
from faults.kill_server import KillServer, kill_server


def soak(
    case: Case, server: KillServer, inputs: Path, folder: Path, step: int, moments: list[float]
) -> Counter[str]:
    """Kill a command at its operations and at moments; return the kinds of outcomes.

    Parameters
    ----------
    step
        1 for every operation, 2 for every second one, and so on; power cuts at a third of them.
    moments
        As shares of the duration of the command.
    """
    (folder / "whole").mkdir()
    began = time.monotonic()
    ended = case.run(server, inputs, folder / "whole")
    duration = time.monotonic() - began
    if ended.code != 0:
        print(f"{case.name}: cannot be run: {ended.text}", flush=True)
        return Counter(failed=1)
    expected = contents(folder / "whole")
    count = len(ended.operations)
    kills = [{"kill_at": n} for n in range(1, count + 1, step)]
    kills += [
        {"kill_at": n, "power_cut": cut}
        for cut in ("contents", "names")
        for n in range(1, count + 1, 3 * step)
    ]
    kills += [{"kill_after": share * duration} for share in moments]
    found: Counter[str] = Counter()
    for kill in kills:
        wrong = check(case, server, inputs, folder / "killed", expected, **kill)
        found[wrong.partition(":")[0] or "whole"] += 1
        if wrong:
            print(wrong, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="commands whose name holds this")
    parser.add_argument("--step", type=int, default=1, help="operations from one kill to the next")
    parser.add_argument("--random", type=int, default=20, help="kills at random moments of each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    luck, total = random.Random(arguments.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, kill_server() as server:
        (Path(folder) / "inputs").mkdir()
        inputs = make_inputs(Path(folder) / "inputs")
        for number, case in enumerate(CASES.values()):
            if arguments.only not in case.name:
                continue
            (place := Path(folder) / str(number)).mkdir()
            began = time.monotonic()
            moments = [luck.random() for _ in range(arguments.random)]
            found = soak(case, server, inputs, place, arguments.step, moments)
            total += found
            seconds = time.monotonic() - began
            print(
                f"{case.name}: {found.total()} kills in {seconds:.0f} s, {dict(found)}", flush=True
            )
    print(f"all: {total.total()} kills, {dict(total)}")
    return int(total.keys() > {"whole"} or not total)


if __name__ == "__main__":
    sys.exit(main())
