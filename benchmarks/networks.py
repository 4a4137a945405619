"""Networks here, in ONNX Runtime and in PyTorch eager: the same weights, two threads each, in turns; medians and ratios.

    python benchmarks/networks.py [--networks SqueezeNet,MobileNetV2,ResNet-50] [--batches 1,16] [--seconds 8]

The networks are made here with random weights and reach tailor through coremltools' converter, ONNX Runtime through
PyTorch's exporter. Whoever runs next waits until the threads of the one before have gone to sleep, for some spin. Answers
are compared first. A ratio below 1 means that tailor is faster than the better of the two. Needs the extra ``peers``.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import coremltools
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from tailor import MLModel
from tailor.kernels import Array, warm_up

THREADS, PAUSE, SIZE = 2, 0.01, 224


def convolution(
    inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1, limit: type[nn.Module] | None = nn.ReLU
) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outer)]
    return nn.Sequential(*layers, *([limit()] if limit else []))


class Fire(nn.Module):
    """Squeezed to few channels, then seen through 1 x 1 and 3 x 3 windows side by side (Iandola et al. 2016)."""

    def __init__(self, inner: int, few: int, each: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inner, few, 1), nn.ReLU())
        self.narrow = nn.Sequential(nn.Conv2d(few, each, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(few, each, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.narrow(x), self.wide(x)], 1)


def squeezenet() -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    first = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128)]
    then = [pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256), nn.Conv2d(512, 1000, 1), nn.ReLU()]
    return nn.Sequential(*first, *then, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Residual(nn.Module):
    """``after(steps(x) + way(x))``."""

    def __init__(self, steps: nn.Module, way: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.steps, self.way, self.after = steps, way, after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.steps(x) + self.way(x))
        return y


def mobilenet() -> nn.Module:
    """Inverted residuals (Sandler et al. 2018)."""
    layers, inner = [convolution(3, 32, 3, 2, limit=nn.ReLU6)], 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, outer, count, first in stages:
        for stride in (first,) + (1,) * (count - 1):
            many = inner * factor
            widened = [convolution(inner, many, 1, limit=nn.ReLU6)] if factor > 1 else []
            narrowed = [convolution(many, many, 3, stride, many, nn.ReLU6), convolution(many, outer, 1, limit=None)]
            steps = nn.Sequential(*widened, *narrowed)
            layers.append(Residual(steps, nn.Identity(), nn.Identity()) if stride == 1 and inner == outer else steps)
            inner = outer
    return nn.Sequential(*layers, convolution(320, 1280, 1, limit=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def resnet50() -> nn.Module:
    """Bottlenecks (He et al. 2015), with the stride in the 3 x 3 convolution."""
    layers: list[nn.Module] = [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inner = 64
    for few, count, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for stride in (first,) + (1,) * (count - 1):
            steps = nn.Sequential(convolution(inner, few, 1), convolution(few, few, 3, stride), convolution(few, 4 * few, 1, limit=None))
            way = nn.Identity() if inner == 4 * few else convolution(inner, 4 * few, 1, stride, limit=None)
            layers.append(Residual(steps, way, nn.ReLU()))
            inner = 4 * few
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"SqueezeNet": squeezenet, "MobileNetV2": mobilenet, "ResNet-50": resnet50}


def contestants(net: nn.Module) -> tuple[MLModel, onnxruntime.InferenceSession]:
    """``net`` converted for tailor and for ONNX Runtime."""
    example = torch.zeros(1, 3, SIZE, SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = coremltools.convert(
            torch.jit.trace(net, example),
            inputs=[coremltools.TensorType("x", shape=example.shape)],
            outputs=[coremltools.TensorType("y")],
            convert_to="neuralnetwork",
        )
        file, axes = io.BytesIO(), {"x": {0: "n"}, "y": {0: "n"}}
        torch.onnx.export(net, (example,), file, input_names=["x"], output_names=["y"], dynamic_axes=axes, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return MLModel(converted.get_spec().SerializeToString()), session


def compare(name: str, net: nn.Module, model: MLModel, session: Any, batch: int, seconds: float) -> None:
    x: Array = np.random.default_rng(batch).standard_normal((batch, 3, SIZE, SIZE), np.float32)
    rows, tensor = [{"x": row[None]} for row in x], torch.tensor(x)

    def ours() -> Array:
        return np.concatenate([np.asarray(row["y"]).reshape(1, -1) for row in model.predict(rows)])

    def eager() -> Array:
        with torch.inference_mode():
            return np.asarray(net(tensor).numpy())

    def onnx() -> Array:
        return np.asarray(session.run(None, {"x": x})[0])

    wanted, runs = eager(), (ours, onnx, eager)
    for run in runs:
        off = float(np.abs(run() - wanted).max() / np.abs(wanted).max())
        assert off < 1e-3, f"{name}: {run.__name__} is off by {off:g}"
    times: list[list[float]] = [[], [], []]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for run, found in zip(runs, times, strict=True):
            time.sleep(PAUSE)
            begin = time.perf_counter()
            run()
            found.append((time.perf_counter() - begin) * 1e3)
    middle, least = [statistics.median(found) for found in times], [min(found) for found in times]
    ratios = [found[0] / min(found[1:]) for found in (middle, least)]
    print(
        f"{name:12} {batch:5} {len(times[0]):5}"
        + "".join(f"{value:10.1f}" for value in (*middle, *least))
        + "".join(f"{r:8.2f}" for r in ratios)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Networks in tailor, ONNX Runtime and PyTorch.")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    warm_up()
    print(f"{'milliseconds':12} {'':5} {'':5}{'medians':>30}{'minima':>30}{'tailor / best':>16}")
    print(f"{'network':12} {'batch':>5} {'runs':>5}" + f"{'tailor':>10}{'ONNX':>10}{'PyTorch':>10}" * 2 + f"{'median':>8}{'min':>8}")
    for name in options.networks.split(","):
        net = NETWORKS[name]().eval()
        model, session = contestants(net)
        for batch in map(int, options.batches.split(",")):
            compare(name, net, model, session, batch, options.seconds)


if __name__ == "__main__":
    main()
