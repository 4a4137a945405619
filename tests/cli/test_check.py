"""``tailor check``: what it prints, for people and for programs, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailor.runtime.network import trainer
from tests.cli.models import Terminal, neighbors, regression

EXAMPLES = "".join(f'{{"x": [{i}, {i % 3}], "y_true": [{2 * i}]}}\n' for i in range(6))
NAMES = ["gradients", "loss", "PyTorch", "saved and read again", "repeated", "taken up again"]


def test_every_check_has_its_row_and_nothing_is_written(tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    regression(Path("r.mlmodel"))
    Path("d.jsonl").write_text(EXAMPLES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert tailor("check", "r.mlmodel", "--data", "d.jsonl") == 0
    for name in NAMES:
        assert any(line.startswith(name) and ("passed" in line or "not run" in line) for line in tailor.out.splitlines()), tailor.out
    assert tailor.err == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_programs_are_told_verdicts_and_numbers(tailor: Terminal, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"point": [0, 1], "label": "a"}\n{"point": [5, 1], "label": "b"}\n')
    assert tailor("check", neighbors(tmp_path / "n.mlmodel"), "--data", data, "--json") == 0
    told = json.loads(tailor.out)
    assert (told["passed"], told["examples"]) == (True, 2)
    assert {row["name"]: row["verdict"] for row in told["checks"]} == dict.fromkeys(
        ["examples kept", "votes", "saved and read again", "repeated"], "passed"
    )
    assert told["checks"][0]["numbers"] == {"before": 0, "taught": 2, "after": 2}


def test_a_check_that_fails_is_the_exit_code(tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = trainer.Loss.judge
    monkeypatch.setattr(trainer.Loss, "judge", lambda self, *given: tuple(1.1 * part for part in judge(self, *given)))
    data = tmp_path / "d.jsonl"
    data.write_text(EXAMPLES)
    assert tailor("check", regression(tmp_path / "r.mlmodel"), "--data", data, "--mini-batches", 2, "--json") == 1
    told = json.loads(tailor.out)
    assert not told["passed"]
    assert {row["name"] for row in told["checks"] if row["verdict"] == "failed"} >= {"gradients", "loss"}
    assert tailor.err == ""
