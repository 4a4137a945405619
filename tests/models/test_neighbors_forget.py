"""The examples of a nearest neighbour classifier: asked why, and forgotten exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLFeatureError,
    MLModel,
    MLNeighbor,
    MLUnsupportedError,
    MLUpdateError,
)
from tailor.runtime.format import Model, model_bytes
from tests.models.hand_made import classifier
from tests.models.taught import NOON, ids, input_of, model, pipeline, taught
from tests.tasks.models import regression_model

pytestmark = pytest.mark.anyio


# --- why -------------------------------------------------------------------------------------------------------------


async def test_neighbours_are_told_nearest_first_with_their_share_of_the_votes() -> None:
    grown = await taught(model(k=2), [[3, 0], [4, 0]], ["c", "d"], ids=["three", "four"], sources=["phone", None], times=[NOON, None])
    assert grown.explain({"input": [2.5, 0]}) == [
        MLNeighbor(2, "three", "c", 0.25, pytest.approx(0.9), "phone", NOON),  # 1 / 0.25 to 1 / 2.25
        MLNeighbor(1, None, "b", 2.25, pytest.approx(0.1)),
    ]
    assert [[(one.id, one.weight) for one in row] for row in grown.explain([{"input": [4, 0]}, {"input": [0, 0]}])] == [
        [("four", 1.0), ("three", 0.0)],
        [(None, 1.0), (None, 0.0)],
    ]
    assert model((), ()).explain({"input": [0, 0]}) == []
    assert grown.explain([]) == []
    through = await taught(pipeline(), [[2, 0]], ["c"], ids=["two"])
    assert [(one.index, one.id, one.distance) for one in through.explain({"point": [1.75, 0]})] == [(2, "two", 0.25), (1, None, 2.25)]


@pytest.mark.parametrize("weighting", ["uniform", "inverse_distance"])
async def test_shares_of_neighbours_add_up_to_the_probabilities(weighting: str) -> None:
    draw = np.random.default_rng(8)
    samples, labels = np.round(draw.standard_normal((90, 3))), draw.choice(list("xyz"), 90).tolist()
    asked = await taught(
        model(samples[:50].tolist(), labels[:50], dimensions=3, k=7, weighting=weighting), samples[50:].tolist(), labels[50:]
    )
    queries = MLArrayBatchProvider([{"input": query} for query in np.round(draw.standard_normal((40, 3)), 1)])
    for answer, found in zip(asked.predict(queries), asked.explain(queries), strict=True):
        shares = dict.fromkeys("xyz", 0.0)
        for one in found:
            shares[str(one.label)] += one.weight
        assert shares == pytest.approx(answer["labelProbs"], abs=1e-12)
        assert [one.distance for one in found] == sorted(one.distance for one in found)


@pytest.mark.parametrize("ask", [lambda of: of.explain({"x": [0, 0]}), lambda of: of.examples, lambda of: of.without_examples(ids="a")])
def test_other_models_have_no_neighbours(ask: Callable[[MLModel], object]) -> None:
    with pytest.raises(
        MLUnsupportedError, match=r"regression: expected a nearest neighbour classifier, or a pipeline .*got a neuralNetwork"
    ):
        ask(regression_model())


def test_what_does_not_fit_is_refused_as_in_a_prediction() -> None:
    with pytest.raises(MLFeatureError, match="example 1: .*input"):
        model().explain([{"input": [0, 0]}, {"input": [0, 0, 0]}])
    with pytest.raises(MLFeatureError, match="got 'elsewhere'"):
        model().explain({"elsewhere": [0, 0]})
    with pytest.raises(MLFeatureError, match="knn: expected a mapping of inputs, a list of them, or a batch provider, got int"):
        model().explain(3)


# --- forgetting ------------------------------------------------------------------------------------------------------

FIVE = ([[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]], ["a", "b", "a", "c", "b"])
ORIGINS = {"ids": ["one", "two", "three", "four", "two"], "sources": ["phone", None, "import", "phone", "import"]}


@pytest.mark.parametrize(
    ("given", "staying"),
    [
        ({"ids": "one"}, [1, 2, 3, 4]),
        ({"ids": ["two", "four"]}, [0, 2]),
        ({"labels": "a"}, [1, 3, 4]),
        ({"labels": ["c", "b"]}, [0, 2]),
        ({"sources": "import"}, [0, 1, 3]),
        ({"ids": {"one"}, "labels": ["c"], "sources": ["import"]}, [1]),
        ({"labels": ["a", "b", "c"]}, []),
    ],
)
async def test_what_is_forgotten_was_never_taught(given: dict[str, Any], staying: list[int]) -> None:
    every = await taught(model((), ()), *FIVE, **ORIGINS)
    before = every.to_bytes()
    left = every.without_examples(**given)

    def pick(column: Any) -> list[Any]:
        return [column[place] for place in staying]

    never = (
        await taught(model((), ()), pick(FIVE[0]), pick(FIVE[1]), **{name: pick(column) for name, column in ORIGINS.items()})
        if staying
        else model((), ())
    )
    assert left.to_bytes() == never.to_bytes(), "to the bit: no trace is left"
    queries = [{"input": [number / 4, 0]} for number in range(20)]
    assert left.predict(queries) == never.predict(queries)
    assert every.to_bytes() == before


@pytest.mark.parametrize("front", [False, True], ids=["alone", "in a pipeline"])
async def test_who_was_not_taught_by_tailor_can_be_forgotten_by_label(front: bool) -> None:
    base = pipeline() if front else model()
    left = base.without_examples(labels="a")
    assert [(example.index, example.label) for example in left.examples] == [(0, "b")]
    assert left.predict({input_of(base): [0, 0]})["label"] == "b"
    assert ids(await taught(left, [[5, 0]], ["c"], ids=["five"])) == [None, "five"]


async def test_a_model_that_forgot_agrees_with_scikit_learn_on_the_rest() -> None:
    sklearn_neighbors = pytest.importorskip("sklearn.neighbors", reason="compared with scikit-learn")
    draw = np.random.default_rng(11)
    samples, labels = draw.standard_normal((1500, 3)).astype(np.float32), draw.choice(list("xyz"), 1500)
    queries = draw.standard_normal((40, 3)).astype(np.float32)
    grown = await taught(
        model(samples[:1200].tolist(), labels[:1200].tolist(), dimensions=3, k=4, kd_tree=True),
        samples[1200:].tolist(), labels[1200:].tolist(), ids=[str(number % 10) for number in range(300)],
    )  # fmt: skip
    keep = np.array([number < 1200 or number % 10 not in (3, 4) for number in range(1500)]) & (labels != "y")
    left = grown.without_examples(ids=["3", "4"], labels="y")
    peer = sklearn_neighbors.KNeighborsClassifier(4, weights=lambda distances: 1 / distances**2).fit(
        samples[keep].astype(np.float64), labels[keep]
    )
    answers = left.predict([{"input": query} for query in queries])
    assert [answer["label"] for answer in answers] == peer.predict(queries.astype(np.float64)).tolist()
    shares = [[answer["labelProbs"][label] for label in peer.classes_] for answer in answers]
    np.testing.assert_allclose(shares, peer.predict_proba(queries.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "knn: expected ids, labels or sources of examples to forget, got none"),
        ({"ids": "eleven"}, r"expected ids of examples to forget \('one', 'two', 'three', 'four'\), got 'eleven', which no example has"),
        ({"ids": ["one", "x", "y"]}, "got 'x', 'y', which no example has"),
        ({"ids": []}, r"expected ids of examples to forget .*, got none"),
        ({"ids": None, "labels": 3}, r"expected labels of examples to forget \('a', 'b', 'c'\), got 3"),
        ({"ids": 3.5}, "got 3.5, which no example has"),
        ({"ids": [None]}, "got None, which no example has"),
        ({"ids": ["one"], "sources": "elsewhere"}, r"expected sources of examples to forget \('phone', 'import'\), got 'elsewhere'"),
    ],
)
async def test_what_is_not_there_cannot_be_forgotten(given: dict[str, Any], message: str) -> None:
    every = await taught(model((), ()), *FIVE, **ORIGINS)
    with pytest.raises(MLUpdateError, match=message):
        every.without_examples(**given)
    with pytest.raises(MLUpdateError, match="expected ids of examples to forget .it has none., got 'one'"):
        model().without_examples(ids="one")


async def test_what_is_not_known_of_an_example_is_nothing_to_forget_it_by() -> None:
    grown = await taught(model(), [[5, 0]], ["c"], ids=["one"])
    for given in ({"ids": [None]}, {"sources": ""}, {"sources": [None, ""]}):
        with pytest.raises(MLUpdateError, match="which no example has"):
            grown.without_examples(**given)  # type: ignore[arg-type]


def test_the_last_example_stays_where_there_is_no_default_label() -> None:
    spec: Model = classifier([[0, 0], [1, 0]], ["a", "a"])
    assert MLModel(model_bytes(spec)).without_examples(labels="a").predict({"input": [0, 0]}) == {"label": "unknown", "labelProbs": {}}
    spec.kNearestNeighborsClassifier.ClearField("defaultStringLabel")
    with pytest.raises(MLUpdateError, match="expected an example to stay, for the model has no default label .*got 2 to forget of 2"):
        MLModel.from_spec(spec).without_examples(labels="a")
