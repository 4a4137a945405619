"""Hot kernels against PyTorch, one thread each, in turns: medians of processor time in milliseconds, and their ratio.

    python benchmarks/kernels.py [examples [seconds a row]]

The sizes are those of a small digit classifier (two convolutions, two dense layers) and of a middle layer of ResNet-50,
on a shard of 32 examples. A ratio below 1 means that tailor is faster. Needs PyTorch. Takes about 15 seconds on a quiet machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from threadpoolctl import threadpool_limits

from tailor.kernels import OPS, Adam, Array, warm_up

Run = Callable[[], object]
RANDOM = np.random.default_rng(0)
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.4


def numbers(*shape: int) -> Array:
    return RANDOM.standard_normal(shape, np.float32)


def compare(name: str, ours: Run, theirs: Run, seconds: float = SECONDS) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for run in (ours, theirs):
        run()
    end = perf_counter() + seconds
    while perf_counter() < end or len(times[0]) < (5 if seconds else 1):
        for run, found in zip((ours, theirs), times, strict=True):
            begin = process_time()  # not the clock on the wall: other programs may be using this core
            run()
            found.append(process_time() - begin)
    mine, other = (median(found) * 1e3 for found in times)
    print(f"{name:34} {mine:9.3f} {other:9.3f} {mine / other:8.2f}")


def op(
    name: str, row_name: str, twin: Callable[..., Any], inputs: tuple[Array, ...], frozen: tuple[int, ...] = (), **attributes: Any
) -> None:
    """Compares forward, and forward and backward together; no gradient for the arrays at ``frozen``."""
    row = OPS[row_name]
    assert row.backward is not None
    backward = row.backward
    needs = tuple(place not in frozen for place in range(len(inputs)))
    tensors = [torch.tensor(array, requires_grad=need) for array, need in zip(inputs, needs, strict=True)]
    g = numbers(*row.forward(*inputs, **attributes).shape)
    gradient = torch.tensor(g)

    def forward_theirs() -> object:
        with torch.no_grad():
            return twin(*tensors)

    def both_ours() -> object:
        y = row.forward(*inputs, **attributes)
        return backward(g, y, *inputs, needs=needs, **attributes)

    def both_theirs() -> object:
        return torch.autograd.grad(twin(*tensors), [tensor for tensor in tensors if tensor.requires_grad], gradient)

    compare(f"{name}, forward", lambda: row.forward(*inputs, **attributes), forward_theirs)
    compare(f"{name}, and backward", both_ours, both_theirs)


def adam() -> None:
    shapes = [(500, 1152), (500,), (10, 500), (10,), (32, 32, 2, 2), (32,), (32, 1, 3, 3), (32,)]
    parameters = {str(place): numbers(*shape) for place, shape in enumerate(shapes)}
    gradients = {name: numbers(*array.shape) for name, array in parameters.items()}
    optimizer = Adam(1e-4)
    slots = optimizer.init(parameters)
    tensors = [torch.tensor(array, requires_grad=True) for array in parameters.values()]
    for tensor, g in zip(tensors, gradients.values(), strict=True):
        tensor.grad = torch.tensor(g)
    twin = torch.optim.Adam(tensors, lr=1e-4)
    compare("Adam, 600,000 parameters", lambda: optimizer.step(parameters, gradients, slots, 3), twin.step)


def main(examples: int) -> None:
    n, f = examples, functional
    print(f"{'one thread, examples: ' + str(n):34} {'tailor':>9} {'PyTorch':>9} {'ratio':>8}")
    op("convolution 1 to 32, 3x3, 28x28", "convolution", f.conv2d, (numbers(n, 1, 28, 28), numbers(32, 1, 3, 3), numbers(32)), (0,))
    op("ReLU 32x26x26", "activation.ReLU", f.relu, (numbers(n, 32, 26, 26),))
    tiles: dict[str, Any] = {"kind": "max", "kernel": (2, 2), "stride": (2, 2)}
    op("max pooling 2x2, 32x26x26", "pooling", lambda x: f.max_pool2d(x, 2, 2), (numbers(n, 32, 26, 26),), **tiles)
    op("convolution 32 to 32, 2x2, 13x13", "convolution", f.conv2d, (numbers(n, 32, 13, 13), numbers(32, 32, 2, 2), numbers(32)))
    op("dense 1152 to 500", "innerProduct", f.linear, (numbers(n, 1152), numbers(500, 1152), numbers(500)))
    op("softmax 500", "softmax", lambda x: f.softmax(x, dim=-3), (numbers(n, 500, 1, 1),))
    adam()
    few = max(1, n // 16)
    op(
        "convolution 64 to 64, 3x3, 56x56",
        "convolution",
        lambda x, w, b: f.conv2d(x, w, b, padding=1),
        (numbers(few, 64, 56, 56), numbers(64, 64, 3, 3), numbers(64)),
        padding="same",
    )
    op("convolution 256 to 64, 1x1, 56x56", "convolution", f.conv2d, (numbers(few, 256, 56, 56), numbers(64, 256, 1, 1), numbers(64)))
    op(
        "max pooling 3x3, stride 2, 64x112",
        "pooling",
        lambda x: f.max_pool2d(x, 3, 2),
        (numbers(few, 64, 112, 112),),
        kind="max",
        kernel=(3, 3),
        stride=(2, 2),
    )
    op(
        "average pooling 3x3, 64x56x56",
        "pooling",
        lambda x: f.avg_pool2d(x, 3, 1),
        (numbers(few, 64, 56, 56),),
        kind="average",
        kernel=(3, 3),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm_up()
    with threadpool_limits(1):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 32)
