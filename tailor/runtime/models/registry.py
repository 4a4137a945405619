"""Which family predicts with a model type, and which can teach it: one table each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from ..errors import MLFormatError, MLUnsupportedError, MLUpdateError
from ..options import NO_OPTIONS, MLTrainingOptions
from .bayesian_probit import BayesianProbitPredictor
from .categories import CategoricalMappingPredictor, OneHotEncoderPredictor
from .custom import CustomPredictor
from .family import Column, Columns, Learner, Predictor, Trainable
from .generalized_linear import GLMClassifierPredictor, GLMRegressorPredictor
from .imputer import ImputerPredictor
from .linked import LinkedPredictor
from .neighbors import NeighborsLearner, NeighborsPredictor
from .network import NetworkPredictor
from .network_learner import NetworkLearner
from .origin import NOWHERE, Origin
from .pipeline import LearnerBuilder, PipelineLearner, PipelinePredictor, PredictorBuilder
from .private import PARTS, PrivatePredictor
from .recommender import RecommenderPredictor
from .scaling import NormalizerPredictor, ScalerPredictor
from .selection import ArrayFeatureExtractorPredictor, IdentityPredictor
from .sound import SoundPredictor
from .support_vectors import SVMClassifierPredictor, SVMRegressorPredictor
from .suppression import SuppressionPredictor
from .thresholding import ThresholdingPredictor
from .tree_ensemble import TreeEnsembleClassifierPredictor, TreeEnsembleRegressorPredictor
from .updatable import check_marked
from .vectorizers import DictVectorizerPredictor, FeatureVectorizerPredictor

ComposedBuilder: TypeAlias = Callable[[Any, Mapping[str, object], str, Origin], Predictor]


class UnsupportedPredictor:
    """Stands for a model that loads and can be inspected, but not run; predicting raises ``MLUnsupportedError``."""

    def __init__(self, kind: str, who: str) -> None:
        self._kind = kind
        self._who = who

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Raises ``MLUnsupportedError``, naming the model and its type."""
        if self._kind == "mlProgram":
            raise MLUnsupportedError(f"{self._who} is an ML Program: ML Programs are not supported yet")
        article = "an" if self._kind[0] in "aei" else "a"
        raise MLUnsupportedError(f"{self._who} is {article} {self._kind}: prediction with this type is not supported yet")


def _network(spec: Any, parameters: Mapping[str, object], who: str) -> Predictor:
    return NetworkPredictor(spec, who)


def _pipeline(spec: Any, parameters: Mapping[str, object], who: str, origin: Origin) -> PipelinePredictor:
    return PipelinePredictor(spec, parameters, who, partial(build_predictor, origin=origin))


def _linked(spec: Any, parameters: Mapping[str, object], who: str, origin: Origin) -> Predictor:
    return LinkedPredictor(spec, parameters, who, origin, build_predictor)


def _network_learner(spec: Any, who: str, trainable: Trainable, options: MLTrainingOptions) -> Learner:
    return NetworkLearner(spec, who, None, trainable, options)


def _neighbors_learner(spec: Any, who: str, trainable: Trainable, options: MLTrainingOptions) -> Learner:
    if trainable is not None or options != NO_OPTIONS:
        raise MLUpdateError(f"{who}: expected no trainable layers and no training options, for nearest neighbours learn without, got some")
    return NeighborsLearner(spec, who)


def _pipeline_learner(spec: Any, who: str, trainable: Trainable, options: MLTrainingOptions) -> Learner:
    return PipelineLearner(spec, who, build_learner, trainable, options)


PREDICTORS: Mapping[str, PredictorBuilder] = {
    "neuralNetwork": _network,
    "neuralNetworkClassifier": _network,
    "neuralNetworkRegressor": _network,
    "kNearestNeighborsClassifier": NeighborsPredictor,
    "identity": IdentityPredictor,
    "arrayFeatureExtractor": ArrayFeatureExtractorPredictor,
    "dictVectorizer": DictVectorizerPredictor,
    "featureVectorizer": FeatureVectorizerPredictor,
    "oneHotEncoder": OneHotEncoderPredictor,
    "categoricalMapping": CategoricalMappingPredictor,
    "imputer": ImputerPredictor,
    "scaler": ScalerPredictor,
    "normalizer": NormalizerPredictor,
    "glmClassifier": GLMClassifierPredictor,
    "glmRegressor": GLMRegressorPredictor,
    "supportVectorClassifier": SVMClassifierPredictor,
    "supportVectorRegressor": SVMRegressorPredictor,
    "treeEnsembleClassifier": TreeEnsembleClassifierPredictor,
    "treeEnsembleRegressor": TreeEnsembleRegressorPredictor,
    "bayesianProbitRegressor": BayesianProbitPredictor,
    "nonMaximumSuppression": SuppressionPredictor,
    "classConfidenceThresholding": ThresholdingPredictor,
    "itemSimilarityRecommender": RecommenderPredictor,
    "soundAnalysisPreprocessing": SoundPredictor,
    "customModel": CustomPredictor,
    **dict.fromkeys(PARTS, PrivatePredictor),
}

COMPOSED: Mapping[str, ComposedBuilder] = {
    "pipeline": _pipeline,
    "pipelineClassifier": _pipeline,
    "pipelineRegressor": _pipeline,
    "linkedModel": _linked,
}
"""The types that are made of other models, which may have to be found first."""

LEARNERS: Mapping[str, LearnerBuilder] = {
    "neuralNetwork": _network_learner,
    "neuralNetworkClassifier": _network_learner,
    "neuralNetworkRegressor": _network_learner,
    "kNearestNeighborsClassifier": _neighbors_learner,
    "pipeline": _pipeline_learner,
    "pipelineClassifier": _pipeline_learner,
    "pipelineRegressor": _pipeline_learner,
}


def build_predictor(spec: Any, parameters: Mapping[str, object], who: str, origin: Origin = NOWHERE) -> Predictor:
    """The predictor of a model message.

    ``parameters`` are load-time values by the printed name of their key: ``numberOfNeighbors``, or
    ``model1.numberOfNeighbors`` for one model of a pipeline. ``who`` is what errors call the model, ``origin`` where what it
    links to is found.
    A type that cannot be run yet is refused when it is asked to predict, not here. Raises ``MLFormatError`` for a
    message that cannot be a model, ``MLParameterError`` for a value that makes no sense.
    """
    kind = _kind(spec, who)
    composed = COMPOSED.get(kind)
    if composed is not None:
        return composed(spec, parameters, who, origin)
    builder = PREDICTORS.get(kind)
    return builder(spec, parameters, who) if builder else UnsupportedPredictor(kind, who)


def build_learner(spec: Any, who: str, trainable: Trainable = None, options: MLTrainingOptions = NO_OPTIONS) -> Learner:
    """The learner of an updatable model message.

    ``trainable`` and ``options`` as ``MLModelConfiguration`` has them.
    The learner of a pipeline steps on what ``PipelinePredictor.front_columns`` makes of the training inputs. Raises ``MLUpdateError`` where
    the model cannot be updated.
    """
    kind = _kind(spec, who)
    check_marked(spec, who, trainable)
    builder = LEARNERS.get(kind)
    if builder is None:
        raise MLUpdateError(f"{who}: expected a type that can be updated ({', '.join(LEARNERS)}), got {kind}")
    return builder(spec, who, trainable, options)


def _kind(spec: Any, who: str) -> str:
    kind = spec.WhichOneof("Type")
    if kind is None:
        raise MLFormatError(f"{who}: expected a model of a known type, got none")
    return str(kind)
