"""Gradients through branches and loops: as PyTorch's autograd has them, and as differences of the answers do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import anyio
import anyio.from_thread
import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModelConfiguration, MLParameterKey, MLTaskState, MLUpdateTask, register_custom_layer
from tailor.kernels import SGD, Array
from tailor.runtime import MLModel
from tailor.runtime.errors import MLPredictionCancelledError, MLTaskCancelledError, MLUpdateError
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, decode_weights, encode_weights, layers
from tailor.runtime.models.network_learner import NetworkLearner
from tailor.runtime.network import Graph, Plans, lower, make_plan, portions, stopping, team
from tailor.runtime.network.backward import Tape, check_way_back, gradients
from tests.network.blocks import network, put
from tests.network.models import weights

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")

X = np.random.default_rng(0).normal(size=(4, 3))
N = np.array([[3.0], [0.0], [1.0], [5.0]])
"""One number an example: turns, or what a branch asks."""


def dense(block: Any, name: str, given: str, made: str) -> None:
    """An inner product ``made = w given``, 3 x 3, whose weights are called ``name``."""
    layer = block.layers.add(name=name, input=[given], output=[made])
    layer.innerProduct.inputChannels = layer.innerProduct.outputChannels = 3
    encode_weights(layer.innerProduct.weights, weights(len(name), 3, 3))
    layer.isUpdatable = layer.innerProduct.weights.isUpdatable = True


def bent(block: Any, given: str, made: str) -> None:
    """``made = tanh(given)``."""
    block.layers.add(name=f"tanh:{made}", input=[given], output=[made]).activation.tanh.SetInParent()


def turns() -> Any:
    """n times y = tanh(w y), y = u x at first."""
    spec = network(inputs="x n")
    dense(spec.neuralNetwork, "u", "x", "y0")
    put(spec.neuralNetwork, "y = copy(y0)")
    body = put(spec.neuralNetwork, "loop(n)").loop.bodyNetwork
    dense(body, "w", "y", "h")
    bent(body, "h", "t")
    put(body, "y = copy(t)")
    return spec


def turns_torch(x: Any, n: float, w: Any, u: Any) -> Any:
    y = u @ x
    for _ in range(int(n)):
        y = torch.tanh(w @ y)
    return y


def choice() -> Any:
    """y = tanh(w x) + u x where n - 1 is not 0, else u (u x) beside what was there before: x."""
    spec = network("y = copy(x)", "c = add(n -1)", inputs="x n")
    branch = put(spec.neuralNetwork, "branch(c)").branch
    dense(branch.ifBranch, "w", "x", "a")
    bent(branch.ifBranch, "a", "b")
    dense(branch.ifBranch, "u", "x", "d")
    put(branch.ifBranch, "e = add(b d)", "y = copy(e)")
    dense(branch.elseBranch, "vv", "x", "a")
    dense(branch.elseBranch, "vvv", "a", "made")
    put(branch.elseBranch, "more = add(made y)", "y = copy(more)")
    return spec


def choice_torch(x: Any, n: float, w: Any, u: Any, vv: Any, vvv: Any) -> Any:
    return torch.tanh(w @ x) + u @ x if n != 1 else vvv @ (vv @ x) + x


def jumping(jump: str) -> Callable[[], Any]:
    def build() -> Any:
        """Four turns of y = tanh(w y) + x, z += y; from the n-th on, z is left as it is (continue), or the loop is (break)."""
        spec = network("y0 = copy(x)", "z = multiply(x 0)", "zero = multiply(n 0)", "i = copy(zero)", inputs="x n", outputs="z")
        dense(spec.neuralNetwork, "u", "y0", "h0")
        put(spec.neuralNetwork, "y = copy(h0)")
        loop = put(spec.neuralNetwork, "loop()").loop
        loop.maxLoopIterations = 4
        dense(loop.bodyNetwork, "w", "y", "h")
        bent(loop.bodyNetwork, "h", "t")
        put(loop.bodyNetwork, "s = add(t x)", "y = copy(s)", "next = add(i 1)", "i = copy(next)", "test = greaterEqual(i n)")
        put(put(loop.bodyNetwork, "branch(test)").branch.ifBranch, f"{jump}()")
        put(loop.bodyNetwork, "sum = add(z y)", "z = copy(sum)")
        put(spec.neuralNetwork, "last = add(z y)")
        spec.description.output[0].name = "last"
        return spec

    return build


def jumping_torch(jump: str) -> Callable[..., Any]:
    def run(x: Any, n: float, w: Any, u: Any) -> Any:
        y, z = u @ x, torch.zeros_like(x)
        for turn in range(1, 5):
            y = torch.tanh(w @ y) + x
            if turn >= n:
                if jump == "loopBreak":
                    break
                continue
            z = z + y
        return z + y

    return run


def nested() -> Any:
    """While some of n is left: n -= 1, and two turns of y = w y, where n is above 1 and of y = tanh(u y) elsewhere."""
    spec = network("y = copy(x)", "left = copy(n)", inputs="x n")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.conditionVar = "room"
    put(loop.conditionNetwork, "room = relu(left)")
    put(loop.bodyNetwork, "less = add(left -1)", "left = copy(less)", "above = greaterThan(left 1)")
    inner = put(loop.bodyNetwork, "loop()").loop
    inner.maxLoopIterations = 2
    branch = put(inner.bodyNetwork, "branch(above)").branch
    dense(branch.ifBranch, "w", "y", "h")
    put(branch.ifBranch, "y = copy(h)")
    dense(branch.elseBranch, "u", "y", "h")
    bent(branch.elseBranch, "h", "t")
    put(branch.elseBranch, "y = copy(t)")
    return spec


def nested_torch(x: Any, n: float, w: Any, u: Any) -> Any:
    y = x
    while n > 0:
        n -= 1
        for _ in range(2):
            y = w @ y if n > 1 else torch.tanh(u @ y)
    return y


def where() -> Any:
    """tanh(w x) where x is below n, u x elsewhere."""
    spec = network("c = lessThan(x n)", inputs="x n")
    dense(spec.neuralNetwork, "w", "x", "a")
    bent(spec.neuralNetwork, "a", "f")
    dense(spec.neuralNetwork, "u", "x", "g")
    put(spec.neuralNetwork, "y = whereBroadcastable(c f g)")
    return spec


def where_torch(x: Any, n: float, w: Any, u: Any) -> Any:
    return torch.where(x < n, torch.tanh(w @ x), u @ x)


CASES: dict[str, tuple[Callable[[], Any], Callable[..., Any]]] = {
    "as many turns as a value says": (turns, turns_torch),
    "a branch": (choice, choice_torch),
    "break": (jumping("loopBreak"), jumping_torch("loopBreak")),
    "continue": (jumping("loopContinue"), jumping_torch("loopContinue")),
    "nested, while something holds": (nested, nested_torch),
    "a comparison": (where, where_torch),
}


def exact(spec: Any) -> Graph:
    """The graph of ``spec`` in float64."""
    outputs = [feature.name for feature in spec.description.output]

    def decode(message: Any, field: str, shape: tuple[int, ...], who: str) -> Array:
        return decode_weights(getattr(message, field), shape, who).astype(np.float64)

    return lower(layers(spec.neuralNetwork), ["x", "n"], outputs, decode)


@pytest.mark.parametrize("name", CASES)
def test_gradients_through_control_flow(name: str) -> None:
    build, peer = CASES[name]
    graph = exact(build())
    keys, (output,) = list(graph.parameters), graph.outputs
    check_way_back(graph, output, keys)
    rng = np.random.default_rng(1)
    toward = rng.normal(size=X.shape)
    theirs = {key: torch.tensor(array.reshape(3, 3), requires_grad=True) for key, array in graph.parameters.items()}
    rows = [peer(torch.tensor(x), n, **{key.partition(".")[0]: w for key, w in theirs.items()}) for x, (n,) in zip(X, N, strict=True)]
    expected = torch.stack(rows)
    (expected * torch.tensor(toward)).sum().backward()

    plan = make_plan(graph, {"x": (3,), "n": (1,)})
    assert plan.stackable
    tape = Tape(keys)
    made = plan.run({"x": X, "n": N}, stacked=True, tape=tape)[output]
    np.testing.assert_allclose(made, expected.detach().numpy(), rtol=1e-9)
    together = gradients(tape, {output: toward})
    assert not tape.steps  # all that was kept is let go of
    alone: dict[str, Array] = {key: np.zeros_like(array) for key, array in graph.parameters.items()}
    for x, n, g in zip(X, N, toward, strict=True):
        tape = Tape(keys)
        plan.run({"x": x, "n": n}, stacked=False, tape=tape)
        for key, found in gradients(tape, {output: g}).items():
            alone[key] += found
    for key, w in theirs.items():
        np.testing.assert_allclose(together[key].reshape(3, 3), w.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=key)
        np.testing.assert_allclose(alone[key], together[key], rtol=1e-9, atol=1e-12, err_msg=key)

    for key in keys:  # and by differences, along one direction
        way = rng.normal(size=graph.parameters[key].shape)

        def moved(by: float, key: str = key, way: Array = way) -> float:
            there = replace(graph, parameters={**graph.parameters, key: graph.parameters[key] + by * way})
            made = make_plan(there, {"x": (3,), "n": (1,)}).run({"x": X, "n": N}, stacked=True)[output]
            return float((made * toward).sum())

        np.testing.assert_allclose((moved(1e-5) - moved(-1e-5)) / 2e-5, (together[key] * way).sum(), rtol=1e-6, atol=1e-8, err_msg=key)


def test_what_only_steers_cannot_learn() -> None:
    spec = network("y = copy(x)", inputs="x n")
    dense(spec.neuralNetwork, "w", "x", "h")
    put(spec.neuralNetwork, "c = reduceSum(h)")
    put(put(spec.neuralNetwork, "branch(c)").branch.ifBranch, "more = add(y 1)", "y = copy(more)")
    with pytest.raises(MLUpdateError, match=r"layer 'branch:' of kind 'branch': .* because 'w\.weights' learns before it"):
        check_way_back(exact(spec), "y", ["w.weights"])


def teachable(spec: Any) -> Any:
    """``spec``, to be taught to make its output by squared error."""
    builder = NeuralNetworkBuilder(
        [array_feature("x", (3,)), array_feature("n", (1,))], [array_feature("y", (3,))], disable_rank5_shape_mapping=True
    )
    builder.nn_spec.layers.extend(spec.neuralNetwork.layers)
    builder.spec.isUpdatable = True
    builder.set_mean_squared_error_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.05, batch=4, momentum=0.0))
    builder.set_epochs(3)
    return builder.spec


TARGETS = np.tanh(X[::-1]).astype(np.float32)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["as many turns as a value says", "a branch", "nested, while something holds"])
async def test_an_update_teaches_what_is_inside_blocks(name: str) -> None:
    """Three steps of descent, as PyTorch takes them; what is written is a model that has learned."""
    build, peer = CASES[name]
    spec = teachable(build())
    rows = [{"x": x, "n": n, "y_true": y} for x, n, y in zip(X.astype(np.float32), N, TARGETS, strict=True)]
    context = await MLUpdateTask(
        MLModel.from_spec(spec), MLArrayBatchProvider(rows), MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False})
    )
    theirs = {key: torch.tensor(array.reshape(3, 3), requires_grad=True) for key, array in exact(spec).parameters.items()}
    descent = torch.optim.SGD(theirs.values(), lr=0.05)

    def answers() -> Any:
        given = {key.partition(".")[0]: w for key, w in theirs.items()}
        return torch.stack([peer(torch.tensor(x), n, **given) for x, (n,) in zip(X, N, strict=True)])

    for _ in range(3):
        descent.zero_grad()
        ((answers() - torch.tensor(TARGETS)) ** 2).mean().backward()
        descent.step()
    written = context.model.spec
    assert written != spec
    assert type(written).FromString(written.SerializeToString()) == written
    for key, w in exact(written).parameters.items():
        np.testing.assert_allclose(w.reshape(3, 3), theirs[key].detach().numpy(), rtol=1e-4, atol=1e-6, err_msg=key)
    made = context.model.predict([{"x": row["x"], "n": row["n"]} for row in rows])
    np.testing.assert_allclose([row["y"] for row in made], answers().detach().numpy(), rtol=1e-3, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "PIECE_WORK", 2_000)  # so that there is work to share
    rng = np.random.default_rng(3)
    columns = {"x": rng.normal(size=(60, 3)), "n": rng.integers(0, 5, (60, 1)), "y_true": rng.normal(size=(60, 3))}
    states = []
    for threads in (1, 3):
        learner = NetworkLearner(teachable(turns()), "m", threads)
        tensors = {"x": np.zeros((60, 3)), "n": np.zeros((60, 1))}
        assert len(portions(Plans(learner.trainer.graph), tensors, 60)) > 1
        losses = [learner.step({key: np.asarray(value, np.float32) for key, value in columns.items()}, 60, SGD(0.1)) for _ in range(2)]
        learner.close()
        states.append((losses, learner.parameters))
    np.testing.assert_array_equal(states[0][0], states[1][0])
    for key, array in states[0][1].items():
        np.testing.assert_array_equal(array, states[1][1][key])


def endless(*lines: str) -> Any:
    """y = w x, and then turns for ever."""
    spec = network(inputs="x n")
    dense(spec.neuralNetwork, "w", "x", "h")
    put(spec.neuralNetwork, "y = copy(h)", "one = add(n 1)")
    loop = put(spec.neuralNetwork, "loop()").loop
    loop.conditionVar = "room"
    put(loop.conditionNetwork, "room = copy(one)")
    put(loop.bodyNetwork, "y1 = add(y 1)", *lines, "y2 = add(y1 -1)", "y = copy(y2)")
    return teachable(spec)


@pytest.mark.parametrize("questions", [5, 500])
def test_a_step_is_stopped_between_turns_and_has_not_happened(questions: int) -> None:
    learner = NetworkLearner(endless(), "m", 2)
    before = {key: array.copy() for key, array in learner.parameters.items()}
    answers = iter([False] * questions)
    columns = {"x": np.asarray(X, np.float32), "n": N, "y_true": TARGETS}
    with stopping(lambda: next(answers, True)), pytest.raises(MLPredictionCancelledError, match="stopped before layer"):
        learner.step(columns, 4, SGD(0.1))
    learner.close()
    assert learner.steps == 0
    for key, array in before.items():
        np.testing.assert_array_equal(learner.parameters[key], array)


def test_the_way_back_is_stopped_too() -> None:
    graph = exact(turns())
    keys = list(graph.parameters)
    tape = Tape(keys)
    made = make_plan(graph, {"x": (3,), "n": (1,)}).run({"x": X[0], "n": N[0]}, stacked=False, tape=tape)["y"]
    answers = iter([False, False, False])
    with pytest.raises(MLPredictionCancelledError, match=r"stopped before layer 'w' \(innerProduct\)"):
        gradients(tape, {"y": np.ones_like(made)}, lambda: next(answers, True))


@pytest.mark.anyio
@pytest.mark.parametrize("by_scope", [True, False])
async def test_an_update_that_never_ends_can_be_cancelled(by_scope: bool) -> None:
    begun, turns = anyio.Event(), Event()

    class Tell:
        def __init__(self, parameters: Any, weights: Any) -> None:
            pass

        def output_shapes(self, shapes: Any) -> Any:
            return shapes

        def evaluate(self, inputs: Any) -> Any:
            if not turns.is_set():
                turns.set()
                anyio.from_thread.run_sync(begun.set)
            return inputs

    register_custom_layer("Tell", Tell)
    rows = [{"x": X[0].astype(np.float32), "n": N[0], "y_true": TARGETS[0]}]
    task = MLUpdateTask(MLModel.from_spec(endless("told = custom.Tell(y1)")), MLArrayBatchProvider(rows))
    ended: list[BaseException] = []

    async def wait() -> None:
        try:
            await task
        except MLTaskCancelledError as error:
            ended.append(error)

    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await begun.wait()
                if by_scope:
                    group.cancel_scope.cancel()
                else:
                    task.cancel()
    finally:
        register_custom_layer("Tell", None)
    assert task.state is MLTaskState.FAILED
    assert isinstance(task.error, MLTaskCancelledError)
    assert len(ended) == (not by_scope) and group.cancel_scope.cancelled_caught == by_scope
