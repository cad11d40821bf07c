"""Damage valid files of every kind in all ways, and read them.

    python benchmarks/fuzz.py [--inputs 3000] [--first 0] [--only "OME-TIFF"] [--log failures.txt]
    python benchmarks/fuzz.py --show "OME-TIFF" 1234 --keep damaged

Every input is made from the name of its reader and its number alone. It has to be opened, or
refused in one sentence that names the file, within 5 s and 1 GB. Reading happens in a process with
limits, which is started anew when it dies or hangs. Ends with 1 if an input did anything else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from fuzz_files import READERS, Reader, entries_of, sealed

LONGEST, LARGEST = 5.0, 2**30
# After so many seconds a process counts as hanging, and so much more memory is refused to it.
HANGING, REFUSED = 20.0, 3 * 2**30
LONGEST_SENTENCE = 450  # characters without the path
OPENED, REFUSED_IN_WORDS, FOREIGN, SLOW, LARGE, DIED = (
    "opened",
    "refused in a sentence",
    "other exceptions",
    "over 5 s",
    "over 1 GB",
    "died or hung",
)
OUTCOMES = (REFUSED_IN_WORDS, OPENED, FOREIGN, SLOW, LARGE, DIED)

# What stands in the place of a number or text in a file that people can read.
NUMBERS = (
    *("0", "-1", "1", "2147483648", "9223372036854775808", "1e308", "-1e308", "1e400", "NaN"),
    *("Infinity", "nan", "inf", "1e-320", "0.5", "10" * 40, "9" * 5000, "", "null", "true", '"7"'),
    *("[]", "{}", "[[1]]", "0x10", "1_000"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), "", "x", "\0", "\ud800", "7", "a" * 3000, "../../etc", "/"),
    *([], {}, [[]], [None], [1e308] * 3, [10**6] * 3, {"a": 1}, [[1, 2], [3]], [0] * 5000),
)
WORDS = ("1e308", "[" * 100_000, "&" * 500, '"', "\n", "\t" * 200, "x" * 200_000, "\x00", "é", "- ")
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy of the content of a file."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text and rng.random() < 0.5 and (changed := _changed_values(text, rng)) is not None:
        return changed
    if text and rng.random() < 0.6:
        return _changed_text(text, rng)
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_DAMAGES)(content, rng)
    return bytes(content)


def _changed_values(text: str, rng: random.Random) -> bytes | None:
    """Return JSON with other values; None if the text is not JSON."""
    try:
        values = json.loads(text)
    except ValueError:
        return None
    for _ in range(rng.choice((1, 1, 2))):
        holders = list(_holders(values))
        if not holders:
            break
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match rng.randrange(4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = json.loads(json.dumps(rng.choice(holders)))
            case _:
                holder[key] = deepcopy(rng.choice(VALUES))
    return json.dumps(values).encode()


def _holders(values: Any) -> Iterator[Any]:
    if isinstance(values, dict | list) and values:
        yield values
        for one in values.values() if isinstance(values, dict) else values:
            yield from _holders(one)


def _changed_text(text: str, rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0 | 1 if found := list(re.finditer(r"-?\d+(?:\.\d+)?", text)):
            place = rng.choice(found)
            text = text[: place.start()] + rng.choice(NUMBERS) + text[place.end() :]
        case 2 if found := list(re.finditer(r"\w+|[^\w\s]", text)):
            place, other = rng.choice(found), rng.choice(found)
            text = text[: place.start()] + other.group() + text[place.end() :]
        case _:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(WORDS) + text[at:]
    return text.encode()


def _place(content: bytearray, rng: random.Random) -> int:
    """Return an index, often one near an end, where headers and tables are."""
    near = min(len(content), 400)
    match rng.randrange(4):
        case 0 | 1:
            return rng.randrange(near)
        case 2:
            return len(content) - 1 - rng.randrange(near)
    return rng.randrange(len(content))


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    if content:
        del content[_place(content, rng) :]


def _extreme(content: bytearray, rng: random.Random) -> None:
    """Write an extreme number of 1, 2, 4 or 8 bytes, at an even place more often."""
    size = rng.choice((1, 2, 4, 4, 8))
    if len(content) > size:
        at = min(_place(content, rng), len(content) - size)
        at -= at % rng.choice((1, 2, 2, 4))
        value = rng.choice(EXTREMES) & (256**size - 1)
        content[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _length(content: bytearray, rng: random.Random) -> None:
    """Write a length or offset that could be one, in the place of another."""
    size = rng.choice((2, 4, 8))
    if len(content) > size:
        at = min(_place(content, rng), len(content) - size)
        value = rng.randrange(2 * len(content)) & (256**size - 1)
        content[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _splice(content: bytearray, rng: random.Random) -> None:
    """Remove, repeat or move a piece."""
    if not content:
        return
    start = _place(content, rng)
    piece = bytes(content[start : start + rng.choice((1, 2, 4, 12, 64, 1000))])
    match rng.randrange(3):
        case 0:
            del content[start : start + len(piece)]
        case 1:
            content[start:start] = piece
        case _:
            at = _place(content, rng)
            content[at : at + len(piece)] = piece


_DAMAGES = (_flip, _flip, _cut, _extreme, _extreme, _length, _splice)


def damage(path: Path, reader: Reader, rng: random.Random) -> None:
    """Damage a file, or a file in a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        file = rng.choice(files)
        match rng.randrange(12):
            case 0:
                file.unlink()
            case 1:
                file.write_bytes(b"")
            case 2:
                file.unlink()
                file.mkdir()
            case 3:
                file.rename(rng.choice(files))
            case _:
                file.write_bytes(mutated(file.read_bytes(), rng))
    elif reader.inside:
        entries = entries_of(path)
        name = rng.choice([name for name in entries if name != "checksums.json"])
        path.write_bytes(sealed({**entries, name: mutated(entries[name], rng)}))
    else:
        path.write_bytes(mutated(path.read_bytes(), rng))


