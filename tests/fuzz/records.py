"""``make fuzz``, the second half: spoils the files of records, and sees that readers refuse them or read what they are.

    python -m tests.fuzz.records [--seconds 60] [--seed 0] [--rounds N] [--again SEED:NUMBER]

Golden files and what is made of their values get edge values, other keys, bytes flipped, cut and repeated, segments that lie; most are
sealed again, so that every SHA-256 is right. Nothing may come of reading one but a ``RecordError`` that says what was expected and what
came, or a record which is written again with the same hash (in layout 1 the same bytes), read in pieces as in one go. Rounds are run in
a child process (Linux) with little memory and a limit of time. Case n of a seed is always the same.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from tailor.persistence import DeltaSnapshot, FullSnapshot, Limits, RecordError, open_snapshot
from tailor.persistence.records import check_record, parse_record, seal_record
from tests.persistence import by_the_format

GOLDEN = Path(__file__).parents[1] / "persistence" / "golden"
LIMITS = Limits(total_bytes=2**26)
MEMORY = 2**29
"""Bytes of address space beyond what the program itself has."""
ROUND = 1000
"""Cases to a child."""
LIMIT = 120.0
"""Seconds that a round may take; about a hundred times what it does."""

EDGES: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.0, -0.0, 1.5, 1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        "a",
        "f4",
        "f2",
        "set",
        "append",
        "rows",
        "delta",
        "full",
        "head",
        "version",
        "checkpoint",
        "replacement",
    ),
    *("0" * 64, "é" * 40, "\0", "2026-01-01T00:00:00.000000Z", b"", b"x", b"x" * 70_000, [], [1], ["a"], [1, "a"], [[]] * 3, {}, {"": 1}),
    *(np.zeros((), "f4"), np.zeros(0, "f4"), np.ones(3, "f2"), np.array([0, 2], "u4"), np.array([2, 0], "u4"), np.zeros((2, 0, 3), "i8")),
    *(
        np.array([np.nan], "f8"),
        np.array([True]),
        np.zeros(20_000, "f4"),
        msgpack.ExtType(1, b"\x02\x01\xff\xff\xff\xff"),
        msgpack.ExtType(5, b""),
    ),
]
KEYS = [
    "as",
    "base",
    "count",
    "format",
    "kind",
    "metadata",
    "op",
    "parents",
    "removed",
    "snapshot",
    "value",
    "values",
    "version",
    "whole",
    "x",
]


def case(seed: int, number: int) -> bytes:
    """The file of a case."""
    rng = random.Random(f"{seed}:{number}")
    names = sorted(path for path in GOLDEN.glob("*.tailor"))
    data = rng.choice(names).read_bytes()
    how = rng.random()
    if how < 0.15:
        return spoilt(rng, data)
    payload = by_the_format.unsealed(data)
    if how < 0.6:
        payload = written(rng, changed(rng, msgpack.unpackb(payload, ext_hook=by_the_format.tensor, strict_map_key=False)))
    elif how < 0.85:
        payload = spoilt(rng, payload)
    if rng.random() < 0.5:
        return by_the_format.sealed(payload)
    cuts, left = [], len(payload)
    while left and rng.random() < 0.7:
        cuts.append((rng.choice((0, 1)), rng.choice((1, 2, 4, 8)), rng.randint(1, min(left, 2**20))))
        left -= cuts[-1][2]
    made = by_the_format.segmented(payload, [(codec, width if codec else 1, length) for codec, width, length in cuts])
    if rng.random() < 0.5:
        return made
    body = bytearray(made[:-32])
    if rng.random() < 0.5 and len(body) > 30:  # a number in the head, or in that of the first segment
        at, form = rng.choice(((12, "<Q"), (22, "<I"), (26, "<I")))
        struct.pack_into(form, body, at, rng.choice((0, 1, 2**20, 2**20 + 1, 2**31, 2**32 - 1, max(0, len(payload) + rng.randint(-2, 2)))))
    else:
        body = bytearray(spoilt(rng, bytes(body)))
    return bytes(body) + hashlib.sha256(body).digest()


def spoilt(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out, repeated or put in."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(made))
        size = rng.choice((0, 1, 1, 1, 2, 4, 8, 100))
        other = rng.choice((rng.randbytes(size), bytes(made[at : at + size]) * 2, b"", b"\xff" * size, b"\x81\xa1a" * size))
        made[at : at + size] = other
    return bytes(made)


def changed(rng: random.Random, value: Any) -> Any:
    """The value with something in it that is another, gone, or new."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        act = rng.random()
        if act < 0.75:
            return {**value, key: changed(rng, value[key])}
        if act < 0.85:
            return {name: item for name, item in value.items() if name != key}
        return {**value, rng.choice((rng.choice(KEYS), key + "x", "")): rng.choice(EDGES)}
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        return [*value[:at], changed(rng, value[at]), *value[at + rng.choice((0, 1, 1, 2)) :]]
    if isinstance(value, np.ndarray) and rng.random() < 0.5:
        with np.errstate(all="ignore"):
            return rng.choice((value[..., None], value.reshape(-1), value.astype("f2" if value.dtype == "f4" else "u4")))
    return rng.choice(EDGES)


