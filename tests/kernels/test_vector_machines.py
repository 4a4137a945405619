"""Dot products, distances and support vector machines: against SciPy, equations solved at once, and numbers by hand."""

from __future__ import annotations

from math import exp, tanh

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tailor.kernels import Array, vector_machines
from tailor.kernels.pairs import products, squared_distances
from tailor.kernels.vector_machines import Kernel, decisions, probabilities, votes

# Vectors, numbers in each: more and fewer of them, and so many that loops are compiled.
SHAPES = [(3, 7), (40, 5), (1, 1), (5, 10_000), (300, 20), (4, 0), (0, 4)]


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(("vectors", "width"), SHAPES)
def test_dot_products_and_distances(vectors: int, width: int) -> None:
    x, y = numbers(6, width), numbers(vectors, width, seed=1)
    np.testing.assert_allclose(products(x, y.T), x @ y.T, rtol=1e-10, atol=1e-10)
    expected = cdist(x, y, "sqeuclidean") if width else np.zeros((6, vectors))
    np.testing.assert_allclose(squared_distances(x, y.T), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("vectors", "width"), SHAPES)
def test_a_row_has_the_same_bits_in_any_company(vectors: int, width: int) -> None:
    x, y = numbers(50, width), numbers(width, vectors, seed=1)
    for function in (products, squared_distances):
        together = function(x, y)
        assert all(np.array_equal(function(x[row : row + 1], y), together[row : row + 1]) for row in range(50))
        np.testing.assert_array_equal(function(np.asfortranarray(x)[7:], y), together[7:])


def test_equal_rows_are_at_no_distance() -> None:
    x = 1e8 + numbers(5, 9)
    assert np.diag(squared_distances(x, x.T)).tolist() == [0] * 5


# x = (1, 2), s = (3, -1): x.s = 1, |x - s|^2 = 13
BY_HAND = {
    "linear": (Kernel("linear"), 1.0),
    "rbf": (Kernel("rbf", gamma=0.1), exp(-1.3)),
    "polynomial": (Kernel("polynomial", gamma=2, c=3, degree=3), 125.0),
    "polynomial of degree 0": (Kernel("polynomial", gamma=0, c=0, degree=0), 1.0),
    "sigmoid": (Kernel("sigmoid", gamma=0.5, c=-1), tanh(-0.5)),
}


@pytest.mark.parametrize(("kernel", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_kernels_by_hand(kernel: Kernel, expected: float) -> None:
    values = kernel.values(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[3.0], [-1.0]]))
    assert values.shape == (2, 1)
    assert values[0, 0] == pytest.approx(expected, rel=1e-14)


def test_which_coefficients_decide_between_which_classes() -> None:
    """Each product of a coefficient and a value of the kernel has a digit of its own."""
    values = np.array([[1.0, 10, 100, 1000]])  # two vectors of the first class, one of each of the others
    coefficients = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    decided = decisions(values, [2, 1, 1], coefficients.T, np.array([0.5, 0.25, 0.125]))
    expected = [1 * 1 + 2 * 10 + 3 * 100 - 0.5, 5 * 1 + 6 * 10 + 4 * 1000 - 0.25, 7 * 100 + 8 * 1000 - 0.125]
    assert decided.tolist() == [expected]


def test_votes_by_hand() -> None:
    # Pairs: (0, 1), (0, 2), (1, 2). No decision, and one that is no number, are votes for the second.
    decided = np.array([[1.0, -1, 1], [0, 0, 0], [np.nan, 1, 1]])
    assert votes(decided, 3).tolist() == [[1, 1, 1], [0, 1, 2], [1, 2, 0]]
    assert votes(np.zeros((2, 0)), 1).tolist() == [[0], [0]]


def test_two_classes_have_the_probability_of_the_one_decision() -> None:
    decided = np.array([[0.5], [1e6], [-1e6], [np.nan]])
    made = probabilities(decided, np.array([-2.0]), np.array([0.25]), 2)
    least = vector_machines.LEAST_PROBABILITY
    first = [1 / (1 + exp(-0.75)), 1 - least, least, least]
    np.testing.assert_allclose(made, [[share, 1 - share] for share in first], rtol=1e-12)


@pytest.mark.parametrize("classes", [3, 4, 12])
def test_coupled_probabilities_solve_the_equations_of_all_pairs(classes: int) -> None:
    """Wu, Lin and Weng, equation (21): Q p + b = 0 with the p adding up to 1, solved here at once."""
    pairs = classes * (classes - 1) // 2
    decided = numbers(20, pairs)
    made = probabilities(decided, np.full(pairs, -1.5), np.full(pairs, 0.1), classes)
    first, second = np.triu_indices(classes, 1)
    for row in range(20):
        wins = np.zeros((classes, classes))
        wins[first, second] = 1 / (1 + np.exp(-1.5 * decided[row] + 0.1))
        wins[second, first] = 1 - wins[first, second]
        system = np.ones((classes + 1, classes + 1))
        system[:classes, :classes] = -wins * wins.T + np.diag(np.square(wins).sum(axis=0))
        system[classes, classes] = 0
        expected = np.linalg.solve(system, np.eye(classes + 1)[classes])[:classes]
        np.testing.assert_allclose(made[row], expected, atol=0.02 / classes)
        assert made[row].sum() == pytest.approx(1, abs=1e-12)


def test_pairs_that_agree_give_back_the_probabilities_that_they_come_from() -> None:
    true = np.array([0.5, 0.3, 0.15, 0.05])
    first, second = np.triu_indices(4, 1)
    decided = np.log(true[first] / true[second])[None]
    made = probabilities(decided, np.full(6, -1.0), np.zeros(6), 4)
    np.testing.assert_allclose(made, true[None], atol=2e-3)


def test_probabilities_of_a_row_have_the_same_bits_in_any_company() -> None:
    decided = 5 * numbers(60, 10)
    slopes, shifts = -1 - np.abs(numbers(10)), numbers(10, seed=3)
    together = probabilities(decided, slopes, shifts, 5)
    assert all(np.array_equal(probabilities(decided[row : row + 1], slopes, shifts, 5)[0], together[row]) for row in range(60))
