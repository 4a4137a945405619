"""Networks that contradict themselves: each is an error that names the layer, says what was expected and what came, and takes no memory.

A row spoils a model of the fuzzer's corpus; a path that begins with a dot is one of its only layer, which is called "spoilt".
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tailor import MLFormatError, MLModel, MLModelError
from tests.fuzz.changes import spoilt
from tests.network.blocks import network, put

MOST_MEMORY = 1 << 24
"""Bytes that a refusal may take."""

FORMAT = MLFormatError
VALUES = MLModelError

HUGE = 10**12

GIVEN: Mapping[str, Mapping[str, Any]] = {"digits": {"image": np.zeros((8, 8), np.uint8)}, "regression-taught": {"x": np.zeros(2)}}
"""Inputs of models that do not bring their own."""

# the model, its changes, which error, and what that says beside the layer's name
ROWS: list[tuple[str, list[list[Any]], type[MLModelError], str]] = [
    # the graph
    ("digits", [["set", "neuralNetwork.layers[0].input[0]", "f"]], FORMAT, r"layer '\w+' .*expected its inputs.*got '\w+'.*a cycle"),
    ("digits", [["clear", "neuralNetwork.layers[1].activation"]], FORMAT, r"layer 'relu'.*expected a kind of layer.*got none"),
    ("digits", [["set", "neuralNetwork.layers[2].input[0]", "ghost"]], FORMAT, r"layer 'pool' .*expected its input 'ghost'.*got neither"),
    (
        "digits",
        [["set", "neuralNetwork.layers[1].output[0]", "c"]],
        FORMAT,
        r"layer 'relu' .*expected an output of its own, got 'c'.*'conv'",
    ),
    ("digits", [["set", "neuralNetwork.layers[1].output[0]", "image"]], FORMAT, r"layer 'relu' .*expected.*got 'image', which is an input"),
    ("digits", [["set", "neuralNetwork.layers[5].output[0]", "z"]], FORMAT, r"output 'scores': expected.*got no layer"),
    ("regression-taught", [["drop", "neuralNetwork.layers[0].input", 0]], VALUES, r"layer 'dense' .*expected 1 inputs, got 0"),
    ("digits", [["add", "neuralNetwork.layers[3].output", "more"]], VALUES, r"layer 'flat' .*expected 1 outputs, got 2"),
    ("topK-axis 0", [["drop", ".output", 1], ["drop", "description.output", 1]], VALUES, "expected 2 outputs, got 1"),
    ("whereNonZero-rank 1", [["add", ".output", "more"]], VALUES, "expected 1 outputs, got 2"),
    ("scale-[C], no bias", [["drop", ".input", 0]], VALUES, "expected 1 or more inputs, got 0"),
    # weights
    ("digits", [["set", "neuralNetwork.layers[0].convolution.weights.floatValue[0]", "0000803f"]], FORMAT, "'conv'.*expected 36 .*got 1"),
    (
        "digits",
        [["set", "neuralNetwork.layers[0].convolution.weights.floatValue[0]", "00"]],
        FORMAT,
        "'conv'.*expected a whole.*got 1 byte",
    ),
    ("digits", [["set", "neuralNetwork.layers[4].innerProduct.outputChannels", 10**9]], FORMAT, "'dense'.*expected .*000000000.*got 192"),
    ("digits", [["set", "neuralNetwork.layers[4].innerProduct.inputChannels", 5]], FORMAT, "'dense'.*expected 15 numbers.*got 192"),
    ("quantised-line-8", [["set", ".innerProduct.weights.quantization.numberOfBits", 0]], FORMAT, "expected .*1 to 8 bits, got 0"),
    ("quantised-line-8", [["set", ".innerProduct.weights.quantization.numberOfBits", 9]], FORMAT, "expected .*1 to 8 bits, got 9"),
    ("quantised-table-8", [["set", ".innerProduct.weights.quantization.numberOfBits", 64]], FORMAT, "expected .*1 to 8 bits, got 64"),
    ("quantised-line-8", [["set", ".innerProduct.weights.rawValue", "00" * 11]], FORMAT, "expected 12 bytes.*got 11"),
    (
        "quantised-table-3",
        [["set", ".innerProduct.weights.quantization.lookupTableQuantization.floatValue[0]", "00" * 28]],
        FORMAT,
        "expected a table of 8 values for 3 bits, got 7",
    ),
    (
        "quantised-line-3",
        [["set", ".innerProduct.weights.quantization.linearQuantization.scale[0]", "00" * 8]],
        FORMAT,
        "expected 1 or 3 quantisation scales, got 2",
    ),
    ("quantised-line-3", [["clear", ".innerProduct.weights.quantization"]], FORMAT, "expected quantised numbers of 1 to 8 bits, got 0"),
    ("uniDirectionalLSTM-PyTorch", [["set", ".uniDirectionalLSTM.inputVectorSize", 4]], FORMAT, "Weight.*expected 8 numbers.*got 6"),
    ("uniDirectionalLSTM-PyTorch", [["set", ".uniDirectionalLSTM.outputVectorSize", 1 << 40]], FORMAT, "expected .*got"),
    ("biDirectionalLSTM-PyTorch", [["drop", ".biDirectionalLSTM.weightParams", 0]], FORMAT, "weightParams: expected 2.*got 1"),
    ("gru-PyTorch", [["drop", ".input", 1], ["add", ".input", "ghost"]], FORMAT, "expected its input 'ghost'.*got neither"),
    ("loadConstantND-rank 1", [["set", ".loadConstantND.shape[0]", HUGE]], FORMAT, rf"expected at most \d+ elements, got shape \[{HUGE}\]"),
    # sizes
    ("fillStatic-rank 1", [["set", ".fillStatic.targetShape[0]", HUGE]], VALUES, rf"expected at most \d+ elements, got shape \[{HUGE}\]"),
    ("fillDynamic-rank 1", [["input", "x0", 0, 1e12]], VALUES, r"expected sizes from 0 to \d+, got 1e\+12"),
    ("fillDynamic-rank 1", [["input", "x0", 0, -3.0]], VALUES, r"expected sizes from 0 to \d+, got -3"),
    ("fillDynamic-rank 1", [["input", "x0", 0, 2.5]], VALUES, r"expected sizes from 0 to \d+, got 2.5"),
    ("randomNormalStatic", [["set", ".randomNormalStatic.outputShape[0]", HUGE]], VALUES, rf"expected at most \d+ elements, got .*{HUGE}"),
    (
        "randomNormalDynamic",
        [["input", "x0", 0, 1e9], ["input", "x0", 1, 1e9]],
        VALUES,
        r"expected at most \d+ elements, got shape \[10{9}, 10{9}",
    ),
    ("rangeStatic-up", [["set", ".rangeStatic.stepSizeValue", 0.0]], VALUES, "expected .*a step other than 0, got .* by 0"),
    ("rangeStatic-up", [["set", ".rangeStatic.stepSizeValue", 1e-30]], VALUES, r"expected at most \d+ elements, got"),
    ("rangeStatic-up", [["set", ".rangeStatic.endValue", float("nan")]], VALUES, "expected finite ends.*got .* to nan"),
    ("rangeDynamic-up, 1 inputs", [["input", "x0", 0, 1e30]], VALUES, r"expected at most \d+ elements, got"),
    ("tile-literal", [["set", ".tile.reps[0]", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    ("oneHot-axis 0", [["set", ".oneHot.oneHotVectorSize", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    ("oneHot-axis 0", [["set", ".oneHot.axis", 7]], VALUES, "expected an axis from -3 to 2 .*got 7"),
    ("sequenceRepeat", [["set", ".sequenceRepeat.nRepetitions", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    ("upsample-nothing", [["add", ".upsample.scalingFactor", 10**9], ["add", ".upsample.scalingFactor", 10**9]], FORMAT, "expected .*got"),
    ("resizeBilinear-larger", [["set", ".resizeBilinear.targetSize[0]", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    (
        "padding-constant",
        [["set", ".padding.paddingAmounts.borderAmounts[0].startEdgeSize", HUGE]],
        VALUES,
        r"expected at most \d+ elem.*got",
    ),
    ("constantPad-rank 1", [["set", ".constantPad.padAmounts[0]", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    (
        "categoricalDistribution-logits",
        [["set", ".categoricalDistribution.numSamples", HUGE]],
        VALUES,
        r"expected at most \d+ elements, got",
    ),
    ("NonMaximumSuppression-neighbours go", [["set", ".NonMaximumSuppression.maxBoxes", HUGE]], VALUES, r"expected at most \d+ elem.*got"),
    ("splitND-even", [["set", ".splitND.numSplits", HUGE]], FORMAT, r"expected at most \d+ elements, got"),
    ("split", [["set", ".split.nOutputs", HUGE]], VALUES, r"expected .*got"),
    ("cropResize-literal, kinks", [["set", ".cropResize.targetSize[0]", HUGE]], VALUES, r"expected at most \d+ elements, got"),
    ("reorganizeData-literal", [["set", ".reorganizeData.blockSize", HUGE]], VALUES, rf"expected channels that {HUGE**2} divides, got"),
    # windows
    ("pooling-max 2x2", [["set", ".pooling.stride[0]", 0]], FORMAT, r"stride: expected two positive numbers.*got \[0, 2\]"),
    ("pooling-max 2x2", [["set", ".pooling.kernelSize[1]", HUGE]], VALUES, f"expected a width of at least {HUGE}.*got 6"),
    ("pooling-max 2x2", [["set", ".pooling.valid.paddingAmounts.borderAmounts[0].startEdgeSize", HUGE]], VALUES, r"expected at most.*got"),
    ("pooling3d-literal", [["set", ".pooling3d.strideDepth", 0]], FORMAT, r"stride: expected three positive.*got \[0"),
    (
        "pooling3d-literal",
        [["set", ".pooling3d.paddingType", 0], ["set", ".pooling3d.customPaddingFront", (1 << 31) - 1]],
        VALUES,
        "expected at most.*got",
    ),
    ("pooling3d-literal", [["set", ".pooling3d.paddingType", 0], ["set", ".pooling3d.customPaddingFront", -1]], FORMAT, "expected .*got"),
    (
        "convolution-literal",
        [["add", ".convolution.stride", 0], ["add", ".convolution.stride", 1]],
        FORMAT,
        r"stride: expected two positive numbers.*got \[0",
    ),
    ("convolution-literal", [["set", ".convolution.dilationFactor[0]", HUGE]], VALUES, "expected a height of at least.*got 3"),
    (
        "convolution-literal",
        [["set", ".convolution.valid.paddingAmounts.borderAmounts[0].endEdgeSize", HUGE]],
        VALUES,
        "expected at most.*got",
    ),
    ("convolution-groups", [["set", ".convolution.nGroups", 3]], FORMAT, "expected .*3 groups divide, got"),
    ("convolution3d-literal", [["set", ".convolution3d.nGroups", 3]], FORMAT, "expected .*3.*got"),
    ("convolution3d-literal", [["set", ".convolution3d.kernelDepth", 0]], FORMAT, "expected .*got"),
    ("slidingWindows-one axis", [["set", ".slidingWindows.step", 0]], FORMAT, "expected a positive windowSize and step, got 3 and 0"),
    ("slidingWindows-one axis", [["set", ".slidingWindows.windowSize", HUGE]], VALUES, rf"expected {HUGE} places.*got"),
    ("crop-amounts", [["set", ".crop.cropAmounts.borderAmounts[0].startEdgeSize", 9]], VALUES, "expected rows within the 3.*got"),
    ("lrn-literal", [["set", ".lrn.localSize", 0]], FORMAT, "localSize: expected 1 or more, got 0"),
    ("pooling3d-max, same", [["set", ".pooling3d.kernelDepth", 1 << 30]], VALUES, "expected at most.*got"),
    (
        "pooling-max, whole",
        [["set", ".pooling.valid.paddingAmounts.borderAmounts[0].endEdgeSize", (1 << 63) - 1]],
        VALUES,
        "expected at.*got",
    ),
    # axes, shapes and indices
    ("topK-axis 0", [["set", ".topK.K", 3]], VALUES, "K: expected a number from 1 to 2.*got 3"),
    ("topK-axis 0", [["set", ".topK.axis", 5]], VALUES, "expected an axis from -3 to 2 of an input of 3 axes, got 5"),
    ("argSort-axis 0", [["set", ".argSort.axis", 3]], VALUES, "expected an axis from -3 to 2 .*got 3"),
    ("reduceSum-one", [["set", ".reduceSum.axes[0]", -9]], VALUES, "expected an axis from -4 to 3.*got -9"),
    ("cumSum-literal", [["set", ".cumSum.axis", 1]], VALUES, "expected an axis from -1 to 0.*got 1"),
    ("squeeze-front", [["set", ".squeeze.axes[0]", 2]], VALUES, "expected length 1 along axes .*got shape"),
    ("concatND-first", [["set", ".concatND.axis", 1]], VALUES, r"expected inputs that differ along axis 1 only, got"),
    ("concatND-first", [["drop", ".input", 0], ["drop", ".input", 0]], VALUES, r"expected .*inputs.*got"),
    ("reshape-channel first", [["set", ".reshape.targetShape[0]", 5]], VALUES, r"expected an input with \d+ elements.*got shape"),
    ("reshape-channel first", [["set", ".reshape.targetShape[0]", -5]], FORMAT, "targetShape: expected .*got"),
    ("transpose-last first", [["set", ".transpose.axes[0]", 9]], VALUES, "axes: expected an order .*got"),
    ("gather-literal", [["input", "x1", 0, 99.0]], VALUES, r"expected indices from -\d+ to \d+, got 99"),
    ("scatter-update, literal", [["input", "x1", 0, -9.0]], VALUES, "expected indices from -2 to 1, got -9"),
    ("scatter-update, literal", [["set", ".scatter.mode", 99]], FORMAT, "mode: expected .*got 99"),
    ("embedding-rank 4", [["input", "x0", 0, 1e9]], VALUES, r"expected indices from 0 to \d+, got 1e\+09"),
    ("reverseSeq-literal", [["input", "x1", 0, 99.0]], VALUES, "expected .*got 99"),
    ("sliceStatic-literal", [["set", ".sliceStatic.strides[0]", 0]], FORMAT, "expected .*got"),
    ("sliceBySize-middle", [["input", "x1", 0, 1e9]], VALUES, "expected .*got"),
    ("batchnorm-given", [["set", ".batchnorm.channels", 0]], FORMAT, "gamma: expected 0 numbers.*got 4"),
    ("layerNormalization-one axis", [["set", ".layerNormalization.normalizedShape[0]", -1]], FORMAT, r"expected .*got \[-1\]"),
    # other attributes
    ("randomNormalLike", [["set", ".randomNormalLike.stdDev", float("nan")]], FORMAT, "stdDev: expected 0 or more, got nan"),
    ("randomBernoulliLike", [["set", ".randomBernoulliLike.prob", 1.5]], FORMAT, "prob: expected a number from 0 to 1, got 1.5"),
    ("randomUniformLike", [["set", ".randomUniformLike.maxVal", float("nan")]], FORMAT, "minVal: expected .*got"),
    ("clip", [["set", ".clip.maxVal", float("nan")]], FORMAT, "minVal: expected .*got"),
    ("lrn-literal", [["set", ".lrn.k", float("nan")]], FORMAT, "k: expected .*got nan"),
    ("unary-sqrt", [["set", ".unary.type", 99]], FORMAT, "expected an operation from 0 to 7, got 99"),
]


def full(changes: list[list[Any]]) -> list[list[Any]]:
    return [[c[0], f"neuralNetwork.layers[0]{c[1]}", *c[2:]] if c[1].startswith(".") else c for c in changes]


def refused(data: bytes, inputs: Mapping[str, Any], error: type[MLModelError], said: str) -> None:
    """Loads and predicts; the error names a layer and takes next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error, match=said) as caught:
            MLModel(data).predict(inputs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error
    assert "layer '" in str(caught.value) or "output '" in str(caught.value)
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(("model", "changes", "error", "said"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_spoilt_layer_is_refused_by_name_before_memory_is_taken(
    model: str, changes: list[list[Any]], error: type[MLModelError], said: str
) -> None:
    data, inputs = spoilt({"model": model, "changes": full(changes)})
    refused(data, GIVEN.get(model) or {name: x.astype(np.float32) for name, x in inputs.items()}, error, said)


def test_inputs_that_cannot_be_broadcast_are_refused_with_their_shapes() -> None:
    data = network("y = addBroadcastable(a b)", inputs="a b").SerializeToString()
    refused(
        data, {"a": np.zeros((2, 3)), "b": np.zeros((2, 4))}, VALUES, r"'addBroadcastable:y'.*expected .*got shapes \[\[2, 3\], \[2, 4\]\]"
    )


def test_a_reshape_to_a_shape_that_a_value_says_is_refused_where_it_does_not_fit() -> None:
    data = network("y = reshapeDynamic(a b)", inputs="a b").SerializeToString()
    refused(data, {"a": np.zeros(6), "b": np.array([4.0, -1.0])}, VALUES, r"'reshapeDynamic:y'.*expected .*6 elements.*got \[4, -1\]")


def test_lengths_of_nothing_have_their_bounds_too() -> None:
    spec = network("y = tile(x)")
    spec.neuralNetwork.layers[0].tile.reps.extend([1, HUGE])
    refused(spec.SerializeToString(), {"x": np.zeros((0, 2))}, VALUES, rf"'tile:y'.*expected at most .*got shape \[0, {2 * HUGE}\]")


def test_an_array_of_more_axes_than_numpy_has_is_refused() -> None:
    spec = network("y = expandDims(x)")
    spec.neuralNetwork.layers[0].expandDims.axes.extend(range(40))
    refused(spec.SerializeToString(), {"x": np.zeros(2)}, VALUES, "'expandDims:y'.*expected at most 31 axes, got 41")


def looping(condition: str = "", variable: str = "", most: int = 0) -> Any:
    spec = network("y = copy(x)")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.conditionVar, loop.maxLoopIterations = variable, most
    if condition:
        put(loop.conditionNetwork, condition)
    put(loop.bodyNetwork, "twice = multiply(y 2)", "y = copy(twice)")
    return spec


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        (lambda: looping("more = add(y -1)", "ghost"), VALUES, "'loop:' .*expected a value 'ghost', got a block that did not make it"),
        (lambda: looping("more = add(ghost -1)", "more"), FORMAT, "'loop:' .*expected its input 'ghost'.*got neither"),
        (lambda: looping("", "more"), FORMAT, "'loop:' .*expected conditionNetwork and conditionVar, or neither, got one"),
        (lambda: looping(), FORMAT, "'loop:' .*expected an input, a condition or maxLoopIterations above 0, got none"),
        (lambda: network("y = copy(x)", "loopBreak()"), FORMAT, "'loopBreak:' .*expected it.*in the body of a loop, got it elsewhere"),
    ],
    ids=["a condition that nobody makes", "a condition of what nobody makes", "no condition network", "no end", "a jump out of nothing"],
)
def test_a_block_that_cannot_run_is_refused(spec: Callable[[], Any], error: type[MLModelError], said: str) -> None:
    refused(spec().SerializeToString(), {"x": np.ones(1)}, error, said)


@pytest.mark.parametrize("depth", [60, 1000])
def test_blocks_a_thousand_deep_are_refused(depth: int) -> None:
    spec = network("y = copy(x)")
    block = spec.neuralNetwork
    for _ in range(depth):
        loop = put(block, "loop()").loop
        loop.maxLoopIterations = 1
        block = loop.bodyNetwork
    with pytest.raises(MLFormatError, match="layer 'loop:': expected it to lie in at most 50 blocks in one another, got more"):
        MLModel.from_spec(spec).predict({"x": np.ones(1)})


DECLARED = "description.input[0].type.multiArrayType."

FEATURES: list[tuple[str, list[list[Any]], str]] = [
    ("flexible-ranges", [["set", f"{DECLARED}shape[0]", -2]], r"'x' shape: expected sizes of 0 or more, got shape \[-2, 3\]"),
    ("flexible-ranges", [["set", f"{DECLARED}shape[0]", HUGE]], r"'x' shape: expected at most \d+ elements, got"),
    ("flexible-ranges", [["set", f"{DECLARED}shapeRange.sizeRanges[0].lowerBound", 6]], "'x' shapeRange: expected .*upper one, 5, got 6"),
    ("flexible-ranges", [["set", f"{DECLARED}shapeRange.sizeRanges[1].lowerBound", HUGE]], r"'x' shapeRange: expected at most \d+ .*got"),
    (
        "flexible-enumerated",
        [["drop", f"{DECLARED}enumeratedShapes.shapes", 0]] * 2,
        "'x' enumeratedShapes: expected one shape or more, got none",
    ),
    (
        "flexible-enumerated",
        [["set", f"{DECLARED}enumeratedShapes.shapes[0].shape[0]", -1]],
        "'x' enumeratedShapes: expected sizes of 0 or more, got",
    ),
    ("digits", [["set", "description.input[0].type.imageType.width", -8]], "'image' width and height: expected sizes of 0 or more, got"),
    ("digits", [["set", "description.input[0].type.imageType.width", HUGE]], r"'image' width and height: expected at most \d+ elem.*got"),
]


@pytest.mark.parametrize(("model", "changes", "said"), FEATURES, ids=lambda value: value if isinstance(value, str) else "")
def test_sizes_that_no_value_can_have_are_refused_at_loading(model: str, changes: list[list[Any]], said: str) -> None:
    data, _ = spoilt({"model": model, "changes": changes})
    with pytest.raises(MLFormatError, match=said):
        MLModel(data)
