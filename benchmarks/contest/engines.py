"""One PyTorch network in three engines: tailor, ONNX Runtime, PyTorch eager. Each becomes a function from input to answer."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import coremltools
import numpy as np
import onnx
import onnxruntime
import torch
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tailor import MLModel, MLModelConfiguration
from tailor.kernels import Array

from .sequences import INPUT, LAYERS, SIZE, STEPS

Run: TypeAlias = Callable[[Array], Array]


def eager(net: nn.Module) -> Run:
    def run(x: Array) -> Array:
        with torch.inference_mode():
            y = net(torch.from_numpy(x))
            return np.asarray((y[0] if isinstance(y, tuple) else y).numpy())

    return run


def converted(net: nn.Module, shape: tuple[int, ...], threads: int) -> Run:
    """``net`` through coremltools' converter; examples, ``[1, *shape]`` each, are predicted as a batch."""
    example = torch.zeros(1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = coremltools.convert(
            torch.jit.trace(net, example),
            inputs=[coremltools.TensorType("x", shape=example.shape)],
            outputs=[coremltools.TensorType("y")],
            convert_to="neuralnetwork",
        )
    ours = MLModel(model.get_spec().SerializeToString(), MLModelConfiguration(threads=threads))
    return lambda x: np.stack([np.asarray(row["y"]) for row in ours.predict([{"x": row[None]} for row in x])])


def exported(net: nn.Module, shape: tuple[int, ...], threads: int) -> Run:
    """``net`` through PyTorch's exporter, with a batch of any size."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        torch.onnx.export(net, (torch.zeros(1, *shape),), file, input_names=["x"], output_names=["y"], dynamic_axes=axes, dynamo=False)
    return _session(file.getvalue(), threads)


def _session(model: bytes, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(session.run(None, {"x": x})[0])


def _gates(weight: Any, order: str) -> list[Array]:
    """The rows of PyTorch's ``weight`` for the gates of ``order``: i input, f forget, o output, z block input."""
    parts = dict(zip("ifzo", np.split(weight.detach().numpy(), 4), strict=True))
    return [parts[gate] for gate in order]


def built_lstm(net: Any, batch: int, threads: int) -> Run:
    """The LSTMs as layers of the format, whose second axis is the batch."""
    builder = NeuralNetworkBuilder([("x", datatypes.Array(STEPS, batch, INPUT, 1, 1))], [("y", None)], disable_rank5_shape_mapping=True)
    names = ["x", *(f"h{layer}" for layer in range(LAYERS - 1)), "y"]
    for layer in range(LAYERS):
        w, r, b, c = (_gates(weight, "ifoz") for weight in net.all_weights[layer])
        builder.add_unilstm(
            name=f"lstm{layer}",
            W_h=r,
            W_x=w,
            b=[one + other for one, other in zip(b, c, strict=True)],
            hidden_size=SIZE,
            input_size=INPUT if layer == 0 else SIZE,
            input_names=[names[layer]],
            output_names=[names[layer + 1], f"last{layer}", f"memory{layer}"],
            output_all=True,
        )
    model = MLModel(builder.spec.SerializeToString(), MLModelConfiguration(threads=threads))
    return lambda x: np.asarray(model.predict({"x": x.reshape(*x.shape, 1, 1)})["y"])


def onnx_lstm(net: Any, batch: int, threads: int) -> Run:
    """The LSTMs as ONNX has them: the exporter would also transpose."""
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS):
        w, r, b, c = (np.concatenate(_gates(weight, "iofz")) for weight in net.all_weights[layer])
        for name, array in ((f"w{layer}", w), (f"r{layer}", r), (f"b{layer}", np.concatenate((b, c)))):
            weights.append(numpy_helper.from_array(array[None], name))
        nodes.append(helper.make_node("LSTM", [value, f"w{layer}", f"r{layer}", f"b{layer}"], [f"y{layer}"], hidden_size=SIZE))
        weights.append(numpy_helper.from_array(np.array([1]), f"axis{layer}"))
        value = f"h{layer}"
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", f"axis{layer}"], [value]))
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, batch, INPUT])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [STEPS, batch, SIZE])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return _session(model.SerializeToString(), threads)
