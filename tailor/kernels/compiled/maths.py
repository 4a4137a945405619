"""Functions of one float32 that the compiler can do for many at once: exponential, hyperbolic tangent, error function.

The C library's take one number a call. These are polynomials after the usual reductions, within some units of the last place:
exp after W. J. Cody and W. Waite (Software Manual for the Elementary Functions, 1980), the others rational approximations on the interval
where float32 is not yet 1. Their terms are added in pairs: one after the other, each addition would wait for the one before.
"""

from __future__ import annotations

import numpy as np

from .machine import as_bits, as_float, compiled, plus

F = np.float32

ROUNDING = F(12582912.0)
"""1.5 * 2**23: added to a small number, it leaves the nearest whole one in the lowest bits."""

LOG2_E, LN2_HIGH, LN2_LOW = F(1.4426950408889634), F(0.693359375), F(-2.12194440e-4)
LARGEST, SMALLEST = F(88.722839), F(-105.0)


@compiled
def exponential(x):
    """e to the power of ``x``."""
    bounded = min(max(x, SMALLEST), F(89.0))
    shifted = plus(bounded, LOG2_E, ROUNDING)
    whole = shifted - ROUNDING
    rest = plus(whole, -LN2_LOW, plus(whole, -LN2_HIGH, bounded))
    square = rest * rest
    first = plus(F(8.3334519073e-3), rest, F(4.1665795894e-2))
    second = plus(F(1.6666665459e-1), rest, F(5.0000001201e-1))
    highest = plus(F(1.9875691500e-4), rest, F(1.3981999507e-3))
    series = plus(plus(plus(highest, square, first), square, second), square, rest + F(1.0))
    power = np.int32(as_bits(shifted) - as_bits(ROUNDING))
    half = np.int32(power >> np.int32(1))  # in two steps, for the smallest and largest powers have no float32
    one = as_float(np.int32((half + np.int32(127)) << np.int32(23)))
    other = as_float(np.int32((power - half + np.int32(127)) << np.int32(23)))
    answer = series * one * other
    answer = F(np.inf) if x > LARGEST else answer
    return answer if x == x else x


@compiled
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return F(1.0) / (F(1.0) + exponential(-x))


@compiled
def tanh(x):
    """The hyperbolic tangent."""
    z = min(max(x, F(-7.90531110763549805)), F(7.90531110763549805))
    s = z * z
    square = s * s
    p = plus(F(-2.76076847742355e-16), s, F(2.00018790482477e-13))
    p = plus(p, square, plus(F(-8.60467152213735e-11), s, F(5.12229709037114e-08)))
    p = plus(p, square, plus(F(1.48572235717979e-05), s, F(6.37261928875436e-04)))
    p = plus(p, s, F(4.89352455891786e-03))
    q = plus(F(1.19825839466702e-06), s, F(1.18534705686654e-04))
    q = plus(q, square, plus(F(2.26843463243900e-03), s, F(4.89352518554385e-03)))
    answer = z * p / q
    return answer if x == x else x


@compiled
def error_function(x):
    """The error function."""
    z = min(max(x, F(-4.0)), F(4.0))
    s = z * z
    square = s * s
    p = plus(F(-2.72614225801306e-10), s, F(2.77068142495902e-08))
    p = plus(p, square, plus(F(-2.10102402082508e-06), s, F(-5.69250639462346e-05)))
    p = plus(p, square, plus(F(-7.34990630326855e-04), s, F(-2.95459980854025e-03)))
    p = plus(p, s, F(-1.60960333262415e-02))
    q = plus(F(-1.45660718464996e-05), s, F(-2.13374055278905e-04))
    q = plus(q, square, plus(F(-1.68282697438203e-03), s, F(-7.37332916720468e-03)))
    q = plus(q, s, F(-1.42647390514189e-02))
    answer = z * p / q
    return answer if x == x else x
