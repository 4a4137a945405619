"""Class labels and the outputs made of them: literals, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model, array_feature, dictionary_feature, int64_feature, string_feature
from tailor.runtime.models.labels import Classes

SHARES = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])


def model(labels: list[Any], label: Any = None, probabilities: Any = None) -> Model:
    made = Model()
    kind = "int64ClassLabels" if labels and isinstance(labels[0], int) else "stringClassLabels"
    getattr(made.glmClassifier, kind).vector[:] = labels
    for feature, role in ((label, "predictedFeatureName"), (probabilities, "predictedProbabilitiesName")):
        if feature is not None:
            made.description.output.append(feature)
            setattr(made.description, role, feature.name)
    return made


def classes(made: Model, **options: bool) -> Classes:
    return Classes.of(made, made.glmClassifier, "m", **options)


def test_strings_are_a_list_and_integers_an_array() -> None:
    words = classes(model(list("abc"), string_feature("l"), dictionary_feature("p"))).answer(SHARES)
    assert words == {"l": ["b", "a"], "p": [{"a": 0.2, "b": 0.5, "c": 0.3}, {"a": 0.4, "b": 0.4, "c": 0.2}]}
    whole = classes(model([7, -1, 2**40], int64_feature("l"), dictionary_feature("p", int))).answer(SHARES, np.array([2, 0]))
    assert isinstance(whole["l"], np.ndarray)
    assert whole["l"].dtype == np.int64
    assert whole["l"].tolist() == [2**40, 7]
    assert whole["p"][1] == {7: 0.4, -1: 0.4, 2**40: 0.2}


def test_only_the_outputs_that_are_declared_are_made() -> None:
    assert classes(model(list("abc"), string_feature("l"))).answer(None, np.array([2, 1])) == {"l": ["c", "b"]}
    assert list(classes(model(list("abc"), None, dictionary_feature("p"))).answer(SHARES)) == ["p"]


def test_repeated_labels_may_be_allowed() -> None:
    repeated = classes(model(list("aab"), string_feature("l")), repeats=True)
    assert repeated.answer(SHARES) == {"l": ["a", "a"]}


WRONG = {
    "no labels": (Model(), "m: expected class labels in a classifier, got none"),
    "an empty list": (model([]), "m: expected class labels in a classifier, got none"),
    "one twice": (model([3, 5, 3]), "m: int64ClassLabels: expected each label once, got 3 2 times"),
    "a label output of another type": (
        model(["a"], int64_feature("l")),
        "m: output 'l': expected stringType, as the class labels are, got int64Type",
    ),
    "keys of another type": (
        model([1], int64_feature("l"), dictionary_feature("p")),
        "m: output 'p': expected dictionaryType with int64KeyType, as the class labels are, got dictionaryType with stringKeyType",
    ),
    "probabilities in an array": (
        model([1], int64_feature("l"), array_feature("p", (1,))),
        "m: output 'p': expected dictionaryType with int64KeyType, as the class labels are, got multiArrayType",
    ),
}


@pytest.mark.parametrize(("made", "message"), WRONG.values(), ids=WRONG.keys())
def test_messages_that_are_refused(made: Model, message: str) -> None:
    with pytest.raises(MLFormatError, match=rf"^{message}$"):
        classes(made)
