"""Features on their way into a network and out of it, worked by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime import MLModel
from tailor.runtime.errors import MLFeatureError, MLFormatError, MLModelError, MLUnsupportedError
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, image_feature, string_feature
from tailor.runtime.models import lowered
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.network import lower
from tests.network.models import digits_builder, images

DOUBLE: dict[str, Any] = {"mode": "MULTIPLY", "alpha": 2.0}


def doubling(feature: Any, output: Any, exact: bool = False) -> NetworkPredictor:
    """y = 2 x."""
    builder = NeuralNetworkBuilder([feature], [output], disable_rank5_shape_mapping=exact)
    builder.add_elementwise("twice", feature.name, output.name, **DOUBLE)
    return NetworkPredictor(builder.spec, "doubling")


ARRAYS = {  # shape in, declared shape out, exact mapping -> the shape that comes out
    "a vector": ((3,), (), False, (3,)),
    "an image-like array": ((2, 3, 4), (), False, (2, 3, 4)),
    "channels alone": ((5, 1, 1), (), False, (5,)),
    "sequence and batch are kept where they are not 1": ((2, 1, 3, 1, 1), (), False, (2, 1, 3, 1, 1)),
    "as declared": ((6,), (2, 3), False, (2, 3)),
    "not as declared, where the count differs": ((6,), (4,), False, (6,)),
    "exact": ((2, 3), (), True, (2, 3)),
    "exact with rank 5": ((1, 1, 3, 1, 1), (), True, (1, 1, 3, 1, 1)),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_keep_their_values_and_get_the_declared_shape(case: str) -> None:
    shape, declared, exact, expected = ARRAYS[case]
    column = np.arange(2 * np.prod(shape), dtype=np.float32).reshape(2, *shape)
    made = doubling(array_feature("x", shape), array_feature("y", declared), exact).predict({"x": column}, 2)["y"]
    assert isinstance(made, np.ndarray)
    assert made.shape == (2, *expected)
    np.testing.assert_array_equal(made.reshape(-1), 2 * column.reshape(-1))


@pytest.mark.parametrize(("dtype", "numpy"), [("float32", "f4"), ("double", "f8"), ("float16", "f2"), ("int32", "i4"), ("int8", "i1")])
def test_arrays_leave_in_the_declared_type(dtype: str, numpy: str) -> None:
    made = doubling(array_feature("x", (2,), "double"), array_feature("y", (2,), dtype)).predict({"x": np.array([[1.0, -3.0]])}, 1)["y"]
    assert isinstance(made, np.ndarray)
    assert (made.dtype, made.tolist()) == (np.dtype(numpy), [[2, -6]])


def test_an_array_of_a_rank_without_a_place_is_refused() -> None:
    with pytest.raises(MLFeatureError, match=r"input 'x': expected an array of shape \[C\], .* got \[2, 3\]"):
        doubling(array_feature("x", (2, 3)), array_feature("y")).predict({"x": np.zeros((1, 2, 3))}, 1)


def test_arrays_of_different_shapes_come_back_as_a_list() -> None:
    predictor = doubling(array_feature("x"), array_feature("y"))
    made = predictor.predict({"x": [np.ones(2), np.ones(3), np.ones((2, 1, 2))]}, 3)["y"]
    assert [np.shape(value) for value in made] == [(2,), (3,), (2, 1, 2)]


def test_an_optional_array_that_is_missing_has_its_default() -> None:
    feature = array_feature("b", (2,), optional=True)
    feature.type.multiArrayType.floatDefaultValue = 0.5
    builder = NeuralNetworkBuilder([array_feature("a", (2,)), feature], [array_feature("y", (2,))])
    builder.add_elementwise("sum", ["a", "b"], "y", "ADD")
    predictor = NetworkPredictor(builder.spec, "sums")
    assert np.asarray(predictor.predict({"a": np.array([[1, 2], [3, 4]])}, 2)["y"]).tolist() == [[1.5, 2.5], [3.5, 4.5]]
    with pytest.raises(MLFeatureError, match="input 'a': expected an array, got nothing"):
        predictor.predict({"b": np.array([[1, 2]])}, 1)


PIXEL = np.array([10, 20, 30], dtype=np.uint8)  # red, green, blue


@pytest.mark.parametrize(("color", "order"), [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])])
@pytest.mark.parametrize("rank4", [False, True])
def test_colour_images_enter_in_the_models_order_scaled_and_shifted(color: str, order: list[int], rank4: bool) -> None:
    builder = NeuralNetworkBuilder([image_feature("x", 3, 2, color)], [array_feature("y")], disable_rank5_shape_mapping=rank4)
    builder.set_pre_processing_parameters("x", image_scale=0.5, red_bias=100, green_bias=200, blue_bias=300)
    builder.add_elementwise("twice", "x", "y", **DOUBLE)
    made = np.asarray(NetworkPredictor(builder.spec, "m").predict({"x": np.broadcast_to(PIXEL, (2, 2, 3, 3))}, 2)["y"])
    assert made.shape == ((2, 1, 3, 2, 3) if rank4 else (2, 3, 2, 3))
    expected = np.array([10 + 200, 20 + 400, 30 + 600], dtype=np.float32)[order]
    np.testing.assert_array_equal(made.reshape(2, 3, 2, 3), np.broadcast_to(expected[:, None, None], (2, 3, 2, 3)))


def test_a_mean_image_is_subtracted_and_an_empty_name_means_the_one_image() -> None:
    builder = NeuralNetworkBuilder([image_feature("x", 2, 1), array_feature("b", (1,))], [array_feature("y")])
    builder.nn_spec.preprocessing.add(featureName="").meanImage.meanImage.append(np.array([1, 5], dtype="<f4").tobytes())
    builder.nn_spec.preprocessing.add(featureName="b").scaler.channelScale = 7.0
    builder.add_elementwise("twice", "x", "y", **DOUBLE)
    made = NetworkPredictor(builder.spec, "m").predict({"x": np.array([[[3, 4]]], dtype=np.uint8)}, 1)["y"]
    assert np.asarray(made).reshape(-1).tolist() == [4, -2]


@pytest.mark.parametrize(("color", "pixels"), [("GRAYSCALE", 7), ("RGB", PIXEL), ("BGR", PIXEL), ("GRAYSCALE_FLOAT16", 0.25)])
def test_images_leave_as_images(color: str, pixels: Any) -> None:
    dtype = np.float16 if "FLOAT16" in color else np.uint8
    column = np.broadcast_to(np.asarray(pixels, dtype), (2, 2, 3, *np.shape(pixels)))
    made = doubling(image_feature("x", 3, 2, color), image_feature("y", 3, 2, color)).predict({"x": column}, 2)["y"]
    assert isinstance(made, np.ndarray)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, column * dtype(2))


def test_values_past_what_a_pixel_holds_are_clipped() -> None:
    predictor = doubling(array_feature("x", (1, 1, 3)), image_feature("y", 3, 1))
    assert np.asarray(predictor.predict({"x": np.array([[[[-4.0, 200.0, 1.3]]]])}, 1)["y"]).tolist() == [[[0, 255, 3]]]
    with pytest.raises(MLModelError, match=r"output 'y': expected a value \[C, H, W\] for an image, got \[2, 1, 3, 1, 1\]"):
        doubling(array_feature("x"), image_feature("y", 3, 1)).predict({"x": np.ones((1, 2, 1, 3, 1, 1))}, 1)


@pytest.mark.parametrize("labels", [["cat", "dog", "emu"], [7, 8, 9]])
@pytest.mark.parametrize("named", [True, False])
def test_a_classifier_gives_the_best_label_and_all_probabilities(labels: list[Any], named: bool) -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (3,))], [array_feature("p", (3,))], "classifier", labels)
    builder.add_softmax("soft", "x", "p")
    if not named:
        builder.spec.neuralNetworkClassifier.labelProbabilityLayerName = ""
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]))
    made = NetworkPredictor(builder.spec, "m").predict({"x": logits}, 2)
    assert list(made["classLabel"]) == [labels[1], labels[0]]
    for row, expected in zip(made["p"], ([0.2, 0.5, 0.3], [0.6, 0.1, 0.3]), strict=True):
        assert list(row) == labels
        assert list(row.values()) == pytest.approx(expected, rel=1e-6)
        assert all(type(value) is float for value in row.values())


@pytest.mark.usefixtures("small_pieces")
def test_a_batch_is_what_its_examples_are_alone() -> None:
    predictor = NetworkPredictor(digits_builder().spec, "digits")
    batch = images(70)
    together = np.asarray(predictor.predict({"image": batch}, 70)["scores"])
    alone = np.concatenate([np.asarray(predictor.predict({"image": batch[i : i + 1]}, 1)["scores"]) for i in range(70)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.usefixtures("small_pieces")
def test_several_threads_may_predict_at_once() -> None:
    predictor = NetworkPredictor(digits_builder().spec, "digits")
    expected = np.asarray(predictor.predict({"image": images(30)}, 30)["scores"])
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: predictor.predict({"image": images(30)}, 30)["scores"], range(40)):
            np.testing.assert_array_equal(np.asarray(made), expected)


def test_a_layer_that_cannot_be_run_is_named_when_something_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowered, "lower", partial(lower, ops={}))
    predictor = doubling(array_feature("x", (3,)), array_feature("y"))
    with pytest.raises(MLUnsupportedError, match="layer 'twice' of kind 'multiply' is not supported yet"):
        predictor.predict({"x": np.ones((1, 3))}, 1)


def classifier_without_labels() -> Any:
    builder = digits_builder(["a", "b", "c"])
    builder.spec.neuralNetworkClassifier.ClearField("stringClassLabels")
    return builder.spec


def text_input() -> Any:
    builder = NeuralNetworkBuilder([string_feature("x")], [array_feature("y")])
    builder.add_elementwise("twice", "x", "y", **DOUBLE)
    return builder.spec


def no_such_output() -> Any:
    return NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("y")]).spec


REFUSED = {
    "no labels": (classifier_without_labels, "expected class labels in a classifier, got none"),
    "text": (text_input, "input 'x' of a network: expected a multi-array or an image .*, got stringType"),
    "nobody makes the output": (no_such_output, "m: output 'y': expected it to be made by a layer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_message_that_contradicts_itself_is_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(MLFormatError, match=message):
        NetworkPredictor(make(), "m")


def test_inputs_that_do_not_fit_name_the_layer() -> None:
    predictor = NetworkPredictor(digits_builder().spec, "m")
    wrong: Array = np.zeros((1, 6, 8), np.uint8)
    with pytest.raises(MLModelError, match=r"layer 'dense' \(innerProduct\)"):
        predictor.predict({"image": wrong}, 1)


@pytest.mark.parametrize("alpha", [[0.5], [0.5, 0.25]])
def test_weights_may_be_one_for_all_channels(alpha: list[float]) -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (2, 1, 2))], [array_feature("y")])
    builder.add_activation("bend", "PRELU", "x", "y", np.array(alpha, np.float32))
    made = NetworkPredictor(builder.spec, "m").predict({"x": np.array([[[[-4.0, 3.0]], [[-8.0, 5.0]]]])}, 1)["y"]
    assert np.asarray(made).tolist() == [[[[-2, 3]], [[-8 * alpha[-1], 5]]]]


def ask(spec: Any, *rows: Any) -> list[list[int]]:
    """The shapes of what a model answers to each row alone, and to all of them; the values are twice the inputs'."""
    model = MLModel.from_spec(spec)
    made = model.predict([{"x": row} for row in rows])
    for row, answers in zip(rows, made, strict=True):
        np.testing.assert_array_equal(answers["y"].reshape(-1), 2 * np.reshape(row, -1))
        np.testing.assert_array_equal(model.predict({"x": row})["y"], answers["y"])
    return [list(answers["y"].shape) for answers in made]


