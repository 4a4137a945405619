"""Neural networks from scratch: the interface, the layers (``layers.py``), and how they learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import MLFormatError
from ..features import array_feature, label_feature, label_type
from ..layers import Network
from ..schema.model_pb2 import FeatureDescription, Model
from ..schema.network_pb2 import EXACT_ARRAY_MAPPING, RANK4_IMAGE_MAPPING
from ..schema.training_pb2 import NetworkUpdateParameters
from ..validate import network_of
from .interface import Feature, all_described, described
from .layers import NetworkLayers
from .training import AdamParams, SgdParams, write_choice

UPDATABLE_VERSION = 4
"""The first specification version with updatable models and with exact array shapes."""


class NeuralNetworkBuilder(NetworkLayers):
    """Builds a network into ``spec``, a ``Model``: from scratch, or from a copy of the ``spec`` given (a ``Model`` or an ``MLModel``).

    ``mode``: ``None``, ``"classifier"`` or ``"regressor"``. A classifier's first output is the layer value with the
    probabilities, and becomes a dictionary once ``class_labels`` are given, here or to ``set_class_labels``.
    ``disable_rank5_shape_mapping``: inputs keep their shape instead of becoming ``[seq, batch, channel, height, width]``.

    Raises ``MLFormatError`` where an argument is not what a network can have.
    """

    def __init__(
        self, input_features: Sequence[Feature] = (), output_features: Sequence[Feature] = (), mode: str | None = None,
        class_labels: Sequence[str] | Sequence[int] | None = None, *, spec: Any = None, predicted_feature_name: str = "classLabel",
        disable_rank5_shape_mapping: bool = False,
    ) -> None:  # fmt: skip
        if spec is not None:
            if input_features or output_features or mode or class_labels or disable_rank5_shape_mapping:
                raise MLFormatError("network: expected either a spec or what to make one from, got both")
            self.spec = Model()
            self.spec.CopyFrom(getattr(spec, "spec", spec))
            known = network_of(self.spec)
            if known is None:
                raise MLFormatError(f"network: expected the spec of a neural network, got a model of type {self.spec.WhichOneof('Type')}")
            super().__init__(known)
            return
        self.spec = Model(specificationVersion=UPDATABLE_VERSION if disable_rank5_shape_mapping else 1)
        self.spec.description.input.extend(all_described(input_features))
        self.spec.description.output.extend(all_described(output_features))
        if not output_features:
            raise MLFormatError("network: expected at least one output, got none")
        network = self._network(mode)
        network.SetInParent()
        if disable_rank5_shape_mapping:
            network.arrayInputShapeMapping = EXACT_ARRAY_MAPPING
            network.imageInputShapeMapping = RANK4_IMAGE_MAPPING
        super().__init__(network)
        if mode == "regressor":
            self.spec.description.predictedFeatureName = self.spec.description.output[0].name
        if class_labels is not None:
            self.set_class_labels(class_labels, predicted_feature_name)

    def _network(self, mode: str | None) -> Network:
        if mode == "classifier":
            return self.spec.neuralNetworkClassifier
        if mode == "regressor":
            return self.spec.neuralNetworkRegressor
        if mode is None:
            return self.spec.neuralNetwork
        raise MLFormatError(f"network: expected a mode of None, 'classifier' or 'regressor', got {mode!r}")

    def set_class_labels(
        self, class_labels: Sequence[str] | Sequence[int], predicted_feature_name: str = "classLabel", prediction_blob: str = ""
    ) -> None:
        """Makes the first output a dictionary of probabilities and adds the predicted label as another output.

        ``prediction_blob``: the layer value with the probabilities; by default the one with the first output's name.
        """
        description = self.spec.description
        if self.spec.WhichOneof("Type") != "neuralNetworkClassifier":
            raise MLFormatError("network: expected mode 'classifier' with class labels, got another")
        classifier = self.spec.neuralNetworkClassifier
        probabilities = description.output[0]
        keys = probabilities.type.dictionaryType
        if label_type(class_labels, "class labels") is int:
            keys.int64KeyType.SetInParent()
            classifier.int64ClassLabels.vector[:] = [int(label) for label in class_labels]
        else:
            keys.stringKeyType.SetInParent()
            classifier.stringClassLabels.vector[:] = [str(label) for label in class_labels]
        description.predictedProbabilitiesName = probabilities.name
        description.predictedFeatureName = predicted_feature_name
        description.output.append(label_feature(predicted_feature_name, class_labels))
        classifier.labelProbabilityLayerName = prediction_blob or probabilities.name

    def set_pre_processing_parameters(
        self, image_name: str, *, image_scale: float = 1.0, red_bias: float = 0.0, green_bias: float = 0.0, blue_bias: float = 0.0,
        gray_bias: float = 0.0,
    ) -> None:  # fmt: skip
        """Scales the pixels of the image input ``image_name``, then adds the bias of their channel."""
        scaler = self.nn_spec.preprocessing.add(featureName=image_name).scaler
        scaler.channelScale = image_scale
        scaler.redBias, scaler.greenBias, scaler.blueBias, scaler.grayBias = red_bias, green_bias, blue_bias, gray_bias

    def make_updatable(self, trainables: Sequence[str]) -> None:
        """Marks the layers named ``trainables`` (convolution, innerProduct) and their weights updatable, and the model.

        Examples are shuffled then, unless ``set_shuffle`` says otherwise afterwards.
        """
        for name in trainables:
            if name not in self.layer_specs:
                raise MLFormatError(f"layer {name!r}: expected one of {', '.join(self.layer_specs) or 'no layers'}, got an unknown name")
            layer = self.layer_specs[name]
            kind = layer.WhichOneof("layer")
            if kind not in ("convolution", "innerProduct"):
                raise MLFormatError(f"layer {name!r}: expected convolution or innerProduct to be updatable, got {kind}")
            params = layer.convolution if kind == "convolution" else layer.innerProduct
            if params.weights.HasField("quantization") or params.bias.HasField("quantization"):
                raise MLFormatError(f"layer {name!r}: expected floating-point weights to be updatable, got quantised ones")
            layer.isUpdatable = params.weights.isUpdatable = params.bias.isUpdatable = True
        self.spec.isUpdatable = True
        self.spec.specificationVersion = max(self.spec.specificationVersion, UPDATABLE_VERSION)
        self.set_shuffle()

    def set_categorical_cross_entropy_loss(self, name: str, input: str, *, beside: bool = False) -> None:
        """Cross entropy of the softmax output ``input``. The training input is a class index, int32 ``[1]``, named
        ``<input>_true``; for the probabilities of a classifier it is the label, named as the predicted feature.

        ``beside``: adds it to the losses that there are. Core ML allows one; tailor sums them up as training options say."""
        if not any(layer.HasField("softmax") and input in layer.output for layer in self.nn_spec.layers):
            raise MLFormatError(f"loss {name!r}: expected the output of a softmax layer, got {input!r}")
        target = self._target(name, input, beside)
        loss = self._update.lossLayers.add(name=name).categoricalCrossEntropyLossLayer
        loss.input, loss.target = input, target
        description = self.spec.description
        if self.spec.HasField("neuralNetworkClassifier") and input == description.predictedProbabilitiesName:
            label = next(row for row in description.output if row.name == description.predictedFeatureName)
            self._train_with(FeatureDescription(name=label.name, type=label.type), beside)
        else:
            self._train_with(array_feature(target, (1,), "int32"), beside)

    def set_mean_squared_error_loss(self, name: str, input: str | Feature, *, beside: bool = False) -> None:
        """Mean squared error of the layer value ``input``: an output's name, or a value's name with its shape. The training
        input has that shape, in doubles, and is named ``<input>_true``. ``beside``: as for cross entropy."""
        feature = self._output(input, name) if isinstance(input, str) else described(input)
        target = self._target(name, feature.name, beside)
        loss = self._update.lossLayers.add(name=name).meanSquaredErrorLossLayer
        loss.input, loss.target = feature.name, target
        shape = feature.type.multiArrayType.shape
        if feature.type.WhichOneof("Type") != "multiArrayType" or not shape:
            raise MLFormatError(f"loss {name!r}: expected a multi-array with a shape, got {feature.name!r} without")
        self._train_with(array_feature(target, shape, "double"), beside)

    def _output(self, output: str, loss: str) -> FeatureDescription:
        for feature in self.spec.description.output:
            if feature.name == output:
                return feature
        raise MLFormatError(f"loss {loss!r}: expected the name of an output, or a name with a shape, got {output!r}")

    def _target(self, loss: str, input: str, beside: bool) -> str:
        others = [other.name for other in self._update.lossLayers]
        if loss in (*self.layer_specs, *others) or (others and not beside):
            raise MLFormatError(f"loss {loss!r}: expected one loss, with a name that no layer has, got a second or a layer's name")
        if any(feature.name == f"{input}_true" for feature in self.spec.description.output):
            raise MLFormatError(f"loss {loss!r}: expected no output named as its target, got {input}_true")
        return f"{input}_true"

    def _train_with(self, target: FeatureDescription, beside: bool) -> None:
        description = self.spec.description
        given = description.trainingInput if beside and description.trainingInput else description.input
        self.set_training_input([*(feature for feature in given if feature.name != target.name), target])

    def set_training_input(self, training_input: Sequence[Feature]) -> None:
        """Sets what the network trains with; setting a loss does so, too: the inputs, and the loss's target."""
        del self.spec.description.trainingInput[:]
        self.spec.description.trainingInput.extend(all_described(training_input))

    @property
    def _update(self) -> NetworkUpdateParameters:
        return self.nn_spec.updateParams

    def set_sgd_optimizer(self, sgd_params: SgdParams) -> None:
        """Learns by stochastic gradient descent."""
        made = self._update.optimizer.sgdOptimizer
        sgd_params.lr.write(made.learningRate)
        sgd_params.batch.write(made.miniBatchSize)
        sgd_params.momentum.write(made.momentum)

    def set_adam_optimizer(self, adam_params: AdamParams) -> None:
        """Learns by Adam."""
        made = self._update.optimizer.adamOptimizer
        adam_params.lr.write(made.learningRate)
        adam_params.batch.write(made.miniBatchSize)
        adam_params.beta1.write(made.beta1)
        adam_params.beta2.write(made.beta2)
        adam_params.eps.write(made.eps)

    def set_epochs(self, epochs: int = 1, allowed_set: Sequence[int] | None = None) -> None:
        """Sets how many epochs an update takes, and the numbers it may be changed to (default: none but itself)."""
        write_choice(self._update.epochs, epochs, [epochs] if allowed_set is None else allowed_set, "epochs")

    def set_shuffle(self, shuffle: bool = True, seed: int | None = None) -> None:
        """Sets whether the examples are shuffled between epochs, and the seed of that."""
        if not isinstance(shuffle, bool):
            raise MLFormatError(f"shuffle: expected True or False, got {shuffle!r}")
        self._update.shuffle.defaultValue = shuffle
        if seed is not None:
            self.set_seed(seed)

    def set_seed(self, seed: int) -> None:
        """Sets the seed of what is random in an update."""
        self._update.seed.defaultValue = seed

