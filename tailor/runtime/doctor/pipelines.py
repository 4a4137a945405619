"""Core ML's rules for pipelines that are updated: the last model learns, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..parameters import nested_models
from .report import MLFinding

RULE = "pipeline"


def check_pipeline(spec: Any) -> Iterator[MLFinding]:
    """Findings about a pipeline as such; the last model has findings of its own. Names are checked where a model is loaded."""
    *front, (name, last) = nested_models(spec)
    for other, model in front:
        if model.isUpdatable:
            yield MLFinding(RULE, f"model {other!r}", "only the last model to be updatable", "isUpdatable true")
    if not last.isUpdatable:
        yield MLFinding(RULE, f"model {name!r}", "the last model to be updatable", "isUpdatable false")
    elif not spec.isUpdatable:
        yield MLFinding(RULE, f"model {name!r}", "no updatable model in a pipeline that is not", "isUpdatable true")
    given = {feature.name for feature in spec.description.trainingInput}
    wanted = [feature.name for feature in last.description.trainingInput]
    made = {feature.name for _, model in front for feature in model.description.output}
    missing = [name for name in wanted if name not in given and name not in made]
    if missing:
        got = ", ".join(sorted(given)) or "none"
        yield MLFinding(RULE, "description.trainingInput", f"what the last model trains with: {', '.join(missing)}", got)
