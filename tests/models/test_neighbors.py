"""The nearest neighbour classifier: its votes by hand and by scikit-learn, what it learns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFeatureError, MLFormatError, MLParameterError
from tailor.runtime.format import Model, load_model, model_bytes, read_floats, write_floats
from tailor.runtime.models import build_learner, build_predictor
from tests.models.hand_made import classifier
from tests.places import shared_model

LINE = [[0, 0], [1, 0], [3, 0], [4, 0], [4, 0]]  # on a line, so that squared distances are easy


def predict(model: Model, queries: Any, **parameters: object) -> tuple[list[Any], list[dict[Any, float]]]:
    queries = np.asarray(queries, np.float32)
    made = build_predictor(model, parameters, "lines").predict({"input": queries}, len(queries))
    return list(made["label"]), list(made["labelProbs"])


# model, query -> label and shares
BY_HAND = {
    "inverse squared distance": (classifier(LINE, list("abcde"), k=2), [2.5, 0], "c", {"a": 0, "b": 0.1, "c": 0.9, "d": 0, "e": 0}),
    "k beyond the samples: all of them": (classifier(LINE[:2], list("ab"), k=9), [3, 0], "b", {"a": 4 / 13, "b": 9 / 13}),
    "an exact match alone": (classifier(LINE, list("abcda")), [1, 0], "b", {"a": 0, "b": 1, "c": 0, "d": 0}),
    "exact matches with two labels": (classifier(LINE, list("abced")), [4, 0], "e", {"a": 0, "b": 0, "c": 0, "e": 0.5, "d": 0.5}),
    "duplicates are votes of their own": (
        classifier(LINE, list("abbaa"), k=3, weighting="uniform"),
        [3.4, 0],
        "a",
        {"a": 2 / 3, "b": 1 / 3},
    ),
    "tied: the nearest": (classifier(LINE, list("abccc"), k=2, weighting="uniform"), [0.9, 0], "b", {"a": 0.5, "b": 0.5, "c": 0}),
    "tied and equally near: the one added first": (
        classifier(LINE, list("abccc"), k=2, weighting="uniform"),
        [0.5, 0],
        "a",
        {"a": 0.5, "b": 0.5, "c": 0},
    ),
    "beyond k, of equally near ones the first": (classifier(LINE, list("abccd"), k=1), [4.5, 0], "c", {"a": 0, "b": 0, "c": 1, "d": 0}),
    "int64 labels": (classifier(LINE, [7, -1, 7, 5, 5], k=1, default=0), [0.1, 0], 7, {7: 1, -1: 0, 5: 0}),
    "a kd-tree says the same": (
        classifier(LINE, list("abcde"), k=2, kd_tree=True),
        [2.5, 0],
        "c",
        {"a": 0, "b": 0.1, "c": 0.9, "d": 0, "e": 0},
    ),
    "empty: the default label": (classifier([], []), [1, 0], "unknown", {}),
    "empty with an int64 default": (classifier([], [], default=42), [1, 0], 42, {}),
}


@pytest.mark.parametrize(("model", "query", "label", "shares"), BY_HAND.values(), ids=BY_HAND.keys())
def test_labels_and_shares_by_hand(model: Model, query: list[float], label: object, shares: dict[object, float]) -> None:
    answers, given = predict(model, [query, query])
    assert answers == [label, label]
    assert list(given[0]) == list(shares), "the labels known, in the order in which they were first taught"
    assert given[0] == given[1] == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize("weighting", ["uniform", "inverse_distance"])
def test_random_data_agrees_with_scikit_learn(weighting: str) -> None:
    sklearn_neighbors = pytest.importorskip("sklearn.neighbors", reason="compared with scikit-learn")
    draw = np.random.default_rng(5)
    samples, queries = draw.standard_normal((200, 8)).astype(np.float32), draw.standard_normal((150, 8)).astype(np.float32)
    labels = draw.choice(list("xyz"), 200).tolist()
    k = 7 if weighting == "inverse_distance" else 1  # with one neighbour uniform votes cannot tie
    weights = "uniform" if weighting == "uniform" else lambda distances: 1 / distances**2
    reference = sklearn_neighbors.KNeighborsClassifier(k, weights=weights, algorithm="brute").fit(samples.astype(np.float64), labels)
    answers, shares = predict(classifier(samples.tolist(), labels, k=k, weighting=weighting, dimensions=8), queries)
    assert answers == reference.predict(queries.astype(np.float64)).tolist()
    expected = reference.predict_proba(queries.astype(np.float64))
    np.testing.assert_allclose([[row[label] for label in reference.classes_] for row in shares], expected, rtol=1e-6, atol=1e-12)


def test_the_number_of_neighbours_can_be_chosen_at_load() -> None:
    model = classifier(LINE, list("abbaa"), k=1, weighting="uniform")
    assert predict(model, [[2.9, 0]])[0] == ["b"]
    assert predict(model, [[2.9, 0]], numberOfNeighbors=5)[0] == ["a"]
    for wrong in (0, True, "3", 2.0):
        with pytest.raises(MLParameterError, match="lines: parameter numberOfNeighbors: expected a whole number of at least 1"):
            build_predictor(model, {"numberOfNeighbors": wrong}, "lines")


@pytest.mark.parametrize("column", [np.ones((2, 3, 1, 4)), [np.ones((3, 4)), np.ones((12, 1, 1))]], ids=["array", "list of arrays"])
def test_a_vector_may_have_any_shape_of_as_many_numbers(column: Any) -> None:
    model = classifier([[1] * 12], ["one"], dimensions=12)
    model.description.input[0].type.multiArrayType.shape[:] = [3, 4]
    assert build_predictor(model, {}, "shapes").predict({"input": column}, 2)["labelProbs"] == [{"one": 1.0}] * 2


def test_samples_written_value_by_value_are_read_too() -> None:
    unpacked = classifier([[1, 2], [5, 5]], ["near", "far"])
    by_value = b"\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\x40"  # field 1, 4 bytes: 1.0; again: 2.0
    unpacked.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples[0].ParseFromString(by_value)
    assert predict(unpacked, [[1, 2]]) == (["near"], [{"near": 1.0, "far": 0.0}])


def no_default(model: Model) -> None:
    model.kNearestNeighborsClassifier.nearestNeighborsIndex.ClearField("floatSamples")
    model.kNearestNeighborsClassifier.stringClassLabels.Clear()
    model.kNearestNeighborsClassifier.ClearField("defaultStringLabel")


def label_missing(model: Model) -> None:
    del model.kNearestNeighborsClassifier.stringClassLabels.vector[1:]


def sample_too_short(model: Model) -> None:
    write_floats(model.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples[1], "vector", [3.0])


def sample_not_finite(model: Model) -> None:
    write_floats(model.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples[1], "vector", [3.0, np.nan])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_default, "knn: expected samples or a default label, got an empty index without one"),
        (label_missing, "knn: stringClassLabels: expected a label for each of 2 samples, got 1"),
        (sample_too_short, r"knn: floatSamples\[1\]: expected 2 numbers \(numberOfDimensions\), got 1"),
        (sample_not_finite, r"knn: floatSamples: samples: expected finite numbers, got nan at \[1, 1\]"),
    ],
)
def test_contradictions_in_the_message_are_refused(spoil: Callable[[Model], None], message: str) -> None:
    model = classifier([[1, 2], [3, 4]], ["one", "two"])
    spoil(model)
    with pytest.raises(MLFormatError, match=message):
        build_predictor(model, {}, "knn").predict({"input": np.zeros((1, 2), np.float32)}, 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "knn: input 'input': expected a value, got none"),
        (
            {"input": np.zeros((2, 3), np.float32)},
            r"example 0: knn: input 'input': expected 2 numbers as the samples have, got shape \[3\]",
        ),
        ({"input": [np.zeros(2), np.zeros((1, 5))]}, r"example 1: knn: .*expected 2 numbers as the samples have, got shape \[1, 5\]"),
        ({"input": np.array([[0, 0], [np.nan, 1]])}, r"example 1: knn: input 'input': expected finite numbers, got nan at \[0\]"),
        ({"input": np.array([[0, 0], [0, 1e39]])}, r"example 1: knn: .*expected finite numbers, got inf at \[1\]"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(columns: dict[str, Any], message: str) -> None:
    model = classifier([[0, 0]], ["zero"])
    with pytest.raises(MLFeatureError, match=message):
        build_predictor(model, {}, "knn").predict(columns, 2)
    learner = build_learner(model, "knn")
    with pytest.raises(MLFeatureError, match=message):
        learner.step({**columns, "label": ["a", "b"]}, 2, None)


def test_what_was_learned_is_appended_and_the_rest_stays() -> None:
    model = classifier([[0, 0]], ["zero"])
    learner = build_learner(model, "knn")
    assert not learner.iterative
    assert learner.step({"input": np.array([[1, 0], [2, 0]], np.float32), "label": ["one", "two"]}, 2, None) is None
    first = learner.writer()
    learner.step({"input": np.array([[3, 0]], np.float32), "label": ["three"]}, 1, None)
    last = learner.writer()
    learner.close()
    for write, labels in ((first, ["zero", "one", "two"]), (last, ["zero", "one", "two", "three"])):
        updated = load_model(model_bytes(model))
        write(updated)
        made = load_model(model_bytes(updated)).kNearestNeighborsClassifier
        assert list(made.stringClassLabels.vector) == labels
        assert [read_floats(sample, "vector").tolist() for sample in made.nearestNeighborsIndex.floatSamples] == [
            [number, 0] for number in range(len(labels))
        ]
        assert predict(updated, [[len(labels) - 1, 0]])[0] == labels[-1:]
    assert len(model.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples) == 1


def test_a_learner_keeps_its_own_copy_of_what_it_was_given() -> None:
    model = classifier([], [], default=0)
    learner = build_learner(model, "knn")
    vectors, labels = np.array([[1, 1]], np.float32), np.array([2**63 - 1])
    learner.step({"input": vectors, "label": labels}, 1, None)
    vectors[:], labels[:] = 9, 9
    learner.writer()(model)
    assert predict(model, [[1, 1]]) == ([2**63 - 1], [{2**63 - 1: 1.0}])


@pytest.mark.parametrize(
    ("default", "wrong", "message"),
    [
        ("unknown", 3, "training input 'label': expected a string, got 3"),
        ("unknown", True, "training input 'label': expected a string, got True"),
        ("unknown", None, "training input 'label': expected a string, got None"),
        ("unknown", "lone \ud800", "training input 'label': expected a string, got 'lone"),
        (0, "3", "training input 'label': expected a whole number of 64 bits, got '3'"),
        (0, True, "training input 'label': expected a whole number of 64 bits, got True"),
        (0, np.bool_(True), "training input 'label': expected a whole number of 64 bits"),
        (0, 3.0, "training input 'label': expected a whole number of 64 bits, got 3.0"),
        (0, 2**63, "training input 'label': expected a whole number of 64 bits, got 9223372036854775808"),
    ],
)
def test_a_label_of_another_type_is_refused_and_the_whole_step_with_it(default: str | int, wrong: object, message: str) -> None:
    model = classifier([], [], default=default)
    learner = build_learner(model, "knn")
    good = default if isinstance(default, str) else np.int64(default)
    with pytest.raises(MLFeatureError, match=rf"example 1: knn: {message}"):
        learner.step({"input": np.zeros((2, 2), np.float32), "label": [good, wrong]}, 2, None)
    learner.writer()(model)
    assert predict(model, [[0, 0]]) == ([default], [{}])


def test_a_missing_label_is_refused() -> None:
    with pytest.raises(MLFeatureError, match="knn: training input 'label': expected 1 labels, got 0"):
        build_learner(classifier([], []), "knn").step({"input": np.zeros((1, 2)), "label": []}, 1, None)
    with pytest.raises(MLFeatureError, match=r"knn: input 'label': expected a value, got none \(given: input\)"):
        build_learner(classifier([], []), "knn").step({"input": np.zeros((1, 2))}, 1, None)


def two_inputs(model: Model) -> None:
    model.description.input.add(name="another")


def two_types(model: Model) -> None:
    model.kNearestNeighborsClassifier.defaultInt64Label = 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (two_inputs, r"knn: expected one input of a nearest neighbour classifier, got \['input', 'another'\]"),
        (two_types, "knn: expected labels and default label of one type, got stringClassLabels and defaultInt64Label"),
    ],
)
def test_what_is_no_such_classifier_is_refused(spoil: Callable[[Model], None], message: str) -> None:
    model = classifier([[1, 2]], ["one"])
    spoil(model)
    for build in (lambda: build_predictor(model, {}, "knn"), lambda: build_learner(model, "knn")):
        with pytest.raises(MLFormatError, match=message):
            build()


def test_a_real_kd_tree_model_learns_and_answers() -> None:
    model = load_model(shared_model("UpdatableKNN_kdtree.mlmodel"))
    corners = np.eye(21, dtype=np.float32)
    assert build_predictor(model, {}, "real").predict({"input": corners[:1]}, 1) == {"output": ["defaultLabel"], "outputProbs": [{}]}
    learner = build_learner(model, "real")
    learner.step({"input": corners, "output": [f"corner {number % 7}" for number in range(21)]}, 21, None)
    learner.writer()(model)
    query = 0.5 * corners[3:4] + 0.25 * corners[4:5]
    # Squared distances: corner 3: 5/16, corner 4: 13/16, all others 21/16, the first of which is sample 0.
    made = build_predictor(model, {}, "real").predict({"input": query}, 1)
    weights = {"corner 0": 16 / 21, "corner 3": 16 / 5, "corner 4": 16 / 13}
    assert made["output"] == ["corner 3"]
    expected = {f"corner {number}": weights.get(f"corner {number}", 0) / sum(weights.values()) for number in range(7)}
    assert made["outputProbs"][0] == pytest.approx(expected)
