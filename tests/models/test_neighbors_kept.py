"""Examples that a nearest neighbour classifier keeps: grown without a rebuild, and told apart wherever they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLCheckpointError,
    MLExample,
    MLExampleOrigin,
    MLFeatureError,
    MLFormatError,
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressEvent,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor.kernels import neighbors
from tailor.persistence import AppendRows, DeltaSnapshot
from tailor.runtime.format import ORIGINS_KEY, load_model, model_bytes
from tailor.runtime.models import ORIGINS as ORIGIN_COLUMN
from tailor.runtime.models.neighbors import NeighborsLearner
from tests.models.hand_made import classifier
from tests.models.taught import NOON, ids, input_of, model, pipeline, taught

pytestmark = pytest.mark.anyio


# --- growing ---------------------------------------------------------------------------------------------------------


async def test_a_model_that_grew_answers_as_one_made_at_once_and_prepares_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    vectors, labels = draw.standard_normal((260, 5)).astype(np.float32), draw.choice(list("xyz"), 260).tolist()
    queries = [{"input": query} for query in draw.standard_normal((20, 5))]
    grown = model(vectors[:200].tolist(), labels[:200], dimensions=5)
    grown.predict(queries[0])
    prepared: list[int] = []
    part = neighbors._part

    def counted(samples: Any, *rest: Any) -> neighbors.Part:
        prepared.append(len(samples))
        return part(samples, *rest)

    monkeypatch.setattr(neighbors, "_part", counted)
    for start in (200, 220, 240):
        grown = await taught(grown, vectors[start : start + 20].tolist(), labels[start : start + 20])
        grown.predict(queries[0])
    assert prepared == [20, 40, 20], "never the 200 that are there"
    at_once = model(vectors.tolist(), labels, dimensions=5)
    assert grown.predict(queries) == at_once.predict(queries)
    assert grown.description.class_labels == at_once.description.class_labels
    assert MLModel(grown.to_bytes()).predict(queries) == at_once.predict(queries)


async def test_contexts_in_mid_training_and_the_base_answer_as_they_did_whoever_is_asked_first() -> None:
    base = model([[0, 0]], ["a"], k=1)
    contexts: list[MLUpdateContext] = []
    handlers = MLUpdateProgressHandlers(MLUpdateProgressEvent.MINI_BATCH_END, contexts.append)
    rows = [{"input": [number, 0], "label": f"l{number}"} for number in range(1, 131)]
    final = (await MLUpdateTask(base, MLArrayBatchProvider(rows), progress_handlers=handlers)).model
    assert [len(context.model.examples) for context in contexts] == [65, 129, 131]
    for known, answered in [(131, final), (65, contexts[0].model), (1, base), (129, contexts[1].model), (131, final)]:
        nearest = min(130, known - 1)
        assert answered.predict({"input": [130, 0]})["label"] == (f"l{nearest}" if nearest else "a")
        assert len(answered.spec.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples) == known


async def test_several_threads_may_ask_and_grow_one_model_at_the_same_time() -> None:
    draw = np.random.default_rng(4)
    base = model(draw.standard_normal((500, 2)).tolist(), ["x"] * 500, k=1)
    updated = [await taught(base, [[50 + number, 0]], [f"l{number}"]) for number in range(4)]
    answers: dict[int, Any] = {}
    together = Barrier(4)

    def ask(number: int) -> None:
        together.wait()
        answers[number] = (updated[number].predict({"input": [50 + number, 0]})["label"], len(updated[number].examples))

    threads = [Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: (f"l{number}", 501) for number in range(4)}
    assert len(base.examples) == 500


@pytest.mark.parametrize("base", [model, pipeline])
async def test_the_message_is_put_together_only_when_it_is_asked_for(base: Callable[[], MLModel]) -> None:
    grown = base()
    for number in range(3):
        grown = await taught(grown, [[number, 9]], ["c"], ids=[f"id {number}"])
        assert grown.predict({input_of(grown): [number, 9]})["label"] == "c"
        assert grown.explain({input_of(grown): [number, 9]})[0].id == f"id {number}"
        assert grown._message.has_examples
    assert [example.id for example in grown.examples] == [None, None, "id 0", "id 1", "id 2"]
    assert not grown._message.has_examples
    more = await taught(grown, [[7, 9]], ["d"], ids=["id 3"])
    assert ids(more)[-2:] == ["id 2", "id 3"]
    assert more.description.class_labels == MLModel(more.to_bytes()).description.class_labels == ("a", "b", "c", "d")


async def test_another_number_of_neighbours_keeps_what_was_added() -> None:
    grown = await taught(model(k=1), [[3, 0], [3.5, 0]], ["c", "c"])
    configuration = MLModelConfiguration(parameters={MLParameterKey.NUMBER_OF_NEIGHBORS: 2})
    more = await MLUpdateTask(grown, MLArrayBatchProvider([{"input": [9, 0], "label": "d"}]), configuration)
    assert more.model.description.class_labels == ("a", "b", "c", "d")
    assert len(more.model.explain({"input": [3, 0]})) == 2
    assert len(grown.explain({"input": [3, 0]})) == 1


async def test_a_pipeline_grows_too_and_shares_its_front() -> None:
    grown = await taught(pipeline(), [[5, 0]], ["c"], ids=["five"])
    assert grown.predict({"point": [5, 0]})["label"] == "c"
    assert grown.description.class_labels == ("a", "b", "c")
    assert MLModel(grown.to_bytes()).predict([{"point": [5, 0]}, {"point": [0, 0]}]) == grown.predict(
        [{"point": [5, 0]}, {"point": [0, 0]}]
    )
    assert ids(grown) == ids(MLModel(grown.to_bytes())) == [None, None, "five"]


# --- where examples came from ----------------------------------------------------------------------------------------


async def test_ids_sources_and_times_are_kept_and_survive_a_file(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=2))
    grown = await taught(
        model(), [[5, 0], [6, 0]], ["c", "c"], ids=["one", "zwei \u2713"], sources="phone", times=[NOON.astimezone(zone), None]
    )
    expected = [
        MLExample(0, None, "a"),
        MLExample(1, None, "b"),
        MLExample(2, "one", "c", "phone", NOON),
        MLExample(3, "zwei \u2713", "c", "phone", None),
    ]
    assert grown.examples == expected
    grown.write(tmp_path / "grown.mlmodel")
    read = MLModel(tmp_path / "grown.mlmodel")
    assert read.examples == expected
    more = await taught(read, [[7, 0]], ["d"], ids=["three"], sources=["import"])
    assert more.examples == [*expected, MLExample(4, "three", "d", "import")]
    assert read.examples == expected


async def test_an_example_without_an_id_gets_one_of_its_content() -> None:
    first, second = await taught(model(), [[5, 0], [6, 0], [5, 0]], ["c", "c", "c"]), await taught(model((), ()), [[5, 0]], ["c"])
    given = ids(first)[2:]
    assert given[0] == given[2] == ids(second)[0] != given[1]
    assert given[0] is not None
    assert ids(await taught(model(), [[5, 0]], ["d"]))[2] not in given
    assert ids(await taught(model(), [[5, 0]], ["c"], sources="phone"))[2] == given[0]


async def test_a_provider_of_ones_own_says_where_examples_came_from() -> None:
    class Own:
        count = 2

        def __init__(self, origin_at: Callable[[int], Any]) -> None:
            self.origin_at = origin_at

        def features_at(self, index: int) -> Mapping[str, object]:
            return {"input": [index, 9], "label": "own"}

    kept = await MLUpdateTask(model(), Own(lambda index: MLExampleOrigin(id=f"own {index}") if index else None))
    assert ids(kept.model)[3] == "own 1"
    with pytest.raises(MLUpdateError, match="example 0: expected its origin as an MLExampleOrigin or None, got str"):
        await MLUpdateTask(model(), Own(lambda index: "text"))
    with pytest.raises(MLUpdateError, match="example 0: expected the training data to say where it came from, got ZeroDivisionError"):
        await MLUpdateTask(model(), Own(lambda index: 1 / 0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": ["a"]}, "MLArrayBatchProvider: ids: expected one for each of 2 examples, got 1"),
        ({"ids": "ab"}, "MLArrayBatchProvider: ids: expected one for each of 2 examples, got a str 'ab'"),
        ({"ids": ["a", ""]}, "MLArrayBatchProvider: example 1: origin of an example: id: expected text of 1 to 1000 characters, got ''"),
        ({"ids": ["a", 7]}, "MLArrayBatchProvider: example 1: origin of an example: id: expected text .*got"),
        ({"sources": ["x" * 1001, None]}, "source: expected text of 1 to 1000 characters, got 1001 characters"),
        ({"sources": "\ud800"}, "source: expected text of 1 to 1000 characters"),
        ({"times": [None, datetime(2026, 1, 1)]}, "example 1: origin of an example: time: expected a datetime with a time zone"),
    ],
)
def test_origins_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(MLFeatureError, match=message):
        MLArrayBatchProvider([{"x": 1}, {"x": 2}], **given)


def test_a_part_of_a_provider_has_its_origins() -> None:
    rows = MLArrayBatchProvider([{"x": number} for number in range(4)], ids=list("abcd"))
    columns = MLArrayBatchProvider({"x": [0, 1, 2, 3]}, sources=list("abcd"))
    assert [rows[1:3].origin_at(place).id for place in (0, 1)] == ["b", "c"]
    assert columns[3:].origin_at(0) == MLExampleOrigin(source="d")
    assert MLArrayBatchProvider([{"x": 1}]).origin_at(0) == MLExampleOrigin()
    with pytest.raises(IndexError, match=r"0\.\.3, got 4"):
        rows.origin_at(4)


async def test_a_sample_that_another_program_added_has_no_id_and_disturbs_nobodys() -> None:
    grown = await taught(model(), [[5, 0]], ["c"], ids=["one"])
    spec = load_model(grown.to_bytes())
    index = spec.kNearestNeighborsClassifier.nearestNeighborsIndex
    index.floatSamples.append(index.floatSamples[0])
    spec.kNearestNeighborsClassifier.stringClassLabels.vector.append("foreign")
    assert ids(MLModel.from_spec(spec)) == [None, None, "one", None]
    assert ids(await taught(MLModel.from_spec(spec), [[6, 0]], ["c"], ids=["two"])) == [None, None, "one", None, "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "JSONDecodeError"),
        ("[" * 10**5, "RecursionError|JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"format":2}', "format 2, which this tailor does not know"),
        ('{"format":1,"from":-1,"ids":[]}', "from -1"),
        ('{"format":1,"from":0,"ids":[1]}', r"\[1, '', ''\]"),
        ('{"format":1,"from":0,"ids":["x"],"source":[3],"sources":["y"]}', "IndexError"),
        ('{"format":1,"from":0,"ids":["x","y"],"times":[null]}', "zip"),
        ('{"format":1,"from":1,"ids":["x","y"]}', r"no more entries than samples \(2\), got them for 3: samples were removed"),
    ],
)
async def test_spoiled_origins_are_refused_where_they_matter_and_predictions_go_on(text: str, message: str) -> None:
    spec = classifier([[0, 0], [1, 0]], ["a", "b"])
    spec.description.metadata.userDefined[ORIGINS_KEY] = text
    spoiled = MLModel.from_spec(spec, "knn")
    assert spoiled.predict({"input": [0, 0]})["label"] == "a"
    with pytest.raises(MLFormatError, match=f"knn: metadata 'com.tailor.examples': .*({message})"):
        _ = spoiled.examples
    with pytest.raises(MLFormatError, match=ORIGINS_KEY):
        await taught(spoiled, [[5, 0]], ["c"])


async def test_coremltools_loads_a_model_with_origins(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools", reason="reads what tailor wrote")
    grown = await taught(model(), [[5, 0]], ["c"], ids=["one"], sources="phone")
    grown.write(tmp_path / "grown.mlmodel")
    spec = coremltools.utils.load_spec(str(tmp_path / "grown.mlmodel"))
    assert dict(spec.description.metadata.userDefined) == {
        "com.tailor.examples": '{"format":1,"from":2,"ids":["one"],"sources":["phone"],"source":[0]}'
    }
    assert [list(row.vector) for row in spec.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples] == [[0, 0], [1, 0], [5, 0]]


# --- kept elsewhere --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", [False, True], ids=["alone", "in a pipeline"])
async def test_a_snapshot_has_the_origins_of_what_was_added_and_is_restored_to_the_bit(front: bool, tmp_path: Path) -> None:
    base = await taught(pipeline() if front else model(), [[4, 0]], ["c"], ids=["first"])
    grown = await taught(base, [[5, 0], [6, 0]], ["c", "d"], ids=["five", "six"], sources=["phone", None], times=[NOON, None])
    delta = take_snapshot(grown, base)
    assert isinstance(delta, DeltaSnapshot)
    (name,) = [name for name in delta.values if name.endswith("origins")]
    change = delta.values[name]
    assert isinstance(change, AppendRows)
    assert (change.count, change.value) == (3, ('["five","phone","2026-01-02T12:00:00+00:00"]', '["six"]'))
    write_snapshot(tmp_path / "kept.tailor", delta)
    restored = restore_snapshot(tmp_path / "kept.tailor", base)
    assert restored.to_bytes() == grown.to_bytes() != base.to_bytes()
    assert restored.examples == grown.examples

    left = grown.without_examples(ids="first")
    assert restore_snapshot(take_snapshot(left, grown), grown).to_bytes() == left.to_bytes()
    bare = base.without_examples(ids="first")  # without anything to say, where the base has
    assert restore_snapshot(take_snapshot(bare, base), base).to_bytes() == bare.to_bytes()


def test_the_state_of_a_learner_has_the_origins_of_what_was_kept() -> None:
    base = classifier([[0, 0]], ["a"])
    learner, other = NeighborsLearner(base, "knn"), NeighborsLearner(base, "knn")
    for number in range(3):
        columns = {"input": np.full((1, 2), number, np.float32), "label": ["b"], ORIGIN_COLUMN: [MLExampleOrigin(f"id {number}")]}
        learner.step(columns, 1, None)
    state = learner.state()
    assert list(state["origins"]) == ['["id 0"]', '["id 1"]', '["id 2"]']
    other.restore(state)
    written = [load_model(model_bytes(base)) for _ in range(2)]
    learner.writer()(written[0])
    other.writer()(written[1])
    assert written[0] == written[1] != base
    without = {name: state[name] for name in ("vectors", "labels")}
    for wrong in ({**state, "origins": ["x"] * 3}, {**state, "origins": ['["id 0"]']}, without):
        with pytest.raises(MLCheckpointError, match="knn: "):
            other.restore(wrong)
    assert other.state()["origins"] == state["origins"]
