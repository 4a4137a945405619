"""Tree ensembles predict as scikit-learn does with the same trees, as hand-made ones must, and as a walk from node to node."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from tailor import MLModel
from tailor.kernels import Array
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model, write_floats
from tailor.runtime.format.features import array_feature, dictionary_feature, double_feature, int64_feature, string_feature
from tailor.runtime.models import build_predictor
from tests.places import shared_model

LESS_EQUAL, LESS, GREATER, LEAF = 0, 1, 3, 6
NONE, SOFTMAX, LOGISTIC, SOFTMAX_FROM_ZERO = range(4)
X = array_feature("x", (4,), "float64")


def ensemble(
    dimensions: int = 1,
    base: Sequence[float] = (),
    transform: int = NONE,
    inputs: Sequence[Any] = (X,),
    labels: Sequence[str] | Sequence[int] | None = None,
    output: Any = None,
) -> Model:
    """An ensemble without trees: a regressor to ``y``, or a classifier where there are ``labels``."""
    made = Model(specificationVersion=1)
    made.description.input.extend(inputs)
    if labels is None:
        message: Any = made.treeEnsembleRegressor
        made.description.predictedFeatureName = "y"
        made.description.output.append(output or (double_feature("y") if dimensions < 2 else array_feature("y", (dimensions,), "float64")))
    else:
        message = made.treeEnsembleClassifier
        whole = not labels or isinstance(labels[0], int)
        (message.int64ClassLabels if whole else message.stringClassLabels).vector.extend(labels)
        made.description.predictedFeatureName, made.description.predictedProbabilitiesName = "label", "shares"
        made.description.output.extend(
            [(int64_feature if whole else string_feature)("label"), dictionary_feature("shares", int if whole else str)]
        )
    message.postEvaluationTransform = transform
    message.treeEnsemble.numPredictionDimensions = dimensions
    if base:
        write_floats(message.treeEnsemble, "basePredictionValue", base)
    return made


def add_branch(
    made: Model, tree: int, node: int, behavior: int, feature: int, value: float, children: Sequence[int], missing: bool = False
) -> None:
    nodes(made).add(
        treeId=tree,
        nodeId=node,
        nodeBehavior=behavior,  # type: ignore[arg-type]
        branchFeatureIndex=feature,
        branchFeatureValue=value,
        trueChildNodeId=children[0],
        falseChildNodeId=children[1],
        missingValueTracksTrueChild=missing,
    )


def add_leaf(made: Model, tree: int, node: int, values: Sequence[float], first: int = 0) -> None:
    leaf = nodes(made).add(treeId=tree, nodeId=node, nodeBehavior=LEAF)  # type: ignore[arg-type]
    for index, value in enumerate(values, start=first):
        leaf.evaluationInfo.add(evaluationIndex=index, evaluationValue=value)


def nodes(made: Model) -> Any:
    return getattr(made, made.WhichOneof("Type") or "").treeEnsemble.nodes


def add_sklearn(made: Model, number: int, tree: Any, scale: float = 1.0, first: int = 0) -> None:
    """A fitted tree of scikit-learn, node by node, its values times ``scale`` from dimension ``first`` on."""
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left < 0:
            add_leaf(made, number, node, tree.value[node].ravel() * scale, first)
        else:
            missing = bool(tree.missing_go_to_left[node])
            add_branch(made, number, node, LESS_EQUAL, tree.feature[node], tree.threshold[node], (left, right), missing)


def stump(made: Model, low: Sequence[float], high: Sequence[float], feature: int = 0) -> Model:
    """``made`` with a tree: ``low`` where the feature is at most 0.3, else ``high``."""
    add_branch(made, 0, 0, LESS_EQUAL, feature, 0.3, (1, 2))
    add_leaf(made, 0, 1, low)
    add_leaf(made, 0, 2, high)
    return made


def arrays(rows: Array) -> list[dict[str, Array]]:
    return [{"x": row} for row in rows]


def singles(rows: Array) -> Array:
    """Rows that float32 can hold, which is what scikit-learn rounds to."""
    return rows.astype(np.float32).astype(np.float64)


def test_a_forest_predicts_as_scikit_learn_does() -> None:
    x, y = make_regression(300, 4, random_state=0)
    forest = RandomForestRegressor(20, random_state=0).fit(x, y)
    made = ensemble()
    for number, tree in enumerate(forest.estimators_):
        add_sklearn(made, number, tree.tree_, 1 / 20)
    model = MLModel.from_spec(made)
    rows = singles(np.random.default_rng(1).standard_normal((500, 4)))
    together = [row["y"] for row in model.predict(arrays(rows))]
    np.testing.assert_allclose(together, forest.predict(rows), rtol=1e-12)
    assert [model.predict(row)["y"] for row in arrays(rows[:30])] == together[:30]


def test_missing_numbers_go_where_scikit_learn_sends_them() -> None:
    random = np.random.default_rng(2)
    x = random.standard_normal((400, 4))
    y = x[:, 0] + np.where(random.random(400) < 0.5, 3.0, 0.0)
    x[random.random(x.shape) < 0.2] = np.nan
    y[np.isnan(x[:, 1])] += 5
    tree = DecisionTreeRegressor(random_state=0).fit(x, y).tree_
    made = ensemble(inputs=[double_feature(name, optional=name == "b") for name in "abcd"])
    add_sklearn(made, 0, tree)
    assert 0 < sum(node.missingValueTracksTrueChild for node in nodes(made)) < len(nodes(made))
    rows = singles(random.standard_normal((200, 4)))
    rows[random.random(rows.shape) < 0.3] = np.nan
    given = [{name: number for name, number in zip("abcd", row, strict=True) if name != "b" or not math.isnan(number)} for row in rows]
    found = [row["y"] for row in MLModel.from_spec(made).predict(given)]
    np.testing.assert_allclose(found, tree.predict(rows.astype(np.float32)).ravel(), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_boosted_classifiers_predict_as_scikit_learn_does(classes: int) -> None:
    x, y = make_classification(300, 4, n_informative=4, n_redundant=0, n_classes=classes, random_state=0)
    boosted = GradientBoostingClassifier(n_estimators=12, random_state=0, init="zero").fit(x, y)
    labels = ["low", "middle", "high"][:classes]
    one = classes == 2
    made = ensemble(1 if one else classes, transform=LOGISTIC if one else SOFTMAX, labels=labels)
    for number, (step, dimension) in enumerate(itertools.product(range(12), range(boosted.estimators_.shape[1]))):
        add_sklearn(made, number, boosted.estimators_[step, dimension].tree_, boosted.learning_rate, dimension)
    rows = singles(np.random.default_rng(3).standard_normal((200, 4)))
    answers = MLModel.from_spec(made).predict(arrays(rows))
    assert [answer["label"] for answer in answers] == [labels[place] for place in boosted.predict(rows)]
    np.testing.assert_allclose(
        [[answer["shares"][label] for label in labels] for answer in answers], boosted.predict_proba(rows), rtol=1e-9
    )


def test_sums_without_a_transform_are_answered_as_they_are() -> None:
    x, y = make_classification(200, 4, n_informative=4, n_redundant=0, n_classes=3, random_state=1)
    forest = RandomForestClassifier(7, random_state=0).fit(x, y)
    made = ensemble(3, labels=[5, -1, 9])
    for number, tree in enumerate(forest.estimators_):
        add_sklearn(made, number, tree.tree_)
    answers = MLModel.from_spec(made).predict(arrays(singles(x)))
    np.testing.assert_allclose([list(answer["shares"].values()) for answer in answers], 7 * forest.predict_proba(x), rtol=1e-12)
    assert [answer["label"] for answer in answers] == [(5, -1, 9)[place] for place in forest.predict(x)]


@pytest.mark.parametrize(
    ("transform", "value", "second"),
    [
        (NONE, 0.25, 0.25),
        (NONE, 0.5, 0.5),
        (NONE, 1.75, 1.75),
        (LOGISTIC, -0.5, 0.3775406687981454),
        (LOGISTIC, 0.0, 0.5),
        (SOFTMAX_FROM_ZERO, 2.0, 0.8807970779778823),
    ],
)
def test_one_dimension_is_the_second_of_two_classes(transform: int, value: float, second: float) -> None:
    answer = MLModel.from_spec(stump(ensemble(transform=transform, labels=["no", "yes"]), [value], [0.0])).predict({"x": np.zeros(4)})
    assert answer["label"] == ("yes" if second >= 0.5 else "no")
    assert answer["shares"] == pytest.approx({"no": 1 - second, "yes": second}, rel=1e-12)


def test_without_labels_classes_are_numbers() -> None:
    for dimensions, shares in ((1, {0: 0.75, 1: 0.25}), (3, {0: 0.25, 1: 0.5, 2: 0.5})):
        made = stump(ensemble(dimensions, labels=()), [0.25, 0.5, 0.5][:dimensions], [0.0])
        assert MLModel.from_spec(made).predict({"x": np.zeros(4)}) == {"label": int(dimensions == 3), "shares": shares}


@pytest.mark.parametrize("transform", [NONE, SOFTMAX, LOGISTIC, SOFTMAX_FROM_ZERO])
def test_regressors_of_several_dimensions(transform: int) -> None:
    made = stump(ensemble(3, (1.0, -2.0, 0.25), transform), [0.5, 1.0, 4.0], [0.1])
    sums = np.array([[1.5, -1.0, 4.25], [1.1, -2.0, 0.25]])
    expected = {
        NONE: sums,
        SOFTMAX: special.softmax(sums, axis=1),
        LOGISTIC: special.expit(sums),
        SOFTMAX_FROM_ZERO: special.softmax([[0, -1.0, 4.25], [0, -2.0, 0.25]], axis=1),
    }
    answers = MLModel.from_spec(made).predict(arrays(np.array([[0.3, 0, 0, 0], [0.31, 0, 0, 0]])))
    np.testing.assert_allclose([answer["y"] for answer in answers], expected[transform], rtol=1e-12)


def test_inputs_follow_each_other() -> None:
    inputs = [double_feature("a"), array_feature("b", (2, 2), "float32"), int64_feature("c")]
    given = {"a": 1.0, "b": np.array([[2, 3], [4, 5]], np.float32), "c": 6}
    for feature in range(6):
        made = ensemble(inputs=inputs)
        add_branch(made, 0, 0, GREATER, feature, feature + 0.5, (1, 2))
        add_branch(made, 0, 1, LESS, feature, feature + 1.5, (3, 4))
        for node, value in ((2, 0.0), (3, 1.0), (4, 2.0)):
            add_leaf(made, 0, node, [value])
        assert MLModel.from_spec(made).predict(given)["y"] == 1.0


def test_a_dictionary_holds_what_is_not_zero() -> None:
    made = stump(ensemble(inputs=[dictionary_feature("x", int)]), [1.0], [2.0], feature=5)
    add_branch(made, 1, 0, LESS, 2, 0.0, (1, 2))
    add_leaf(made, 1, 1, [10.0])
    add_leaf(made, 1, 2, [20.0])
    model = MLModel.from_spec(made)
    rows: list[dict[int, float]] = [{}, {5: 0.5}, {2: -1.0, 5: 0.1}, {900: 1.0}]
    assert [answer["y"] for answer in model.predict([{"x": row} for row in rows])] == [21.0, 22.0, 11.0, 21.0]
    with pytest.raises(MLFeatureError, match="example 1: .*input 'x': expected keys from 0 to 5, got -3"):
        model.predict([{"x": {}}, {"x": {-3: 1.0}}])


def test_an_array_that_is_too_short_is_refused() -> None:
    model = MLModel.from_spec(stump(ensemble(inputs=[array_feature("x", (), "float64")]), [1.0], [2.0], feature=2))
    assert model.predict({"x": np.array([0.0, 0.0, 1.0])})["y"] == 2.0
    with pytest.raises(MLFeatureError, match="expected 3 numbers or more in the inputs, got 2"):
        model.predict({"x": np.zeros(2)})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (ensemble(0), "numPredictionDimensions: expected 1 to 1048576, got 0"),
        (ensemble(2**40), f"numPredictionDimensions: expected 1 to 1048576, got {2**40}"),
        (ensemble(2, (1.0,)), "basePredictionValue: expected 2 numbers, as numPredictionDimensions says, or none, got 1"),
        (ensemble(transform=4), "postEvaluationTransform: expected a number from 0 to 3, got 4"),
        (stump(ensemble(), [], [1.0]), "tree 0, node 1: expected a value in a leaf, got none"),
        (stump(ensemble(), [1.0, 2.0], [1.0]), "tree 0, node 1: expected values for dimensions below 1, got one for 1"),
        (stump(ensemble(), [1.0], [1.0], feature=4), "inputs: expected 5 numbers or more, which the trees look at, got 4"),
        (ensemble(inputs=[string_feature("x")]), "input 'x': expected a feature of type double or int64 or multi_array or dictionary"),
        (
            ensemble(inputs=[dictionary_feature("x", int), double_feature("z")]),
            "input 'x': expected a declared size before other inputs, got a dictionary",
        ),
        (ensemble(output=string_feature("y")), "output 'y': expected a double or multi-array, got a string"),
        (ensemble(output=double_feature("z")), "predictedFeatureName: expected the name of an output, 'z', got 'y'"),
        (ensemble(2, output=double_feature("y")), "output 'y': expected 2 numbers, as numPredictionDimensions has it, got a double"),
        (
            ensemble(2, labels=["a", "b", "c"]),
            "numPredictionDimensions: expected as many as there are class labels, 3, or one for two, got 2",
        ),
        (ensemble(1, labels=["a"]), "numPredictionDimensions: expected as many as there are class labels, 1, or one for two, got 1"),
        (ensemble(1, labels=["a", "b"], transform=SOFTMAX), "expected another than Classification_SoftMax for one dimension"),
        (ensemble(2, labels=["a", "a"]), "stringClassLabels: expected each label once, got 'a' 2 times"),
    ],
)
def test_what_is_no_ensemble_is_refused(made: Model, message: str) -> None:
    with pytest.raises(MLFormatError) as refusal:
        build_predictor(made, {}, "X.mlmodel")
    assert str(refusal.value).startswith("X.mlmodel: ")
    assert message in str(refusal.value)


def walk(told: Any, tree: int, at: dict[tuple[int, int], Any], x: Sequence[float]) -> float:
    """The value of the leaf of one tree, by walking; only ``<=`` and ``<``."""
    node = at[tree, 0]
    while node.nodeBehavior != LEAF:
        number, value = x[node.branchFeatureIndex], node.branchFeatureValue
        holds = number <= value if node.nodeBehavior == LESS_EQUAL else number < value
        if math.isnan(number):
            holds = node.missingValueTracksTrueChild
        node = at[tree, node.trueChildNodeId if holds else node.falseChildNodeId]
    return float(node.evaluationInfo[0].evaluationValue)


def test_a_real_ranker_agrees_with_a_walk_of_its_nodes() -> None:
    model = MLModel(shared_model("TreesRanker_a_z.mlmodel"))
    told = model.spec.treeEnsembleRegressor.treeEnsemble
    at = {(node.treeId, node.nodeId): node for node in told.nodes}
    rows = np.random.default_rng(5).standard_normal((60, 2)).astype(np.float32).astype(np.float64)
    rows[::6, 0] = rows[::4, 1] = np.nan
    answers = model.predict([{"context": row[0], "item": row[1]} for row in rows])
    base = np.frombuffer(told.basePredictionValue[0])[0]
    ids = sorted({node.treeId for node in told.nodes})
    expected = [sum((walk(told, tree, at, list(row)) for tree in ids), start=float(base)) for row in rows]
    assert [answer["target"] for answer in answers] == expected


def test_a_real_pipeline_of_names_agrees_with_a_walk_of_its_tree() -> None:
    model = MLModel(shared_model("NamesDT.mlmodel"))
    front, last = model.spec.pipelineClassifier.pipeline.models
    keys = list(front.pipeline.models[0].dictVectorizer.stringToIndex.vector)
    at = {(node.treeId, node.nodeId): node for node in last.treeEnsembleClassifier.treeEnsemble.nodes}
    random = np.random.default_rng(6)
    names = [{keys[place]: 1.0 for place in random.choice(len(keys), 40, replace=False)} for _ in range(20)]
    answers = model.predict([{"input": name} for name in names])
    for name, answer in zip(names, answers, strict=True):
        share = walk(None, 0, at, [name.get(key, 0.0) for key in keys])
        assert answer == {"classLabel": "M" if share >= 0.5 else "F", "classProbability": {"F": 1 - share, "M": share}}
    assert len({answer["classLabel"] for answer in answers}) == 2
