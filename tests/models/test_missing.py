"""Numbers that are NaN and inputs that are absent: who takes them, and what everyone else says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tailor.runtime import MLArrayBatchProvider, MLFeatureType, MLFeatureValue, MLModel
from tailor.runtime.errors import MLFeatureError
from tailor.runtime.format import Model, NeuralNetworkBuilder
from tailor.runtime.format.features import array_feature, double_feature, int64_feature, sequence_feature, string_feature
from tailor.runtime.models import Columns, registry
from tailor.runtime.models.missing import TAKES_ABSENCE, TAKES_NAN, inputs_to
from tailor.runtime.update.examples import Examples
from tests.models.hand_made import X, Y, Z, classifier, doubles, model, pipeline

TYPES = {field.name for field in Model.DESCRIPTOR.oneofs_by_name["Type"].fields}


def of_type(kind: str, inputs: list[Any], outputs: list[Any]) -> Model:
    made = model(inputs, outputs)
    getattr(made, kind).SetInParent()
    return made


class Sees:
    """Stands for a family: answers the sum of each example, and keeps what columns it was given."""

    def __init__(self, *made_of: object) -> None:
        self.given: list[dict[str, Any]] = []

    def predict(self, columns: Columns, count: int) -> dict[str, Any]:
        self.given.append({name: [np.asarray(value).tolist() for value in column] for name, column in columns.items()})
        return {"total": [float(sum(np.sum(column[row]) for column in columns.values())) for row in range(count)]}


def seen(monkeypatch: pytest.MonkeyPatch, spec: Model) -> tuple[MLModel, Sees]:
    sees = Sees()
    kind = spec.WhichOneof("Type")
    monkeypatch.setattr(registry, "PREDICTORS", {**registry.PREDICTORS, kind: lambda spec, parameters, who: sees})
    return MLModel.from_spec(spec), sees


def test_the_sets_name_types_of_the_format() -> None:
    assert TAKES_NAN < TYPES
    assert TAKES_ABSENCE < TYPES


IMPUTER, LINEAR, HANDS_ON = (
    of_type(kind, inputs, [Z]) for kind, inputs in (("imputer", [X]), ("glmRegressor", [Y]), ("featureVectorizer", [X, Y]))
)


@pytest.mark.parametrize(
    ("models", "taken"),
    [
        ([IMPUTER, LINEAR], {"x", "unused"}),
        ([HANDS_ON, IMPUTER], {"x", "y", "unused"}),
        ([HANDS_ON, LINEAR], {"x", "unused"}),
        # y is made anew before the linear model uses it
        ([of_type("imputer", [X], [Y]), LINEAR], {"x", "y", "unused"}),
        ([pipeline([HANDS_ON, LINEAR], [X, Y], [Z])], {"x", "unused"}),
    ],
)
def test_an_input_of_a_pipeline_takes_what_all_do_that_use_it(models: list[Model], taken: set[str]) -> None:
    assert inputs_to(pipeline(models, [X, Y, double_feature("unused")], [Z]), TAKES_NAN) == taken


@pytest.mark.parametrize("kind", ["imputer", "glmRegressor"])
@pytest.mark.parametrize(("name", "value"), [("x", math.nan), ("a", [1.0, math.inf])])
def test_nan_reaches_those_to_whom_it_means_something(monkeypatch: pytest.MonkeyPatch, kind: str, name: str, value: Any) -> None:
    loaded, sees = seen(monkeypatch, of_type(kind, [X, array_feature("a", (2,))], [double_feature("total")]))
    given = {"x": 1.0, "a": [1.0, 2.0], name: value}
    if kind == "imputer":
        loaded.predict(given)
        np.testing.assert_equal(sees.given[0][name], [value])
        return
    for rows, where in ((given, ""), ([{"x": 1.0, "a": [1.0, 2.0]}, given], "example 1: ")):
        with pytest.raises(MLFeatureError, match=rf"^{where}input '{name}': expected .*finite"):
            loaded.predict(rows)


OPTIONAL = [double_feature("x", optional=True), int64_feature("n", optional=True), array_feature("a", (2,), optional=True)]
UNDEFINED = MLFeatureValue.undefined(MLFeatureType.INT64)
ROWS: list[Mapping[str, Any]] = [{"x": 1.0, "n": 2, "a": [3.0, 4.0]}, {"x": 5.0}, {}, {"a": [6.0, 7.0]}, {"x": 8.0, "n": UNDEFINED}]


def test_an_input_that_some_examples_lack_has_no_column_in_their_call(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, sees = seen(monkeypatch, of_type("nonMaximumSuppression", OPTIONAL, [double_feature("total")]))
    assert [row["total"] for row in loaded.predict(ROWS)] == [10.0, 5.0, 0.0, 13.0, 8.0]
    assert sees.given == [
        {"x": [1.0], "n": [2], "a": [[3.0, 4.0]]},
        {"x": [5.0, 8.0]},
        {},
        {"a": [[6.0, 7.0]]},
    ]
    assert [loaded.predict(row)["total"] for row in ROWS] == [10.0, 5.0, 0.0, 13.0, 8.0]


def test_a_missing_double_is_nan_where_nan_is_a_missing_value(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, sees = seen(monkeypatch, of_type("treeEnsembleRegressor", [OPTIONAL[0], Y], [double_feature("total")]))
    loaded.predict([{"x": 1.0, "y": 2.0}, {"y": 3.0}])
    np.testing.assert_equal(sees.given, [{"x": [1.0, math.nan], "y": [2.0, 3.0]}])


@pytest.mark.parametrize(
    ("kind", "feature", "row"),
    [
        ("glmRegressor", double_feature("v", optional=True), {"y": 1.0}),
        ("treeEnsembleRegressor", int64_feature("v", optional=True), {"y": 1.0, "v": None}),
        ("itemSimilarityRecommender", sequence_feature("v"), {"y": 1.0}),
    ],
)
def test_what_a_model_cannot_do_without_is_asked_for(monkeypatch: pytest.MonkeyPatch, kind: str, feature: Any, row: Any) -> None:
    loaded, sees = seen(monkeypatch, of_type(kind, [feature, Y], [double_feature("total")]))
    got = "None" if "v" in row else "'y'"
    with pytest.raises(MLFeatureError, match=rf"^example 0: model: expected input 'v', got {got}$"):
        loaded.predict([row])
    assert not sees.given


def test_inside_a_pipeline_it_is_asked_for_too() -> None:
    inner = of_type("glmRegressor", [double_feature("v", optional=True)], [Z])
    with pytest.raises(MLFeatureError, match="model 'model0' of .*: input 'v': expected a value, got only x"):
        MLModel.from_spec(pipeline([inner], [X], [Z])).predict({"x": 1.0})


def test_a_network_takes_the_default_row_by_row() -> None:
    built = NeuralNetworkBuilder(
        [array_feature("a", (2,)), array_feature("b", (2,), optional=True)], [array_feature("y")], disable_rank5_shape_mapping=True
    )
    built.add_elementwise("sum", ["a", "b"], "y", "ADD")
    built.spec.description.input[1].type.multiArrayType.floatDefaultValue = 0.5
    rows = [{"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"a": [1.0, 2.0]}]
    answers = MLModel.from_spec(built.spec).predict(rows)
    assert [row["y"].tolist() for row in answers] == [[4.0, 6.0], [1.5, 2.5]]


def test_examples_may_lack_numbers_that_an_imputer_fills() -> None:
    imputer = model([array_feature("raw", (2,), "double")], [array_feature("input", (2,))])
    imputer.imputer.imputedDoubleArray.vector[:] = doubles(7, 8)
    imputer.imputer.replaceDoubleValue = math.nan
    learner = classifier([[0, 0]], ["a"])
    whole = pipeline([imputer, learner], [array_feature("raw", (2,), "double")], learner.description.output, updatable=True)
    whole.description.trainingInput.extend([array_feature("raw", (2,), "double"), string_feature("label")])
    provider = MLArrayBatchProvider([{"raw": [math.nan, 2.0], "label": "a"}])
    columns = Examples(MLModel.from_spec(whole), provider).columns(np.array([0]))
    assert np.asarray(columns["input"]).tolist() == [[7.0, 2.0]]


def test_errors_number_the_examples_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, sees = seen(monkeypatch, of_type("nonMaximumSuppression", OPTIONAL, [double_feature("total")]))

    def refuse(columns: Columns, count: int) -> dict[str, Any]:
        if "n" in columns:
            raise MLFeatureError("expected less, got more").of_example(count - 1)
        return {"total": [0.0] * count}

    sees.predict = refuse  # type: ignore[method-assign]
    with pytest.raises(MLFeatureError, match="^example 3: expected less, got more$"):
        loaded.predict([{}, {"n": 1}, {}, {"n": 2}])
    with pytest.raises(MLFeatureError, match="^expected less, got more$"):
        loaded.predict({"n": 2})
