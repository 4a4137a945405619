"""What a converted network learns by: its loss, as Core ML asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MLFormatError
from ..format import NeuralNetworkBuilder, network_of
from .channels import Channels

LOSSES = ("categorical_cross_entropy", "mean_squared_error")


def set_loss(builder: NeuralNetworkBuilder, loss: str, output: str, shape: Sequence[int]) -> None:
    """Sets ``loss`` on ``output``, of ``shape``; its target is the class label, or the training input ``<output>_true``.

    Raises ``MLFormatError`` where the loss is another, or the output has not the shape that it takes.
    """
    if loss not in LOSSES:
        raise MLFormatError(f"loss: expected {' or '.join(LOSSES)}, got {loss!r}")
    spec = builder.spec
    classifier = spec.HasField("neuralNetworkClassifier")
    if loss == "mean_squared_error":
        if classifier:
            raise MLFormatError(f"loss: expected categorical_cross_entropy for a classifier, got {loss!r}")
        builder.set_mean_squared_error_loss("loss", (output, shape))
        return
    if len(shape) != 2 or shape[0] != 1:
        raise MLFormatError(f"loss: expected an output of shape [1, classes] for cross entropy, got {output!r} of shape {list(shape)}")
    network = network_of(spec)
    assert network is not None  # a builder's
    channels = Channels(network, {feature.name for feature in spec.description.output})
    value = channels.softmax(output, classifier)
    channels.write()
    builder.set_categorical_cross_entropy_loss("loss", value)
    trained = spec.description.trainingInput[-1]
    if classifier:
        trained.CopyFrom(next(row for row in spec.description.output if row.name == spec.description.predictedFeatureName))
    else:
        trained.name = f"{output}_true"
    builder.nn_spec.updateParams.lossLayers[0].categoricalCrossEntropyLossLayer.target = f"{output}_true"
