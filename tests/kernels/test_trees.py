"""Trees: each comparison as Python makes it, the same sums however nodes are ordered and rows are grouped, bad trees refused by name."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import special

from tailor.kernels import HAVE_NUMBA, Array, trees
from tailor.kernels.trees import ENTRY, WRITTEN, Behavior

LEAF = Behavior.LEAF
COMPARISONS = {
    Behavior.LESS_EQUAL: operator.le,
    Behavior.LESS: operator.lt,
    Behavior.GREATER_EQUAL: operator.ge,
    Behavior.GREATER: operator.gt,
    Behavior.EQUAL: operator.eq,
    Behavior.NOT_EQUAL: operator.ne,
}

Node = tuple[int, int, int, int, float, int, int, bool]
Leaf = tuple[int, int, Sequence[tuple[int, float]]]


def branch(
    tree: int, node: int, behavior: int, value: float, on_true: int, on_false: int, feature: int = 0, missing_is_true: bool = False
) -> Node:
    return tree, node, int(behavior), feature, value, on_true, on_false, missing_is_true


def grown(branches: Sequence[Node], leaves: Sequence[Leaf], dimensions: int = 1, order: Array | None = None) -> trees.Forest:
    """The forest of these nodes, written in any ``order``."""
    rows: list[tuple[Node, Sequence[tuple[int, float]]]] = [(row, ()) for row in branches]
    rows += [((tree, node, int(LEAF), 0, 0.0, 0, 0, False), entries) for tree, node, entries in leaves]
    if order is not None:
        rows = [rows[place] for place in order]
    written = np.array([row for row, _ in rows], WRITTEN)
    entries = np.array([entry for _, added in rows for entry in added], ENTRY)
    return trees.grow(written, np.array([len(added) for _, added in rows], np.int64), entries, dimensions)


def random_forest(seed: int, count: int, dimensions: int) -> tuple[list[Node], list[Leaf]]:
    """Trees of all shapes, with every behavior, on three features; ids with gaps."""
    random = np.random.default_rng(seed)
    branches, leaves = [], []
    for tree in range(3, 3 + 2 * count, 2):
        open_nodes, used = [7], 7
        for _ in range(int(random.integers(0, 30))):
            node = open_nodes.pop(int(random.integers(len(open_nodes))))
            value = float(random.integers(-3, 4))
            branches.append(
                branch(tree, node, int(random.integers(6)), value, used + 5, used + 3, int(random.integers(3)), bool(random.integers(2)))
            )
            open_nodes += [used + 5, used + 3]
            used += 5
        for node in open_nodes:
            taken = random.permutation(dimensions)[: random.integers(1, dimensions + 1)]
            leaves.append((tree, node, [(int(index), float(random.standard_normal())) for index in taken]))
    return branches, leaves


def walked(branches: Sequence[Node], leaves: Sequence[Leaf], x: Sequence[float], base: Sequence[float]) -> list[float]:
    """The sums, by walking from node to node."""
    nodes: dict[tuple[int, int], Any] = {(row[0], row[1]): row for row in branches}
    values = {(tree, node): entries for tree, node, entries in leaves}
    total = list(base)
    for tree in sorted({tree for tree, _ in (*nodes, *values)}):
        at = (tree, 7)
        while at in nodes:
            _, _, behavior, feature, value, on_true, on_false, missing = nodes[at]
            holds = missing if math.isnan(x[feature]) else COMPARISONS[Behavior(behavior)](x[feature], value)
            at = (tree, on_true if holds else on_false)
        for index, added in values[at]:
            total[index] += added
    return total


@pytest.mark.parametrize("missing_is_true", [False, True])
@pytest.mark.parametrize("behavior", COMPARISONS)
def test_comparisons_are_those_of_python(behavior: Behavior, missing_is_true: bool) -> None:
    numbers = [-math.inf, -1.5, math.nextafter(0.25, -1), 0.25, math.nextafter(0.25, 1), 5e-324, 0.0, -0.0, 1e308, math.inf]
    for value in (0.25, 0.0, math.inf, -math.inf):
        forest = grown([branch(0, 0, behavior, value, 1, 2, missing_is_true=missing_is_true)], [(0, 1, [(0, 1.0)]), (0, 2, [(0, 0.1)])])
        assert not forest.singles
        found = trees.scores(forest, np.array([*numbers, math.nan])[:, None], np.zeros(1))
        holds = [COMPARISONS[behavior](x, value) for x in numbers] + [missing_is_true]
        np.testing.assert_array_equal(found[:, 0], np.where(holds, 1.0, 0.1), err_msg=f"compared with {value}")


@pytest.mark.parametrize("dimensions", [1, 4])
def test_sums_are_those_of_walking_from_node_to_node(dimensions: int) -> None:
    random = np.random.default_rng(2)
    rows = random.integers(-4, 5, (61, 3)).astype(np.float64)
    rows[random.random(rows.shape) < 0.1] = np.nan
    base = random.standard_normal(dimensions)
    for seed in range(5):
        branches, leaves = random_forest(seed, 8, dimensions)
        forest = grown(branches, leaves, dimensions)
        found = trees.scores(forest, rows, base)
        np.testing.assert_array_equal(found, [walked(branches, leaves, list(row), list(base)) for row in rows])
        other = grown(branches, leaves, dimensions, random.permutation(len(branches) + len(leaves)))
        np.testing.assert_array_equal(trees.scores(other, rows, base), found)
        np.testing.assert_array_equal(np.concatenate([trees.scores(forest, row[None], base) for row in rows]), found)


@pytest.mark.skipif(not HAVE_NUMBA, reason="needs Numba, which is absent or switched off")
def test_the_loop_answers_what_its_twin_answers() -> None:
    random = np.random.default_rng(4)
    plain = grown([branch(0, 0, 0, 1, 1, 2, 1)], [(0, 1, [(2, 0.1)]), (0, 2, [(0, 1.0), (1, 2.0)])], 3)
    for seed, count in ((7, 1), (8, 8), (9, 29)):
        whole = random.integers(-4, 5, (count, 3)).astype(np.float64)
        holed = np.where(random.random(whole.shape) < 0.2, np.nan, whole)
        for forest, rows, careful in ((grown(*random_forest(seed, 6, 3), 3), holed, True), (plain, whole, False)):
            made = [np.zeros((count, 3)) for _ in range(2)]
            for call, total in zip((trees._walk, trees._walk.twin), made, strict=True):
                call(forest.nodes, forest.roots, forest.first, forest.index, forest.value, rows, careful, total)
            np.testing.assert_array_equal(*made)


def test_a_chain_of_many_nodes_is_walked_to_its_end() -> None:
    n = 3000
    branches = [branch(0, 2 * k, Behavior.LESS, k + 1.0, 2 * k + 1, 2 * k + 2) for k in range(n)]
    leaves: list[Leaf] = [(0, 2 * k + 1, [(0, k)]) for k in range(n)] + [(0, 2 * n, [(0, n)])]
    rows = np.array([0.5, 1.0, 1234.5, n - 0.5, n, 1e9])[:, None]
    assert trees.scores(grown(branches, leaves), rows, np.zeros(1))[:, 0].tolist() == [0, 1, 1234, n - 1, n, n]


def test_numbers_are_rounded_where_trees_are_of_singles() -> None:
    single = float(np.float32(0.1))
    above = math.nextafter(single, 1)
    for value, rounded in ((2.0, True), (0.1, False)):
        forest = grown([branch(0, 0, Behavior.LESS_EQUAL, single, 1, 2)], [(0, 1, [(0, 0.5)]), (0, 2, [(0, value)])])
        found = trees.scores(forest, np.array([[single], [above], [1e300]]), np.zeros(1))
        assert found[:, 0].tolist() == [0.5, 0.5 if rounded else value, value]


def test_transforms_are_those_of_scipy() -> None:
    values = np.random.default_rng(3).standard_normal((20, 3)) * 50
    reference = np.where([True, False, False], 0.0, values)
    for transform, expected in (
        ("none", values),
        ("softmax", special.softmax(values, axis=1)),
        ("logistic", 1 / (1 + np.exp(-values))),
        ("softmax_from_zero", special.softmax(reference, axis=1)),
    ):
        np.testing.assert_allclose(trees.transformed(values, transform), expected, rtol=1e-13)  # type: ignore[arg-type]


def test_no_trees_answer_the_base() -> None:
    forest = grown([], [], 2)
    assert trees.scores(forest, np.zeros((2, 1)), np.array([1.0, 2.0])).tolist() == [[1, 2], [1, 2]]


def test_rows_that_are_too_short_are_refused() -> None:
    forest = grown([branch(0, 0, 0, 1.0, 1, 2, feature=4)], [(0, 1, [(0, 1.0)]), (0, 2, [(0, 2.0)])])
    with pytest.raises(ValueError, match="expected 5 numbers or more, which the trees look at, got 4"):
        trees.scores(forest, np.zeros((1, 4)), np.zeros(1))


ONE: list[tuple[int, float]] = [(0, 1.0)]


@pytest.mark.parametrize(
    ("branches", "leaves", "message"),
    [
        ([], [(4, 1, ONE), (4, 1, ONE)], "tree 4, node 1: expected no other node of this id, got one"),
        ([branch(0, 0, 9, 1, 1, 2)], [(0, 1, ONE), (0, 2, ONE)], "tree 0, node 0: expected a behavior from 0 to 6, got 9"),
        ([branch(0, 0, -1, 1, 1, 2)], [(0, 1, ONE), (0, 2, ONE)], "tree 0, node 0: expected a behavior from 0 to 6, got -1"),
        ([branch(0, 0, 0, math.nan, 1, 2)], [(0, 1, ONE), (0, 2, ONE)], "tree 0, node 0: expected a number to compare with, got NaN"),
        ([branch(0, 0, 0, 1, 1, 2, 2**40)], [(0, 1, ONE), (0, 2, ONE)], f"tree 0, node 0: expected a feature below {2**24}, got {2**40}"),
        (
            [branch(0, 0, 0, 1, 1, 5)],
            [(0, 1, ONE), (0, 2, ONE)],
            "tree 0, node 0: expected a node of the tree as the child on false, got 5",
        ),
        (
            [branch(0, 0, 0, 1, 1, 2)],
            [(0, 2, ONE), (1, 1, ONE)],
            "tree 0, node 0: expected a node of the tree as the child on true, got 1",
        ),
        ([branch(0, 0, 0, 1, 1, 1)], [(0, 1, ONE)], "tree 0, node 1: expected to be a child once, got 2 times"),
        (
            [branch(0, 0, 0, 1, 1, 2), branch(0, 1, 0, 1, 2, 3)],
            [(0, 2, ONE), (0, 3, ONE)],
            "tree 0, node 2: expected to be a child once, got 2 times",
        ),
        ([], [(2, 1, ONE), (2, 5, ONE)], "tree 2, node 5: expected one root of the tree, got node 1 too"),
        (
            [branch(3, 0, 0, 1, 1, 2), branch(3, 1, 0, 1, 0, 4)],
            [(3, 2, ONE), (3, 4, ONE)],
            "tree 3: expected a root, got only nodes that are children",
        ),
        (
            [branch(0, 5, 0, 1, 6, 7), branch(0, 6, 0, 1, 5, 8)],
            [(0, 7, ONE), (0, 8, ONE), (0, 9, ONE)],
            "tree 0, node 5: expected a way to it from the root of the tree, got none",
        ),
        ([], [(0, 0, [])], "tree 0, node 0: expected a value in a leaf, got none"),
        ([], [(0, 0, [(2, 1.0)])], "tree 0, node 0: expected values for dimensions below 2, got one for 2"),
        ([], [(6, 1, [(1, 1.0), (0, 1.0), (1, 2.0)])], "tree 6, node 1: expected one value for a dimension, got two for 1"),
    ],
)
def test_what_is_no_tree_is_refused(branches: list[Node], leaves: list[Leaf], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        grown(branches, leaves, 2)
    assert str(refusal.value) == message
