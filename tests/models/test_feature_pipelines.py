"""Pipelines of types that turn features into features, of all three kinds, nested and named; and those of real models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tailor.runtime import MLModel
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model, make_pipeline
from tailor.runtime.format.features import array_feature, dictionary_feature, double_feature, int64_feature, string_feature
from tailor.runtime.format.schema.preprocessing_pb2 import (
    ArrayFeatureExtractor,
    CategoricalMapping,
    DictVectorizer,
    FeatureVectorizer,
    Imputer,
    Normalizer,
    OneHotEncoder,
    Scaler,
)
from tailor.runtime.format.schema.vectors_pb2 import Int64Vector, StringToInt64Map, StringVector
from tailor.runtime.models import PipelinePredictor, build_learner, build_predictor
from tests.models.hand_made import classifier, doubles, holding
from tests.places import shared_model


def words() -> Model:
    """Words counted, a city as a number that is one-hot encoded, and an age that may be missing -> 6 numbers, ``input``."""
    counts = make_pipeline(
        None,
        [
            holding(
                DictVectorizer(stringToIndex=StringVector(vector=["hi", "bye"])),
                [dictionary_feature("text")],
                [dictionary_feature("text", int)],
            ),
            holding(Scaler(scaleValue=doubles(0.5), shiftValue=doubles(-20)), [double_feature("years")], [double_feature("age")]),
        ],
        ["words", "ages"],
        ["text", "age"],
    )
    city = CategoricalMapping(stringToInt64Map=StringToInt64Map(map={"Oslo": 40, "Rome": 20}), int64Value=0)
    place = OneHotEncoder(int64Categories=Int64Vector(vector=[20, 40, 30]), outputSparse=True, handleUnknown=OneHotEncoder.IgnoreUnknown)
    listed = [
        FeatureVectorizer.InputColumn(inputColumn=name, inputDimensions=size) for name, size in (("text", 2), ("city", 3), ("age", 1))
    ]
    return make_pipeline(
        None,
        [
            holding(Imputer(imputedDoubleValue=30), [double_feature("years", optional=True)], [double_feature("years")]),
            counts,
            holding(city, [string_feature("city")], [int64_feature("city")]),
            holding(place, [int64_feature("city")], [dictionary_feature("city", int)]),
            holding(
                FeatureVectorizer(inputList=listed),
                [dictionary_feature("text", int), dictionary_feature("city", int), double_feature("age")],
                [array_feature("input", (6,))],
            ),
        ],
        ["filled", "counted", "mapped", "encoded", "joined"],
    )


ROWS: list[dict[str, Any]] = [
    {"text": {"hi": 2, "so": 1}, "city": "Rome", "years": 24.0},
    {"text": {}, "city": "Bern"},
    {"text": {"bye": 1}, "city": "Oslo", "years": math.nan},
]
JOINED = [[2, 0, 1, 0, 0, 2], [0, 0, 0, 0, 0, 5], [0, 1, 0, 1, 0, 5]]


def test_a_plain_pipeline_with_one_inside() -> None:
    model = MLModel.from_spec(words(), "m")
    for answers in (model.predict(ROWS), [model.predict(row) for row in ROWS]):
        assert [row["input"].tolist() for row in answers] == JOINED


def test_a_classifier_that_learns_behind_them() -> None:
    nearest = classifier([[0, 0, 0, 0, 0, 5]], ["nobody"], dimensions=6, k=1)
    whole = make_pipeline("classifier", [words(), nearest], ["features", "labels"])
    model = MLModel.from_spec(whole, "m")
    assert [row["label"] for row in model.predict(ROWS)] == ["nobody"] * 3

    columns = {"text": [ROWS[0]["text"]], "city": ["Rome"], "years": np.array([24.0]), "label": ["Roman"]}
    front, learner = build_predictor(whole, {}, "m"), build_learner(whole, "m")
    assert isinstance(front, PipelinePredictor)
    learner.step(front.front_columns(columns, 1), 1, None)
    learner.writer()(whole)
    assert [row["label"] for row in MLModel.from_spec(whole).predict(ROWS)] == ["Roman", "nobody", "nobody"]


def test_a_regressor_behind_them() -> None:
    length = holding(Normalizer(normType=Normalizer.L1), [array_feature("input", (6,))], [array_feature("share", (6,))])
    age = holding(ArrayFeatureExtractor(extractIndex=[5]), [array_feature("share", (6,))], [double_feature("share")])
    model = MLModel.from_spec(make_pipeline("regressor", [make_pipeline(None, [words(), length]), age]), "m")
    for answers in (model.predict(ROWS), [model.predict(row) for row in ROWS]):
        assert [row["share"] for row in answers] == pytest.approx([2 / 5, 1, 5 / 7], rel=1e-6)


def test_errors_name_the_model_in_its_pipelines() -> None:
    whole = words()
    whole.pipeline.models[3].oneHotEncoder.handleUnknown = OneHotEncoder.ErrorOnUnknown
    with pytest.raises(
        MLFeatureError, match=r"^example 1: model 'encoded' of model 'm': input 'city': expected one of the categories .*, got 0"
    ):
        MLModel.from_spec(whole, "m").predict(ROWS)
    whole.pipeline.models[1].pipeline.models[0].dictVectorizer.stringToIndex.vector.append("hi")
    with pytest.raises(MLFormatError, match="^model 'words' of model 'counted' of model 'm': stringToIndex: expected each once, got 'hi'"):
        MLModel.from_spec(whole, "m").predict(ROWS[0])


def test_a_real_pipeline_of_one_hot_encoders() -> None:
    model = MLModel(shared_model("OneHotPipeline.mlmodel"))
    sizes = [9, 16, 7, 15, 6, 5, 2, 42]  # the categories of each of the eight numbers, as the model lists them: 0, 1, ...
    starts = np.cumsum([0, *sizes[:-1]])
    draw = np.random.default_rng(6)
    rows = draw.integers(0, sizes, (20, 8))
    for row, together in zip(rows, model.predict([{"input": row} for row in rows]), strict=True):
        expected = np.zeros(102)
        expected[starts + row] = 1
        np.testing.assert_array_equal(together["transformed_features"], expected)
        np.testing.assert_array_equal(model.predict({"input": row})["transformed_features"], expected)
    with pytest.raises(MLFeatureError, match=r"model 'model13' of model 'OneHotPipeline\.mlmodel': input '__OHE_6__': expected .*, got 2"):
        model.predict({"input": [0, 0, 0, 0, 0, 0, 2, 0]})
    with pytest.raises(MLFeatureError, match="output '__OHE_1__': expected a number that int64 can hold, got 0.5"):
        model.predict({"input": [0, 0.5, 0, 0, 0, 0, 0, 0]})


@pytest.mark.parametrize("name", ["DocumentClassification.mlmodel", "NamesDT.mlmodel", "SentimentPolarity.mlmodel"])
def test_real_dictionaries_become_vectors(name: str) -> None:
    front = MLModel(shared_model(name)).models[0][1]
    known = list(front.models[0][1].spec.dictVectorizer.stringToIndex.vector)
    draw = np.random.default_rng(8)
    rows, expected = [{"nowhere in it": 4.0}], [np.zeros(len(known))]
    for _ in range(5):
        places, counts = draw.choice(len(known), 30, replace=False), draw.integers(1, 9, 30)
        rows.append({known[place]: float(count) for place, count in zip(places, counts, strict=True)} | {"nowhere in it": 2.0})
        expected.append(np.bincount(places, counts, len(known)))
    made = front.predict([{"input": row} for row in rows])
    np.testing.assert_array_equal([row["__feature_vector__"] for row in made], expected)
