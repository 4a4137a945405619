"""Built models: equal to what coremltools' builders make from the same arguments, and whole where those leave off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor.runtime.format import (
    AdamParams,
    KNearestNeighborsClassifierBuilder,
    Model,
    NeuralNetworkBuilder,
    SgdParams,
    array_feature,
    decode_weights,
    dictionary_feature,
    double_feature,
    image_feature,
    int64_feature,
    layers,
    load_model,
    make_pipeline,
    model_bytes,
    read_floats,
    save_model,
    sequence_feature,
    string_feature,
)
from tests.format.models import regressor
from tests.format.peers import coremltools
from tests.places import shared_model

Build = Callable[[Any], Any]
RNG = np.random.default_rng(5)


def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return RNG.normal(size=shape).astype(np.float32)


CONV, DECONV, DENSE, TABLE, SLOPES = weights(6, 2, 3, 5), weights(4, 3, 2, 2), weights(4, 8), weights(3, 10), weights(4)
BIAS4, BIAS6, VARIANCE = weights(4), weights(6), np.abs(weights(4))

# Each adds one layer to a builder, ours or coremltools'.
SAME: dict[str, Build] = {
    "inner product": lambda b: b.add_inner_product("l", DENSE, BIAS4, 8, 4, True, "x", "y"),
    "inner product without bias": lambda b: b.add_inner_product("l", DENSE, None, 8, 4, False, "x", "y"),
    "embedding": lambda b: b.add_embedding("l", TABLE, None, 10, 3, False, "x", "y"),
    "embedding with bias": lambda b: b.add_embedding("l", TABLE, BIAS4[:3], 10, 3, True, "x", "y"),
    "batchnorm": lambda b: b.add_batchnorm("l", 4, BIAS4, SLOPES, BIAS4, VARIANCE, "x", "y", epsilon=1e-3),
    "instance normalisation": lambda b: b.add_batchnorm(
        "l", 4, BIAS4, SLOPES, input_name="x", output_name="y", compute_mean_var=True, instance_normalization=True
    ),
    "max pooling": lambda b: b.add_pooling("l", 2, 3, 1, 2, "MAX", "VALID", "x", "y", padding_top=1, padding_right=2),
    "average pooling": lambda b: b.add_pooling("l", 2, 2, 2, 2, "AVERAGE", "SAME", "x", "y", exclude_pad_area=False),
    "same pooling, top left": lambda b: b.add_pooling(
        "l", 2, 2, 2, 2, "L2", "SAME", "x", "y", same_padding_asymmetry_mode="TOP_LEFT_HEAVY"
    ),
    "last pixel": lambda b: b.add_pooling(
        "l", 3, 3, 2, 2, "MAX", "INCLUDE_LAST_PIXEL", "x", "y", padding_top=1, padding_bottom=1, padding_left=2, padding_right=2
    ),
    "global pooling": lambda b: b.add_pooling("l", 1, 1, 1, 1, "AVERAGE", "VALID", "x", "y", is_global=True),
    "softmax": lambda b: b.add_softmax("l", "x", "y"),
    "flatten": lambda b: b.add_flatten("l", 0, "x", "y"),
    "flatten, channel last": lambda b: b.add_flatten("l", 1, "x", "y"),
    "permute": lambda b: b.add_permute("l", (0, 3, 1, 2), "x", "y"),
    "reshape": lambda b: b.add_reshape("l", "x", "y", (4, 2, 1), 0),
    "reshape, channel last": lambda b: b.add_reshape("l", "x", "y", (1, 4, 2, 1), 1),
    **{
        f"elementwise {mode}": lambda b, mode=mode: b.add_elementwise("l", ["x", "x2"], "y", mode)
        for mode in ("ADD", "MULTIPLY", "MAX", "MIN", "AVE", "CONCAT", "SEQUENCE_CONCAT")
    },
    "add a number": lambda b: b.add_elementwise("l", ["x"], "y", "ADD", alpha=2.5),
    "multiply by a number": lambda b: b.add_elementwise("l", ["x"], "y", "MULTIPLY", alpha=-0.5),
    **{
        f"activation {name}": lambda b, name=name, params=params: b.add_activation("l", name, "x", "y", params)
        for name, params in (
            ("RELU", None), ("SIGMOID", None), ("TANH", None), ("SOFTPLUS", None), ("SOFTSIGN", None),
            ("LEAKYRELU", None), ("LEAKYRELU", [0.1]), ("THRESHOLDEDRELU", None), ("THRESHOLDEDRELU", 0.25), ("ELU", 0.5),
            ("LINEAR", None), ("LINEAR", [2.0, 3.0]), ("SCALED_TANH", [1.5, 0.5]), ("SIGMOID_HARD", None), ("SIGMOID_HARD", [0.3, 0.4]),
            ("PRELU", SLOPES), ("PARAMETRICSOFTPLUS", [SLOPES, BIAS4]),
        )
    },
}  # fmt: skip


def interface(ours: bool, **more: Any) -> Any:
    if ours:
        return NeuralNetworkBuilder([("x", (8,)), ("x2", (8,))], [("y", (4,))], **more)
    arrays = coremltools().models.datatypes.Array
    return coremltools().models.neural_network.NeuralNetworkBuilder([("x", arrays(8)), ("x2", arrays(8))], [("y", arrays(4))], **more)


def same(ours: Model, theirs: Any) -> None:
    """Ours equals theirs, read through our schema, and they can read ours."""
    assert Model.FromString(theirs.SerializeToString()) == ours
    assert type(theirs).FromString(model_bytes(ours)) == theirs


@pytest.mark.parametrize("case", SAME)
def test_a_layer_is_the_one_that_coremltools_makes(case: str) -> None:
    ours, theirs = interface(True), interface(False)
    SAME[case](ours)
    SAME[case](theirs)
    same(ours.spec, theirs.spec)


CONVOLUTIONS: dict[str, tuple[Any, Any, tuple[int, ...], dict[str, Any]]] = {
    "valid": (CONV, CONV.transpose(2, 3, 1, 0), (2, 6, 3, 5, 2, 1, "valid", 1), {"padding_top": 1, "padding_left": 2}),
    "same, grouped, dilated": (CONV, CONV.transpose(2, 3, 1, 0), (2, 6, 3, 5, 1, 1, "same", 3), {"dilation_factors": [2, 3]}),
    "deconvolution": (
        DECONV, DECONV.transpose(2, 3, 0, 1), (4, 6, 2, 2, 2, 2, "valid", 2), {"is_deconv": True, "output_shape": (7, 9)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_convolution_is_coremltools_with_weights_in_the_stored_layout(case: str, bias: bool) -> None:
    stored, turned, numbers, more = CONVOLUTIONS[case]
    ours, theirs = interface(True), interface(False)
    for builder, array in ((ours, stored), (theirs, turned)):
        builder.add_convolution("l", *numbers, array, BIAS6 if bias else None, bias, input_name="x", output_name="y", **more)
    same(ours.spec, theirs.spec)
    params = layers(ours.spec.neuralNetwork)[0].params
    np.testing.assert_array_equal(decode_weights(params.weights, stored.shape), stored)


def sgd(module: Any) -> Any:
    made = module.SgdParams(lr=0.05, batch=16, momentum=0.5)
    made.set_lr(0.1, 0.01, 0.5)
    made.set_momentum(0.25, 0, 0.9)
    return made


def adam(module: Any) -> Any:
    made = module.AdamParams(lr=0.05, batch=16, beta1=0.8, beta2=0.95, eps=1e-6)
    made.set_batch(8, [8, 32])
    made.set_eps(1e-7, 0, 1)
    return made


class Ours:
    SgdParams, AdamParams = SgdParams, AdamParams


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", [None, 7])
def test_a_classifying_network_learns_as_coremltools_says(seed: int | None, exact: bool) -> None:
    ours, theirs = interface(True, disable_rank5_shape_mapping=exact), interface(False, disable_rank5_shape_mapping=exact)
    for builder in (ours, theirs):
        builder.add_inner_product("dense", DENSE, BIAS4, 8, 4, True, "x", "logits")
        builder.add_softmax("softmax", "logits", "y")
        builder.make_updatable(["dense"])
        builder.set_categorical_cross_entropy_loss("loss", "y")
        builder.set_epochs(3, [1, 3, 5])
    ours.set_shuffle(seed=seed)
    theirs.set_shuffle(seed=seed)
    ours.set_adam_optimizer(adam(Ours))
    theirs.set_adam_optimizer(adam(coremltools().models.neural_network))
    same(ours.spec, theirs.spec)


def test_a_regressing_network_learns_as_coremltools_says() -> None:
    ours, theirs = interface(True), interface(False)
    for builder in (ours, theirs):
        builder.add_inner_product("dense", DENSE, BIAS4, 8, 4, True, "x", "y")
        builder.make_updatable(["dense"])
        builder.set_epochs(2)
    ours.set_mean_squared_error_loss("loss", ("y", (4,)))
    theirs.set_mean_squared_error_loss("loss", ("y", coremltools().models.datatypes.Array(4)))
    ours.set_sgd_optimizer(sgd(Ours))
    theirs.set_sgd_optimizer(sgd(coremltools().models.neural_network))
    same(ours.spec, theirs.spec)


@pytest.mark.parametrize("labels", [["cat", "dog", "owl", "fox"], [3, 1, 4, 5]])
def test_a_classifier_is_the_one_that_coremltools_makes(labels: list[str] | list[int]) -> None:
    ours, theirs = interface(True, mode="classifier", class_labels=labels), interface(False, mode="classifier")
    for builder in (ours, theirs):
        builder.add_inner_product("dense", DENSE, BIAS4, 8, 4, True, "x", "logits")
        builder.add_softmax("softmax", "logits", "y")
    theirs.set_class_labels(labels)
    for builder in (ours, theirs):
        builder.make_updatable(["dense"])
        builder.set_categorical_cross_entropy_loss("loss", "y")
    same(ours.spec, theirs.spec)
    assert [feature.name for feature in ours.spec.description.trainingInput] == ["x", "x2", "classLabel"]


NEIGHBORS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "kd-tree": {"index_type": "kd_tree", "leaf_size": 7, "weighting_scheme": "inverse_distance", "number_of_neighbors": 3},
}


@pytest.mark.parametrize("default", ["unknown", 7])
@pytest.mark.parametrize("case", NEIGHBORS)
def test_nearest_neighbours_are_those_that_coremltools_makes(case: str, default: str | int) -> None:
    ours = KNearestNeighborsClassifierBuilder("x", "label", 3, default, **NEIGHBORS[case])
    theirs = coremltools().models.nearest_neighbors.KNearestNeighborsClassifierBuilder("x", "label", 3, default, **NEIGHBORS[case])
    same(ours.spec, theirs.spec)
    points, labels = weights(4, 3), [default] * 3 + [type(default)(9)]
    ours.add_samples(points, labels)
    theirs.add_samples(points.tolist(), labels)
    for builder in (ours, theirs):
        builder.set_number_of_neighbors_with_bounds(2, allowed_set={1, 2, 4})
    same(ours.spec, theirs.spec)
    samples = ours.spec.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples
    np.testing.assert_array_equal([read_floats(sample, "vector") for sample in samples], points)


def embedding() -> Model:
    builder = NeuralNetworkBuilder([image_feature("drawing", 28, 28)], [array_feature("vector", (3,))])
    builder.set_pre_processing_parameters("drawing", image_scale=1 / 255, gray_bias=-0.5)
    builder.add_flatten("flatten", 0, "drawing", "flat")
    builder.add_inner_product("dense", weights(3, 784), None, 784, 3, False, "flat", "vector")
    return builder.spec


def test_a_pipeline_has_the_interface_of_the_real_one(tmp_path: Path) -> None:
    neighbors = KNearestNeighborsClassifierBuilder("vector", "label", 3, "unknown")
    made = make_pipeline("classifier", [embedding(), neighbors.spec], ["embedding", "neighbors"])
    save_model(made, tmp_path / "made.mlmodel")
    assert load_model(tmp_path / "made.mlmodel") == made
    real = load_model(shared_model("UpdatableDrawingClassifier.mlmodel"))
    for spec in (made, real):
        assert [feature.type.WhichOneof("Type") for feature in spec.description.input] == ["imageType"]
        assert [feature.type.WhichOneof("Type") for feature in spec.description.trainingInput] == ["imageType", "stringType"]
        assert {feature.type.WhichOneof("Type") for feature in spec.description.output} == {"stringType", "dictionaryType"}
        assert spec.description.predictedFeatureName == "label"
        assert spec.isUpdatable and spec.specificationVersion == 4
    assert list(made.pipelineClassifier.pipeline.names) == ["embedding", "neighbors"]
    theirs = coremltools().utils.load_spec(str(tmp_path / "made.mlmodel"))
    assert theirs.pipelineClassifier.pipeline.models[0].neuralNetwork.layers[1].name == "dense"


def test_a_pipeline_gives_the_outputs_asked_for_and_only_updatable_ends_update() -> None:
    plain = make_pipeline(None, [embedding(), make_pipeline(None, [regressor()])], outputs=["vector", "y"])
    assert [feature.name for feature in plain.description.output] == ["vector", "y"]
    assert [feature.name for feature in plain.description.input] == ["drawing"]
    assert not plain.isUpdatable and not plain.description.trainingInput
    assert list(plain.pipeline.names) == []


FEATURES: dict[str, tuple[Any, str]] = {
    "array": (array_feature("f", (2, 3), "float16", optional=True, description="d"), "multiArrayType"),
    "image": (image_feature("f", 4, 5, "BGR"), "imageType"),
    "string": (string_feature("f"), "stringType"),
    "int64": (int64_feature("f"), "int64Type"),
    "double": (double_feature("f", optional=True), "doubleType"),
    "dictionary": (dictionary_feature("f", int), "dictionaryType"),
    "sequence": (sequence_feature("f", str), "sequenceType"),
}


@pytest.mark.parametrize("case", FEATURES)
def test_a_feature_is_what_coremltools_reads(case: str) -> None:
    feature, kind = FEATURES[case]
    theirs = coremltools().proto.Model_pb2.FeatureDescription.FromString(feature.SerializeToString())
    assert (theirs.name, theirs.type.WhichOneof("Type")) == ("f", kind)
    assert theirs.type.isOptional == (case in ("array", "double"))
    assert (theirs.shortDescription == "d") == (case == "array")
    if case == "array":
        assert (list(theirs.type.multiArrayType.shape), theirs.type.multiArrayType.dataType) == ([2, 3], 65552)
    if case == "image":
        assert (theirs.type.imageType.width, theirs.type.imageType.height, theirs.type.imageType.colorSpace) == (4, 5, 30)
    if case == "dictionary":
        assert theirs.type.dictionaryType.WhichOneof("KeyType") == "int64KeyType"
    if case == "sequence":
        assert theirs.type.sequenceType.WhichOneof("Type") == "stringType"
