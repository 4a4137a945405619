"""One step of an LSTM with the usual activations and float32 numbers, gates and answer in one pass.

Tanh is a fraction of two polynomials of x squared, degree 4 each, fitted to the least greatest relative error for |x| < 9.02,
beyond which tanh is 1 in float32; within 4e-7 of tanh. Only sums, products and a quotient, so the compiler can do it
several numbers at a time, which it cannot with the library's function. The sigmoid is (1 + tanh(x / 2)) / 2.
"""

from __future__ import annotations

import numpy as np

from ..jit import jit
from ..op import Array

_END, _ONE, _HALF, _ZERO = np.float32(9.02), np.float32(1.0), np.float32(0.5), np.float32(0.0)
_P0, _P1, _P2, _P3, _P4 = (
    np.float32(p) for p in (0.9999999791333215, 0.1337971478613992, 0.003494030632677984, 2.0583413482318354e-05, 1.3318976197955175e-08)
)
_Q1, _Q2, _Q3, _Q4 = (np.float32(q) for q in (0.46713030061816296, 0.02587105865038586, 0.00032830862452919266, 7.761980473983205e-07))


def _tanh(x: Array) -> Array:
    x = np.maximum(np.minimum(x, _END), -_END)
    s = x * x
    p = x * ((((_P4 * s + _P3) * s + _P2) * s + _P1) * s + _P0)
    q = (((_Q4 * s + _Q3) * s + _Q2) * s + _Q1) * s + _ONE
    found: Array = np.maximum(np.minimum(p / q, _ONE), -_ONE)
    return found


def _step_numpy(a: Array, recurrent: Array, c: Array, limit: float, memory: Array, answer: Array) -> None:
    size = c.shape[1]
    a += recurrent
    a[:, : 3 * size] = _tanh(a[:, : 3 * size] * _HALF) * _HALF + _HALF
    a[:, 3 * size :] = _tanh(a[:, 3 * size :] * _ONE) * _ONE + _ZERO
    entering, keeping, leaving, block = (a[:, place * size : (place + 1) * size] for place in range(4))
    np.copyto(memory, np.maximum(np.minimum(keeping * c + entering * block, np.float32(limit)), -np.float32(limit)))
    np.copyto(answer, _tanh(memory) * leaving)


@jit(twin=_step_numpy)
def usual_step(a: Array, recurrent: Array, c: Array, limit: float, memory: Array, answer: Array) -> None:
    """Turns ``a`` ``[M, 4H]`` with ``recurrent`` added into gates; puts what follows into ``memory`` and ``answer`` ``[M, H]``.

    ``c``: the memory before, which is cut to -limit...limit after. The gates stand in the order input, forget, output, block input.
    """
    size = c.shape[1]
    top = np.float32(limit)
    for m in range(a.shape[0]):
        for part in range(2):
            row, more = (a[m, : 3 * size], recurrent[m, : 3 * size]) if part == 0 else (a[m, 3 * size :], recurrent[m, 3 * size :])
            scale, shift = (_HALF, _HALF) if part == 0 else (_ONE, _ZERO)
            for j in range(row.size):
                x = (row[j] + more[j]) * scale
                x = _END if x > _END else x  # this way round, NaN stays NaN
                x = -_END if x < -_END else x
                s = x * x
                p = x * ((((_P4 * s + _P3) * s + _P2) * s + _P1) * s + _P0)
                q = (((_Q4 * s + _Q3) * s + _Q2) * s + _Q1) * s + _ONE
                t = p / q
                t = _ONE if t > _ONE else t
                t = -_ONE if t < -_ONE else t
                row[j] = t * scale + shift
        entering, keeping = a[m, :size], a[m, size : 2 * size]
        leaving, block = a[m, 2 * size : 3 * size], a[m, 3 * size :]
        before, after, out = c[m], memory[m], answer[m]
        for j in range(size):
            v = keeping[j] * before[j] + entering[j] * block[j]
            v = top if v > top else v
            v = -top if v < -top else v
            after[j] = v
            x = _END if v > _END else v
            x = -_END if x < -_END else x
            s = x * x
            p = x * ((((_P4 * s + _P3) * s + _P2) * s + _P1) * s + _P0)
            q = (((_Q4 * s + _Q3) * s + _Q2) * s + _Q1) * s + _ONE
            t = p / q
            t = _ONE if t > _ONE else t
            t = -_ONE if t < -_ONE else t
            out[j] = t * leaving[j]
