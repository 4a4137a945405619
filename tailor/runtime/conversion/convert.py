"""``convert``: a PyTorch module or a Keras model as a Core ML network, in which what required a gradient can be updated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..doctor import set_loss
from ..errors import MLFormatError, MLModelError
from ..format import AdamParams, NeuralNetworkBuilder, SgdParams
from ..model import MLModel
from .converter import Inputs, needed
from .keras_models import KerasSource
from .torch_modules import TorchSource
from .trainable import Source, converted

_SOURCES: Mapping[str, Callable[..., Source]] = {
    "torch": TorchSource,
    "keras": KerasSource,
    "tf_keras": KerasSource,
    "tensorflow": KerasSource,
}


def convert(
    model: Any,
    *,
    inputs: Inputs = None,
    outputs: Sequence[Any] | None = None,
    class_labels: Sequence[str] | Sequence[int] | None = None,
    respect_trainable: bool = False,
    loss: str | None = None,
    optimizer: SgdParams | AdamParams | None = None,
    epochs: int = 1,
    allowed_epochs: Sequence[int] | None = None,
    **options: Any,
) -> MLModel:
    """A model from a PyTorch module or a Keras model, by coremltools' converters (``pip install 'tailor[convert]'``).

    ``inputs``: shapes by name (batch axis included, 1 as a rule), or example tensors by name, or coremltools' own types;
    needed for PyTorch. ``outputs``: names, or coremltools' types. ``class_labels`` make a classifier of it. ``options`` go to
    ``coremltools.convert``.

    ``respect_trainable``: convolutions and inner products whose weights and bias required a gradient (``requires_grad``;
    in Keras, of trainable layers) are marked as updatable. Other parameters that did stay as they are, and a warning names
    them: Core ML updates no other layers. With a ``loss``, ``"categorical_cross_entropy"`` (of one output ``[1, classes]``,
    probabilities or logits) or ``"mean_squared_error"``, the model is updatable, by ``optimizer`` (default ``SgdParams()``)
    in ``epochs``, of ``allowed_epochs``; its target is the class label, or the training input ``<output>_true``. Without, the
    model only predicts, until ``tailor.building.NeuralNetworkBuilder(spec=model)`` is told the rest.

    Raises ``ModuleNotFoundError`` where coremltools is not installed, ``MLUnsupportedError`` where it cannot convert the
    model, ``MLFormatError`` where nothing can learn by the loss.
    """
    make = next((_SOURCES[root] for root in _roots(model) if root in _SOURCES), None)
    if make is None:
        raise MLModelError(f"convert: expected a torch.nn.Module or a Keras model, got {type(model).__name__}")
    coremltools = needed("coremltools")
    if loss is not None and not respect_trainable:
        raise MLFormatError("convert: expected respect_trainable=True with a loss, got False: nothing would learn")
    if outputs is not None:
        options["outputs"] = list(outputs)
    if class_labels is not None:
        options["classifier_config"] = coremltools.ClassifierConfig(list(class_labels))
    source = make(model, inputs, respect_trainable, options)
    marked = converted(source)
    if marked.fixed:
        warnings.warn(
            f"convert: {', '.join(marked.fixed)} required a gradient, but cannot be updated in Core ML: they stay as they are", stacklevel=2
        )
    builder = NeuralNetworkBuilder(spec=marked.model)
    if marked.trainable:
        builder.make_updatable(marked.trainable)
    if loss is None:
        builder.spec.isUpdatable = False
        builder.nn_spec.ClearField("updateParams")
    else:
        if not marked.trainable:
            raise MLFormatError("convert: expected a convolution or an inner product that required a gradient, got none")
        set_loss(builder, loss, _learned_output(builder.spec))
        if isinstance(optimizer, AdamParams):
            builder.set_adam_optimizer(optimizer)
        else:
            builder.set_sgd_optimizer(optimizer if optimizer is not None else SgdParams())
        builder.set_epochs(epochs, allowed_epochs)
    return MLModel.from_spec(builder.spec, type(model).__name__)


def _roots(model: object) -> list[str]:
    """The packages that a thing's classes are from."""
    return [kind.__module__.partition(".")[0] for kind in type(model).__mro__]


def _learned_output(spec: Any) -> str:
    """The output that the loss is about: a classifier's probabilities, or the only one."""
    description = spec.description
    if description.predictedProbabilitiesName:
        return str(description.predictedProbabilitiesName)
    names = [str(feature.name) for feature in description.output]
    if len(names) != 1:
        raise MLFormatError(f"convert: expected one output for the loss to be about, got {', '.join(names)}")
    return names[0]
