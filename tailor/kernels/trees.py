"""Tree ensembles: every row of numbers goes down every tree, and the values of the leaves it comes to are added up.

Nodes are rows of arrays, so that millions of them are read, checked and walked without an object each: ``grow`` makes a
``Forest`` of nodes as they are written, ``scores`` walks it. Source: ``TreeEnsemble.proto`` of the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .jit import jit, plain
from .op import Array

Transform: TypeAlias = Literal["none", "softmax", "logistic", "softmax_from_zero"]
Places: TypeAlias = NDArray[np.int64]


class Behavior(IntEnum):
    """What a node is: a comparison of a feature with its value, or a leaf. Numbers of the format."""

    LESS_EQUAL = 0
    LESS = 1
    GREATER_EQUAL = 2
    GREATER = 3
    EQUAL = 4
    NOT_EQUAL = 5
    LEAF = 6


WRITTEN = np.dtype(
    [
        ("tree", "u8"),
        ("node", "u8"),
        ("behavior", "i4"),
        ("feature", "u8"),
        ("value", "f8"),
        ("on_true", "u8"),
        ("on_false", "u8"),
        ("missing_is_true", "?"),
    ]
)
"""A node as it is written: its ``Behavior``, and its children by their ids in the same tree."""

ENTRY = np.dtype([("index", "u8"), ("value", "f8")])
"""What a leaf adds to one dimension."""

_NODE = np.dtype([("threshold", "f8"), ("feature", "u4"), ("child", "u4"), ("ways", "u4")])
_EQUAL, _KEEPS_NAN = 1, 2  # bits of ways
_LANES = 8  # rows that go down a tree side by side, so that they wait for memory together
_EQUALITIES = (Behavior.EQUAL, Behavior.NOT_EQUAL)
_MOST_FEATURES = 1 << 24  # a row of a dictionary has so many numbers, whatever few keys it has


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees made ready for ``scores``; made by ``grow``.

    Every comparison is ``x <= threshold``, or ``x == threshold`` where ``ways`` says so: rows for which it holds go to
    ``child``, others to the node behind it. NaN goes there too, unless ``ways`` keeps it. A leaf is its own child.

    ``nodes``    structured ``[n]``, tree after tree by their ids: the root, then the children of each branch side by side.
    ``roots``    int64, one a tree.
    ``first``    int64 ``[n + 1]``: where in ``index`` and ``value`` the entries of each node begin.
    ``index``, ``value``  int64 and float64: dimensions, and what is added to them.
    ``features``  how many numbers a row must have at least.
    ``equalities``  whether any comparison is for equality.
    ``singles``  whether every threshold and value is a float32: such trees were made for numbers of that precision.
    """

    nodes: Array
    roots: Places
    first: Places
    index: Places
    value: Array
    features: int
    equalities: bool
    singles: bool


def grow(written: Array, counts: Array, entries: Array, dimensions: int) -> Forest:
    """The forest of the nodes ``written`` ``[n]`` (``WRITTEN``), which have ``counts`` ``[n]`` of ``entries`` (``ENTRY``) each, in order.

    Entries of branches mean nothing. Raises ``ValueError``, naming tree and node, for an id that comes twice, an unknown
    behavior, a comparison with NaN, a child that is absent or has two parents, a tree that has not one root or nodes
    that it does not lead to, and a leaf that has no value, one beyond ``dimensions``, or two for one of them.
    """
    trees, tree = np.unique(written["tree"], return_inverse=True)
    ids, name = np.unique(written["node"], return_inverse=True)
    keys = tree * len(ids) + name
    order = np.argsort(keys, kind="stable")
    nodes, tree, keys = written[order], tree[order], keys[order]
    kind = nodes["behavior"]
    _refuse(keys[1:] == keys[:-1], nodes[1:], "expected no other node of this id, got one")
    _refuse((kind < 0) | (kind > Behavior.LEAF), nodes, "expected a behavior from 0 to 6, got {}", kind)

    branches = np.flatnonzero(kind != Behavior.LEAF)
    asked = nodes[branches]
    _refuse(np.isnan(asked["value"]), asked, "expected a number to compare with, got NaN")
    _refuse(asked["feature"] >= _MOST_FEATURES, asked, f"expected a feature below {_MOST_FEATURES}, got {{}}", asked["feature"])
    children = [_found(asked, side, tree[branches], ids, keys) for side in ("on_true", "on_false")]
    _check_trees(nodes, trees, tree, branches, children)

    swapped = np.isin(asked["behavior"], (Behavior.GREATER_EQUAL, Behavior.GREATER, Behavior.NOT_EQUAL))
    starts: Places = np.searchsorted(tree, np.arange(len(trees)))
    rank = np.arange(len(branches)) - np.searchsorted(branches, starts)[tree[branches]]  # among the branches of its tree
    pair = starts[tree[branches]] + 1 + 2 * rank
    place = starts[tree]  # right for the roots
    place[children[0]], place[children[1]] = pair + swapped, pair + ~swapped

    _refuse((counts[order] == 0) & (kind == Behavior.LEAF), nodes, "expected a value in a leaf, got none")
    source = np.repeat(np.argsort(order), counts)
    of_leaf = kind[source] == Behavior.LEAF
    first, index, value = _entries(source[of_leaf], entries[of_leaf], nodes, place, dimensions)
    return Forest(
        _laid(len(nodes), place[branches], asked, pair, swapped),
        starts,
        first,
        index,
        value,
        features=int(asked["feature"].max(initial=0)) + 1,  # a leaf looks at the first one too
        equalities=bool(np.isin(asked["behavior"], _EQUALITIES).any()),
        singles=_single(asked["value"]) and _single(value),
    )