def written(rng: random.Random, value: Any) -> bytes:
    """Canonical MessagePack, or as it comes: keys in any order, one of them twice."""
    if rng.random() < 0.8 or not isinstance(value, dict):
        return by_the_format.payload(value)
    pairs = [(msgpack.packb(key), by_the_format.payload(item)) for key, item in value.items()]
    rng.shuffle(pairs)
    pairs += pairs[: rng.choice((0, 1))]
    return bytes(msgpack.Packer().pack_map_header(len(pairs))) + b"".join(key + item for key, item in pairs)


def read(data: bytes, path: Path) -> str:
    """How the case ended: the error's kind, or the record's. Raises what must not be."""
    try:
        record, digest = parse_record(data, LIMITS)
    except RecordError as error:
        refused = error
    else:
        return same(record, digest, data, path)
    assert "expected" in str(refused) and "got" in str(refused) and len(str(refused)) < 2000, refused
    path.write_bytes(data)
    try:
        with open_snapshot(path, LIMITS) as reader:
            for _ in reader.changes() if reader.size is None else reader.chunks():
                pass
    except RecordError as error:
        assert str(path) in str(error)
    else:
        raise AssertionError(f"read in pieces what is refused in one go: {refused}")
    try:
        check_record(data, LIMITS)
    except RecordError:
        return type(refused).__name__
    return f"{type(refused).__name__}, checked"


def same(record: Any, digest: str, data: bytes, path: Path) -> str:
    """What was read is written again as what it was."""
    for compress in (False, True):
        sealed = seal_record(record, LIMITS, compress=compress)
        again = b"".join(sealed.chunks())
        assert sealed.hash == digest and sealed.size == len(again)
        assert compress or data[11] != 1 or again == data
        assert parse_record(again, LIMITS)[1] == digest
    assert check_record(data, LIMITS).hash == digest
    if isinstance(record, DeltaSnapshot | FullSnapshot):
        path.write_bytes(data)
        with open_snapshot(path, LIMITS) as reader:
            about, base = reader.metadata, reader.base
            if reader.size is None:
                found: Any = DeltaSnapshot(about, base or "", dict(reader.changes()))
            else:
                found = FullSnapshot(about, b"".join(reader.chunks()), base)
            assert reader.hash == digest == seal_record(found).hash
    return type(record).__name__


def child(seed: int, first: int, count: int) -> None:
    """Runs cases; a line before each, one for each end, and what must not be."""
    warnings.simplefilter("error")
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            print(f"case {number}", flush=True)
            data = case(seed, number)
            try:
                end = read(data, Path(folder) / "record")
            except BaseException:
                print("bad " + traceback.format_exc().replace("\n", "\n    "), flush=True)
            else:
                print(f"end {end}", flush=True)


def run(seed: int, first: int, count: int, ends: Counter[str]) -> int:
    """One round; how many findings there were."""
    command = [sys.executable, "-m", "tests.fuzz.records", "--child", str(seed), str(first), str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        out, died = done.stdout, f"exit status {done.returncode}\n{done.stderr[-2000:]}" if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        out, died = (late.stdout or b"").decode(), f"did not end in {LIMIT:g} s"
    number, findings = first, 0
    for line in out.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "case":
            number = int(rest)
        elif kind == "end":
            ends[rest] += 1
        elif kind == "bad":
            findings += 1
            print(f"\n== again: python -m tests.fuzz.records --again {seed}:{number}")
        if kind not in ("case", "end"):
            print(line)
    if died:
        print(f"\n== again: python -m tests.fuzz.records --again {seed}:{number}\n{died}")
    return findings + bool(died)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.records", description="spoils files of records and reads them")
    parser.add_argument("--seconds", type=float, default=60, help="how long, about (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, help=f"how many rounds of {ROUND} cases, at most (default: as many as the time allows)")
    parser.add_argument("--again", help="a case to run again, as a failure prints it")
    parser.add_argument("--child", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return 0
    ends: Counter[str] = Counter()
    if options.again:
        seed, number = map(int, options.again.split(":"))
        findings = run(seed, number, 1, ends)
    else:
        end, done, findings = time.monotonic() + options.seconds, 0, 0
        while time.monotonic() < end and (options.rounds is None or done < options.rounds):
            findings += run(options.seed, done * ROUND, ROUND, ends)
            done += 1
    print(f"{sum(ends.values())} files of records, {findings} findings; {dict(ends.most_common())}")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
