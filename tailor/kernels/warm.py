"""Getting the compiled loops ready before they are needed."""

from __future__ import annotations

import numpy as np

from .compiled.program import can_run
from .layers.activation import relu, relu_backward
from .layers.convolution import convolution, convolution_backward
from .layers.lstm_gates import usual_step
from .layers.pooling import AVERAGE, MAX, pooling, pooling_backward
from .layers.resample import HALF_PIXEL, upsample
from .optimizers import SGD, Adam


def warm_up() -> None:
    """Compiles the hot loops for float32 and the kernels of programs, or loads them where they have been compiled before.

    Does nothing without Numba. Takes half a minute the first time on a machine and a second or two afterwards. Safe from any thread.
    """
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 2, 2), np.float32)
    y = convolution(x, w)
    convolution_backward(y, y, x, w, needs=(True, True))
    y = relu(x)
    relu_backward(x, y, x, needs=(True,))
    for kind, kernel in ((MAX, (2, 2)), (MAX, (3, 3)), (AVERAGE, (3, 3))):
        y = pooling(x, kind=kind, kernel=kernel, stride=kernel)
        pooling_backward(y, y, x, needs=(True,), kind=kind, kernel=kernel, stride=kernel)
    upsample(x, factors=(2.0, 2.0), method=HALF_PIXEL)
    a, c = np.ones((2, 1, 4), np.float32), np.ones((3, 1, 1), np.float32)
    usual_step(a[0], a[1], c[0], 50.0, c[1], c[2])
    for optimizer in (SGD(0.1), SGD(0.1, 0.9), Adam(0.1)):
        parameters = {"w": x.copy()}
        optimizer.step(parameters, {"w": x}, optimizer.init(parameters), 1)
    if can_run():
        from .compiled.kernels import compile_all

        compile_all()
