"""The types that turn features into features agree with scikit-learn, whose transformers are converted to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.runtime import MLModel
from tailor.runtime.format import Model
from tailor.runtime.format.features import array_feature, dictionary_feature, string_feature
from tailor.runtime.format.schema.preprocessing_pb2 import DictVectorizer, Imputer, Normalizer, OneHotEncoder, Scaler
from tailor.runtime.format.schema.vectors_pb2 import DoubleVector, StringVector
from tests.models.hand_made import doubles, holding

DRAW = np.random.default_rng(4)
NUMBERS = DRAW.uniform(0, 10, (40, 6))
HOLES = np.where(DRAW.uniform(size=NUMBERS.shape) < 0.3, np.nan, NUMBERS)
WORDS = [{str(word): float(DRAW.integers(1, 9)) for word in DRAW.choice(list("abcdefgh"), 4, replace=False)} for _ in range(40)]
CITIES = [[str(city)] for city in DRAW.choice(["Oslo", "Rome", "Bern"], 40)]
ARRAY = array_feature("x", (6,), "double")


def arrays(message: Any) -> Model:
    return holding(message, [ARRAY], [array_feature("y", (6,), "double")])


def scaled(fitted: Any) -> Model:
    return arrays(Scaler(shiftValue=doubles(*-fitted.mean_), scaleValue=doubles(*(1 / fitted.scale_))))


def imputed(fitted: Any) -> Model:
    return arrays(Imputer(imputedDoubleArray=DoubleVector(vector=doubles(*fitted.statistics_)), replaceDoubleValue=fitted.missing_values))


def normalized(fitted: Any) -> Model:
    return arrays(Normalizer(normType={"max": Normalizer.LMax, "l1": Normalizer.L1, "l2": Normalizer.L2}[fitted.norm]))


def vectorized(fitted: Any) -> Model:
    names = fitted.feature_names_
    return holding(
        DictVectorizer(stringToIndex=StringVector(vector=names)), [dictionary_feature("x")], [array_feature("y", (len(names),), "double")]
    )


def encoded(fitted: Any) -> Model:
    (names,) = fitted.categories_
    manner = OneHotEncoder.IgnoreUnknown if fitted.handle_unknown == "ignore" else OneHotEncoder.ErrorOnUnknown
    message = OneHotEncoder(stringCategories=StringVector(vector=list(names)), handleUnknown=manner)
    return holding(message, [string_feature("x")], [array_feature("y", (len(names),), "double")])


# scikit-learn's class, its options, examples, those that it is fitted to, and the model that it becomes
PEERS: dict[str, tuple[str, dict[str, Any], Any, slice, Callable[[Any], Model]]] = {
    "standard scaler": ("preprocessing.StandardScaler", {}, NUMBERS, slice(None), scaled),
    **{
        f"normalizer {norm}": ("preprocessing.Normalizer", {"norm": norm}, NUMBERS, slice(None), normalized) for norm in ("max", "l1", "l2")
    },
    "imputer of NaN": ("impute.SimpleImputer", {"strategy": "median"}, HOLES, slice(None), imputed),
    "imputer of -999": ("impute.SimpleImputer", {"missing_values": -999.0}, np.nan_to_num(HOLES, nan=-999.0), slice(None), imputed),
    "dict vectorizer": ("feature_extraction.DictVectorizer", {"sparse": False}, WORDS, slice(3), vectorized),
    "one-hot encoder": ("preprocessing.OneHotEncoder", {"sparse_output": False}, CITIES, slice(None), encoded),
    "one-hot encoder, some unknown": (
        "preprocessing.OneHotEncoder",
        {"sparse_output": False, "handle_unknown": "ignore"},
        CITIES,
        slice(1),
        encoded,
    ),
}


@pytest.mark.parametrize(("path", "options", "examples", "some", "model"), PEERS.values(), ids=PEERS.keys())
def test_answers_agree_alone_and_together(path: str, options: dict[str, Any], examples: Any, some: slice, model: Any) -> None:
    module, name = path.split(".")
    peer = getattr(pytest.importorskip(f"sklearn.{module}", reason="compared with scikit-learn"), name)(**options)
    peer.fit(examples[some])
    expected = peer.transform(examples)
    made = MLModel.from_spec(model(peer))
    rows = [{"x": row[0] if isinstance(row, list) else row} for row in examples]
    together = np.array([answers["y"] for answers in made.predict(rows)])
    np.testing.assert_allclose(together, expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal([made.predict(row)["y"] for row in rows], together)