def twice(feature: Any, exact: bool) -> Any:
    builder = NeuralNetworkBuilder([feature], [array_feature("y")], disable_rank5_shape_mapping=exact)
    builder.add_elementwise("twice", "x", "y", **DOUBLE)
    builder.spec.specificationVersion = 4
    return builder.spec


FIVE_AXES = {  # declared -> given, what comes out
    (3,): [((3,), [3]), ((1, 1, 3, 1, 1), [3]), ((4, 2, 3, 1, 1), [4, 2, 3, 1, 1])],
    (2, 3, 4): [((2, 3, 4), [2, 3, 4]), ((1, 1, 2, 3, 4), [2, 3, 4]), ((5, 1, 2, 3, 4), [5, 1, 2, 3, 4])],
}


@pytest.mark.parametrize("declared", FIVE_AXES)
def test_older_networks_take_sequences_and_batches_of_what_is_declared(declared: tuple[int, ...]) -> None:
    given = [np.random.default_rng(0).integers(0, 9, shape).astype("f4") for shape, _ in FIVE_AXES[declared]]
    assert ask(twice(array_feature("x", declared), exact=False), *given) == [shape for _, shape in FIVE_AXES[declared]]
    assert ask(twice(array_feature("x", declared), exact=False), given[-1], given[-1]) == [FIVE_AXES[declared][-1][1]] * 2
    with pytest.raises(MLFeatureError, match=r"input 'x': expected a float32 multi-array of shape .*, got"):
        ask(twice(array_feature("x", declared), exact=True), given[-1])


