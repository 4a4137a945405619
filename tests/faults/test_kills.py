"""A handful of trainings and worker processes killed for real; ``make faults`` kills hundreds."""

from __future__ import annotations

import os

import anyio
import pytest

from tests.faults.kills import run_kills
from tests.faults.workers import run_workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL, which Windows does not have")


def test_killed_at_random_moments_a_training_ends_with_the_same_bits() -> None:
    outcomes = list(run_kills(3, seed=1))
    assert len(outcomes) == 3
    assert all(outcome.moments for outcome in outcomes)
    assert [outcome for outcome in outcomes if not outcome.equal] == []


def test_updates_end_with_the_same_bits_whatever_becomes_of_their_worker_processes() -> None:
    report = anyio.run(run_workers, 3, 2, 1, 40, 0.1, backend="trio")
    assert report.kills > 0
    assert [(found, expected) for found, expected in report.ends if found != expected] == []
    assert len({expected for _, expected in report.ends}) == 3  # each is another update
