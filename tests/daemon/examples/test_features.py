"""Features over the wire: whatever they come in they are one, what is kept of them is what was sent, and nothing else gets through."""

from __future__ import annotations

import base64
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tailor import MLFeatureError, MLFeatureValue, MLModel, MLUpdateError
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature
from tailor.client import NewExample
from tailor.daemon.examples import PredictionFeatures, TrainingFeatures
from tests.tasks.softmax_regression import classifier

from .everything import TYPES, everything
from .files import png

PIXELS = 1 << 16
FEATURES = TrainingFeatures(everything())
IMAGE = png(4, 3, rows=bytes([0, 1, 2, 3, 4, 0, 5, 6, 7, 8, 0, 9, 10, 11, 12]))
GREYS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
INT64 = st.integers(-(2**63), 2**63 - 1)
DOUBLE = st.floats(allow_nan=False, allow_infinity=False)


def numbers(dtype: str) -> Any:
    of = np.dtype(dtype)
    elements = None if of.kind == "i" else st.floats(width=of.itemsize * 8, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    return arrays.arrays(of, (2, 3), elements=elements)


EXAMPLES = st.fixed_dictionaries(
    {
        "x": arrays.arrays(np.float32, 3, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
        "label": st.text(),
        **{name: numbers({"double": "float64"}.get(dtype, dtype)) for name, dtype in TYPES.items()},
        "count": INT64,
        "amount": DOUBLE,
        "words": st.text(),
        "image": st.just(IMAGE),
        "by_word": st.dictionaries(st.text(), DOUBLE),
        "by_number": st.dictionaries(INT64, DOUBLE),
        "numbers": st.lists(INT64),
        "texts": st.lists(st.text()),
    }
)


def packed(value: Any) -> Any:
    """An array as bytes with their shape and dtype."""
    return {"shape": value.shape, "dtype": str(value.dtype), "data": value.tobytes()} if isinstance(value, np.ndarray) else value


def listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def backwards(value: Any) -> Any:
    """Dictionaries in another order."""
    return dict(reversed(value.items())) if isinstance(value, dict) and "data" not in value else value


@settings(max_examples=40)
@given(EXAMPLES)
def test_what_is_sent_is_what_is_kept_whatever_it_is_sent_in(example: dict[str, Any]) -> None:
    ways = [
        (msgspec.json, {name: listed(value) for name, value in example.items()}),
        (msgspec.json, {name: packed(value) for name, value in example.items()}),
        (msgspec.msgpack, {name: listed(value) for name, value in example.items()}),
        (msgspec.msgpack, {name: backwards(packed(value)) for name, value in reversed(example.items())}),
    ]
    bodies = set()
    for codec, features in ways:
        sent = codec.decode(codec.encode({"features": features}), type=NewExample)
        body, label = FEATURES.normalised(sent.features, PIXELS)
        assert label == example["label"]
        bodies.add(body)
    assert len(bodies) == 1
    back = FEATURES.restored(bodies.pop())
    image = back.pop("image")
    assert np.asarray(image.value).tolist() == GREYS
    assert back.keys() == example.keys() - {"image"}
    for name, value in back.items():
        if isinstance(value, np.ndarray):
            assert (value.dtype, value.shape, value.tobytes()) == (example[name].dtype, example[name].shape, example[name].tobytes())
        else:
            assert value == example[name]
            assert type(value) is type(example[name])


WHOLE: dict[str, Any] = {
    "x": [1, 2.5, True],
    "label": "cat",
    **{name: [[1, 2, 3], [4, 5, 6]] for name in TYPES},
    "count": 3.0,
    "amount": 3,
    "words": "",
    "image": base64.b64encode(IMAGE).decode(),
    "by_word": {"a": 1},
    "by_number": {"-7": 1, 8: 2},
    "numbers": [],
    "texts": ["a"],
}


def test_numbers_are_taken_for_those_that_the_model_asks_for() -> None:
    back = FEATURES.restored(FEATURES.normalised(WHOLE, PIXELS)[0])
    assert back["x"].tolist() == [1, 2.5, 1]
    assert (back["count"], back["amount"], back["by_number"]) == (3, 3.0, {-7: 1.0, 8: 2.0})
    assert [str(back[name].dtype) for name in TYPES] == ["float64", "float32", "float16", "int32"]


FLOATS = np.zeros(3, np.float32)
DEEP: list[Any] = []
for _ in range(500):
    DEEP = [DEEP]

HOSTILE: list[tuple[str, Any, str]] = [
    ("x", [1, 2], "expected a float32 multi-array of shape [3], got a float64 array of shape [2]"),
    ("x", "/etc/passwd", "expected a float32 multi-array of shape [3], got a str '/etc/passwd'"),
    ("x", b"\0" * 12, "got a bytes"),
    ("x", None, "expected training input 'x', got none"),
    ("x", [1, 2, None], "got null among its numbers"),
    ("x", [1, 2, "3"], "got '3' among its numbers"),
    ("x", ["9" * 1_000_000, 2, 3], "among its numbers"),
    ("x", [1, 2, 10**400], "got 1000"),
    ("x", [1, 2, 1e300], "expected finite numbers that fit float32, got 1e+300 at index [2]"),
    ("x", [1, 2, float("nan")], "expected finite numbers that fit float32, got nan at index [2]"),
    ("x", [float("inf"), -float("inf"), 0.0], "got inf at index [0]"),
    ("x", [[1, 2], [3]], "got lists of different lengths within lists of shape [2]"),
    ("x", [[1], 2, 3], "got lists of different lengths"),
    ("x", DEEP, "got lists within more than 16 lists"),
    ("x", [], "got a float64 array of shape [0]"),
    ("x", {"shape": [3], "dtype": "float32"}, "got an object with 'shape', 'dtype'"),
    ("x", {"shape": [3], "dtype": "float32", "data": bytes(12), "more": 1}, "got an object with"),
    ("x", packed(FLOATS) | {"dtype": "object"}, "got 'object'"),
    ("x", packed(FLOATS) | {"dtype": ["float32"]}, "got list of 1"),
    ("x", packed(FLOATS) | {"shape": [4]}, "with 16 bytes for float32 [4], got 12 bytes"),
    ("x", packed(FLOATS) | {"shape": [2**40, 2**40]}, "got 12 bytes"),
    ("x", packed(FLOATS) | {"shape": [0, 2**47, 2**47], "data": b""}, "got the shape list of 3: array is too big"),
    ("x", packed(FLOATS) | {"shape": [-3]}, "which is no list of at most 16 sizes"),
    ("x", packed(FLOATS) | {"shape": [3.0]}, "which is no list of at most 16 sizes"),
    ("x", packed(FLOATS) | {"shape": [3] + [1] * 20}, "got the shape list of 21"),
    ("x", packed(FLOATS) | {"shape": 3}, "got the shape 3"),
    ("x", packed(FLOATS) | {"data": "no base64!"}, "got text that is no base64"),
    ("x", [0] * 200_000, "got 200000 values"),
    ("x", [[0] * 400] * 500, "got 200000 values"),
    ("x", "1" * 200_000, "got '111"),
    ("x", packed(FLOATS) | {"shape": [250_000], "data": "A" * 1_333_336}, "got base64 of 1333336 characters"),
    ("x", packed(FLOATS) | {"data": [0] * 12}, "expected its data as bytes, or as base64 in JSON, got list of 12"),
    ("x", packed(FLOATS + np.float32("nan")), "got nan at index [0]"),
    ("i32", [[1, 2, 3], [4, 5, 6.5]], "expected integers in -2147483648..2147483647, got 6.5 at index [1, 2]"),
    ("i32", [[1, 2, 3], [4, 5, 2**31]], "got 2147483648.0 at index [1, 2]"),
    ("f16", [[1, 2, 3], [4, 5, 70000]], "expected finite numbers that fit float16, got 70000.0"),
    ("count", 2**63, "expected an int64, got an int"),
    ("count", True, "expected an int64, got a bool True"),
    ("count", "3", "expected an int64, got a str '3'"),
    ("count", 2.5, "expected an int64, got a float 2.5"),
    ("amount", float("nan"), "expected a finite double, got nan"),
    ("amount", 10**400, "expected a double, got an int"),
    ("amount", [1.0], "expected a double, got a list of 1"),
    ("words", 3, "expected a string, got an int 3"),
    ("words", b"text", "expected a string, got a bytes"),
    ("words", "\ud800", "got half a surrogate pair"),
    ("image", "/etc/passwd", "got text that is no base64"),
    ("image", "aaaa", "as a PNG or JPEG file, got 3 bytes that are neither"),
    ("image", GREYS, "expected an image 4x3 RGB as bytes, or as base64 in JSON, got list of 3"),
    ("image", {"shape": [3, 4], "dtype": "uint8", "data": bytes(12)}, "got dict of 3"),
    ("image", 7, "as bytes, or as base64 in JSON, got 7"),
    ("image", png(300, 300), "of 1 to 65536 pixels, got a PNG file of 300x300"),
    ("by_word", {1: 1.0}, "key: expected a string, got an int 1"),
    ("by_word", {"a": "b"}, "value of 'a': expected a double, got a str 'b'"),
    ("by_word", [["a", 1]], "expected a dictionary from strings to numbers, got a list of 1"),
    ("by_number", {"a": 1}, "key: expected an int64, got a str 'a'"),
    ("by_number", {"07": 1}, "key: expected an int64, got a str '07'"),
    ("by_number", {"9" * 5000: 1}, "key: expected an int64, got a str"),
    ("by_number", {"7": 1, 7: 2}, "got a key twice"),
    ("numbers", "123", "expected a sequence of integers, got a str '123'"),
    ("numbers", [1, "2"], "item 1: expected an int64, got a str '2'"),
    ("texts", [1], "item 0: expected a string, got an int 1"),
    ("other", 1, "expected training inputs among 'x', 'label'"),
]


@pytest.mark.parametrize(("name", "value", "told"), HOSTILE, ids=[f"{name} {number}" for number, (name, _, _) in enumerate(HOSTILE)])
def test_what_does_not_fit_is_refused_by_name_at_little_cost(name: str, value: Any, told: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MLFeatureError) as raised:
            FEATURES.normalised(WHOLE | {name: value}, PIXELS)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert told in str(raised.value)
    assert repr(name) in str(raised.value) or name == "words"
    assert len(str(raised.value)) < 500


def test_a_missing_input_is_its_declared_default_or_is_missing() -> None:
    spec = KNearestNeighborsClassifierBuilder("x", "label", 3, "nobody", number_of_neighbors=1).spec
    spec.description.trainingInput.extend([array_feature("with", (2,), optional=True), array_feature("without", (2,), optional=True)])
    spec.description.trainingInput[-2].type.multiArrayType.floatDefaultValue = 0.5
    features = TrainingFeatures(MLModel.from_spec(spec))
    example = {"x": [1, 2, 3], "label": "cat", "without": [1, 2]}
    assert features.restored(features.normalised(example, PIXELS)[0])["with"].tolist() == [0.5, 0.5]
    with pytest.raises(MLFeatureError, match="expected training input 'without', got none"):
        features.normalised(example | {"without": None}, PIXELS)


def test_a_class_that_the_model_does_not_have_is_refused_where_it_cannot_learn_one() -> None:
    features = TrainingFeatures(classifier())
    assert features.normalised({"x": [1, 2], "classLabel": "mid"}, PIXELS)[1] == "mid"
    with pytest.raises(MLFeatureError, match="'classLabel': expected one of the 3 class labels, got 'middle'"):
        features.normalised({"x": [1, 2], "classLabel": "middle"}, PIXELS)
    assert FEATURES.normalised(WHOLE | {"label": "middle"}, PIXELS)[1] == "middle"


def test_a_model_that_cannot_be_updated_takes_no_examples() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (2,))])
    builder.add_activation("relu", "RELU", "x", "y")
    with pytest.raises(MLUpdateError, match="expected one that can be updated"):
        TrainingFeatures(MLModel.from_spec(builder.spec))


def test_inputs_are_read_and_left_for_the_model_to_judge() -> None:
    spec = KNearestNeighborsClassifierBuilder("x", "label", 3, "nobody", number_of_neighbors=1).spec
    del spec.description.input[:]
    spec.description.input.extend(everything().spec.description.trainingInput)
    read = PredictionFeatures(MLModel.from_spec(spec)).read(WHOLE | {"other": "text", "amount": None}, PIXELS)
    assert isinstance(read["image"], MLFeatureValue)
    assert isinstance(read["image"].value, Image.Image)
    assert read["x"].tolist() == [1, 2.5, 1]
    assert (read["by_number"], read["other"], read["amount"]) == ({-7: 1, 8: 2}, "text", None)
    for value in ("/etc/passwd", "image.png", b""):
        with pytest.raises(MLFeatureError, match="input 'image': expected an image 4x3 RGB"):
            PredictionFeatures(MLModel.from_spec(spec)).read({"image": value}, PIXELS)