class Bench:
    """Makes inputs in a folder and reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, name: str, number: int) -> Path:
        """Return the path of damaged input `number` of a reader, made anew."""
        reader = READERS[name]
        valid, place = self._folder / "valid" / name, self._folder / "damaged"
        if not valid.exists():
            valid.mkdir(parents=True)
            reader.make(valid / reader.name)
            refused = list(reader.read(valid / reader.name))
            assert not refused, refused
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(valid, place)
        damage(place / reader.name, reader, random.Random(f"{name} {number}"))
        return place / reader.name

    def read(self, name: str, number: int) -> dict[str, Any]:
        """Return how an input was read."""
        path = self.make(name, number)
        outcome, text = OPENED, ""
        forget_peak()
        before, start = peak_memory(), time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sentences = list(READERS[name].read(path))
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            sentences = [str(error)]
            outcome = REFUSED_IN_WORDS
            if isinstance(error, RuntimeError) and "being trained in" not in str(error):
                outcome = FOREIGN
            if isinstance(error, MemoryError):
                outcome = LARGE
            text = traceback.format_exc()
        except BaseException:  # noqa: BLE001 - whatever a library raises
            sentences, outcome, text = [], FOREIGN, traceback.format_exc()
        seconds, grown = time.perf_counter() - start, peak_memory() - before
        wrong = [one for one in sentences if not is_sentence(one, path)]
        if wrong and outcome in (OPENED, REFUSED_IN_WORDS):
            outcome, text = FOREIGN, f"{wrong[0][:1000]}\n{text}"
        if seconds > LONGEST:
            outcome = SLOW
        elif grown > LARGEST:
            outcome = LARGE
        kept = text if outcome not in (OPENED, REFUSED_IN_WORDS) else ""
        return {"outcome": outcome, "seconds": seconds, "grown": grown, "text": kept}


def is_sentence(text: str, path: Path) -> bool:
    """Return True for one sentence that names the file, or one beside it."""
    names = path.name in text or str(path.parent) in text
    long = len(text.replace(str(path), "")) > LONGEST_SENTENCE
    return names and not long and text.endswith(".") and "\n" not in text and "Errno" not in text


def peak_memory() -> int:
    """Return the largest memory of the process since `forget_peak`."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return 1024 * int(found[1]) if found else 0


