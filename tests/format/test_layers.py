"""The layers of a network as records, and of real models."""

from __future__ import annotations

import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import decode_weights, layers, load_model, network_of, pipeline_of
from tailor.runtime.format.schema.network_pb2 import NeuralNetworkLayer
from tests.format.models import small_model
from tests.places import shared_model


def activation() -> NeuralNetworkLayer:
    layer = NeuralNetworkLayer(name="leak", input=["a"], output=["b"])
    layer.activation.leakyReLU.alpha = 0.5
    return layer


def dense() -> NeuralNetworkLayer:
    layer = NeuralNetworkLayer(name="dense", input=["x"], output=["a"], isUpdatable=True)
    layer.innerProduct.outputChannels = 7
    return layer


def test_a_record_has_what_the_layer_has() -> None:
    first, second = layers(small_model(dense(), activation()).neuralNetwork)
    assert (first.name, first.kind, first.inputs, first.outputs, first.updatable) == ("dense", "innerProduct", ("x",), ("a",), True)
    assert first.params.outputChannels == 7
    assert (second.name, second.kind, second.inputs, second.outputs) == ("leak", "activation.leakyReLU", ("a",), ("b",))
    assert (second.params.alpha, second.updatable) == (0.5, False)


def test_every_kind_of_layer_and_activation_is_named_as_the_format_names_it() -> None:
    kinds = [field.name for field in NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields if field.name != "activation"]
    made = []
    for kind in kinds:
        made.append(NeuralNetworkLayer(name=kind))
        getattr(made[-1], kind).SetInParent()
    functions = [field.name for field in activation().activation.DESCRIPTOR.oneofs_by_name["NonlinearityType"].fields]
    for function in functions:
        made.append(NeuralNetworkLayer(name=f"activation.{function}"))
        getattr(made[-1].activation, function).SetInParent()
    records = layers(small_model(*made).neuralNetwork)
    assert len(kinds) > 150 and len(functions) == 13
    assert [record.kind for record in records] == [record.name for record in records]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (NeuralNetworkLayer(name="odd"), r"layer 'odd' \(number 1\): expected a kind of layer that the format knows, got none"),
        (NeuralNetworkLayer.FromString(b"\x0a\x03new\xaa\xd4\x03\x00"), r"layer 'new' \(number 1\): expected a kind"),
        (NeuralNetworkLayer.FromString(b"\x0a\x03act\x92\x08\x00"), r"layer 'act' \(number 1\): expected an activation that"),
    ],
    ids=["unset", "of a later format", "unset activation"],
)
def test_a_layer_of_no_kind_is_refused_by_name(layer: NeuralNetworkLayer, expected: str) -> None:
    with pytest.raises(MLFormatError, match=expected):
        layers(small_model(dense(), layer).neuralNetwork)


def test_the_pipelines_network_has_the_weights_of_the_embedding_alone() -> None:
    pipeline = pipeline_of(load_model(shared_model("UpdatableDrawingClassifier.mlmodel")))
    assert pipeline is not None
    inside, alone = network_of(pipeline.models[0]), network_of(load_model(shared_model("TinyDrawingEmbedding.mlmodel")))
    assert inside is not None and alone is not None
    assert list(inside.layers) == list(alone.layers)
    assert [record.kind for record in layers(inside)].count("convolution") == 3


def test_the_weights_of_a_real_model_have_the_shapes_that_its_layers_say() -> None:
    network = network_of(load_model(shared_model("MNIST_Model.mlmodel")))
    assert network is not None
    updatable = [record for record in layers(network) if record.updatable]
    assert [record.kind for record in updatable] == ["convolution", "convolution", "innerProduct", "innerProduct"]
    for record in updatable:
        params = record.params
        window = tuple(params.kernelSize) if record.kind == "convolution" else ()
        inputs = params.kernelChannels if record.kind == "convolution" else params.inputChannels
        weights = decode_weights(params.weights, (params.outputChannels, inputs, *window), record.name)
        assert 0 < abs(weights).max() < 10
        assert decode_weights(params.bias, (params.outputChannels,), record.name).shape == (params.outputChannels,)
