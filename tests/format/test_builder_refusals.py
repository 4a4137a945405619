"""What no model can have is refused when it is built, naming the layer or the argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import (
    KNearestNeighborsClassifierBuilder,
    Model,
    NeuralNetworkBuilder,
    SgdParams,
    array_feature,
    image_feature,
    make_pipeline,
)
from tests.format.models import regressor

CONV, DENSE, BIAS4 = np.ones((6, 2, 3, 5)), np.ones((4, 8)), np.ones(4)


def network(**more: Any) -> NeuralNetworkBuilder:
    builder = NeuralNetworkBuilder([array_feature("x", (8,))], [array_feature("y", (4,))], **more)
    builder.add_inner_product("dense", DENSE, BIAS4, 8, 4, True, "x", "y")
    return builder


def classifier(**more: Any) -> KNearestNeighborsClassifierBuilder:
    return KNearestNeighborsClassifierBuilder("vector", "label", 3, "a", **more)


def with_loss() -> NeuralNetworkBuilder:
    builder = network()
    builder.set_mean_squared_error_loss("loss", "y")
    return builder


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "name twice": (lambda: network().add_softmax("dense", "y", "z"), "layer 'dense': expected a name that no other layer has"),
    "weights": (lambda: network().add_inner_product("b", DENSE.T, None, 8, 4, False, "x", "z"), r"b\.weights: .*\[4, 8\], got \[8, 4\]"),
    "no bias": (lambda: network().add_inner_product("b", DENSE, None, 8, 4, True, "x", "z"), r"b\.bias: expected shape \[4\], got none"),
    "coremltools' layout": (
        lambda: network().add_convolution("c", 2, 6, 3, 5, 1, 1, "valid", 1, CONV.transpose(2, 3, 1, 0), None, False, "x", "z"),
        r"c\.weights: expected shape \[6, 2, 3, 5\], got \[3, 5, 2, 6\]",
    ),
    "border": (lambda: convolution("full", 1), "valid or same, got 'full'"),
    "groups": (lambda: convolution("same", 4), "divide 6 output channels, got 4"),
    "pooling": (lambda: network().add_pooling("p", 1, 1, 1, 1, "MEDIAN", "SAME", "x", "z"), "MAX, AVERAGE, L2, got 'MEDIAN'"),
    "padding": (lambda: network().add_pooling("p", 1, 1, 1, 1, "MAX", "FULL", "x", "z"), "got 'FULL'"),
    "last pixel": (
        lambda: network().add_pooling("p", 1, 1, 1, 1, "MAX", "INCLUDE_LAST_PIXEL", "x", "z", padding_top=1),
        "symmetric paddings",
    ),
    "activation": (lambda: network().add_activation("a", "SWISH", "x", "z"), "layer 'a': expected an activation of RELU, .* got 'SWISH'"),
    "one number": (lambda: network().add_activation("a", "LINEAR", "x", "z", [1.0]), r"expected 2 number\(s\) for LINEAR, got 1"),
    "no slopes": (lambda: network().add_activation("a", "PRELU", "x", "z"), r"expected 1 array\(s\) for PRELU, got 0"),
    "permute": (lambda: network().add_permute("p", (0, 1, 2), "x", "z"), "order of the axes"),
    "reshape": (lambda: network().add_reshape("r", "x", "z", (8,), 0), r"3 or 4 sizes, got \[8\]"),
    "elementwise": (lambda: network().add_elementwise("e", ["x"], "z", "XOR"), "got 'XOR'"),
    "mode": (lambda: network(mode="ranker"), "got 'ranker'"),
    "no outputs": (lambda: NeuralNetworkBuilder([("x", (1,))], []), "at least one output"),
    "labels of a regressor": (lambda: network(mode="regressor", class_labels=["a"]), "mode 'classifier'"),
    "mixed labels": (lambda: network(mode="classifier", class_labels=["a", 1]), "all strings or all whole numbers"),
    "unknown trainable": (lambda: network().make_updatable(["dance"]), "layer 'dance': expected one of dense"),
    "softmax trainable": (
        lambda: (builder := network()).add_softmax("s", "y", "z") and builder.make_updatable(["s"]),
        "layer 's': expected convolution or innerProduct",
    ),
    "no softmax": (lambda: network().set_categorical_cross_entropy_loss("loss", "y"), "output of a softmax layer, got 'y'"),
    "two losses": (lambda: with_loss().set_mean_squared_error_loss("other", "y"), "loss 'other': expected one loss"),
    "unknown output": (lambda: network().set_mean_squared_error_loss("loss", "z"), "name of an output"),
    "no shape": (lambda: network().set_mean_squared_error_loss("loss", ("z", None)), "multi-array with a shape"),
    "batch": (lambda: network().set_sgd_optimizer(sgd_of_batch(5, [1, 2])), r"mini-batch size: .*\[1, 2\], got 5"),
    "epochs twice": (lambda: network().set_epochs(1, [1, 1]), r"epochs: expected unique allowed values, got \[1, 1\]"),
    "no epochs": (lambda: network().set_epochs(0), "epochs: expected a value among positive"),
    "range": (lambda: SgdParams().set_lr(0.1, 1, 1), "a minimum below the maximum"),
    "shuffle": (lambda: network().set_shuffle(7), "True or False, got 7"),
    "dimensions": (lambda: KNearestNeighborsClassifierBuilder("x", "label", 0, "a"), "positive number of dimensions, got 0"),
    "label": (lambda: KNearestNeighborsClassifierBuilder("x", "label", 1, 1.5), "got .'float'"),
    "index": (lambda: classifier(index_type="ball"), "linear or kd_tree, got 'ball'"),
    "leaf": (lambda: classifier(index_type="kd_tree", leaf_size=0), "leaf size: expected a positive number, got 0"),
    "weighting": (lambda: classifier(weighting_scheme="rank"), "got 'rank'"),
    "neighbours": (lambda: classifier(number_of_neighbors=1001), "range 1 to 1000, got 1001"),
    "bounds": (lambda: classifier().set_number_of_neighbors_with_bounds(3), "either an allowed range or an allowed set"),
    "sample shape": (lambda: classifier().add_samples([[1.0, 2.0]], ["a"]), r"expected shape \[1, 3\] for 1 labels, got \[1, 2\]"),
    "sample labels": (lambda: classifier().add_samples([[1.0, 2.0, 3.0]], [1]), "labels of type str, got int"),
    "no models": (lambda: make_pipeline(None, []), "at least one model"),
    "pipeline kind": (lambda: make_pipeline("ranker", [regressor()]), "got 'ranker'"),
    "pipeline names": (lambda: make_pipeline(None, [regressor()], ["a", "b"]), r"as many names as models \(1\) or none, got 2"),
    "pipeline output": (lambda: make_pipeline(None, [regressor()], outputs=["z"]), "outputs among y, got z"),
    "updatable first": (lambda: make_pipeline(None, [classifier().spec, regressor()]), "only the last model"),
    "types": (lambda: make_pipeline(None, [named_image(), regressor()]), "'vector' to be multiArrayType, got imageType"),
    "data type": (lambda: array_feature("f", (1,), "float8"), "feature 'f': expected a data type of float32, .* got 'float8'"),
    "size": (lambda: array_feature("f", (0,)), r"positive sizes, got \[0\]"),
    "color": (lambda: image_feature("f", 1, 1, "CMYK"), "got 'CMYK'"),
    "width": (lambda: image_feature("f", 0, 1), "got 0 by 1"),
}


def convolution(border: str, groups: int) -> object:
    return network().add_convolution("c", 2, 6, 3, 5, 1, 1, border, groups, CONV, None, False, "x", "z")


def sgd_of_batch(batch: int, allowed: list[int]) -> SgdParams:
    params = SgdParams()
    params.set_batch(batch, allowed)
    return params


def named_image() -> Model:
    builder = NeuralNetworkBuilder([image_feature("picture", 2, 2)], [image_feature("vector", 2, 2)])
    builder.add_activation("same", "LINEAR", "picture", "vector")
    return builder.spec


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_can_have_is_refused(case: str) -> None:
    build, expected = REFUSED[case]
    with pytest.raises(MLFormatError, match=expected):
        build()
