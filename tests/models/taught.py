"""Nearest neighbour classifiers to teach, and what they are taught."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tailor import MLArrayBatchProvider, MLModel, MLUpdateTask
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, make_pipeline
from tests.models.hand_made import classifier

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def model(samples: Sequence[Sequence[float]] = ((0, 0), (1, 0)), labels: Sequence[str] = ("a", "b"), **options: Any) -> MLModel:
    return MLModel.from_spec(classifier(samples, labels, **options), "knn")


def input_of(of: MLModel) -> str:
    (name,) = of.description.input_descriptions_by_name
    return name


async def taught(base: MLModel, vectors: Sequence[Sequence[float]], labels: Sequence[str], **origin: Any) -> MLModel:
    rows = [{input_of(base): vector, "label": label} for vector, label in zip(vectors, labels, strict=True)]
    return (await MLUpdateTask(base, MLArrayBatchProvider(rows, **origin))).model


def ids(of: MLModel) -> list[str | None]:
    return [example.id for example in of.examples]


def pipeline() -> MLModel:
    """Doubles a point, then asks its neighbours."""
    network = NeuralNetworkBuilder([array_feature("point", (2,))], [array_feature("input", (2,))])
    network.add_inner_product("double", np.eye(2) * 2, None, 2, 2, False, "point", "input")
    return MLModel.from_spec(make_pipeline("classifier", [network.spec, classifier([[0, 0], [2, 0]], ["a", "b"], k=2)]), "pipe")
