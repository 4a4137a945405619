"""What Core ML documents of updates, and what tailor chooses where it is silent: every row has tests that are named here.

``semantics_rows.ROWS`` leads from a row to the tests that hold it, here or elsewhere, and to what docs/semantics.md says of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLComputeUnits,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLModelErrorCode,
    MLParameterError,
    MLTaskState,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.kernels import Array
from tailor.runtime import errors
from tailor.runtime.format import AdamParams, NeuralNetworkBuilder, SgdParams, array_feature, make_pipeline
from tests.models.hand_made import classifier
from tests.network.models import digits_builder, teach
from tests.tasks import softmax_regression
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.semantics_rows import ROWS

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "semantics.md"


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_on_the_page_and_has_its_tests(row: str) -> None:
    said, tests = ROWS[row]
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert said in page, "docs/semantics.md says it"
    assert tests
    for test in tests:
        module, _, name = test.partition("::")
        found = getattr(import_module(f"tests.{module}"), name, None)
        assert inspect.isfunction(found), test


def test_no_row_is_lost() -> None:
    chosen = [row for row in ROWS if not row.startswith("documented: ")]
    assert (len(chosen), len(ROWS) - len(chosen)) == (23, 6)


def linear(optimizer: SgdParams | AdamParams, weights: Any, bias: Any) -> MLModel:
    """y = x . w + b, mean squared error."""
    outputs, inputs = np.shape(weights)
    builder = NeuralNetworkBuilder([array_feature("x", (inputs,))], [array_feature("y", (outputs,))])
    builder.add_inner_product("dense", np.array(weights, np.float32), np.array(bias, np.float32), inputs, outputs, True, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (outputs,)))
    if isinstance(optimizer, AdamParams):
        builder.set_adam_optimizer(optimizer)
    else:
        builder.set_sgd_optimizer(optimizer)
    builder.set_epochs(1, allowed_set=range(1, 9))
    builder.set_shuffle(False)
    return MLModel.from_spec(builder.spec, "linear")


def configured(**parameters: Any) -> MLModelConfiguration:
    return MLModelConfiguration(parameters={getattr(Key, name): value for name, value in parameters.items()})


def numbers_of(model: MLModel) -> Array:
    """w and b of y = w x + b."""
    at = [float(model.predict({"x": [x]})["y"][0]) for x in (0.0, 1.0)]
    return np.array([at[1] - at[0], at[0]])


async def test_a_squared_error_is_a_mean_over_elements_and_examples() -> None:
    told: list[tuple[Event, float]] = []
    handlers = MLUpdateProgressHandlers(
        Event.MINI_BATCH_END | Event.EPOCH_END, lambda context: told.append((context.event, context.metrics[MLMetricKey.LOSS_VALUE]))
    )
    examples = [{"x": [1, 2], "y_true": [0, 0]}, {"x": [3, 0], "y_true": [1, 0]}, {"x": [0, 1], "y_true": [0, -1]}]
    model = linear(SgdParams(lr=0.0, batch=2), np.eye(2), np.zeros(2))  # nothing is learned, so that y is x
    await MLUpdateTask(model, MLArrayBatchProvider(examples), progress_handlers=handlers)
    # (1 + 4) / 2 and (4 + 0) / 2, then (0 + 4) / 2 alone in the second mini-batch
    assert told == [(Event.MINI_BATCH_END, 2.25), (Event.MINI_BATCH_END, 2.0), (Event.EPOCH_END, pytest.approx((2.5 + 2 + 2) / 3))]


async def test_cross_entropy_is_minus_the_logarithm_of_the_labels_share() -> None:
    x, places = softmax_regression.points(8)
    context = await MLUpdateTask(softmax_regression.classifier(epochs=1), softmax_regression.provider(x, places))
    raised = np.exp(x @ softmax_regression.WEIGHTS.T.astype(np.float64) + softmax_regression.BIAS)
    shares = raised[range(8), places] / raised.sum(axis=1)  # the place of a label is that in the model's list
    assert context.metrics[MLMetricKey.LOSS_VALUE] == pytest.approx(-np.log(shares).mean(), rel=1e-5)


POINTS = [(1.0, 2.0), (2.0, 0.5), (-1.0, 1.0)]


def slopes(w: Array, x: float, target: float) -> Array:
    """The gradient of (w0 x + w1 - target)²."""
    error = w[0] * x + w[1] - target
    return np.array([2 * error * x, 2 * error])


@pytest.mark.parametrize("adam", [False, True])
async def test_momentum_and_adam_by_hand(adam: bool) -> None:
    optimizer = AdamParams(lr=0.1, batch=1, beta1=0.8, beta2=0.95, eps=0.01) if adam else SgdParams(lr=0.05, batch=1, momentum=0.5)
    examples = MLArrayBatchProvider([{"x": [x], "y_true": [y]} for x, y in POINTS])
    context = await MLUpdateTask(linear(optimizer, [[0.5]], [0.25]), examples, configured(EPOCHS=2))
    w, v, mean, square = np.array([0.5, 0.25]), np.zeros(2), np.zeros(2), np.zeros(2)
    for step, (x, y) in enumerate(2 * POINTS, 1):
        g = slopes(w, x, y)
        if adam:
            mean, square = 0.8 * mean + 0.2 * g, 0.95 * square + 0.05 * g**2
            w = w - 0.1 * (mean / (1 - 0.8**step)) / (np.sqrt(square / (1 - 0.95**step)) + 0.01)
        else:
            v = 0.5 * v - 0.05 * g
            w = w + v
    np.testing.assert_allclose(numbers_of(context.model), w, rtol=1e-5)


async def test_a_second_update_begins_with_a_fresh_optimizer() -> None:
    model, w = linear(SgdParams(lr=0.05, batch=1, momentum=0.5), [[0.5]], [0.25]), np.array([0.5, 0.25])
    for _ in range(2):
        model = (await MLUpdateTask(model, MLArrayBatchProvider([{"x": [x], "y_true": [y]} for x, y in POINTS]))).model
        v = np.zeros(2)  # and not what the update before has left
        for x, y in POINTS:
            v = 0.5 * v - 0.05 * slopes(w, x, y)
            w = w + v
    np.testing.assert_allclose(numbers_of(model), w, rtol=1e-5)


class Noting:
    """Ten examples, and the order in which they were asked for; it says that it augments, so that it is asked every time."""

    count, augments = 10, True

    def __init__(self) -> None:
        self.asked: list[int] = []

    def features_at(self, index: int) -> Mapping[str, object]:
        self.asked.append(index)
        return {"x": [index, 1], "y_true": [0]}


# numpy.random.Generator(numpy.random.PCG64([seed, epoch])).permutation(10), of three epochs
PERMUTATIONS = {
    11: [8, 5, 6, 1, 9, 3, 4, 2, 7, 0, 5, 0, 7, 8, 9, 4, 6, 3, 1, 2, 7, 8, 2, 3, 0, 4, 1, 6, 5, 9],
    2**62: [9, 7, 8, 1, 4, 5, 6, 2, 0, 3, 8, 2, 1, 7, 4, 3, 5, 9, 6, 0, 5, 9, 8, 3, 1, 0, 4, 7, 6, 2],
}


@pytest.mark.parametrize("seed", PERMUTATIONS)
async def test_permutations_are_those_of_pcg64_seeded_with_seed_and_epoch(seed: int) -> None:
    data = Noting()
    await MLUpdateTask(regression_model(learning_rate=0.0), data, configured(SHUFFLE=True, SEED=seed))
    assert data.asked == PERMUTATIONS[seed]
    data = Noting()
    await MLUpdateTask(regression_model(learning_rate=0.0, epochs=2), data, configured(SHUFFLE=False, SEED=seed))
    assert data.asked == [*range(10), *range(10)]


async def test_training_waits_for_a_handler_however_long_it_takes() -> None:
    data, seen = Noting(), []

    async def handler(context: MLUpdateContext) -> None:
        before = len(data.asked)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        seen.append((before, len(data.asked)))

    handlers = MLUpdateProgressHandlers(Event.TRAINING_BEGIN | Event.MINI_BATCH_END, handler)
    await MLUpdateTask(regression_model(learning_rate=0.0, epochs=1), data, progress_handlers=handlers)
    assert seen == [(0, 0), (4, 4), (8, 8), (10, 10)]


@pytest.mark.parametrize("kind", ["sgd", "adam", "neighbours"])
async def test_in_progress_the_learning_rate_alone_can_change(kind: str) -> None:
    if kind == "neighbours":
        model, data = MLModel.from_spec(classifier([], [])), MLArrayBatchProvider([{"input": [0, 0], "label": "a"}])
    else:
        model = linear(AdamParams() if kind == "adam" else SgdParams(), [[0.5]], [0.25])
        data = MLArrayBatchProvider([{"x": [1], "y_true": [1]}])
    refused: list[str] = []

    def handler(context: MLUpdateContext) -> None:
        for key, value in context.parameters.items():
            if key != Key.LEARNING_RATE:
                with pytest.raises(MLParameterError, match=f"parameter {key}: expected one that can change .* got {value!r}"):
                    context.task.resume(with_parameters={key: value})
                refused.append(str(key))

    task = MLUpdateTask(model, data, progress_handlers=MLUpdateProgressHandlers(Event.TRAINING_BEGIN, handler))
    assert (await task).task.state is MLTaskState.COMPLETED
    assert (
        set(refused)
        == {
            "sgd": {"momentum", "miniBatchSize", "epochs", "shuffle", "seed"},
            "adam": {"beta1", "beta2", "eps", "miniBatchSize", "epochs", "shuffle", "seed"},
            "neighbours": {"numberOfNeighbors"},
        }[kind]
    )


# taught points on a line with their labels, k, weighting, query -> label, shares
VOTES = {
    "a tie: the nearest's": ([(0, "a"), (1, "b"), (3, "c")], 2, "uniform", 0.9, "b", {"a": 0.5, "b": 0.5, "c": 0}),
    "a tie, equally near: the first's": ([(0, "b"), (1, "a")], 2, "uniform", 0.5, "b", {"b": 0.5, "a": 0.5}),
    "inverse: 1 / squared distance": ([(0, "a"), (3, "c"), (3, "c")], 3, "inverse_distance", 1, "a", {"a": 1 / 1.5, "c": 0.5 / 1.5}),
    "an exact match outvotes all": ([(0, "a"), (0.01, "b"), (0.01, "b")], 3, "inverse_distance", 0, "a", {"a": 1, "b": 0}),
    "more than there are: all vote": ([(0, "a"), (1, "b"), (9, "b")], 9, "uniform", 0, "b", {"a": 1 / 3, "b": 2 / 3}),
    "duplicates vote each for itself": ([(1, "a"), (2, "b"), (2, "b"), (2, "b")], 3, "uniform", 1.4, "b", {"a": 1 / 3, "b": 2 / 3}),
    "all labels known have a share": ([(0, "a"), (5, "b"), (9, "c")], 1, "uniform", 6, "b", {"a": 0, "b": 1, "c": 0}),
}


@pytest.mark.parametrize("case", VOTES)
async def test_taught_neighbours_vote_as_worked_out_by_hand(case: str) -> None:
    taught, k, weighting, query, label, shares = VOTES[case]
    model = MLModel.from_spec(classifier([], [], k=k, weighting=weighting))
    data = MLArrayBatchProvider([{"input": [x, 0], "label": name} for x, name in taught])
    answer = (await MLUpdateTask(model, data)).model.predict({"input": [query, 0]})
    assert (answer["label"], answer["labelProbs"]) == (label, pytest.approx(shares, rel=1e-5))


@pytest.mark.parametrize(("declared", "dtype"), [("float32", "f4"), ("float64", "f8"), ("int32", "i4")])
async def test_arithmetic_is_float32_and_outputs_are_as_declared(declared: str, dtype: str) -> None:
    """In float32 1 + 2**-24 is 1; an output declared as float64 has no more digits for that, and one of whole numbers drops the rest."""
    model = linear(SgdParams(lr=0.0, batch=1), np.ones((2, 1)), [1.0, 0.0])
    model.spec.description.output[0].type.multiArrayType.dataType = {"float32": 65568, "float64": 65600, "int32": 131104}[declared]
    layer = model.spec.neuralNetwork.layers[0].innerProduct
    layer.weights.ClearField("floatValue")
    layer.weights.float16Value = np.array([2**-11, 1.0], "<f2").tobytes()
    layer.weights.isUpdatable = layer.bias.isUpdatable = model.spec.neuralNetwork.layers[0].isUpdatable = False
    model.spec.isUpdatable = False
    answer = MLModel.from_spec(model.spec, "halves").predict({"x": [2**-13]})["y"]
    assert answer.dtype == dtype
    np.testing.assert_array_equal(answer, np.array([1, 2**-13]).astype(dtype))


async def test_the_low_precision_switch_and_the_neural_engine_change_no_bit() -> None:
    made = [
        (await MLUpdateTask(regression_model(), regression_provider(), configuration)).model.to_bytes()
        for configuration in (
            MLModelConfiguration(),
            MLModelConfiguration(allow_low_precision_accumulation_on_gpu=True),
            MLModelConfiguration(compute_units=MLComputeUnits.CPU_AND_NEURAL_ENGINE),
            MLModelConfiguration(compute_units=MLComputeUnits.CPU_ONLY),
        )
    ]
    assert len(set(made)) == 1


def test_the_numbers_and_names_are_core_mls() -> None:
    assert {state.name: state.value for state in MLTaskState} == {
        "SUSPENDED": 1, "RUNNING": 2, "CANCELLING": 3, "COMPLETED": 4, "FAILED": 5,
    }  # fmt: skip
    assert {event.name: event.value for event in Event} == {"TRAINING_BEGIN": 1, "EPOCH_END": 2, "MINI_BATCH_END": 4}
    assert {units.name: units.value for units in MLComputeUnits} == {
        "CPU_ONLY": 0, "CPU_AND_GPU": 1, "ALL": 2, "CPU_AND_NEURAL_ENGINE": 3,
    }  # fmt: skip
    assert {code.name: code.value for code in MLModelErrorCode} == {
        "GENERIC": 0, "FEATURE_TYPE": 1, "IO": 3, "CUSTOM_LAYER": 4, "CUSTOM_MODEL": 5, "UPDATE": 6,
    }  # fmt: skip
    assert {key.value for key in MLMetricKey} == {"lossValue", "epochIndex", "miniBatchIndex"}
    assert {str(value) for value in vars(Key).values() if isinstance(value, Key)} == {
        "learningRate", "momentum", "beta1", "beta2", "eps", "miniBatchSize", "epochs", "shuffle", "seed", "numberOfNeighbors", "weights",
        "biases", "linkedModelFileName", "linkedModelSearchPath",
    }  # fmt: skip
    assert str(Key.WEIGHTS.scoped("FullyConnected")) == "FullyConnected.weights"
    assert str(Key.BIASES.scoped("model1").scoped("FullyConnected")) == "model1.FullyConnected.biases"
    default = MLModelConfiguration()
    assert (default.compute_units, default.preferred_metal_device, default.parameters) == (MLComputeUnits.ALL, None, None)
    assert default.allow_low_precision_accumulation_on_gpu is False


def test_every_error_is_of_the_family_and_has_its_code() -> None:
    made = {name: one("told") for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, Exception)}
    assert all(isinstance(error, errors.MLModelError) for error in made.values())
    assert {name: int(error.code) for name, error in made.items()} == {
        "MLModelError": 0, "MLUnsupportedError": 0, "MLPredictionCancelledError": 0, "MLBusyError": 0,
        "MLNotFoundError": 0, "MLConflictError": 0, "MLLimitError": 0,
        "MLFeatureError": 1, "MLFormatError": 3,
        "MLSnapshotError": 3, "MLStoreError": 3, "MLStoreConflictError": 3, "MLStoreMissingError": 3, "MLCheckpointError": 3,
        "MLCustomLayerError": 4, "MLCustomModelError": 5, "MLUpdateError": 6,
        "MLParameterError": 6, "MLTaskStateError": 6, "MLTaskCancelledError": 6,
    }  # fmt: skip


def test_parameters_are_described_with_default_and_constraint() -> None:
    description = MLModel.from_spec(teach(digits_builder())).description
    told = {
        str(key): (one.default_value, one.minimum, one.maximum, one.allowed_values)
        for key, one in description.parameter_descriptions_by_key.items()
    }
    assert description.is_updatable
    assert list(description.training_input_descriptions_by_name) == ["image", "scores_true"]
    assert told == {
        "learningRate": (0.01, 0.0, 1.0, None),
        "miniBatchSize": (16, 1, None, (16,)),
        "beta1": (0.9, 0.0, 1.0, None),
        "beta2": (0.999, 0.0, 1.0, None),
        "eps": (1e-8, 0.0, 1.0, None),
        "epochs": (2, 1, None, (2,)),
        "shuffle": (True, None, None, None),
        "seed": (None, None, None, None),
    }


async def test_a_pipelines_models_have_names_by_which_keys_are_scoped() -> None:
    front = NeuralNetworkBuilder([array_feature("raw", (2,))], [array_feature("input", (2,))])
    front.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "raw", "input")
    learning = classifier([[0, 0]], ["near"], k=1, weighting="uniform")
    model = MLModel.from_spec(make_pipeline("classifier", [front.spec, learning]))
    assert [name for name, _ in model.models] == ["model0", "model1"]
    data = MLArrayBatchProvider([{"raw": [1, 1], "label": "far"}, {"raw": [1.5, 1.5], "label": "far"}])
    scoped = Key.NUMBER_OF_NEIGHBORS.scoped("model1")
    updated = (await MLUpdateTask(model, data, MLModelConfiguration(parameters={scoped: 3}))).model
    assert updated.models[0][1].content_hash == model.models[0][1].content_hash, "what is in front stays"
    assert updated.predict({"raw": [0, 0]})["label"] == "far", "three of three vote"
    assert MLModel.from_spec(updated.spec).predict({"raw": [0.4, 0.4]})["label"] == "near", "sample 2 * 0.4 is nearer to 0 than to 2"
    with pytest.raises(MLParameterError, match=r"model0.numberOfNeighbors: the model does not have it"):
        MLUpdateTask(model, data, MLModelConfiguration(parameters={Key.NUMBER_OF_NEIGHBORS.scoped("model0"): 3}))