def forget_peak() -> None:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def work(names: list[str], first: int, last: int) -> None:
    """Read inputs and print a line of JSON after each: the inside of the limited process."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in names:  # imports everything
            bench.read(name, -1)
        if sys.platform == "linux":
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + REFUSED, used + REFUSED))
        for number in range(first, last):
            name = names[number % len(names)]
            print("@", number, flush=True)
            print(json.dumps({"number": number, **bench.read(name, number)}), flush=True)


def results(names: list[str], first: int, last: int) -> Iterator[dict[str, Any]]:
    """Yield how every input was read, with new processes after those that died."""
    while first < last:
        command = [sys.executable, __file__, "--work", *map(str, (first, last)), "--only", *names]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
            yield from _lines(process, first, last)
            code = process.wait()
            errors.seek(0)
            said = errors.read()[-1500:].decode(errors="replace")
        reached = _lines.reached
        if reached[1]:
            return
        number = reached[0]
        yield {
            "number": number,
            "outcome": DIED,
            "seconds": 0,
            "grown": 0,
            "text": said + f"({code})",
        }
        first = number + 1


def _lines(process: subprocess.Popen[bytes], first: int, last: int) -> Iterator[dict[str, Any]]:
    """Yield what a process prints; kill it if it says nothing for long."""
    assert process.stdout is not None
    stream = process.stdout
    _lines.reached = (first, False)
    begun, patience = False, 900.0
    os.set_blocking(stream.fileno(), False)
    rest = b""
    while True:
        ready, _, _ = select.select([stream], [], [], HANGING if begun else patience)
        if not ready:
            process.kill()
            return
        data = stream.read()
        if not data:
            if data == b"":
                _lines.reached = (_lines.reached[0], process.wait() == 0)
                return
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            begun = True
            if line.startswith(b"@"):
                _lines.reached = (int(line[1:]), False)
            else:
                result = json.loads(line)
                yield result
                if result["number"] == last - 1:
                    _lines.reached = (last - 1, True)
                    process.kill()  # the end of its libraries takes long
                    return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--log", type=Path, help="file for what went wrong")
    parser.add_argument("--show", nargs=2, metavar=("READER", "NUMBER"), help="read one input")
    parser.add_argument("--keep", type=Path, help="with --show: a new folder for the input")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.only, *options.work)
        return 0
    if options.show:
        return show(options.show[0], int(options.show[1]), options.keep)
    counts = {name: Counter[str]() for name in options.only}
    last = options.first + options.inputs
    for result in results(options.only, options.first, last):
        name = options.only[result["number"] % len(options.only)]
        counts[name][result["outcome"]] += 1
        if result["text"] and options.log:
            with options.log.open("a", encoding="utf-8") as log:
                log.write(f"=== {name} {result['number']}: {result['outcome']}, ")
                log.write(f"{result['seconds']:.1f} s, {result['grown'] / 2**20:.0f} MB\n")
                log.write(f"{result['text']}\n")
    return report(counts)


def show(name: str, number: int, keep: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(json.dumps(bench.read(name, number), indent=1).replace("\\n", "\n"))
        if keep is not None:
            shutil.copytree(Path(folder) / "damaged", keep)
    return 0


def report(counts: dict[str, Counter[str]]) -> int:
    """Print the table of outcomes; return 1 if there is anything but sentences and images."""
    print("| " + " | ".join(("reader", "inputs", *OUTCOMES)) + " |")
    print("| --- |" + " ---: |" * (len(OUTCOMES) + 1))
    total = Counter[str]()
    for name, found in (*counts.items(), ("all", total)):
        print(
            f"| {name} | {found.total():,} | "
            + " | ".join(f"{found[o]:,}" for o in OUTCOMES)
            + " |"
        )
        if found is not total:
            total += found
            counts_of_all = total
    wrong = sum(counts_of_all[outcome] for outcome in (FOREIGN, SLOW, LARGE, DIED))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
