"""The fuzzing of records still does what it says: a few of its cases, in this process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the fuzzing bounds memory as Unix can")

from tests.fuzz.records import case, read


def test_spoilt_files_are_refused_or_read_as_what_they_are(tmp_path: Path) -> None:
    ends = Counter(read(case(1, number), tmp_path / "record") for number in range(150))
    assert ends["RecordError"] > 50, "most are refused"
    assert ends["DeltaSnapshot"] and ends["Version"] and ends["FullSnapshot"], "and some are not"
    assert case(1, 7) == case(1, 7) != case(2, 7)
