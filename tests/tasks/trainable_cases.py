"""One small model for each kind of layer that has parameters, none of which it marks as updatable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from google.protobuf import text_format

from tailor import MLArrayBatchProvider, MLModel
from tailor.kernels import Array
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, encode_weights

COUNT = 5
RATE = 0.25
LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
GRU_GATES = ("updateGate", "resetGate", "outputGate")
LSTM = {
    **{f"{gate}WeightMatrix": (2, 3) for gate in LSTM_GATES},
    **{f"{gate}RecursionMatrix": (2, 2) for gate in LSTM_GATES},
    **{f"{gate}BiasVector": (2,) for gate in LSTM_GATES},
    **{f"{gate}PeepholeVector": (2,) for gate in ("inputGate", "forgetGate", "outputGate")},
}
GRU = {
    **{f"{gate}WeightMatrix": (2, 3) for gate in GRU_GATES},
    **{f"{gate}RecursionMatrix": (2, 2) for gate in GRU_GATES},
    **{f"{gate}BiasVector": (2,) for gate in GRU_GATES},
}
RECURRENT = "inputVectorSize: 3 outputVectorSize: 2"
LSTM_PARAMS = "params { sequenceOutput: true hasBiasVectors: true hasPeepholeVectors: true }"
USUAL = "activations { sigmoid {} } activations { tanh {} } activations { tanh {} }"


@dataclass(frozen=True)
class Case:
    """A layer ``message`` in protobuf's text, its weights' shapes by their path in it, and the shapes of what goes in and comes out.

    ``fixed``: fields that no update changes. ``indices``: what goes in are whole numbers below this. ``states``: how many outputs follow y.
    """

    kind: str
    message: str
    weights: Mapping[str, tuple[int, ...]]
    x: tuple[int, ...]
    y: tuple[int, ...]
    fixed: tuple[str, ...] = ()
    indices: int = 0
    states: int = 0
    note: str = ""

    def __str__(self) -> str:
        return f"{self.kind}-{self.note}" if self.note else self.kind

    def examples(self) -> tuple[Array, Array]:
        """Inputs and targets, float32, with an axis of examples in front."""
        rng = np.random.default_rng([len(self.kind), *self.x])
        x = rng.integers(0, self.indices, (COUNT, *self.x)) if self.indices else rng.normal(size=(COUNT, *self.x))
        return x.astype(np.float32), rng.normal(size=(COUNT, *self.y)).astype(np.float32)

    def provider(self) -> MLArrayBatchProvider:
        return MLArrayBatchProvider([{"x": x, "y_true": y} for x, y in zip(*self.examples(), strict=True)])

    def model(self) -> MLModel:
        """y = layer(x), or x + layer() for one without inputs; mean squared error, gradient descent in one batch, one epoch."""
        builder = NeuralNetworkBuilder([array_feature("x", self.x)], [array_feature("y", self.y)], disable_rank5_shape_mapping=True)
        constant = self.kind.startswith("loadConstant")
        layer = builder.nn_spec.layers.add(
            name="it", input=[] if constant else ["x"], output=["c" if constant else "y"] + [f"state{n}" for n in range(self.states)]
        )
        text_format.Parse(self.message, layer)
        rng = np.random.default_rng(7)
        for path, shape in self.weights.items():
            values = rng.uniform(0.2, 0.9, shape)  # a variance must not be negative
            encode_weights(reduce(_part, path.split("."), getattr(layer, self.kind.partition(".")[0])), values, path)
        if constant:
            builder.nn_spec.layers.add(name="sum", input=["x", "c"], output=["y"]).addBroadcastable.SetInParent()
        builder.make_updatable([])
        builder.set_mean_squared_error_loss("loss", "y")
        builder.set_sgd_optimizer(SgdParams(lr=RATE, batch=COUNT))
        builder.set_epochs(1)
        return MLModel(builder.spec.SerializeToString())


def _part(message: object, name: str) -> object:
    return message[int(name)] if name.isdigit() else getattr(message, name)  # type: ignore[index]


CASES = (
    Case(
        "innerProduct", "innerProduct { inputChannels: 3 outputChannels: 2 hasBias: true }", {"weights": (2, 3), "bias": (2,)}, (3,), (2,)
    ),
    Case(
        "convolution",
        "convolution { outputChannels: 4 kernelChannels: 1 nGroups: 2 kernelSize: [2, 2] valid {} }",
        {"weights": (4, 1, 2, 2)},
        (2, 3, 3),
        (4, 2, 2),
        note="groups",
    ),
    Case(
        "convolution",
        "convolution { outputChannels: 2 kernelChannels: 3 nGroups: 1 kernelSize: [2, 2] isDeconvolution: true hasBias: true valid {} }",
        {"weights": (3, 2, 2, 2), "bias": (2,)},
        (3, 2, 2),
        (2, 3, 3),
        note="deconvolution",
    ),
    Case(
        "convolution3d",
        "convolution3d { outputChannels: 2 inputChannels: 1 nGroups: 1 kernelDepth: 2 kernelHeight: 2 kernelWidth: 2 strideDepth: 1 "
        "strideHeight: 1 strideWidth: 1 dilationDepth: 1 dilationHeight: 1 dilationWidth: 1 hasBias: true paddingType: VALID }",
        {"weights": (2, 1, 2, 2, 2), "bias": (2,)},
        (1, 1, 2, 3, 2),
        (1, 2, 1, 2, 1),
    ),
    Case(
        "batchnorm",
        "batchnorm { channels: 3 epsilon: 0.001 }",
        dict.fromkeys(("gamma", "beta", "mean", "variance"), (3,)),
        (3, 2, 2),
        (3, 2, 2),
        ("mean", "variance"),
    ),
    Case(
        "batchnorm",
        "batchnorm { channels: 3 epsilon: 0.001 computeMeanVar: true instanceNormalization: true }",
        {"gamma": (3,), "beta": (3,)},
        (3, 2, 2),
        (3, 2, 2),
        note="instance",
    ),
    Case("layerNormalization", "layerNormalization { normalizedShape: 3 eps: 0.001 }", {"gamma": (3,), "beta": (3,)}, (2, 3), (2, 3)),
    Case("scale", "scale { shapeScale: 2 hasBias: true shapeBias: [1, 2, 2] }", {"scale": (2,), "bias": (1, 2, 2)}, (2, 2, 2), (2, 2, 2)),
    Case("bias", "bias { shape: [2, 2, 2] }", {"bias": (2, 2, 2)}, (2, 2, 2), (2, 2, 2)),
    Case("activation.PReLU", "activation { PReLU {} }", {"PReLU.alpha": (2,)}, (2, 2, 2), (2, 2, 2)),
    Case(
        "activation.parametricSoftplus",
        "activation { parametricSoftplus {} }",
        {"parametricSoftplus.alpha": (2,), "parametricSoftplus.beta": (2,)},
        (2, 2, 2),
        (2, 2, 2),
    ),
    Case(
        "embedding",
        "embedding { inputDim: 4 outputChannels: 2 hasBias: true }",
        {"weights": (2, 4), "bias": (2,)},
        (1, 1, 1, 1),
        (1, 2, 1, 1),
        indices=4,
    ),
    Case("embeddingND", "embeddingND { vocabSize: 4 embeddingSize: 2 }", {"weights": (2, 4)}, (3, 1), (3, 2), indices=4),
    Case(
        "batchedMatmul",
        "batchedMatmul { weightMatrixFirstDimension: 3 weightMatrixSecondDimension: 2 hasBias: true }",
        {"weights": (2, 3), "bias": (2,)},
        (2, 3),
        (2, 2),
    ),
    Case("loadConstantND", "loadConstantND { shape: 3 }", {"data": (3,)}, (3,), (3,)),
    Case("loadConstant", "loadConstant { shape: [2, 1, 1] }", {"data": (2, 1, 1)}, (1, 1, 2, 1, 1), (1, 1, 2, 1, 1)),
    Case(
        "simpleRecurrent",
        f"simpleRecurrent {{ {RECURRENT} activation {{ tanh {{}} }} sequenceOutput: true hasBiasVector: true }}",
        {"weightMatrix": (2, 3), "recursionMatrix": (2, 2), "biasVector": (2,)},
        (3, 1, 3, 1, 1),
        (3, 1, 2, 1, 1),
        states=1,
    ),
    Case(
        "gru",
        f"gru {{ {RECURRENT} activations {{ sigmoid {{}} }} activations {{ tanh {{}} }} sequenceOutput: true hasBiasVectors: true }}",
        GRU,
        (3, 1, 3, 1, 1),
        (3, 1, 2, 1, 1),
        states=1,
    ),
    Case(
        "uniDirectionalLSTM",
        f"uniDirectionalLSTM {{ {RECURRENT} {USUAL} {LSTM_PARAMS} }}",
        {f"weightParams.{field}": shape for field, shape in LSTM.items()},
        (3, 1, 3, 1, 1),
        (3, 1, 2, 1, 1),
        states=2,
    ),
    Case(
        "biDirectionalLSTM",
        f"biDirectionalLSTM {{ {RECURRENT} {LSTM_PARAMS} weightParams {{}} weightParams {{}} "
        + " ".join(USUAL.replace("activations", f"activations{way}LSTM") for way in ("Forward", "Backward"))
        + " }",
        {f"weightParams.{place}.{field}": shape for place in (0, 1) for field, shape in LSTM.items()},
        (3, 1, 3, 1, 1),
        (3, 1, 4, 1, 1),
        states=4,
    ),
)
