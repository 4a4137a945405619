"""Generalized linear models: by hand, by scikit-learn and SciPy, with real models, and what they refuse."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tailor import MLModel
from tailor.kernels import Array
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model, array_feature, dictionary_feature, double_feature, string_feature
from tailor.runtime.format.schema.linear_models_pb2 import GLMClassifier, GLMRegressor
from tailor.runtime.models import build_predictor
from tests.models.hand_made import doubles, model
from tests.places import shared_model

LOGIT, PROBIT = GLMClassifier.Logit, GLMClassifier.Probit
REFERENCE, ONE_VS_REST = GLMClassifier.ReferenceClass, GLMClassifier.OneVsRest


def classifier(weights: Any, offsets: Sequence[float], labels: Sequence[str], encoding: int = ONE_VS_REST, transform: int = LOGIT) -> Model:
    """A classifier of arrays ``x``, with the label ``l`` and the probabilities ``p``."""
    rows = np.asarray(weights, np.float64)
    made = model([array_feature("x", rows.shape[1:], "double")], [string_feature("l"), dictionary_feature("p")])
    message = made.glmClassifier
    message.classEncoding, message.postEvaluationTransform = encoding, transform
    message.stringClassLabels.vector.extend(labels)
    return _filled(made, message, rows, offsets, "l", "p")


def regressor(weights: Any, offsets: Sequence[float], transform: int = GLMRegressor.NoTransform, outputs: Sequence[Any] = ()) -> Model:
    rows = np.asarray(weights, np.float64)
    made = model([array_feature("x", rows.shape[1:], "double")], outputs or [double_feature("y")])
    made.glmRegressor.postEvaluationTransform = transform
    return _filled(made, made.glmRegressor, rows, offsets, "y")


def _filled(made: Model, message: Any, rows: Array, offsets: Sequence[float], label: str, probabilities: str = "") -> Model:
    for row in rows:
        message.weights.add().value[:] = doubles(*row)
    message.offset[:] = doubles(*offsets)
    made.description.predictedFeatureName, made.description.predictedProbabilitiesName = label, probabilities
    return made


def predict(made: Model, x: Any) -> dict[str, Any]:
    rows = np.asarray(x, np.float64)
    return dict(build_predictor(made, {}, "m").predict({"x": rows}, len(rows)))


def shares(made: dict[str, Any], labels: Sequence[str]) -> list[list[float]]:
    return [[row[label] for label in labels] for row in made["p"]]


# Sums are log(3), so that shares are easy; of the normal distribution 0.975 lies below 1.959963984540054.
THREE = float(np.log(3))
BY_HAND: dict[str, tuple[Model, list[float], str, list[float]]] = {
    "two classes, one against the rest": (classifier([[THREE, 0]], [0], ["a", "b"]), [1, 9], "b", [0.25, 0.75]),
    "two classes, the first is the reference": (classifier([[THREE]], [-2 * THREE], ["a", "b"], REFERENCE), [1], "a", [0.75, 0.25]),
    "no decision: the first": (classifier([[1]], [-1], ["b", "a"]), [1], "b", [0.5, 0.5]),
    "probit": (classifier([[1]], [0.959963984540054], ["a", "b"], transform=PROBIT), [1], "b", [0.025, 0.975]),
    "probit, by the reference class": (classifier([[-1]], [0], ["a", "b"], REFERENCE, PROBIT), [1.959963984540054], "a", [0.975, 0.025]),
    # e^0 : e^log(3) : e^-log(3) = 3 : 9 : 1
    "three classes, the first is the reference": (
        classifier([[THREE], [-THREE]], [0, 0], ["a", "b", "c"], REFERENCE), [1], "b", [3 / 13, 9 / 13, 1 / 13],
    ),
    # 3/4, 1/2, 1/4 by themselves
    "three classes, each against the rest": (
        classifier([[THREE], [0], [-THREE]], [0, 0, 0], ["a", "b", "c"]), [1], "a", [1 / 2, 1 / 3, 1 / 6],
    ),
    "all of them next to impossible": (classifier([[1], [1], [1]], [-2000, -2000, -2000], ["a", "b", "c"]), [1], "a", [1 / 3] * 3),
    "one of them certain": (classifier([[9], [1]], [0, 0], ["a", "b", "c"], REFERENCE), [1000], "b", [0, 1, 0]),
    "the label where shares are equal after rounding": (classifier([[1], [2], [1]], [0, 0, 0], ["a", "b", "c"]), [50], "b", [1 / 3] * 3),
}  # fmt: skip


@pytest.mark.parametrize(("made", "x", "label", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_classes_by_hand(made: Model, x: list[float], label: str, expected: list[float]) -> None:
    answer = predict(made, [x, x])
    labels = list(made.glmClassifier.stringClassLabels.vector)
    assert answer["l"] == [label, label]
    np.testing.assert_allclose(shares(answer, labels), [expected] * 2, rtol=1e-12, atol=1e-300)


def test_numbers_by_hand() -> None:
    weights, offsets = [[1, 2], [-1, 0.5]], [0.5, 0]
    assert predict(regressor([weights[0]], [0.5]), [[1, 3], [0, 0]])["y"].tolist() == [7.5, 0.5]
    together = predict(regressor(weights, offsets, outputs=[array_feature("y", (2,), "double")]), [[1, 3]])
    assert together["y"].tolist() == [[7.5, 0.5]]
    apart = predict(regressor(weights, offsets, outputs=[double_feature("y"), double_feature("z")]), [[1, 3]])
    assert (apart["y"].tolist(), apart["z"].tolist()) == ([7.5], [0.5])
    assert predict(regressor([[1]], [0], GLMRegressor.Logit), [[THREE], [-1000]])["y"] == pytest.approx([0.75, 0], rel=1e-12)
    assert predict(regressor([[1]], [0], GLMRegressor.Probit), [[1.959963984540054]])["y"] == pytest.approx([0.975], rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("together", [True, False])
def test_random_classes_agree_with_scikit_learn(classes: int, together: bool) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="compared with scikit-learn")
    multiclass = pytest.importorskip("sklearn.multiclass", reason="compared with scikit-learn")
    draw = np.random.default_rng(classes)
    x, labels = draw.standard_normal((80, 6)), [f"class {number}" for number in range(classes)]
    y = draw.choice(labels, 80)
    y[:classes] = labels
    if together:
        peer = linear.LogisticRegression().fit(x, y)
        rows, offsets = peer.coef_, peer.intercept_
        if classes > 2:
            rows, offsets = rows[1:] - rows[0], offsets[1:] - offsets[0]
        made = classifier(rows, offsets, labels, REFERENCE)
    else:
        peer = multiclass.OneVsRestClassifier(linear.LogisticRegression()).fit(x, y)
        rows = np.concatenate([one.coef_ for one in peer.estimators_])
        offsets = np.concatenate([one.intercept_ for one in peer.estimators_])
        made = classifier(rows, offsets, labels)
    queries = 3 * draw.standard_normal((50, 6))
    answer = predict(made, queries)
    assert answer["l"] == peer.predict(queries).tolist()
    np.testing.assert_allclose(shares(answer, labels), peer.predict_proba(queries), rtol=1e-9, atol=1e-12)


def test_random_numbers_agree_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="compared with scikit-learn")
    draw = np.random.default_rng(2)
    x, queries = draw.standard_normal((60, 9)), draw.standard_normal((30, 9))
    peer = linear.Ridge().fit(x, draw.standard_normal((60, 4)))
    made = predict(regressor(peer.coef_, peer.intercept_, outputs=[array_feature("y", (4,), "double")]), queries)
    np.testing.assert_allclose(made["y"], peer.predict(queries), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("width", [3, 20_000])
def test_an_example_has_the_same_bits_in_any_batch(width: int) -> None:
    draw = np.random.default_rng(1)
    made, queries = classifier(draw.standard_normal((4, width)), [0, 1, 2, 3], list("abcd")), draw.standard_normal((9, width))
    together = predict(made, queries)
    for row in range(9):
        alone = predict(made, queries[row : row + 1])
        assert alone["l"] == together["l"][row : row + 1]
        assert alone["p"] == together["p"][row : row + 1]


def test_numbers_may_come_in_several_inputs() -> None:
    made = regressor([[1, 10, 100]], [0])
    del made.description.input[:]
    made.description.input.extend([double_feature("b"), array_feature("a", (2,))])
    answer = build_predictor(made, {}, "m").predict({"a": np.array([[3, 4]], np.float32), "b": np.array([2.0])}, 1)
    assert list(answer["y"]) == [432]


def changed(made: Model, change: Callable[[Any], object]) -> Model:
    copy = Model()
    copy.CopyFrom(made)
    change(getattr(copy, copy.WhichOneof("Type") or ""))
    return copy


TWO, FIVE = classifier([[1, 2]], [0], ["a", "b"]), classifier(np.ones((5, 2)), np.zeros(5).tolist(), list("abcde"))
ONE = regressor([[1, 2]], [0])
WRONG: dict[str, tuple[Model, str]] = {
    "no weights": (
        changed(ONE, lambda told: told.ClearField("weights")),
        "weights: expected one row of numbers at least, got shape [0, 0]",
    ),
    "empty weights": (
        changed(ONE, lambda told: told.weights[0].Clear()),
        "weights: expected one row of numbers at least, got shape [1, 0]",
    ),
    "ragged weights": (
        changed(FIVE, lambda told: told.weights[3].value.__setitem__(slice(None), doubles(1))),
        "weights[3]: expected 2 numbers, as the first has, got 1",
    ),
    "weights that are no numbers": (regressor([[1, np.nan]], [0]), "weights: expected finite numbers, got nan at [0, 1]"),
    "an offset that is no number": (regressor([[1]], [np.inf]), "offset: expected finite numbers, got inf at [0]"),
    "too few offsets": (
        classifier(np.ones((3, 1)), [1, 2], list("abc")),
        "offset: expected 3 numbers, one a row of weights, got 2",
    ),
    "other numbers of inputs": (
        changed(ONE, lambda told: told.weights[0].value.__setitem__(slice(None), doubles(1, 2, 3))),
        "inputs: expected 3 numbers in all, as a row of weights has them, got 2",
    ),
    "two rows for two classes": (
        classifier([[1], [2]], [0, 0], ["a", "b"]),
        "weights: rows: expected 1, for 2 classes (encoding one_vs_rest), got 2",
    ),
    "a row for each class but the first": (
        classifier([[1], [2]], [0, 0], list("abc")),
        "weights: rows: expected 3, for 3 classes (encoding one_vs_rest), got 2",
    ),
    "a row for the reference class": (
        classifier([[1], [2], [3]], [0, 0, 0], list("abc"), REFERENCE),
        "weights: rows: expected 2, for 3 classes (encoding reference), got 3",
    ),
    "probit of three classes": (
        classifier([[1], [2], [3]], [0, 0, 0], list("abc"), transform=PROBIT),
        "postEvaluationTransform: expected logit for 3 classes, got probit, which is for 2",
    ),
    "a transform unheard of": (regressor([[1]], [0], 7), "postEvaluationTransform: expected a number from 0 to 2, got 7"),
    "an encoding unheard of": (classifier([[1]], [0], ["a", "b"], encoding=-1), "classEncoding: expected a number from 0 to 1, got -1"),
    "no labels": (changed(TWO, lambda told: told.ClearField("stringClassLabels")), "expected class labels in a classifier, got none"),
    "more outputs than rows": (
        regressor([[1]], [0], outputs=[double_feature("y"), double_feature("z")]),
        "outputs: expected one, or one for each of 1 rows of weights, got 2",
    ),
    "an output too small": (
        regressor([[1], [2]], [0, 0]),
        "output 'y': expected 2 numbers, as weights has it, got a double",
    ),
    "an output of another type": (
        regressor([[1]], [0], outputs=[string_feature("y")]),
        "output 'y': expected a double or multi-array, got a string",
    ),
}


@pytest.mark.parametrize(("made", "message"), WRONG.values(), ids=WRONG.keys())
def test_messages_that_are_refused(made: Model, message: str) -> None:
    with pytest.raises(MLFormatError, match=f"^m: {re.escape(message)}$"):
        build_predictor(made, {}, "m")


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MLFeatureError, match=r"^example 1: m: input 'x': expected finite numbers, got nan at \[0\]$"):
        predict(TWO, [[1, 2], [np.nan, 2]])


def test_the_real_document_classifier_knows_its_texts() -> None:
    texts = sorted(shared_model("DocumentClassification_texts").glob("*.txt"))
    counts = [Counter(re.findall(r"\w+", path.read_text(encoding="utf-8").lower())) for path in texts]
    answers = MLModel(shared_model("DocumentClassification.mlmodel")).predict([{"input": dict(words)} for words in counts])
    assert len(texts) == 5
    assert [answer["classLabel"] for answer in answers] == [path.stem for path in texts]
    assert all(sum(answer["classProbability"].values()) == pytest.approx(1) for answer in answers)


def test_the_real_sentiment_classifier_tells_good_from_bad() -> None:
    made = MLModel(shared_model("SentimentPolarity.mlmodel"))
    good, bad = made.predict([{"input": {"great": 1, "wonderful": 1}}, {"input": {"awful": 1, "boring": 2}}])
    assert (good["classLabel"], bad["classLabel"]) == ("Pos", "Neg")


def test_the_real_house_price_model_is_a_weighted_sum() -> None:
    made = MLModel(shared_model("BostonGLM.mlmodel"))
    told = made.spec.glmRegressor
    weights = np.frombuffer(b"".join(told.weights[0].value), "<f8")
    rows = np.random.default_rng(0).uniform(0, 100, (5, 13))
    expected = [float(row @ weights) + float(np.frombuffer(told.offset[0], "<f8")[0]) for row in rows]
    assert [answer["prediction"] for answer in made.predict([{"input": row} for row in rows])] == pytest.approx(expected, rel=1e-12)
