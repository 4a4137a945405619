"""The guard of an update: what it holds out, what it counts, what it decides, and what is then handed out."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import anyio.from_thread
import anyio.lowlevel
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tailor import (
    MLArrayBatchProvider,
    MLCheckpoints,
    MLGuardScores,
    MLModel,
    MLModelConfiguration,
    MLTaskCancelledError,
    MLTaskState,
    MLTrainingOptions,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateGuard,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    MLUpdateVerdict,
    Runtime,
    read_snapshot,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature, make_pipeline, read_contents
from tailor.runtime.network import Team
from tailor.runtime.update.guard import decide
from tailor.runtime.update.hold_out import held_out
from tests.tasks.models import Reference as LineByHand
from tests.tasks.models import regression_data, regression_model, regression_provider
from tests.tasks.softmax_regression import EPOCHS, LABELS, Reference, classifier, points, provider

pytestmark = pytest.mark.anyio

COUNT = 60
X, PLACES = points(COUNT)
OLD_X, OLD_PLACES = points(30, seed=8)
METRICS: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")


def split(seed: int = 0, share: float = 0.2) -> tuple[Any, Any]:
    """The numbers of the examples held out, and of the others."""
    held = held_out([LABELS[place] for place in PLACES], share, seed)
    return held, np.setdiff1d(np.arange(COUNT), held)


@pytest.mark.parametrize("doubled", ["", "layer", "model"])
async def test_what_is_learned_and_what_is_counted_are_what_numpy_says(doubled: str) -> None:
    """Also behind what does not learn, and is computed of each example but once."""
    name, factor = "given" if doubled == "model" else "x", np.float32(2 if doubled else 1)
    guard = MLUpdateGuard(0.25, provider(OLD_X, OLD_PLACES, name), seed=4)
    context = await MLUpdateTask(classifier(doubled=doubled), provider(X, PLACES, name), guard=guard)
    held, rest = split(4, 0.25)
    by_hand, x, old = Reference(), factor * X, factor * OLD_X
    before = {"hold_out": by_hand.scores(x[held], PLACES[held]), "reference": by_hand.scores(old, OLD_PLACES)}
    by_hand.learn(x[rest], PLACES[rest])
    after = {"hold_out": by_hand.scores(x[held], PLACES[held]), "reference": by_hand.scores(old, OLD_PLACES)}
    verdict = context.verdict
    assert verdict is not None
    assert {name: scores.count for name, scores in verdict.sets.items()} == {"hold_out": len(held), "reference": 30}
    for name, scores in verdict.sets.items():
        assert dict(scores.before) == pytest.approx(before[name], rel=1e-5)
        assert dict(scores.after) == pytest.approx(after[name], rel=1e-5)
    assert (verdict.metric, verdict.margin, verdict.seed, verdict.trained) == ("accuracy", 0.0, 4, len(rest))
    contents = read_contents(context.candidate.spec)
    learned = next(np.asarray(value) for key, value in contents.items() if key.endswith("dense.weights"))
    np.testing.assert_allclose(learned.reshape(3, 2), by_hand.w, rtol=1e-4, atol=1e-6)
    assert verdict.accepted
    assert after["hold_out"]["accuracy"] > before["hold_out"]["accuracy"], "otherwise this says little"


async def test_classes_by_their_number_are_held_out_and_judged_as_labels_are() -> None:
    numbered = MLArrayBatchProvider({"x": X, "p_true": PLACES[:, None].astype(np.int32)})
    by_number = await MLUpdateTask(classifier(labels=False), numbered, guard=MLUpdateGuard())
    assert by_number.verdict == (await MLUpdateTask(classifier(), provider(X, PLACES), guard=MLUpdateGuard())).verdict
    assert by_number.verdict is not None


async def test_a_regressor_is_judged_by_its_mean_squared_error() -> None:
    context = await MLUpdateTask(regression_model(), regression_provider(20), guard=MLUpdateGuard())
    held = held_out(20, 0.2, 0)
    (x, y), rest, by_hand = regression_data(20), np.setdiff1d(np.arange(20), held), LineByHand(20)
    scores = [float(((by_hand.predict(x[held]) - y[held]) ** 2).mean())]
    for _ in range(3):
        for start in range(0, 16, 4):
            by_hand.step(rest[start : start + 4], 0.1)
    scores.append(float(((by_hand.predict(x[held]) - y[held]) ** 2).mean()))
    assert context.verdict is not None
    judged = context.verdict.sets["hold_out"]
    assert [judged.before["loss"], judged.after["loss"]] == pytest.approx(scores, rel=1e-5)
    assert (judged.count, list(judged.after), context.verdict.accepted) == (4, ["loss"], True)


def neighbors() -> KNearestNeighborsClassifierBuilder:
    """Knows a few points, and asks one neighbour unless it is told otherwise."""
    builder = KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody", number_of_neighbors=1, weighting_scheme="inverse_distance")
    builder.add_samples(OLD_X[:6].tolist(), [LABELS[place] for place in OLD_PLACES[:6]])
    return builder


def doubled() -> MLModel:
    """A pipeline: a network that multiplies by two, then neighbours, which know nothing yet."""
    network = NeuralNetworkBuilder([array_feature("given", (2,))], [array_feature("x", (2,))])
    network.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "given", "x")
    knows_nothing = KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody", number_of_neighbors=1)
    return MLModel.from_spec(make_pipeline("classifier", [network.spec, knows_nothing.spec]))


@pytest.mark.parametrize("k", [1, 3])
async def test_neighbours_are_judged_with_as_many_as_are_asked_for(k: int) -> None:
    examples = MLArrayBatchProvider([{"x": x, "label": LABELS[place]} for x, place in zip(X, PLACES, strict=True)])
    configuration = MLModelConfiguration(parameters={Key.NUMBER_OF_NEIGHBORS: k})
    model = MLModel.from_spec(neighbors().spec)
    context = await MLUpdateTask(model, examples, configuration, guard=MLUpdateGuard())
    held, rest = split()
    known_x, known = np.concatenate([OLD_X[:6], X[rest]]), np.concatenate([OLD_PLACES[:6], PLACES[rest]])
    expected = [
        KNeighborsClassifier(k, weights=lambda d: 1 / d**2).fit(known_x[:count], known[:count]).score(X[held], PLACES[held])
        for count in (6, len(known))
    ]
    assert context.verdict is not None
    scores = context.verdict.sets["hold_out"]
    assert [dict(scores.before), dict(scores.after)] == [{"accuracy": expected[0]}, {"accuracy": expected[1]}]
    assert expected[0] != expected[1]


async def test_the_last_model_of_a_pipeline_is_judged_behind_the_others() -> None:
    examples = MLArrayBatchProvider([{"given": x, "label": LABELS[place]} for x, place in zip(X, PLACES, strict=True)])
    context = await MLUpdateTask(doubled(), examples, guard=MLUpdateGuard())
    held, rest = split()
    assert context.verdict is not None
    scores = context.verdict.sets["hold_out"]
    expected = KNeighborsClassifier(1).fit(X[rest], PLACES[rest]).score(X[held], PLACES[held])  # twice as far is as near
    assert (dict(scores.before), dict(scores.after)) == ({"accuracy": 0.0}, {"accuracy": expected})


def forgetful() -> MLUpdateGuard:
    """Refuses: the reference set has its labels the other way round."""
    return MLUpdateGuard(reference=provider(OLD_X, (OLD_X.sum(axis=1) < 0) * 2))


async def test_a_refused_update_hands_out_the_model_there_was(tmp_path: Path) -> None:
    model = classifier()
    before = model.to_bytes()
    told: list[MLUpdateContext] = []
    task = MLUpdateTask(model, provider(X, PLACES), guard=forgetful(), completion_handler=told.append)
    context = await task
    assert (task.state, task.error, told[0].verdict) == (MLTaskState.COMPLETED, None, context.verdict)
    assert context.verdict is not None
    assert not context.verdict.accepted
    assert context.model.to_bytes() == context.rollback().to_bytes() == model.to_bytes() == before != context.candidate.to_bytes()
    unguarded = await MLUpdateTask(model, provider(X[split()[1]], PLACES[split()[1]]))
    assert context.candidate.to_bytes() == unguarded.model.to_bytes()
    scores = context.verdict.sets["reference"]
    assert context.verdict.reason == (
        f"accuracy on reference (30 examples) went from {scores.before['accuracy']:.6g} to {scores.after['accuracy']:.6g}: worse"
    )
    write_snapshot(tmp_path / "kept.tailor", take_snapshot(context, model))
    assert restore_snapshot(tmp_path / "kept.tailor", model).to_bytes() == before
    kept = read_snapshot(tmp_path / "kept.tailor").metadata.extra["guard"]
    assert kept == context.verdict.as_dict()
    assert isinstance(kept, Mapping)
    assert kept["accepted"] is False


async def test_an_accepted_update_can_be_rolled_back_in_one_call() -> None:
    model = classifier()
    context = await MLUpdateTask(model, provider(X, PLACES), guard=MLUpdateGuard())
    assert context.verdict is not None
    assert context.verdict.accepted
    assert context.model is context.candidate
    assert context.rollback().to_bytes() == model.to_bytes() != context.model.to_bytes()
    assert (await MLUpdateTask(model, provider(X, PLACES))).rollback().to_bytes() == model.to_bytes()


async def test_before_the_end_and_without_a_guard_there_is_no_verdict() -> None:
    told: list[MLUpdateContext] = []
    handlers = MLUpdateProgressHandlers(Event.TRAINING_BEGIN | Event.EPOCH_END, told.append)
    context = await MLUpdateTask(classifier(), provider(X, PLACES), progress_handlers=handlers, guard=forgetful())
    assert [seen.verdict for seen in told] == [None] * 4
    assert told[-1].model.to_bytes() == context.candidate.to_bytes(), "in mid-training it is what is being taught"
    unguarded = await MLUpdateTask(classifier(), provider(X, PLACES))
    assert unguarded.verdict is None
    assert "guard" not in take_snapshot(unguarded, classifier()).metadata.extra


@pytest.mark.parametrize(
    ("metric", "margin", "before", "after", "accepted"),
    [
        ("accuracy", 0.0, 0.8, 0.8, True),
        ("accuracy", 0.0, 0.8, 0.75, False),
        ("accuracy", 0.1, 0.8, 0.7, True),  # in floats 0.8 - 0.1 is more than 0.7
        ("accuracy", 0.1, 0.8, 0.69, False),
        ("accuracy", 1, 1.0, 0.0, True),
        ("loss", 0.0, 2.0, 1.0, True),
        ("loss", 0.0, 2.0, 2.001, False),
        ("loss", 0.1, 2.0, 2.2, True),  # of what it was: by 0.2
        ("loss", 0.1, 2.0, 2.21, False),
        ("loss", 0.5, 0.0, 1e-6, False),
        ("loss", 0.5, 0.0, 0.0, True),
    ],
)
def test_worse_by_more_than_the_margin_is_refused(metric: Any, margin: float, before: float, after: float, accepted: bool) -> None:
    good, judged = MLGuardScores(9, {metric: 0.5}, {metric: 0.5}), MLGuardScores(4, {metric: before}, {metric: after})
    for sets in ({"hold_out": judged}, {"hold_out": good, "reference": judged}, {"hold_out": judged, "reference": good}):
        verdict = decide(sets, metric, margin, seed=0, trained=7)
        assert verdict.accepted is accepted
        assert f"went from {before:g} to {after:g}" in verdict.reason


async def test_the_metric_that_decides_is_the_one_asked_for() -> None:
    """Points far out, learned by heart: more right answers on what is held out, but far surer of the wrong ones."""
    data, judged = provider(10 * X[:24], PLACES[:24]), {}
    for metric in METRICS:
        guard = MLUpdateGuard(metric=metric, seed=2, diverged_above=None)
        judged[metric] = (await MLUpdateTask(classifier(rate=1.0, epochs=20), data, guard=guard)).verdict
    by_accuracy, by_loss = judged["accuracy"], judged["loss"]
    assert by_accuracy is not None
    assert by_loss is not None
    assert by_accuracy.sets == by_loss.sets
    assert (by_accuracy.accepted, by_loss.accepted) == (True, False)


async def test_the_same_seed_the_same_verdict_whatever_the_threads_and_the_order() -> None:
    verdicts = []
    for threads in (1, 1, 4):
        configuration = MLModelConfiguration(threads=threads, parameters={Key.SEED: 5, Key.SHUFFLE: True})
        context = await MLUpdateTask(classifier(), provider(X, PLACES), configuration, guard=MLUpdateGuard(seed=-3))
        verdicts.append(context.verdict)
    assert verdicts[0] == verdicts[1] == verdicts[2]
    other = await MLUpdateTask(classifier(), provider(X, PLACES), configuration, guard=MLUpdateGuard(seed=-4))
    assert other.verdict != verdicts[0]


async def test_a_run_that_is_taken_up_again_comes_to_the_same_verdict(tmp_path: Path) -> None:
    configuration, guard = (
        MLModelConfiguration(parameters={Key.SEED: 5, Key.SHUFFLE: True}),
        MLUpdateGuard(reference=provider(OLD_X, OLD_PLACES)),
    )
    whole = await MLUpdateTask(classifier(), provider(X, PLACES), configuration, guard=guard)
    path, seen = tmp_path / "kept", 0

    def stop(context: MLUpdateContext) -> None:
        nonlocal seen
        seen += 1
        if seen == 8:  # in the second epoch
            context.task.cancel()

    stopped = MLUpdateTask(
        classifier(), provider(X, PLACES), configuration, guard=guard, checkpoints=MLCheckpoints(path, every_batches=1),
        progress_handlers=MLUpdateProgressHandlers(Event.MINI_BATCH_END, stop),
    )  # fmt: skip
    with pytest.raises(MLTaskCancelledError):
        await stopped
    again = await MLUpdateTask.restore(path, classifier(), provider(X, PLACES), configuration, guard=guard)
    assert again.verdict == whole.verdict
    assert again.model.to_bytes() == whole.model.to_bytes()


class Watched:
    """Counts who reads what, and may cancel its task at one example."""

    def __init__(self, count: int, cancel_at: int = -1) -> None:
        self.count = count
        self.read: list[int] = []
        self.threads: set[int] = set()
        self.teams: set[int] = set()
        self.cancel_at = cancel_at
        self.task: MLUpdateTask | None = None
        self.x, self.places = points(count, seed=1)

    def features_at(self, index: int) -> Mapping[str, object]:
        self.read.append(index)
        self.threads.add(threading.get_ident())
        self.teams.add(Team(4).threads)
        if self.task is not None and index == self.cancel_at:
            anyio.from_thread.run_sync(self.task.cancel)
        return {"x": self.x[index], "classLabel": LABELS[self.places[index]]}


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("set_name", ["labels", "reference"])
async def test_a_cancel_is_honoured_between_portions_of_what_is_judged(set_name: str, background: bool) -> None:
    watched, other = Watched(1000, cancel_at=100), provider(OLD_X, OLD_PLACES)
    model = classifier()
    before = model.to_bytes()
    async with Runtime() as runtime:
        data, guard = (watched, MLUpdateGuard()) if set_name == "labels" else (other, MLUpdateGuard(reference=watched))
        task = watched.task = MLUpdateTask(model, data, guard=guard, runtime=runtime if background else None)
        with pytest.raises(MLTaskCancelledError):
            await task
    assert max(watched.read) < 100 + 64
    assert model.to_bytes() == before


class Pausing:
    """Suspends its task at one of its readings."""

    def __init__(self, at: int) -> None:
        self.count = COUNT
        self.at = at
        self.read = 0
        self.task: MLUpdateTask | None = None

    def features_at(self, index: int) -> Mapping[str, object]:
        self.read += 1
        if self.task is not None and self.read == self.at:
            anyio.from_thread.run_sync(self.task.suspend)
        return {"x": X[index], "classLabel": LABELS[PLACES[index]]}


@pytest.mark.parametrize(("at", "epoch"), [(30, 0), (65, 0), (COUNT + 12 + 48 * EPOCHS + 5, EPOCHS)], ids=["labels", "before", "after"])
async def test_an_update_that_pauses_while_it_is_judged_goes_on_there_or_elsewhere(at: int, epoch: int) -> None:
    whole = await MLUpdateTask(classifier(), provider(X, PLACES), guard=MLUpdateGuard())
    assert whole.verdict is not None
    assert (whole.verdict.sets["hold_out"].count, whole.verdict.trained) == (12, 48), "or the numbers above mean nothing"
    outcomes, data = [], Pausing(at)
    task = data.task = MLUpdateTask(classifier(), data, guard=MLUpdateGuard())

    async def wait() -> None:
        outcomes.append(await task)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        while data.read < at or task.state is not MLTaskState.SUSPENDED:
            await anyio.lowlevel.checkpoint()
        kept = await task.checkpoint()
        task.resume()
    outcomes.append(await MLUpdateTask.restore(kept, classifier(), provider(X, PLACES), guard=MLUpdateGuard()))
    assert (kept.progress["epoch"], kept.progress["cursor"]) == (epoch, 0)
    assert [outcome.verdict for outcome in outcomes] == [whole.verdict] * 2
    assert [outcome.model.to_bytes() for outcome in outcomes] == [whole.model.to_bytes()] * 2


async def test_what_is_judged_is_read_in_the_worker_within_the_limit_of_threads() -> None:
    data, reference = Watched(40), Watched(30)
    await MLUpdateTask(classifier(), data, MLModelConfiguration(threads=2), guard=MLUpdateGuard(reference=reference))
    for watched in (data, reference):
        assert threading.get_ident() not in watched.threads
        assert watched.teams == {2}
    assert reference.read == [*range(30), *range(30)], "once for the model there was, once for the updated one"


async def test_an_update_that_diverges_fails_naming_epoch_and_numbers() -> None:
    model, by_hand = regression_model(learning_rate=1.0, epochs=6), LineByHand(20)
    before = model.to_bytes()
    rest = np.setdiff1d(np.arange(20), held_out(20, 0.2, 0))
    losses = [float(np.mean([by_hand.step(rest[start : start + 4], 1.0) for start in range(0, 16, 4)])) for _ in range(6)]
    last = next(epoch for epoch, loss in enumerate(losses) if loss > 10 * losses[0])
    wanted = r"^epoch (.*): expected a loss of at most (.*) times that of epoch 0, which was (.*), got (.*): the training diverges$"
    with pytest.raises(MLUpdateError, match=wanted) as raised:
        await MLUpdateTask(model, regression_provider(20), guard=MLUpdateGuard())
    named = re.findall(wanted, str(raised.value))[0]
    assert [float(number) for number in named] == pytest.approx([last, 10, losses[0], losses[last]], rel=1e-4)
    assert model.to_bytes() == before
    context = await MLUpdateTask(model, regression_provider(20), guard=MLUpdateGuard(diverged_above=None))
    assert context.verdict is not None
    assert not context.verdict.accepted
    assert await MLUpdateTask(model, regression_provider(20)), "without a guard nobody looks"


async def test_a_loss_that_rounding_raises_from_nothing_does_not_diverge() -> None:
    """The line is exact to begin with, and decay of the weights moves it a little."""
    line = regression_model().with_parameters({Key.WEIGHTS.scoped("dense"): [[1.0, 1.0]], Key.BIASES.scoped("dense"): [0.0]})
    x = np.arange(-10, 10).reshape(10, 2).astype(np.float32) / 8
    exact = MLArrayBatchProvider({"x": x, "y_true": x.sum(axis=1, keepdims=True)})
    configuration = MLModelConfiguration(parameters={Key.MINI_BATCH_SIZE: 10}, training=MLTrainingOptions(weight_decay=1e-4))
    context = await MLUpdateTask(line, exact, configuration, guard=MLUpdateGuard(metric="loss"))
    assert context.verdict is not None
    judged = context.verdict.sets["hold_out"]
    assert judged.before["loss"] == 0 < judged.after["loss"] < 1e-6
    assert not context.verdict.accepted


async def test_a_label_that_a_model_in_front_makes_is_held_out_by_too() -> None:
    teacher, pupil = (KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody", number_of_neighbors=1) for _ in range(2))
    teacher.add_samples([[-1, -1], [1, 1]], ["low", "high"])
    teacher.spec.isUpdatable = False
    del teacher.spec.description.trainingInput[:]
    spec = make_pipeline("classifier", [teacher.spec, pupil.spec])
    assert [feature.name for feature in spec.description.trainingInput] == ["x", "label"]
    del spec.description.trainingInput[1]
    context = await MLUpdateTask(MLModel.from_spec(spec), MLArrayBatchProvider([{"x": x} for x in X]), guard=MLUpdateGuard())
    assert context.verdict is not None
    scores = context.verdict.sets["hold_out"]
    low = np.square(X + 1).sum(axis=1) < np.square(X - 1).sum(axis=1)
    assert scores.count == sum(round(0.2 * count) for count in (low.sum(), (~low).sum()))
    assert (scores.before["accuracy"], scores.after["accuracy"] > 0.5) == (0.0, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hold_out": 0}, "hold_out: expected a number above 0 and below 1, or None, got 0"),
        ({"hold_out": 1.0}, "hold_out: .*got 1.0"),
        ({"hold_out": "0.2"}, "hold_out: .*got '0.2'"),
        ({"hold_out": None}, "expected hold_out, a reference set, or both.*got neither"),
        ({"margin": -0.1}, "margin: expected a number of at least 0, got -0.1"),
        ({"margin": float("nan")}, "margin: .*got nan"),
        ({"margin": 10**400}, "margin: expected a number of at least 0, got 1000"),  # no float
        ({"metric": "f1"}, "metric: expected 'accuracy', 'loss' or None, got 'f1'"),
        ({"seed": 1.5}, "seed: expected a whole number of 64 bits, got 1.5"),
        ({"seed": 2**63}, "seed: "),
        ({"diverged_above": 1}, "diverged_above: expected a number above 1, or None, got 1"),
    ],
)
def test_a_guard_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MLUpdateError, match=f"guard: {message}"):
        MLUpdateGuard(**fields)


@pytest.mark.parametrize(
    ("make", "guard", "message"),
    [
        (regression_model, MLUpdateGuard(metric="accuracy"), "guard: metric: expected loss for regression, got accuracy"),
        (lambda: MLModel.from_spec(neighbors().spec, "n"), MLUpdateGuard(metric="loss"), "metric: expected accuracy for n, got loss"),
        (regression_model, {"hold_out": 0.2}, "guard: expected an MLUpdateGuard, got dict"),
    ],
)
def test_a_guard_that_does_not_fit_the_model_is_refused_when_the_task_is_made(make: Any, guard: Any, message: str) -> None:
    with pytest.raises(MLUpdateError, match=message):
        MLUpdateTask(make(), regression_provider(), guard=guard)


def test_a_verdict_is_data_that_nobody_changes() -> None:
    verdict = decide({"hold_out": MLGuardScores(2, {"loss": 1.0}, {"loss": 0.5})}, "loss", 0.05, seed=3, trained=8)
    assert verdict.reason == "loss on hold_out (2 examples) went from 1 to 0.5: not worse by more than 5 %"
    assert verdict == MLUpdateVerdict(
        True, verdict.reason, {"hold_out": MLGuardScores(2, {"loss": 1.0}, {"loss": 0.5})}, "loss", 0.05, 3, 8
    )
    with pytest.raises(AttributeError):
        verdict.accepted = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        verdict.sets["hold_out"].after["loss"] = 0.0  # type: ignore[index]
