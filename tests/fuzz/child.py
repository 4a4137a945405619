"""The process that is made to suffer: takes models, one a line, and says how each ended. Its memory is limited.

A line in: ``{"model": <base64>, "inputs": {<name>: [<shape>, <numbers>]}}``. A line out: ``{"end": <what>, "said": <words>}``,
where ``end`` is ``ok``, the name of an error of the family, ``silent`` where that
does not say what was expected and what came, or ``foreign``.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
import traceback
import warnings
from typing import Any

import anyio
import numpy as np
from PIL import Image

from tailor import (
    MLArrayBatchProvider,
    MLModel,
    MLModelError,
    MLPredictionCancelledError,
    MLTaskCancelledError,
    MLUnsupportedError,
    MLUpdateTask,
)
from tailor.kernels import Array, bounds
from tailor.runtime.models import last_classifier
from tailor.runtime.network import stopping

MEMORY = 1 << 30
"""Bytes of address space beyond what the program itself has."""

MOST_ELEMENTS = 1 << 20
"""Of one array: lower than usual, so that what is not bounded shows itself by the memory limit."""

PATIENCE = 3.0
"""Seconds after which a prediction or an update is asked to stop."""


def values(description: Any, given: dict[str, Array]) -> dict[str, Any]:
    """A value for each feature: what is given, where it is allowed, else something that should be."""
    made: dict[str, Any] = {}
    for name, feature in description.items():
        kind, constraint = feature.type.name, feature.constraint
        if kind == "MULTI_ARRAY":
            array = given.get(name)
            if array is None or not constraint.allows(array.shape):
                shape = constraint.shape or next(iter(constraint.enumerated_shapes), ()) or tuple(r.lower for r in constraint.size_ranges)
                fits = all(0 <= size < 1 << 16 for size in shape) and np.prod(shape, dtype=float) <= 1 << 16
                array = np.ones(shape if fits else (1,))
            made[name] = array.astype(np.float32)
        elif kind == "IMAGE":
            mode = "L" if constraint.color_space.name.startswith("GRAY") else "RGB"
            made[name] = Image.new(mode, (max(1, min(constraint.pixels_wide, 300)), max(1, min(constraint.pixels_high, 300))), 7)
        elif kind == "STRING":
            made[name] = "a"
        elif kind == "DICTIONARY":
            made[name] = {(1 if constraint.key_type.name == "INT64" else "a"): 1.0}
        elif kind == "SEQUENCE":
            made[name] = [1 if constraint.value_type.name == "INT64" else "a"]
        else:
            made[name] = 1
    return made


async def update(model: MLModel, rows: list[dict[str, Any]]) -> None:
    """One update, for as long as patience lasts."""
    with anyio.move_on_after(PATIENCE):
        context = await MLUpdateTask(model, MLArrayBatchProvider(rows))
        assert context.model.to_bytes()


def see_a_doctor(model: MLModel) -> None:
    """Says what keeps it from being updated, and repairs it, if that can be; a refusal says what was expected and what came."""
    assert str(model.trainability())
    try:
        model.repaired()
    except MLModelError as error:
        assert "expected" in str(error) and "got" in str(error), error


def ask_neighbors(model: MLModel, row: dict[str, Any]) -> None:
    """Tells the examples that vote and those that there are, and forgets one."""
    assert isinstance(model.explain(row), list)
    for example in model.examples[:1]:
        assert len(model.without_examples(labels=example.label).examples) < len(model.examples)


def use(data: bytes, given: dict[str, Array]) -> None:
    """Loads, describes, predicts, sees a doctor, and where it can be updated, does that."""
    model = MLModel(data)
    description = model.description
    see_a_doctor(model)
    assert repr(model) and model.size >= 0 and model.content_hash
    refused = None
    try:
        assert isinstance(model.layers, list) and isinstance(model.models, list)
        rows = [values(description.input_descriptions_by_name, given)] * 2
        end = time.monotonic() + PATIENCE
        with stopping(lambda: time.monotonic() > end):
            model.predict(rows[0])
            model.predict(rows)
        if last_classifier(model.spec) is not None:
            ask_neighbors(model, rows[0])
    except MLModelError as error:
        refused = error
    if description.is_updatable:
        anyio.run(update, model, [values(description.training_input_descriptions_by_name, given)] * 2)
    if refused is not None:
        raise refused


def ending(line: dict[str, Any]) -> dict[str, str]:
    """How the case ended."""
    given = {name: np.array(numbers, np.float64).reshape(shape) for name, (shape, numbers) in line["inputs"].items()}
    try:
        use(base64.b64decode(line["model"]), given)
    except MLModelError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return {"end": "foreign", "said": "memory beyond the limit\n" + "".join(traceback.format_exception(error))}
            cause = cause.__cause__ or cause.__context__
        silent = [word for word in ("expected", "got") if word not in str(error)]
        if silent and not isinstance(error, (MLUnsupportedError, MLPredictionCancelledError, MLTaskCancelledError)):
            return {"end": "silent", "said": f"says neither {' nor '.join(silent)}\n" + "".join(traceback.format_exception(error))}
        return {"end": type(error).__name__, "said": str(error)}
    except BaseException as error:
        return {"end": "foreign", "said": "".join(traceback.format_exception(error))}
    return {"end": "ok", "said": ""}


def main() -> None:
    """Reads cases until there are no more."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    bounds.MOST_ELEMENTS = MOST_ELEMENTS
    warnings.simplefilter("error")
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(ending(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
