"""The page on nearest neighbours does what it says: its examples run, in order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tailor.runtime.format import ORIGINS_KEY

PAGE = Path(__file__).resolve().parents[1] / "docs" / "neighbors.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE):
        exec(compile(example, str(PAGE), "exec"), scope)
    assert [example.id for example in scope["model"].examples][:3] == ["ann/1", "ann/2", "bob/1"]
    lines = capsys.readouterr().out.splitlines()
    # to the query at 2: distances 1, 4, 4, so votes of 4, 1 and 1 sixths
    assert lines[4:] == ["ann/2 left 1.0 0.667 phone", "ann/1 left 4.0 0.167 phone", "bob/1 right 4.0 0.167 phone"]
    assert scope["share"] == pytest.approx(scope["answer"]["labelProbs"]["left"]) == pytest.approx(5 / 6)
    left = {name: [example.label for example in scope[name].examples] for name in ("without_bob", "only_import", "no_left", "base")}
    assert left == {"without_bob": ["left", "left", "right"], "only_import": ["right"], "no_left": ["right"], "base": []}
    assert [example.id for example in scope["nameless"].examples] == [None] * 4


def test_the_value_shown_has_the_names_that_are_written() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert list(json.loads(shown)) == ["format", "from", "ids", "sources", "source", "times"]
    assert f"`{ORIGINS_KEY}`" in TEXT
