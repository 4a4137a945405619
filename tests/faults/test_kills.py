"""A handful of trainings killed for real; ``make faults`` kills two hundred."""

from __future__ import annotations

import os

import pytest

from tests.faults.kills import run_kills


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL, which Windows does not have")
def test_killed_at_random_moments_a_training_ends_with_the_same_bits() -> None:
    outcomes = list(run_kills(3, seed=1))
    assert len(outcomes) == 3
    assert all(outcome.moments for outcome in outcomes)
    assert [outcome for outcome in outcomes if not outcome.equal] == []
