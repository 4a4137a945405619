"""A network of two LSTMs against ONNX Runtime and PyTorch, the same weights, in turns: medians of milliseconds, and ratios.

    python benchmarks/lstm.py [seconds a row]

64 steps of 128 numbers into two layers of 256, batch 1 and 16; every engine may use two threads. A ratio below 1 means that
tailor is faster than the better of the two. Needs coremltools, PyTorch, ONNX and ONNX Runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.utils import save_spec
from onnx import TensorProto, helper, numpy_helper

from tailor import MLModel

STEPS, INPUT, SIZE, LAYERS, THREADS = 64, 128, 256, 2, 2


def gates(weight: Any, order: str) -> list[Any]:
    """The rows of PyTorch's ``weight`` for the gates of ``order``: i input, f forget, o output, z block input."""
    parts = dict(zip("ifzo", np.split(weight.detach().numpy(), 4), strict=True))
    return [parts[gate] for gate in order]


def tailor(net: torch.nn.LSTM, batch: int, folder: Path) -> Callable[[Any], Any]:
    builder = NeuralNetworkBuilder([("x", datatypes.Array(STEPS, batch, INPUT, 1, 1))], [("y", None)], disable_rank5_shape_mapping=True)
    names = ["x", *(f"h{layer}" for layer in range(LAYERS - 1)), "y"]
    for layer in range(LAYERS):
        w, r, b, c = (gates(weight, "ifoz") for weight in net.all_weights[layer])
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
    save_spec(builder.spec, str(folder / "lstm.mlmodel"))
    model = MLModel(folder / "lstm.mlmodel")
    return lambda x: model.predict({"x": x.reshape(*x.shape, 1, 1)})["y"]


def onnx_runtime(net: torch.nn.LSTM, batch: int) -> Callable[[Any], Any]:
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS):
        w, r, b, c = (np.concatenate(gates(weight, "iofz")) for weight in net.all_weights[layer])
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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def pytorch(net: torch.nn.LSTM) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(x))[0].numpy()

    return run


def compare(batch: int, seconds: float) -> None:
    torch.manual_seed(0)
    net = torch.nn.LSTM(INPUT, SIZE, LAYERS)
    x = np.random.default_rng(0).standard_normal((STEPS, batch, INPUT), np.float32)
    with TemporaryDirectory() as folder:
        engines = {"tailor": tailor(net, batch, Path(folder)), "ONNX Runtime": onnx_runtime(net, batch), "PyTorch": pytorch(net)}
    right = engines["PyTorch"](x)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for run in engines.values():
        np.testing.assert_allclose(np.asarray(run(x)).reshape(right.shape), right, rtol=1e-4, atol=1e-5)
    end = perf_counter() + seconds
    while perf_counter() < end or len(times["tailor"]) < 5:
        for name, run in engines.items():
            begin = perf_counter()
            run(x)
            times[name].append(perf_counter() - begin)
    found = {name: median(each) * 1e3 for name, each in times.items()}
    ratio = found["tailor"] / min(found["ONNX Runtime"], found["PyTorch"])
    print(f"{batch:5} " + " ".join(f"{milliseconds:12.2f}" for milliseconds in found.values()) + f" {ratio:6.2f} {len(times['tailor']):6}")


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    print("batch " + " ".join(f"{name:>12}" for name in ("tailor", "ONNX Runtime", "PyTorch")) + "  ratio   runs")
    for size in (1, 16):
        compare(size, float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
