"""The hold-out: how many examples of each label, which ones, and always the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from tailor.runtime.update.hold_out import held_out

# By hand: the share of each label's examples, rounded half up, one at least and never all.
COUNTS: list[tuple[str, float, dict[str, int]]] = [
    ("a" * 10 + "b" * 5, 0.2, {"a": 2, "b": 1}),
    ("a" * 2 + "b" * 3, 0.2, {"a": 1, "b": 1}),  # 0.4 and 0.6 of an example
    ("a" * 2 + "b" * 3, 0.9, {"a": 1, "b": 2}),  # 1.8 and 2.7: one of each is learned from
    ("abba" * 4 + "c", 0.25, {"a": 2, "b": 2}),  # the only c is learned from
    ("a" * 10 + "b" * 30, 0.15, {"a": 2, "b": 5}),  # 1.5 and 4.5, half up
    ("abc", 0.5, {}),
]


@pytest.mark.parametrize(("labels", "share", "expected"), COUNTS)
def test_of_each_label_its_share(labels: str, share: float, expected: dict[str, int]) -> None:
    held = held_out(labels, share, seed=3)
    assert Counter(labels[number] for number in held) == expected
    assert held.tolist() == sorted(set(held.tolist()))


@pytest.mark.parametrize(("count", "share", "expected"), [(10, 0.2, 2), (10, 0.01, 1), (2, 0.99, 1), (5, 0.5, 3), (1, 0.5, 0)])
def test_without_labels_a_share_of_all(count: int, share: float, expected: int) -> None:
    held = held_out(count, share, seed=0)
    assert (len(held), len(set(held.tolist()) & set(range(count)))) == (expected, expected)


def test_as_many_of_each_label_as_scikit_learn_holds_out() -> None:
    """Where each label's share is a whole number there is but one right answer."""
    labels = np.random.default_rng(5).permutation(np.repeat([3, 1, 7], [40, 20, 10]))
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.3, random_state=1)
    theirs = next(splitter.split(np.zeros(70), labels))[1]
    assert Counter(labels[held_out(labels.tolist(), 0.3, seed=1)]) == Counter(labels[theirs])


def test_the_seed_alone_decides_which() -> None:
    labels = "ab" * 50
    assert held_out(labels, 0.2, 7).tolist() == held_out(labels, 0.2, 7).tolist()
    assert len({tuple(held_out(labels, 0.2, seed).tolist()) for seed in range(-5, 5)}) == 10


@given(st.lists(st.integers(0, 4), max_size=40), st.floats(0.001, 0.999), st.integers(-(2**63), 2**63 - 1))
def test_every_label_with_two_examples_is_on_both_sides(labels: list[int], share: float, seed: int) -> None:
    held = set(held_out(labels, share, seed).tolist())
    for label, count in Counter(labels).items():
        there = sum(labels[number] == label for number in held)
        assert (1 <= there < count) if count > 1 else there == 0