def scores(forest: Forest, rows: Array, base: Array) -> Array:
    """``base`` ``[dimensions]`` and the values of the leaves that each row comes to: float64 ``[count, dimensions]``.

    ``rows`` float64 ``[count, features or more]``; NaN stands for a missing number. Where the forest is of ``singles``,
    rows are rounded to float32. Values are added tree by tree: a row has the same bits among whatever others it is.
    """
    if rows.shape[1] < forest.features:
        raise ValueError(f"expected {forest.features} numbers or more, which the trees look at, got {rows.shape[1]}")
    if forest.singles:
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32).astype(np.float64)
    careful = forest.equalities or bool(np.isnan(rows).any())
    made = np.tile(base, (len(rows), 1))
    _walk(forest.nodes, forest.roots, forest.first, forest.index, forest.value, plain(rows), careful, made)
    return made


def transformed(values: Array, transform: Transform) -> Array:
    """``values`` ``[count, dimensions]`` as the model gives them out, float64 of the same shape.

    ``softmax_from_zero``: the first class is what the others are measured from; its value counts as 0.
    """
    if transform == "none":
        return values
    if transform == "logistic":
        return np.asarray(special.expit(values))
    if transform == "softmax_from_zero":
        values = np.concatenate([np.zeros((len(values), 1)), values[:, 1:]], axis=1)
    with np.errstate(invalid="ignore"):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _walk_together(nodes: Array, roots: Array, first: Array, index: Array, value: Array, rows: Array, careful: bool, made: Array) -> None:
    """The twin of ``_walk``: all rows go down a tree together, one level a step."""
    every = np.arange(len(rows))
    for root in roots:
        at = np.full(len(rows), root)
        moved = True
        while moved:
            node = nodes[at]
            x, threshold = rows[every, node["feature"]], node["threshold"]
            beyond = ~(x <= threshold)
            beyond |= (x < threshold) & (node["ways"] & _EQUAL != 0)
            beyond &= ~(np.isnan(x) & (node["ways"] & _KEEPS_NAN != 0))
            to = node["child"] + beyond
            moved, at = bool((to != at).any()), to.astype(np.int64)
        entry, end = first[at], first[at + 1]
        while (left := np.flatnonzero(entry < end)).size:
            made[left, index[entry[left]]] += value[entry[left]]
            entry = entry + 1


@jit(twin=_walk_together)
def _walk(nodes: Array, roots: Array, first: Array, index: Array, value: Array, rows: Array, careful: bool, made: Array) -> None:
    """Adds to ``made`` ``[count, dimensions]`` the values of the leaves that ``rows`` come to.

    ``careful`` false: there are no equalities and no NaN. Numbers without a sign are indices that need no wrapping around.
    """
    last = len(rows) - 1
    at = np.empty(_LANES, np.uint32)
    for tree in range(len(roots)):
        for start in range(0, last + 1, _LANES):
            at[:] = roots[tree]
            moved = True
            while moved:
                moved = False
                for lane in range(_LANES):
                    node = nodes[at[lane]]
                    x = rows[min(start + lane, last), node["feature"]]  # lanes that are left over follow the last row
                    beyond = not (x <= node["threshold"])
                    if careful:
                        beyond |= (x < node["threshold"]) & (node["ways"] & _EQUAL != 0)
                        beyond &= (x == x) | (node["ways"] & _KEEPS_NAN == 0)
                    to = node["child"] + np.uint32(beyond)
                    moved |= to != at[lane]
                    at[lane] = to
            for lane in range(min(_LANES, last + 1 - start)):
                for entry in range(first[at[lane]], first[at[lane] + 1]):
                    made[start + lane, index[entry]] += value[entry]


