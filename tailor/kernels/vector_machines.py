"""Support vector machines: kernels, decisions between two classes each, votes and probabilities.

Sources: ``SVM.proto`` of the format; C.-C. Chang and C.-J. Lin, "LIBSVM: a library for support vector machines" (2011),
for decisions and votes; H.-T. Lin, C.-J. Lin and R. C. Weng (2007) for the probability of a pair; T.-F. Wu, C.-J. Lin and
R. C. Weng, "Probability estimates for multi-class classification by pairwise coupling" (2004), second approach.

A row's answers have the same bits whatever rows are given with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .op import Array
from .pairs import products, squared_distances

Floats: TypeAlias = NDArray[np.float64]

LEAST_PROBABILITY = 1e-7
"""A pair's probabilities are held this far from 0 and 1."""

MOST_TURNS = 100
TOLERANCE = 0.005
"""The coupling ends after this many turns (or as many as there are classes), or where its equations hold to this, divided by
the number of classes."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike an example and a support vector are.

    ``linear`` x.s, ``rbf`` exp(-gamma |x - s|^2), ``polynomial`` (gamma x.s + c)^degree, ``sigmoid`` tanh(gamma x.s + c).
    """

    kind: Literal["linear", "rbf", "polynomial", "sigmoid"]
    gamma: float = 0.0
    c: float = 0.0
    degree: int = 0

    def values(self, x: Array, vectors: Array) -> Floats:
        """The kernel of each row of ``x`` ``[n, d]`` with each of the support vectors, columns ``[d, s]``, float64: ``[n, s]``."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.kind == "linear":
                return products(x, vectors)
            if self.kind == "rbf":
                return np.exp(-self.gamma * squared_distances(x, vectors))
            inner = self.gamma * products(x, vectors) + self.c
            made: Floats = np.tanh(inner) if self.kind == "sigmoid" else inner**self.degree
            return made


def decisions(values: Array, counts: Sequence[int], coefficients: Array, rho: Array) -> Floats:
    """The decision between each pair of classes, ``[n, pairs]``: above 0 for the first of the two.

    ``values`` ``[n, s]``: what the kernel says of support vectors that lie class by class, ``counts`` of each of k.
    ``coefficients`` ``[s, k - 1]``: of a vector of class i, place j - 1 holds the one against a later class j, place j the one
    against an earlier one. ``rho`` ``[pairs]`` is taken away. Pairs are (0, 1), (0, 2) ... (1, 2) ...
    """
    ends = np.cumsum(counts)
    first, second = np.triu_indices(len(counts), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [products(values[:, end - count : end], coefficients[end - count : end]) for end, count in zip(ends, counts, strict=True)]
        sums = np.stack(parts)  # [k, n, k - 1]: what the vectors of each class say against each other one
        made: Floats = np.ascontiguousarray((sums[first, :, second - 1] + sums[second, :, first]).T) - rho
    return made


def votes(decided: Array, classes: int) -> NDArray[np.intp]:
    """How many of its pairs each class wins, ``[n, classes]``, from ``decisions`` ``[n, pairs]``; at 0 the second one does."""
    first, second = np.triu_indices(classes, 1)
    won = decided > 0
    made = np.empty((len(decided), classes), np.intp)
    for place in range(classes):
        made[:, place] = won[:, first == place].sum(axis=1) + (~won[:, second == place]).sum(axis=1)
    return made


def probabilities(decided: Array, slopes: Array, shifts: Array, classes: int) -> Floats:
    """The probability of each class, ``[n, classes]``, from ``decisions`` ``[n, pairs]``.

    That the first of a pair is right where one of them is has the probability 1 / (1 + exp(slope decision + shift)), the
    least where the decision is NaN. Of two classes that is the answer; of more, the probabilities that go with all pairs best.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = np.fmin(np.fmax(special.expit(-(decided * slopes + shifts)), LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    if classes == 2:
        return np.concatenate([pairs, 1 - pairs], axis=1)
    first, second = np.triu_indices(classes, 1)
    wins = np.zeros((len(pairs), classes, classes))
    wins[:, first, second] = pairs
    wins[:, second, first] = 1 - pairs
    return _coupled(wins)


def _coupled(wins: Floats) -> Floats:
    """Minimises the sum over pairs of (wins[j, i] p[i] - wins[i, j] p[j])^2, that is p.Qp, for each row of ``wins`` ``[n, k, k]``.

    One p[t] after another is set so that (Qp)[t] = p.Qp holds, and p is made to add up to 1 again.
    """
    count, classes, _ = wins.shape
    matrix = -wins * wins.transpose(0, 2, 1)
    diagonal = np.square(wins).sum(axis=1)
    matrix[:, range(classes), range(classes)] = diagonal
    answers = np.full((count, classes), 1 / classes)
    rows = np.arange(count)  # those that are not done
    for _ in range(max(MOST_TURNS, classes)):
        q, p = matrix[rows], answers[rows]
        image = (q * p[:, None, :]).sum(axis=2)
        energy = (p * image).sum(axis=1)
        going = np.abs(image - energy[:, None]).max(axis=1, initial=0.0) >= TOLERANCE / classes
        rows, q, p, image, energy = rows[going], q[going], p[going], image[going], energy[going]
        if not rows.size:
            break
        for t in range(classes):
            peak = q[:, t, t]
            step = (energy - image[:, t]) / peak
            scale = 1 + step
            energy = (energy + step * (step * peak + 2 * image[:, t])) / scale / scale
            image = (image + step[:, None] * q[:, t]) / scale[:, None]
            p[:, t] += step
            p /= scale[:, None]
        answers[rows] = p
    return answers
