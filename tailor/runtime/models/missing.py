"""Which model types go without a number, or without an input, and so what callers may leave out.

What a type says nothing of is refused where it comes from: a NaN would go through the sums of a linear model without a
word, and every answer would be one.
"""

from __future__ import annotations

from typing import Any

from ..format import pipeline_of

TAKES_NAN = frozenset(
    {
        # A NaN is a missing value.
        "imputer",
        "treeEnsembleClassifier",
        "treeEnsembleRegressor",
        # Numbers are handed on, not looked at.
        "arrayFeatureExtractor",
        "dictVectorizer",
        "featureVectorizer",
        "identity",
        "customModel",
        # Judged where it goes: by the model that is linked to.
        "linkedModel",
    }
)
"""Types to which NaN and infinity may be given in doubles, multi-arrays and dictionaries; the others refuse them."""

TAKES_ABSENCE = frozenset(
    {
        "neuralNetwork",
        "neuralNetworkClassifier",
        "neuralNetworkRegressor",
        "bayesianProbitRegressor",
        "customModel",
        "identity",
        "imputer",
        "itemSimilarityRecommender",
        "linkedModel",
        "mlProgram",
        "nonMaximumSuppression",
        # What these are not given is for whoever provides them.
        "audioFeaturePrint",
        "soundAnalysisPreprocessing",
        "textClassifier",
        "visionFeaturePrint",
        "wordTagger",
    }
)
"""Types that do without an input which the model declares as optional; the others need it nevertheless."""


def inputs_to(spec: Any, kinds: frozenset[str]) -> frozenset[str]:
    """The names of a model's inputs that go to models of ``kinds`` only.

    All or none; but of a pipeline each by itself, by the models that use it before another model makes a value of its name.
    """
    names = frozenset(feature.name for feature in spec.description.input)
    pipeline = pipeline_of(spec)
    if pipeline is None:
        return names if spec.WhichOneof("Type") in kinds else frozenset()
    refused: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    for model in pipeline.models:
        used = frozenset(feature.name for feature in model.description.input)
        refused |= (used & names) - made - inputs_to(model, kinds)
        made |= frozenset(feature.name for feature in model.description.output)
    return names - refused
