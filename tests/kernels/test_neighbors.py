"""Nearest neighbours: against scikit-learn and SciPy on random data, and by hand where ties decide."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tailor.kernels import Array, neighbors

sklearn_neighbors = pytest.importorskip("sklearn.neighbors", reason="compared with scikit-learn")


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ordered(samples: Array, queries: Array, k: int) -> Array:
    """The k nearest by SciPy's float64 distances and a stable sort."""
    return np.argsort(cdist(queries.astype(np.float64), samples.astype(np.float64), "sqeuclidean"), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize(
    ("n", "q", "d", "k"),
    [(7, 5, 3, 2), (300, 40, 17, 5), (3000, 90, 64, 5), (3000, 90, 2, 1), (900, 30, 33, 300), (5000, 3, 130, 899), (40, 200, 9, 40)],
)
def test_random_data_agrees_with_scikit_learn(n: int, q: int, d: int, k: int) -> None:
    samples, queries = random(n, n, d), random(q + 1000, q, d)
    indices, squared = neighbors.nearest(samples, queries, k)
    brute = sklearn_neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(samples.astype(np.float64))
    distances, expected = brute.kneighbors(queries.astype(np.float64))
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(squared, distances**2, rtol=1e-9)
    assert squared.dtype == np.float64


HARD = {
    "far from the origin": lambda x, q: (x + 1000, q + 1000),
    "one sample far away": lambda x, q: (np.concatenate([x, np.full_like(x[:1], 1e6)]), q),
    "queries far away": lambda x, q: (x, q * 300),
    "squares beyond float32": lambda x, q: (x * np.float32(1e25), q * np.float32(1e25)),
    "squares below float32": lambda x, q: (x * np.float32(1e-25), q * np.float32(1e-25)),
    "differences below float32's normal numbers": lambda x, q: (x * np.float32(1e-42), q * np.float32(1e-42)),
    "many duplicates": lambda x, q: (np.repeat(x[: len(x) // 20], 20, axis=0), q),
    "few distinct values": lambda x, q: (np.round(x), np.round(q)),
    "all the same": lambda x, q: (np.ones_like(x), q),
}


@pytest.mark.parametrize("make", HARD.values(), ids=HARD.keys())
def test_preselection_loses_no_neighbour_on_hard_data(make: object) -> None:
    samples, queries = make(random(1, 2000, 24), random(2, 30, 24))  # type: ignore[operator]
    assert len(samples) * len(queries) * samples.shape[1] > neighbors.DIRECT_WORK
    indices, squared = neighbors.nearest(samples, queries, 7)
    np.testing.assert_array_equal(indices, ordered(samples, queries, 7))
    exact = ((samples[indices].astype(np.float64) - queries[:, None].astype(np.float64)) ** 2).sum(-1)
    np.testing.assert_allclose(squared, exact, rtol=1e-12)


@settings(deadline=None)  # a busy machine may pause anywhere
@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=40),
    st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=5),
    st.integers(1, 50),
)
def test_ties_go_to_the_sample_added_first(samples: list[list[int]], queries: list[list[int]], k: int) -> None:
    indices, squared = neighbors.nearest(np.array(samples, np.float32), np.array(queries, np.float32), k)
    for row, query in enumerate(queries):
        by_hand = sorted(((x - query[0]) ** 2 + (y - query[1]) ** 2, i) for i, (x, y) in enumerate(samples))[:k]
        assert list(zip(squared[row].tolist(), indices[row].tolist(), strict=True)) == by_hand


def test_exact_matches_are_at_distance_zero_and_queries_are_independent() -> None:
    samples = random(3, 2500, 70) * 100 + 50
    index = neighbors.prepare(samples)
    together = neighbors.nearest(index, samples[:300], 3)
    assert (together[1][:, 0] == 0).all()
    np.testing.assert_array_equal(together[0][:, 0], np.arange(300))
    for row in (0, 17, 299):
        alone = neighbors.nearest(index, samples[row : row + 1], 3)
        np.testing.assert_array_equal(alone[0][0], together[0][row])
        np.testing.assert_array_equal(alone[1][0], together[1][row])


@pytest.mark.parametrize("leaf_size", [0, 5], ids=["brute force", "kd-tree"])
@pytest.mark.parametrize("make", ["spread", "grid", "duplicates", "all the same", "drifting"])
@pytest.mark.parametrize("d", [1, 3, 8])
def test_an_index_that_grew_finds_what_one_made_at_once_finds(make: str, d: int, leaf_size: int) -> None:
    samples, queries = random(d, 2300, d), random(d + 50, 25, d)
    samples, queries = {
        "spread": lambda: (samples, queries),
        "grid": lambda: (np.round(samples), np.round(queries)),
        "duplicates": lambda: (np.repeat(samples[:23], 100, axis=0), samples[:25]),
        "all the same": lambda: (np.ones_like(samples), queries),
        "drifting": lambda: (samples + np.arange(2300, dtype=np.float32)[:, None], queries + np.float32(2200)),
    }[make]()
    labels = np.arange(2300) % 7
    index = neighbors.prepare(samples[:1100], labels[:1100], leaf_size)
    cuts = [1100, 1100, 1101, 1102, 1103, 1110, 1200, 1201, 2290, 2291, 2300]
    for begin, end in pairwise(cuts):
        before, index = index, index.extended(samples[begin:end], labels[begin:end])
        assert (len(before), len(index)) == (begin, end)
    assert any(part.tree is not None for part in index.parts) is (leaf_size > 0)
    for k in (1, 6, 2300):
        indices, squared = neighbors.nearest(index, queries, k)
        np.testing.assert_array_equal(indices, ordered(samples, queries, k))
        exact = ((samples[indices].astype(np.float64) - queries[:, None].astype(np.float64)) ** 2).sum(-1)
        np.testing.assert_allclose(squared, exact, rtol=1e-12)
        np.testing.assert_array_equal(index.labels_of(indices), labels[indices])


def test_what_is_there_is_shared_and_made_ready_rarely_however_often_an_index_grows() -> None:
    samples = random(9, 1500, 4)
    index = neighbors.prepare(samples[:1000])
    bulk, made = index.parts[0], 0
    for row in samples[1000:]:
        before = {id(part) for part in index.parts}
        index = index.extended(row[None])
        made += sum(len(part.samples) for part in index.parts if id(part) not in before)
    assert index.parts[0] is bulk
    assert len(index.parts) <= 10
    assert made <= 500 * 10, "each sample moves on into a part at least twice as large: 2^9 > 500"


def test_models_that_grow_from_one_index_do_not_see_each_other() -> None:
    base = neighbors.prepare(np.zeros((1, 2)))
    left, right = base.extended(np.ones((1, 2))), base.extended(np.full((2, 2), 3.0))
    query = np.full((1, 2), 3.0)
    assert [neighbors.nearest(index, query, 9)[1].tolist() for index in (base, left, right)] == [
        [[18.0]],
        [[8.0, 18.0]],
        [[0.0, 0.0, 18.0]],
    ]


@pytest.mark.parametrize(
    ("samples", "labels", "message"),
    [
        ([[1.0]], [0], "samples: expected 2 columns as the index has, got 1"),
        ([[1.0, np.nan]], [0], r"samples: expected finite numbers, got nan at \[0, 1\]"),
        ([[1.0, 2.0]], [0, 1], r"labels: expected one for each of 1 samples, got shape \[2\]"),
    ],
)
def test_samples_that_do_not_fit_are_not_added(samples: object, labels: object, message: str) -> None:
    index = neighbors.prepare(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=message):
        index.extended(np.asarray(samples), np.asarray(labels))


def test_an_empty_index_has_no_neighbours() -> None:
    indices, squared = neighbors.nearest(np.zeros((0, 4), np.float32), random(1, 3, 4), 5)
    assert indices.shape == squared.shape == (3, 0)


@pytest.mark.parametrize(
    ("samples", "queries", "k", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], 1, "queries: expected 2 columns as the samples have, got 1"),
        ([[1.0, 2.0]], [1.0, 2.0], 1, r"queries: expected two axes \[count, dimensions\], got shape \[2\]"),
        ([[1.0, 2.0]], [[1.0, 2.0]], 0, "k: expected at least 1, got 0"),
        ([[1.0, 2.0]], [[0.0, 0.0], [1.0, np.nan]], 1, r"queries: expected finite numbers, got nan at \[1, 1\]"),
        ([[1.0, np.inf]], [[0.0, 0.0]], 1, r"samples: expected finite numbers, got inf at \[0, 1\]"),
        ([[1.0, 2.0]], [[1e39, 0.0]], 1, r"queries: expected finite numbers, got inf at \[0, 0\]"),
    ],
)
def test_what_does_not_fit_is_refused(samples: object, queries: object, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbors.nearest(np.asarray(samples), np.asarray(queries), k)


# labels of the neighbours (nearest first), their squared distances, weighting -> shares of the labels 0, 1, 2 and the winner
VOTES = {
    "majority": ([0, 1, 1], [1, 2, 3], "uniform", [1 / 3, 2 / 3, 0], 1),
    "tied: the label of the nearest": ([2, 1, 1, 2], [1, 2, 3, 4], "uniform", [0, 0.5, 0.5], 2),
    "tied and equally near: as ordered": ([1, 0], [4, 4], "uniform", [0.5, 0.5, 0], 1),
    "the nearest label is not among the tied": ([0, 2, 1, 2, 1], [1, 2, 2, 3, 3], "uniform", [0.2, 0.4, 0.4], 2),
    "one near outweighs two far": ([0, 1, 1], [1, 3, 3], "inverse", [0.6, 0.4, 0], 0),
    "two far outweigh one near": ([0, 1, 1], [2, 3, 3], "inverse", [3 / 7, 4 / 7, 0], 1),
    "weights are of squared distances": ([0, 1, 1, 1], [1, 4, 4, 4], "inverse", [4 / 7, 3 / 7, 0], 0),
    "sums tied but for rounding": ([0, 1, 1, 1, 1, 1, 1], [0.7, 4.2, 4.2, 4.2, 4.2, 4.2, 4.2], "inverse", [0.5, 0.5, 0], 0),
    "an exact match outvotes all others": ([2, 1, 1], [0, 1e-30, 1e-30], "inverse", [0, 0, 1], 2),
    "several exact matches vote equally": ([2, 1, 1, 0], [0, 0, 0, 1e-30], "inverse", [0, 2 / 3, 1 / 3], 1),
    "exact matches are tied: the one added first": ([2, 1], [0, 0], "inverse", [0, 0.5, 0.5], 2),
    "uniform knows no exact match": ([2, 1, 1], [0, 1, 1], "uniform", [0, 2 / 3, 1 / 3], 1),
    "tiny distances do not overflow": ([0, 1, 1], [1e-320, 2e-320, 1e300], "inverse", [2 / 3, 1 / 3, 0], 0),
    "one neighbour": ([1], [9], "inverse", [0, 1, 0], 1),
}


@pytest.mark.parametrize(("labels", "squared", "weighting", "shares", "winner"), VOTES.values(), ids=VOTES.keys())
def test_votes_by_hand(labels: list[int], squared: list[float], weighting: neighbors.Weighting, shares: list[float], winner: int) -> None:
    sums, winners = neighbors.votes(np.array([labels, labels]), np.array([squared, squared], np.float64), weighting, 3)
    np.testing.assert_allclose(sums / sums.sum(1, keepdims=True), [shares, shares], rtol=1e-3 if squared[0] == 1e-320 else 1e-14)
    assert winners.tolist() == [winner, winner]


@pytest.mark.parametrize("weighting", ["uniform", "inverse"])
def test_votes_agree_with_scikit_learn(weighting: neighbors.Weighting) -> None:
    samples, queries = random(4, 400, 6), random(5, 50, 6)
    labels = np.random.default_rng(6).integers(0, 4, 400)
    weights = "uniform" if weighting == "uniform" else lambda distances: 1 / distances**2
    k = 7 if weighting == "inverse" else 1
    classifier = sklearn_neighbors.KNeighborsClassifier(k, weights=weights, algorithm="brute").fit(samples.astype(np.float64), labels)
    indices, squared = neighbors.nearest(samples, queries, k)
    sums, winners = neighbors.votes(labels[indices], squared, weighting, 4)
    np.testing.assert_allclose(sums / sums.sum(1, keepdims=True), classifier.predict_proba(queries.astype(np.float64)), rtol=1e-9)
    np.testing.assert_array_equal(winners, classifier.predict(queries.astype(np.float64)))
