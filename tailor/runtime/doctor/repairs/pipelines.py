"""Pipelines made updatable: the last model learns, no other, and the pipeline trains with what it needs for that."""

from __future__ import annotations

from typing import Any

from ...parameters import nested_models


def complete_pipeline(spec: Any) -> list[str]:
    """Sets the marks of a pipeline whose last model is updatable, and its training inputs; the names of what was changed."""
    *front, (_, last) = nested_models(spec)
    changed = []
    for name, model in front:
        if model.isUpdatable:
            model.isUpdatable = False
            changed.append(f"model {name!r}")
    description = spec.description
    given = {feature.name for feature in description.input}
    made = {feature.name for _, model in front for feature in model.description.output}
    wanted = [feature for feature in last.description.trainingInput if feature.name not in given | made]
    # The label comes from the training data also where a model in front makes a value of that name.
    labels = [feature for feature in last.description.trainingInput if feature.name in made - {row.name for row in last.description.input}]
    trained = {feature.name for feature in description.trainingInput}
    if not trained or any(feature.name not in trained for feature in (*wanted, *labels)):
        del description.trainingInput[:]
        description.trainingInput.extend([*description.input, *wanted, *labels])
        changed.append("trainingInput")
    spec.specificationVersion = max(spec.specificationVersion, last.specificationVersion)
    if not spec.isUpdatable:
        spec.isUpdatable = True
        changed.append("isUpdatable")
    return changed