def _refuse(wrong: Array, nodes: Array, problem: str, got: Array | None = None) -> None:
    """Raises ``ValueError`` about the first of ``nodes`` that is ``wrong``, where one is; ``{}`` in ``problem`` is what it ``got``."""
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"tree {nodes['tree'][at]}, node {nodes['node'][at]}: {problem.format(None if got is None else got[at])}")


def _found(asked: Array, side: str, tree: Array, ids: Array, keys: Array) -> Places:
    """Where in ``keys``, which are sorted, the children of the branches ``asked`` are."""
    name = np.searchsorted(ids, asked[side]).clip(max=len(ids) - 1)
    key = tree * len(ids) + name
    place: Places = np.searchsorted(keys, key).clip(max=len(keys) - 1)
    absent = (ids[name] != asked[side]) | (keys[place] != key)
    _refuse(absent, asked, f"expected a node of the tree as the child {side.replace('_', ' ')}, got {{}}", asked[side])
    return place


def _check_trees(nodes: Array, trees: Array, tree: Array, branches: Array, children: list[Places]) -> None:
    """Raises ``ValueError`` unless every tree has one root, from which one way leads to each of its nodes."""
    parents = np.bincount(np.concatenate(children), minlength=len(nodes))
    _refuse(parents > 1, nodes, "expected to be a child once, got {} times", parents)
    roots = np.flatnonzero(parents == 0)
    _refuse(tree[roots][1:] == tree[roots][:-1], nodes[roots[1:]], "expected one root of the tree, got node {} too", nodes["node"][roots])
    rootless = np.flatnonzero(np.bincount(tree[roots], minlength=len(trees)) == 0)
    if len(rootless):
        raise ValueError(f"tree {trees[rootless[0]]}: expected a root, got only nodes that are children")
    above = np.arange(len(nodes))
    above[children[0]] = above[children[1]] = branches
    for _ in range(len(nodes).bit_length()):  # each time twice as far up
        if not parents[above].any():
            break
        above = above[above]
    _refuse(parents[above] != 0, nodes, "expected a way to it from the root of the tree, got none")


def _laid(count: int, at: Array, asked: Array, pair: Array, swapped: Array) -> Array:
    """``count`` nodes of a ``Forest``, of which those ``at`` are the branches ``asked``, whose children begin at ``pair``."""
    nodes = np.zeros(count, _NODE)
    nodes["threshold"], nodes["child"], nodes["ways"] = np.inf, np.arange(count), _KEEPS_NAN
    nodes["threshold"][at], nodes["feature"][at], nodes["child"][at] = _thresholds(asked), asked["feature"], pair
    equal = np.isin(asked["behavior"], _EQUALITIES)
    nodes["ways"][at] = equal * _EQUAL + (asked["missing_is_true"] != swapped) * _KEEPS_NAN
    return nodes


def _thresholds(asked: Array) -> Array:
    """What ``x`` is compared with by ``<=`` and ``==``: to be less than a number is to be at most the one before it."""
    before = np.isin(asked["behavior"], (Behavior.LESS, Behavior.GREATER_EQUAL))
    value = asked["value"]
    return np.where(before, np.where(np.isneginf(value), np.nan, np.nextafter(value, -np.inf)), value)


def _entries(source: Array, entries: Array, nodes: Array, place: Places, dimensions: int) -> tuple[Places, Places, Array]:
    """``first``, ``index`` and ``value`` of a ``Forest``; ``source`` says which of ``nodes`` has each of the ``entries``."""
    by = np.lexsort((entries["index"], place[source]))
    source, index = source[by], entries["index"][by]
    _refuse(index >= dimensions, nodes[source], f"expected values for dimensions below {dimensions}, got one for {{}}", index)
    twice = (source[1:] == source[:-1]) & (index[1:] == index[:-1])
    _refuse(twice, nodes[source[1:]], "expected one value for a dimension, got two for {}", index[1:])
    ends = np.cumsum(np.bincount(place[source], minlength=len(nodes)))
    return np.concatenate([[0], ends]).astype(np.int64), index.astype(np.int64), entries["value"][by]


def _single(numbers: Array) -> bool:
    with np.errstate(over="ignore"):
        return bool(((numbers == numbers.astype(np.float32)) | np.isnan(numbers)).all())