@pytest.mark.parametrize("ranges", [True, False])
def test_shapes_may_vary_as_declared(ranges: bool) -> None:
    feature = array_feature("x", (2, 3))
    array = feature.type.multiArrayType
    if ranges:
        array.shapeRange.sizeRanges.add(lowerBound=1, upperBound=4)
        array.shapeRange.sizeRanges.add(lowerBound=3, upperBound=-1)
    else:
        for shape in ((2, 3), (4, 50)):
            array.enumeratedShapes.shapes.add(shape=shape)
    assert ask(twice(feature, exact=True), np.ones((2, 3)), np.ones((4, 50))) == [[2, 3], [4, 50]]
    with pytest.raises(MLFeatureError, match="input 'x': expected a float32 multi-array of shape"):
        ask(twice(feature, exact=True), np.ones((5, 3)))


def test_images_of_several_sizes_enter_with_four_axes() -> None:
    feature = image_feature("x", 3, 2, "GRAYSCALE")
    for width, height in ((3, 2), (5, 4)):
        feature.type.imageType.enumeratedSizes.sizes.add(width=width, height=height)
    model = MLModel.from_spec(twice(feature, exact=True))
    made = [model.predict({"x": np.full(size, 7, np.uint8)})["y"] for size in ((2, 3), (4, 5))]
    assert [answer.shape for answer in made] == [(1, 1, 2, 3), (1, 1, 4, 5)]
    assert all((answer == 14).all() for answer in made)
