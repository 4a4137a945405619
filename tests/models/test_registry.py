"""Every model type of the format has an answer: it predicts, or it says precisely why not."""

from __future__ import annotations

import pytest

from tailor.runtime.errors import MLFormatError, MLUnsupportedError, MLUpdateError
from tailor.runtime.format import Model
from tailor.runtime.models import build_learner, build_predictor
from tailor.runtime.models.registry import COMPOSED, LEARNERS, PREDICTORS

TYPES = [field.name for field in Model.DESCRIPTOR.oneofs_by_name["Type"].fields]
REASONS = {
    "mlProgram": "X.mlmodel is an ML Program: ML Programs are not supported yet",
}


def of_type(kind: str, updatable: bool = False) -> Model:
    model = Model(specificationVersion=4, isUpdatable=updatable)
    getattr(model, kind).SetInParent()
    return model


def test_the_tables_name_types_of_the_format() -> None:
    assert len(TYPES) == 37
    assert set(LEARNERS) <= {*PREDICTORS, *COMPOSED} <= set(TYPES)
    assert set(REASONS) <= set(TYPES)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in {*PREDICTORS, *COMPOSED}])
def test_a_type_that_cannot_be_run_loads_and_says_so_when_it_is_run(kind: str) -> None:
    predictor = build_predictor(of_type(kind), {}, "X.mlmodel")
    with pytest.raises(MLUnsupportedError, match=rf"^{REASONS.get(kind, f'X.mlmodel is an? {kind}: ')}"):
        predictor.predict({}, 1)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in LEARNERS])
def test_a_type_that_cannot_learn_is_refused(kind: str) -> None:
    with pytest.raises(MLUpdateError, match=rf"X\.mlmodel: expected a type that can be updated .*, got {kind}"):
        build_learner(of_type(kind, updatable=True), "X.mlmodel")


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_model_that_is_not_updatable_is_refused(kind: str) -> None:
    with pytest.raises(MLUpdateError, match=r"X\.mlmodel: expected an updatable model, got one that is not marked as updatable"):
        build_learner(of_type(kind), "X.mlmodel")


def test_a_message_without_a_type_is_refused() -> None:
    for build in (lambda: build_predictor(Model(), {}, "empty"), lambda: build_learner(Model(), "empty")):
        with pytest.raises(MLFormatError, match="empty: expected a model of a known type, got none"):
            build()
