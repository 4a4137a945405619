"""What is kept of examples: the same rows from memory, from a file or made anew, each made once as far as there is room."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.update.kept import Kept

COUNT, EPOCHS, BATCH = 23, 3, 5
ROW = 3 * 4 + 8
"""Bytes of an example of one shape: three float32 and an int64."""


def values(number: int, varied: bool) -> dict[str, Array]:
    """What is made of the example ``number``; every fourth one is longer where they are ``varied``."""
    length = 6 if varied and number % 4 == 3 else 3
    return {"value": np.arange(length, dtype=np.float32) + number, "target": np.array(number, np.int64)}


def columns(numbers: Array, varied: bool) -> dict[str, Any]:
    rows = [values(int(number), varied) for number in numbers]
    found: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: np.stack(rows) if len({row.shape for row in rows}) == 1 else rows for name, rows in found.items()}


def taught(kept: Kept, varied: bool) -> Counter[int]:
    """Goes through all examples, each epoch in another order, and sees that they are right; how often each was made."""
    made: Counter[int] = Counter()

    def make(numbers: Array) -> dict[str, Any]:
        made.update(numbers.tolist())
        return columns(numbers, varied)

    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(COUNT)
        for start in range(0, COUNT, BATCH):
            numbers = order[start : start + BATCH]
            found, wanted = kept.columns(numbers, make), columns(numbers, varied)
            assert found.keys() == wanted.keys()
            for name, column in wanted.items():
                assert isinstance(found[name], np.ndarray) == isinstance(column, np.ndarray)
                for row, expected in zip(found[name], column, strict=True):
                    assert row.dtype == expected.dtype
                    np.testing.assert_array_equal(row, expected)
    return made


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize(
    ("rows", "free", "once"),
    [
        (COUNT * 2, 0, COUNT),  # bytes of so many rows in memory, of so many on the disk, and how many examples are made once
        (0, 1 << 20, COUNT),
        (7, 1 << 20, COUNT),
        (7, 0, 7),
        (0, 0, 0),
        (0, ROW * 10 * 2 + 256, 10),  # half of what is free, whose two columns begin at multiples of 64 bytes
    ],
)
def test_every_epoch_gets_the_same_rows(rows: int, free: int, once: int, varied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    kept = Kept(COUNT, rows * ROW)
    made = taught(kept, varied)
    kept.close()
    assert set(made) == set(range(COUNT))
    assert set(made.values()) <= {1, EPOCHS}
    if not varied:
        assert 0 <= sum(times == 1 for times in made.values()) - once <= 3  # what aligning takes is not all used
    elif rows == COUNT * 2:
        assert set(made.values()) == {1}  # those of another shape lie beside the others


def lengths(*given: int) -> Any:
    """Makes rows of so many numbers, and says which were asked for."""
    asked: list[int] = []

    def make(numbers: Array) -> dict[str, Any]:
        asked.extend(numbers.tolist())
        return {"value": [np.full(given[number], number, np.float32) for number in numbers]}

    return make, asked


def test_what_was_given_outlives_the_file() -> None:
    """One row in memory, one of another shape beside it, and the rest in a file that is closed while they are in use."""
    make, asked = lengths(3, 2, 3, 3)
    kept = Kept(4, 5 * 4)
    kept.columns(np.arange(4), make)
    found = kept.columns(np.arange(4), make)["value"]
    assert repr(kept) == "<Kept: of 4 examples 1 in memory and 2 in a file>" and asked == [0, 1, 2, 3]
    kept.close()
    assert [row.tolist() for row in found] == [[0, 0, 0], [1, 1], [2, 2, 2], [3, 3, 3]]


def test_rows_that_others_leave_no_memory_for_go_to_the_file() -> None:
    make, asked = lengths(1, 4, 1, 1)
    kept = Kept(4, 5 * 4)  # room for five rows like the first, of which the second takes four
    for _ in range(2):
        kept.columns(np.arange(4), make)
    kept.close()
    assert asked == [0, 1, 2, 3]


def test_a_disk_that_fills_up_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    kept = Kept(COUNT, 4 * ROW)
    assert sorted(taught(kept, False).values()) == [1] * 4 + [EPOCHS] * (COUNT - 4)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux which files a process has mapped")
@pytest.mark.parametrize("reserves", [True, False])
def test_the_file_has_no_name_and_goes_when_it_is_closed(reserves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not reserves:  # as on macOS and Windows
        monkeypatch.delattr(os, "posix_fallocate")

    def mapped() -> int:
        return Path("/proc/self/maps").read_text().count(f" {tmp_path}/")

    kept = Kept(COUNT, 0)
    taught(kept, False)
    assert os.listdir(tmp_path) == []
    assert mapped() == 1
    assert repr(kept) == "<Kept: of 23 examples 23 in a file>"
    kept.close()
    assert mapped() == 0
    assert not [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and str(tmp_path) in os.readlink(link)]
