"""Support vector machines: by hand, by scikit-learn (which holds LIBSVM), and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import exp
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.kernels.vector_machines import TOLERANCE
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model, array_feature, dictionary_feature, double_feature, int64_feature
from tailor.runtime.format.schema.vector_machines_pb2 import (
    Kernel,
    LinearKernel,
    PolyKernel,
    RBFKernel,
    SigmoidKernel,
    SparseNode,
    SparseSupportVectors,
    SparseVector,
)
from tailor.runtime.models import build_predictor, support_vectors
from tests.models.hand_made import doubles, model

LINEAR = Kernel(linearKernel=LinearKernel())


def classifier(
    vectors: Any,
    counts: Sequence[int],
    coefficients: Any,
    rho: Sequence[float],
    sigmoids: tuple[Sequence[float], Sequence[float]] | None = None,
    kernel: Kernel = LINEAR,
    sparse: bool = False,
) -> Model:
    """A classifier of arrays ``x`` with labels 0, 10, 20 ...: the label ``l``, and the probabilities ``p`` where it has ``sigmoids``."""
    rows = np.asarray(vectors, np.float64)
    made = model([array_feature("x", rows.shape[1:], "double")], [int64_feature("l")])
    message = made.supportVectorClassifier
    message.kernel.CopyFrom(kernel)
    _fill(message, rows, sparse)
    message.numberOfSupportVectorsPerClass.extend(int(count) for count in counts)
    for row in np.asarray(coefficients, np.float64):
        message.coefficients.add().alpha[:] = doubles(*row)
    message.rho[:] = doubles(*rho)
    message.int64ClassLabels.vector.extend(10 * number for number in range(len(counts)))
    made.description.predictedFeatureName = "l"
    if sigmoids is not None:
        message.probA[:], message.probB[:] = doubles(*sigmoids[0]), doubles(*sigmoids[1])
        made.description.output.append(dictionary_feature("p", int))
        made.description.predictedProbabilitiesName = "p"
    return made


def regressor(vectors: Any, coefficients: Sequence[float], rho: float, kernel: Kernel = LINEAR, sparse: bool = False) -> Model:
    rows = np.asarray(vectors, np.float64)
    made = model([array_feature("x", rows.shape[1:], "double")], [double_feature("y")])
    message = made.supportVectorRegressor
    message.kernel.CopyFrom(kernel)
    _fill(message, rows, sparse)
    message.coefficients.alpha[:] = doubles(*coefficients)
    message.rho = rho
    made.description.predictedFeatureName = "y"
    return made


def _fill(message: Any, rows: Array, sparse: bool) -> None:
    if sparse:
        nodes = [[SparseNode(index=place + 1, value=row[place]) for place in np.flatnonzero(row)] for row in rows]
        message.sparseSupportVectors.vectors.extend(SparseVector(nodes=row) for row in nodes)
        return
    for row in rows:
        message.denseSupportVectors.vectors.add().values[:] = doubles(*row)


def predict(made: Model, x: Any) -> dict[str, Any]:
    rows = np.asarray(x, np.float64)
    return dict(build_predictor(made, {}, "m").predict({"x": rows}, len(rows)))


def test_numbers_by_hand() -> None:
    # exp(-0.5 |x - s|^2) at distances 0 and 2, and at 1 from both
    made = regressor([[0, 0], [0, 2]], [3, -1], 0.25, Kernel(rbfKernel=RBFKernel(gamma=0.5)), sparse=True)
    assert predict(made, [[0, 0], [0, 1]])["y"] == pytest.approx([3 - exp(-2) - 0.25, 2 * exp(-0.5) - 0.25], rel=1e-14)
    assert predict(regressor([[2.0]], [3], -1), [[5]])["y"].tolist() == [31]


def test_two_classes_by_hand() -> None:
    """The first class is the one above 0; sigmoid probabilities of the decision, and none without sigmoids."""
    told = [[1.0]], [1, 0], [[1]], [2]
    assert predict(classifier(*told), [[3], [2], [1]])["l"].tolist() == [0, 10, 10]
    made = predict(classifier(*told, sigmoids=([-1], [0.5])), [[3], [2.4]])
    assert made["l"].tolist() == [0, 10]  # at a decision of 0.4 the second one is more probable
    first = [1 / (1 + exp(-0.5)), 1 / (1 + exp(0.1))]
    np.testing.assert_allclose([[row[0], row[10]] for row in made["p"]], [[share, 1 - share] for share in first], rtol=1e-12)


def test_equal_votes_are_for_the_first_class() -> None:
    # Each class wins once: 0 against 10, 10 against 20, 20 against 0.
    made = classifier([[1]], [1, 0, 0], [[0], [0]], [-1, 1, -1])
    assert predict(made, [[1]])["l"].tolist() == [0]


def test_coefficients_that_are_infinite_decide_for_the_second_class_at_least_probable() -> None:
    made = classifier([[1.0], [1.0]], [1, 1], [[np.inf, -np.inf]], [0], ([-1], [0]))
    answer = predict(made, [[1.0]])
    assert answer["l"].tolist() == [10]
    assert answer["p"] == [{0: pytest.approx(1e-7), 10: pytest.approx(1 - 1e-7)}]


def test_one_class_is_always_the_answer() -> None:
    answer = predict(classifier([[1.0]], [1], np.zeros((0, 1)), [], ([], [])), [[5], [6]])
    assert (answer["l"].tolist(), answer["p"]) == ([0, 0], [{0: 1}, {0: 1}])


# The kernel of the format, and what scikit-learn calls it.
KERNELS: dict[str, tuple[Kernel, dict[str, Any]]] = {
    "linear": (LINEAR, {"kernel": "linear"}),
    "rbf": (Kernel(rbfKernel=RBFKernel(gamma=0.3)), {"kernel": "rbf", "gamma": 0.3}),
    "polynomial": (
        Kernel(polyKernel=PolyKernel(degree=3, c=1.5, gamma=0.2)),
        {"kernel": "poly", "degree": 3, "coef0": 1.5, "gamma": 0.2},
    ),
    "sigmoid": (Kernel(sigmoidKernel=SigmoidKernel(gamma=0.1, c=-0.5)), {"kernel": "sigmoid", "coef0": -0.5, "gamma": 0.1}),
}


def data(classes: int = 3) -> tuple[Array, Array, Array]:
    """Examples some of whose numbers are 0, their classes, and queries."""
    draw = np.random.default_rng(classes)
    y = np.arange(90) % classes
    x = draw.standard_normal((90, 5)) + 0.4 * y[:, None]
    x[draw.random(x.shape) < 0.3] = 0
    return x, y, 2 * draw.standard_normal((40, 5))


def of_peer(peer: Any, kernel: Kernel, sigmoids: Any = None, sparse: bool = False) -> Model:
    """The model of a classifier of scikit-learn, which tells two classes with the signs the other way round."""
    sign = -1 if len(peer.classes_) == 2 else 1
    return classifier(
        peer.support_vectors_, peer.n_support_, sign * peer.dual_coef_, -sign * peer.intercept_, sigmoids, kernel, sparse
    )


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize(("kernel", "told"), KERNELS.values(), ids=KERNELS.keys())
def test_random_classes_agree_with_scikit_learn(kernel: Kernel, told: dict[str, Any], classes: int) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="compared with scikit-learn")
    x, y, queries = data(classes)
    peer = svm.SVC(decision_function_shape="ovo", **told).fit(x, y)
    for sparse in (False, True):
        assert predict(of_peer(peer, kernel, sparse=sparse), queries)["l"].tolist() == (10 * peer.predict(queries)).tolist()

    # The decisions show in the probabilities of pairs: those of all classes must solve the equations of the pairs, as
    # exactly as LIBSVM says that it solves them.
    pairs = classes * (classes - 1) // 2
    decided = peer.decision_function(queries).reshape(40, pairs) * (-1 if classes == 2 else 1)
    slopes, shifts = np.linspace(-2, -1, pairs), np.linspace(-0.2, 0.3, pairs)
    answer = predict(of_peer(peer, kernel, (slopes.tolist(), shifts.tolist())), queries)
    labels = [10 * number for number in range(classes)]
    found = np.array([[row[label] for label in labels] for row in answer["p"]])
    assert answer["l"].tolist() == (10 * found.argmax(axis=1)).tolist()
    first, second = np.triu_indices(classes, 1)
    for row in range(40):
        wins = np.zeros((classes, classes))
        wins[first, second] = np.clip(1 / (1 + np.exp(decided[row] * slopes + shifts)), 1e-7, 1 - 1e-7)
        wins[second, first] = 1 - wins[first, second]
        if classes == 2:
            np.testing.assert_allclose(found[row], [wins[0, 1], wins[1, 0]], rtol=1e-9)
            continue
        image = (-wins * wins.T + np.diag(np.square(wins).sum(axis=0))) @ found[row]
        np.testing.assert_allclose(image, image @ found[row], atol=TOLERANCE / classes)


@pytest.mark.parametrize(("kernel", "told"), KERNELS.values(), ids=KERNELS.keys())
def test_random_numbers_agree_with_scikit_learn(kernel: Kernel, told: dict[str, Any]) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="compared with scikit-learn")
    x, y, queries = data()
    peer = svm.SVR(**told).fit(x, y + x[:, 0])
    for sparse in (False, True):
        made = regressor(peer.support_vectors_, peer.dual_coef_[0], -peer.intercept_[0], kernel, sparse)
        np.testing.assert_allclose(predict(made, queries)["y"], peer.predict(queries), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kernel", "told"), KERNELS.values(), ids=KERNELS.keys())
def test_an_example_has_the_same_bits_in_any_batch(kernel: Kernel, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    x, _, queries = data(4)
    draw = np.random.default_rng(0)
    sigmoids = draw.uniform(-2, -1, 6).tolist(), draw.uniform(-1, 1, 6).tolist()
    made = classifier(x, [20, 30, 25, 15], draw.uniform(-1, 1, (3, 90)), draw.uniform(-1, 1, 6).tolist(), sigmoids, kernel)
    alone = [predict(made, query[None]) for query in queries]
    together = predict(made, queries)
    monkeypatch.setattr(support_vectors, "PIECE_NUMBERS", 7 * 90)
    pieces = predict(made, queries)
    for answer in (together, pieces):
        assert answer["l"].tolist() == [int(one["l"][0]) for one in alone]
        assert answer["p"] == [one["p"][0] for one in alone]
    assert predict(made, queries[:0])["p"] == []


def changed(made: Model, change: Callable[[Any], object]) -> Model:
    copy = Model()
    copy.CopyFrom(made)
    change(getattr(copy, copy.WhichOneof("Type") or ""))
    return copy


THREE = classifier(np.ones((4, 2)), [1, 1, 2], np.ones((2, 4)), [0, 0, 0], ([1, 1, 1], [0, 0, 0]))
SPARSE = regressor(np.ones((3, 2)), [1, 2, 3], 0, sparse=True)


def with_kernel(**kind: Any) -> Model:
    return regressor([[1.0]], [1], 0, Kernel(**kind))


WRONG: dict[str, tuple[Model, str]] = {
    "no kernel": (with_kernel(), "kernel: expected a linear, RBF, polynomial or sigmoid kernel, got none"),
    "a negative gamma": (with_kernel(rbfKernel=RBFKernel(gamma=-1)), "kernel: rbfKernel.gamma: expected a number of at least 0, got -1.0"),
    "a gamma that is no number": (
        with_kernel(sigmoidKernel=SigmoidKernel(gamma=np.nan)),
        "kernel: sigmoidKernel.gamma: expected a number of at least 0, got nan",
    ),
    "an infinite c": (with_kernel(polyKernel=PolyKernel(c=np.inf)), "kernel: polyKernel.c: expected a finite number, got inf"),
    "a negative degree": (
        with_kernel(polyKernel=PolyKernel(degree=-2)),
        "kernel: polyKernel.degree: expected a number of at least 0, got -2",
    ),
    "no vectors": (changed(THREE, lambda told: told.ClearField("supportVectors")), "expected sparse or dense support vectors, got neither"),
    "ragged vectors": (
        changed(THREE, lambda told: told.denseSupportVectors.vectors[1].values.__setitem__(slice(None), doubles(1))),
        "denseSupportVectors[1]: expected 2 numbers, as the first has, got 1",
    ),
    "a vector that is no number": (
        changed(THREE, lambda told: told.denseSupportVectors.vectors[1].values.__setitem__(slice(None), doubles(1, np.nan))),
        "denseSupportVectors: expected finite numbers, got nan at [1, 1]",
    ),
    "other numbers of inputs": (
        changed(SPARSE, lambda told: told.CopyFrom(regressor(np.ones((2, 3)), [1, 2], 0).supportVectorRegressor)),
        "inputs: expected 3 numbers in all, as a support vector has them, got 2",
    ),
    "an index beyond the inputs": (
        changed(SPARSE, lambda told: told.sparseSupportVectors.vectors[2].nodes.add(index=3, value=1)),
        "sparseSupportVectors: expected indices from 1 to 2, the number of inputs, got 3",
    ),
    "an index that counts from 0": (
        changed(SPARSE, lambda told: told.sparseSupportVectors.vectors[2].nodes.add(index=0, value=1)),
        "sparseSupportVectors: expected indices from 1 to 2, the number of inputs, got 0",
    ),
    "too few coefficients of a regressor": (
        changed(SPARSE, lambda told: told.coefficients.alpha.__setitem__(slice(None), doubles(1, 2))),
        "coefficients: expected 3 numbers, one a support vector, got 2",
    ),
    "too few rows of coefficients": (
        changed(THREE, lambda told: told.coefficients.__delitem__(1)),
        "coefficients: expected 2 rows, one less than there are classes, got 1",
    ),
    "ragged coefficients": (
        changed(THREE, lambda told: told.coefficients[1].alpha.__setitem__(slice(None), doubles(1))),
        "coefficients[1]: expected 4 numbers, as the first has, got 1",
    ),
    "too few coefficients": (
        classifier(np.ones((4, 2)), [1, 1, 2], np.ones((2, 3)), [0, 0, 0]),
        "coefficients: expected 4 numbers a row, one a support vector, got 3",
    ),
    "counts that do not add up": (
        classifier(np.ones((4, 2)), [1, 1, 1], np.ones((2, 4)), [0, 0, 0]),
        "numberOfSupportVectorsPerClass: expected 3 numbers of at least 0 with the sum 4, got 3 of at least 1 with the sum 3",
    ),
    "a negative count": (
        classifier(np.ones((4, 2)), [3, -1, 2], np.ones((2, 4)), [0, 0, 0]),
        "numberOfSupportVectorsPerClass: expected 3 numbers of at least 0 with the sum 4, got 3 of at least -1 with the sum 4",
    ),
    "too few counts": (
        changed(THREE, lambda told: told.numberOfSupportVectorsPerClass.__setitem__(slice(None), [4])),
        "numberOfSupportVectorsPerClass: expected 3 numbers of at least 0 with the sum 4, got 1 of at least 4 with the sum 4",
    ),
    "too few rho": (
        changed(THREE, lambda told: told.rho.__setitem__(slice(None), doubles(0))),
        "rho: expected 3 numbers, one for each two of 3 classes, got 1",
    ),
    "no probB": (changed(THREE, lambda told: told.ClearField("probB")), "probB: expected 3 numbers, one for each two of 3 classes, got 0"),
    "probabilities from nothing": (
        changed(THREE, lambda told: (told.ClearField("probA"), told.ClearField("probB"))),
        "probA and probB: expected 3 numbers each, for the output 'p', got none",
    ),
    "no labels": (changed(THREE, lambda told: told.ClearField("ClassLabels")), "expected class labels in a classifier, got none"),
}


@pytest.mark.parametrize(("made", "message"), WRONG.values(), ids=WRONG.keys())
def test_messages_that_are_refused(made: Model, message: str) -> None:
    with pytest.raises(MLFormatError, match=f"^m: {re.escape(message)}$"):
        build_predictor(made, {}, "m")


def test_sparse_vectors_too_large_for_memory_are_refused() -> None:
    vectors = SparseSupportVectors(vectors=[SparseVector(nodes=[SparseNode(index=2**31 - 1, value=1)])])
    made = changed(regressor([[1.0]], [1], 0), lambda told: told.sparseSupportVectors.CopyFrom(vectors))
    made.description.input[0].CopyFrom(dictionary_feature("x", int))
    with pytest.raises(MLFormatError, match=r"^m: sparseSupportVectors: expected at most \d+ elements, got shape \[1, 2147483647\]$"):
        build_predictor(made, {}, "m")


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MLFeatureError, match=r"^example 1: m: input 'x': expected finite numbers, got nan at \[0\]$"):
        predict(THREE, [[1, 2], [np.nan, 2]])
