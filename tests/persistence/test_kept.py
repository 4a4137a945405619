"""Versions, heads and replacements as records: what may be made, and what may be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.persistence import Head, Metadata, Name, RecordError, Version
from tailor.persistence.records import Replacement, parse_record

from .by_the_format import payload, sealed
from .test_golden import KEPT, METADATA

HASHES = [f"{place:064x}" for place in range(20)]


def kept(name: str, **changed: Any) -> dict[str, Any]:
    """A golden version, head or replacement with other fields; ``...`` removes one."""
    return {key: value for key, value in (KEPT[f"{name}-3.tailor"][1] | changed).items() if value is not ...}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "parents as text": (kept("version", parents="1" * 64), "parents: expected a list, got '1111"),
    "a list among parents": (
        kept("version", parents=[["1" * 64]]),
        "parents[0]: expected a SHA-256 of 64 lower-case hex digits, got a list of 1",
    ),
    "a tensor among parents": (kept("version", parents=[HASHES[0], np.zeros(1)]), "parents[1]: expected a SHA-256"),
    "a parent twice": (kept("version", parents=HASHES[:1] * 2), "parents: expected at most 16, none of them twice, got a list of 2"),
    "many parents": (kept("version", parents=HASHES[:17]), "parents: expected at most 16, none of them twice, got a list of 17"),
    "no snapshot": (kept("version", snapshot=...), "snapshot: expected a value, got nothing: the key is missing"),
    "a short snapshot": (kept("version", snapshot="1"), "snapshot: expected a SHA-256"),
    "base as number": (kept("version", base=1), "base: expected a string, got 1"),
    "an odd base": (kept("version", base="A" * 64), "base: expected a SHA-256"),
    "bytes in metadata": (
        kept("version", metadata=kept("version")["metadata"] | {"removed": [b"x"]}),
        "metadata.extra.removed[0]: expected None,",
    ),
    "one key more": (kept("version", values={}), "values: expected no key of this name, got a map of 0"),
    "another kind": (kept("version", kind="full"), "kind: expected 'delta', 'version', 'head' or 'replacement', got 'full'"),
    "a head of nothing": (kept("head", version=...), "version: expected a value, got nothing"),
    "a head with metadata": (kept("head", metadata={}), "metadata: expected no key of this name"),
    "a head without a model": (kept("head", model=""), "name.model: expected a printable text of 1 to 60 characters, got ''"),
    "a line end in a name": (kept("head", user="a\n"), "name.user: expected a printable text of at most 60 characters, got 'a\\n'"),
    "a long name": (kept("head", branch="b" * 61), "name.branch: expected a printable text of 1 to 60 characters"),
    "a name as number": (kept("head", user=1), "user: expected a string, got 1"),
    "a replacement by nothing": (kept("replacement", snapshot="x"), "snapshot: expected a SHA-256"),
    "a replacement with a base": (kept("replacement", base="1" * 64), "base: expected no key of this name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_record_that_breaks_the_format_is_refused_with_its_path(case: str) -> None:
    value, message = REFUSED[case]
    with pytest.raises(RecordError) as caught:
        parse_record(sealed(payload(value)))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Version(METADATA, "1"), "snapshot: expected a SHA-256"),
        (lambda: Version(METADATA, HASHES[0], (HASHES[1],) * 2), "parents: expected at most 16, none of them twice"),
        (lambda: Version({}, HASHES[0]), "metadata: expected Metadata, got a map of 0"),
        (lambda: Head(Name("m"), "x"), "version: expected a SHA-256"),
        (lambda: Name(""), "name.model: expected a printable text of 1 to 60 characters, got ''"),
        (lambda: Name("m", branch="\u202e"), "name.branch: expected a printable text"),
        (lambda: Replacement("x"), "snapshot: expected a SHA-256"),
    ],
)
def test_what_no_record_can_hold_cannot_be_made(make: Callable[[], Metadata], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        make()
    assert str(caught.value).startswith(message)
