"""What the fuzzer has found, so that it is not found twice; and that it would notice, if there were something."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz.__main__ import BAD, Child, signature
from tests.fuzz.changes import spoilt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, where the memory of a process can be limited")

LAYER = "neuralNetwork.layers[0]."

# what came of it; the model; its changes; the error that should come of it, if one should
FINDINGS: list[tuple[str, str, list[list[Any]], str]] = [
    (
        "IndexError: the doctor looked for the axes of a permutation that has none",
        "permute-not at all",
        [["set", "neuralNetwork.arrayInputShapeMapping", 0]],
        "",
    ),
    (
        "KeyError: the doctor looked for an input among those of a function",
        "argSort-ties, descending",
        [["add", "description.functions"]],
        "input 'x0': expected an array, got nothing",
    ),
    (
        "memory: counts of a window's pixels over 10^9 of padding",
        "pooling-average, literal",
        [["set", f"{LAYER}pooling.valid.paddingAmounts.borderAmounts[0].startEdgeSize", 10**9]],
        "expected at most",
    ),
    (
        "OverflowError: padding of 2^63 around one window over everything",
        "pooling-max, whole",
        [["set", f"{LAYER}pooling.valid.paddingAmounts.borderAmounts[0].endEdgeSize", (1 << 63) - 1]],
        "expected at most",
    ),
    (
        "memory: a volume padded for a kernel of 2^24",
        "pooling3d-max, same",
        [["set", f"{LAYER}pooling3d.kernelDepth", (1 << 24) + 1]],
        "expected at most",
    ),
    (
        "memory: an image resized to what the model declares",
        "digits",
        [["set", "description.input[0].type.imageType.width", 10**9]],
        "'image' width and height: expected at most",
    ),
    (
        "NumPy's words: half a float among the factors",
        "upsample-nothing",
        [["add", f"{LAYER}upsample.fractionalScalingFactor", "00"]],
        "fractionalScalingFactor: expected a whole number of float32 values, got 1 byte",
    ),
    (
        "not said what came: an input that layers overwrite is an output",
        "summing",
        [["set", "description.input[0].name", "y"]],
        "output 'y': expected another name than that of an input, got one that layers overwrite",
    ),
    (
        "TypeError: weights taken for the input that is not there",
        "scale-[1, H, W], no bias",
        [["drop", f"{LAYER}input", 0]],
        "expected 1 or more inputs, got 0",
    ),
    (
        "not said what came: more outputs than the layer has",
        "topK-axis 0",
        [["drop", f"{LAYER}output", 1], ["drop", "description.output", 1]],
        "expected 2 outputs, got 1",
    ),
    (
        "OverflowError: a range whose ends are infinitely far apart, the wrong way round",
        "rangeStatic-up",
        [["set", f"{LAYER}rangeStatic.startValue", 3e38], ["set", f"{LAYER}rangeStatic.endValue", -3e38]],
        "",
    ),
    (
        "KeyError: an updatable layer without a name, once it had learned",
        "digits-taught",
        [["set", f"{LAYER}name", ""]],
        "expected an updatable layer to have a name, by which its parameters are kept, got none",
    ),
    (
        "TypeError: probabilities that are declared as a whole number",
        "neighbours",
        [["become", "description.output[1].type.dictionaryType", "int64Type"]],
        "output 'labelProbs': expected an int64, as the model declares, got a dict of 3 from it",
    ),
    (
        "RuntimeWarning: the mean of no elements",
        "reduce-AVG W",
        [["add", "description.input[0].type.multiArrayType.shape", 0]],
        "expected elements to take the mean of, got shape [2, 3, 2, 2, 0]",
    ),
]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """A process that runs cases."""
    made = Child()
    yield made
    made.close()


@pytest.mark.parametrize(("model", "changes", "said"), [row[1:] for row in FINDINGS], ids=[row[0] for row in FINDINGS])
def test_what_was_found_stays_put_right(child: Child, model: str, changes: list[list[Any]], said: str) -> None:
    answer = child.run({"model": model, "changes": changes})
    assert answer["end"] not in BAD, answer["said"]
    assert (answer["end"] == "ok") is (said == "")
    assert said in answer["said"]


def test_a_scale_that_overflows_is_no_warning(child: Child) -> None:
    change = ["set", "neuralNetwork.preprocessing[0].scaler.channelScale", 3e38]
    assert child.run({"model": "digits", "changes": [change]})["end"] == "ok"


@pytest.mark.parametrize("model", ["summing", "digits-taught", "neighbours", "pipeline", "quantised-table-3", "flexible-ranges"])
def test_a_model_that_is_not_spoilt_runs(child: Child, model: str) -> None:
    assert child.run({"model": model, "changes": []})["end"] == "ok"


def test_a_case_survives_being_printed() -> None:
    case = {"model": "digits", "changes": [["set", f"{LAYER}convolution.nGroups", 3], ["flip", 30, 2], ["cut", 50, 4], ["repeat", 9, 9, 9]]}
    assert spoilt(case) == spoilt(json.loads(json.dumps(case)))
    assert spoilt(case)[0] != spoilt({"model": "digits", "changes": []})[0]
    assert spoilt({"model": "clip", "changes": [["input", "x0", 1, 7.0]]})[1]["x0"].reshape(-1)[1] == 7.0


PRELUDE = "import sys, tests.fuzz.child as child\n"


@pytest.mark.parametrize(
    ("doing", "end", "said"),
    [
        ("import os; os.abort()", "died", "Abort"),
        ("while True: pass", "hung", ""),
        ("raise KeyError('x')", "foreign", "KeyError"),
        ("import numpy; numpy.ones(1 << 40)", "foreign", "MemoryError"),
        ("raise child.MLModelError('no')", "silent", "neither expected nor got"),
        ("raise child.MLModelError('expected a, got b')", "MLModelError", "expected a, got b"),
    ],
)
def test_a_child_that_ends_badly_is_noticed_and_replaced(monkeypatch: pytest.MonkeyPatch, doing: str, end: str, said: str) -> None:
    program = f"{PRELUDE}def use(data, given):\n    {doing}\nchild.use = use\nchild.main()\n"
    monkeypatch.setattr("tests.fuzz.__main__.COMMAND", ["-c", program])
    monkeypatch.setattr("tests.fuzz.__main__.LIMIT", 1.0 if end == "hung" else 60.0)
    watched = Child()
    case = {"model": "clip", "changes": []}
    for _ in range(2):
        answer = watched.run(case)
        assert (answer["end"], said in answer["said"]) == (end, True), answer
    assert signature(answer).startswith(end)
    watched.close()
