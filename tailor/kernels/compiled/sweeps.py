"""Kernels that go over values once: poolings, functions of elements, rows made even, copies, borders."""

from __future__ import annotations

import math

import numba
import numpy as np

from .machine import anything, compiled, floats, longs, window
from .maths import error_function, exponential, sigmoid, tanh
from .products import MANY
from .records import AXES, BORDER, COPY, LANES, MAP, NORM, POOL, Function, Norm

F = np.float32

ADD, SUBTRACT, MULTIPLY, DIVIDE = int(Function.ADD), int(Function.SUBTRACT), int(Function.MULTIPLY), int(Function.DIVIDE)
MAXIMUM, MINIMUM, SCALE, AFFINE, CLIP = (
    int(f) for f in (Function.MAXIMUM, Function.MINIMUM, Function.SCALE, Function.AFFINE, Function.CLIP)
)
LEAKY, SIGMOID, TANH, ELU, EXP = (int(f) for f in (Function.LEAKY, Function.SIGMOID, Function.TANH, Function.ELU, Function.EXP))
SQRT, INVERSE, ABS = int(Function.SQRT), int(Function.INVERSE), int(Function.ABS)
GELU, GELU_TANH, GELU_SIGMOID = int(Function.GELU), int(Function.GELU_TANH), int(Function.GELU_SIGMOID)
SOFTMAX, CENTRED = int(Norm.SOFTMAX), int(Norm.CENTRED)


@compiled
def located(index, size, strides, axes):
    """Where the element ``index`` of the first ``axes`` axes lies."""
    at = 0
    for axis in range(axes - 1, -1, -1):
        index, place = divmod(index, size[axis])
        at += place * strides[axis]
    return at


@compiled
def units_of(size, axes):
    """How many elements the first ``axes`` axes have."""
    units = 1
    for axis in range(axes):
        units *= size[axis]
    return units


@compiled
def pool(r, row, bases, aside):
    """One row of the answers of a pooling; ``row`` counts through all images. ``aside``: room for ``LANES`` channels."""
    image, down = divmod(row, r.rows)
    top = down * r.stride_down - r.top
    above, below = max(0, top), min(r.height, top + r.kernel_high)
    whole, rest = divmod(r.channels, LANES)
    x = bases[r.x] + 4 * (r.x_at + image * r.x_image + above * r.x_row)
    y = bases[r.y] + 4 * (r.y_at + image * r.y_image + down * r.y_row)
    counts = numba.carray(floats(bases[r.counts]), r.rows * r.cols)
    maximum = r.maximum != 0
    for across in range(r.cols):
        left = across * r.stride_right - r.left
        begin, end = max(0, left), min(r.width, left + r.kernel_wide)
        divisor = F(1.0) if maximum else counts[down * r.cols + across]
        pixels, answers = x + 4 * begin * r.x_col, y + 4 * across * r.y_col
        window(maximum, pixels, 4 * r.x_row, 4 * r.x_col, below - above, end - begin, whole, answers, divisor)
        if rest:  # the last channels are not a whole vector
            last = 4 * LANES * whole
            window(maximum, pixels + last, 4 * r.x_row, 4 * r.x_col, below - above, end - begin, 1, aside.ctypes.data, divisor)
            target = numba.carray(floats(answers + last), rest)
            for lane in range(rest):
                target[lane] = aside[lane]


def _of_two(function):
    """A function of two rows, or of a row and a number. Made for each function: one handed over would have to be called."""

    @compiled
    def rows(y, a, b, a_step, b_step):
        if a_step == 1 and b_step == 1:
            for i in range(y.size):
                y[i] = function(a[i], b[i])
        elif b_step == 1:
            first = a[0]
            for i in range(y.size):
                y[i] = function(first, b[i])
        else:
            second = b[0]
            for i in range(y.size):
                y[i] = function(a[max(0, i * a_step)], second)

    return rows


def _of_one(function):
    """A function of one row, or of a number that fills it, and of two fixed numbers."""

    @compiled
    def rows(y, a, a_step, alpha, beta):
        if a_step == 1:
            for i in range(y.size):
                y[i] = function(a[i], alpha, beta)
        else:
            y[:] = function(a[0], alpha, beta)

    return rows


@compiled
def clip(a, low, high):
    """``a`` between ``low`` and ``high``; NaN stays."""
    least = low if a < low else a
    return high if least > high else least


add, subtract = _of_two(compiled(lambda a, b: a + b)), _of_two(compiled(lambda a, b: a - b))
multiply, divide = _of_two(compiled(lambda a, b: a * b)), _of_two(compiled(lambda a, b: a / b))
maximum, minimum = _of_two(compiled(lambda a, b: a if a > b or a != a else b)), _of_two(compiled(lambda a, b: a if a < b or a != a else b))
affine, clipped = _of_one(compiled(lambda a, alpha, beta: alpha * a + beta)), _of_one(clip)
leaky = _of_one(compiled(lambda a, alpha, beta: a * alpha if a < F(0.0) else a))
elu = _of_one(compiled(lambda a, alpha, beta: alpha * (exponential(a) - F(1.0)) if a < F(0.0) else a))
sigmoids, tanhs = _of_one(compiled(lambda a, alpha, beta: sigmoid(a))), _of_one(compiled(lambda a, alpha, beta: alpha * tanh(beta * a)))
exponentials, roots = (
    _of_one(compiled(lambda a, alpha, beta: exponential(alpha * a + beta))),
    _of_one(compiled(lambda a, alpha, beta: math.sqrt(alpha * a + beta))),
)
inverses, sizes = (
    _of_one(compiled(lambda a, alpha, beta: F(1.0) / (alpha * a + beta))),
    _of_one(compiled(lambda a, alpha, beta: abs(alpha * a + beta))),
)
gelu = _of_one(compiled(lambda a, alpha, beta: F(0.5) * a * (F(1.0) + error_function(a * F(0.7071067811865476)))))
gelu_tanh = _of_one(compiled(lambda a, alpha, beta: F(0.5) * a * (F(1.0) + tanh(F(0.7978845608028654) * (a + F(0.044715) * a * a * a)))))
gelu_sigmoid = _of_one(compiled(lambda a, alpha, beta: a * sigmoid(F(1.702) * a)))


@compiled
def scaled(y, a, b, c, a_step, b_step, c_step):
    """``a * b + c``."""
    if a_step == 1 and b_step == 1 and c_step == 1:
        for i in range(y.size):
            y[i] = a[i] * b[i] + c[i]
    elif a_step == 1 and b_step == 0 and c_step == 0:
        second, third = b[0], c[0]
        for i in range(y.size):
            y[i] = a[i] * second + third
    else:
        for i in range(y.size):
            y[i] = a[i * a_step] * b[i * b_step] + c[i * c_step]


@compiled
def total(values, sums):
    """The sum of a row: ``LANES`` sums side by side, then of those; the order depends on the length only."""
    count = values.size
    whole = count - count % LANES
    sums[:] = F(0.0)
    for begin in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += values[begin + lane]
    answer = F(0.0)
    for lane in range(LANES):
        answer += sums[lane]
    for i in range(whole, count):
        answer += values[i]
    return answer


@compiled
def norm(r, image, unit, bases, sums):
    """One row made even."""
    last = AXES - 1
    count = r.size[last]
    y = numba.carray(floats(bases[r.y] + 4 * (r.y_at + image * r.y_image + located(unit, r.size, r.y_stride, last))), count)
    x = numba.carray(floats(bases[r.x] + 4 * (r.x_at + image * r.x_image + located(unit, r.size, r.x_stride, last))), count)
    if r.code == SOFTMAX:
        most = x[0]
        for i in range(count):
            most = x[i] if x[i] > most or x[i] != x[i] else most
        for i in range(count):
            y[i] = exponential(x[i] - most)
        scale = F(1.0) / total(y, sums)
        for i in range(count):
            y[i] *= scale
        return
    mean = total(x, sums) / F(count)
    for i in range(count):
        y[i] = x[i] - mean
    if r.code == CENTRED:
        return
    whole = count - count % LANES
    sums[:] = F(0.0)
    for begin in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += y[begin + lane] * y[begin + lane]
    variance = F(0.0)
    for lane in range(LANES):
        variance += sums[lane]
    for i in range(whole, count):
        variance += y[i] * y[i]
    scale = F(1.0) / math.sqrt(variance / F(count) + r.epsilon)
    for i in range(count):
        y[i] *= scale


@compiled
def copied(r, image, unit, bases):
    """The last two axes of a copy, in strips as wide as a cache line."""
    deep, wide = AXES - 2, AXES - 1
    y_at = bases[r.y] + 4 * (r.y_at + image * r.y_image + located(unit, r.size, r.y_stride, deep))
    x_at = bases[r.x] + 4 * (r.x_at + image * r.x_image + located(unit, r.size, r.x_stride, deep))
    rows, cols = r.size[deep], r.size[wide]
    x_down, x_step, y_down, y_step = r.x_stride[deep], r.x_stride[wide], r.y_stride[deep], r.y_stride[wide]
    if x_step == 1 and y_step == 1:
        for i in range(rows):
            x = numba.carray(floats(x_at + 4 * i * x_down), cols)
            y = numba.carray(floats(y_at + 4 * i * y_down), cols)
            for j in range(cols):
                y[j] = x[j]
        return
    x = numba.carray(floats(x_at), (rows - 1) * x_down + (cols - 1) * x_step + 1)
    y = numba.carray(floats(y_at), (rows - 1) * y_down + (cols - 1) * y_step + 1)
    for begin in range(0, cols, LANES):
        end = min(begin + LANES, cols)
        for i in range(rows):
            for j in range(begin, end):
                y[max(0, i * y_down + j * y_step)] = x[max(0, i * x_down + j * x_step)]


@compiled
def bordered(r, row, bases):
    """The zeros of one row, with the border; ``row`` counts through all images."""
    high = r.rows + r.top + r.bottom
    image, down = divmod(row, high)
    begin = bases[r.y] + 4 * (r.y_at + image * r.y_image + (down - r.top) * r.y_row - r.left * r.y_col)
    wide = (r.left + r.cols + r.right) * r.y_col
    y = numba.carray(floats(begin), wide)
    if down < r.top or down >= r.top + r.rows:
        y[:] = F(0.0)
    else:
        y[: r.left * r.y_col] = F(0.0)
        y[(r.left + r.cols) * r.y_col :] = F(0.0)


def pool_kernel(stamp):
    """The kernel of ``POOL``: a unit is a row of answers."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, POOL)[0]
        bases, aside = numba.carray(longs(bases_at), MANY), numba.carray(floats(aside_at), LANES)
        each = r.lead * r.rows
        for unit in range(count * each * part // parts, count * each * (part + 1) // parts):
            pool(r, unit, bases, aside)

    return kernel


def map_kernel(stamp, code):
    """The kernel of ``MAP`` for the function ``code``: a unit is a row. Branches of other functions are left out by the compiler."""
    last = AXES - 1

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, MAP)[0]
        bases = numba.carray(longs(bases_at), MANY)
        each, wide = units_of(r.size, last), r.size[last]
        a_step, b_step, c_step = r.a_stride[last], r.b_stride[last], r.c_stride[last]
        for unit in range(count * each * part // parts, count * each * (part + 1) // parts):
            image, row = divmod(unit, each)
            y = numba.carray(floats(bases[r.y] + 4 * (r.y_at + image * r.y_image + located(row, r.size, r.y_stride, last))), wide)
            a = numba.carray(floats(bases[r.a] + 4 * (r.a_at + image * r.a_image + located(row, r.size, r.a_stride, last))), wide)
            b = numba.carray(floats(bases[r.b] + 4 * (r.b_at + image * r.b_image + located(row, r.size, r.b_stride, last))), wide)
            if code == SCALE:
                c = numba.carray(floats(bases[r.c] + 4 * (r.c_at + image * r.c_image + located(row, r.size, r.c_stride, last))), wide)
                scaled(y, a, b, c, a_step, b_step, c_step)
            elif code == ADD:
                add(y, a, b, a_step, b_step)
            elif code == SUBTRACT:
                subtract(y, a, b, a_step, b_step)
            elif code == MULTIPLY:
                multiply(y, a, b, a_step, b_step)
            elif code == DIVIDE:
                divide(y, a, b, a_step, b_step)
            elif code == MAXIMUM:
                maximum(y, a, b, a_step, b_step)
            elif code == MINIMUM:
                minimum(y, a, b, a_step, b_step)
            elif code == AFFINE:
                affine(y, a, a_step, r.alpha, r.beta)
            elif code == CLIP:
                clipped(y, a, a_step, r.alpha, r.beta)
            elif code == LEAKY:
                leaky(y, a, a_step, r.alpha, r.beta)
            elif code == SIGMOID:
                sigmoids(y, a, a_step, r.alpha, r.beta)
            elif code == TANH:
                tanhs(y, a, a_step, r.alpha, r.beta)
            elif code == ELU:
                elu(y, a, a_step, r.alpha, r.beta)
            elif code == EXP:
                exponentials(y, a, a_step, r.alpha, r.beta)
            elif code == SQRT:
                roots(y, a, a_step, r.alpha, r.beta)
            elif code == INVERSE:
                inverses(y, a, a_step, r.alpha, r.beta)
            elif code == ABS:
                sizes(y, a, a_step, r.alpha, r.beta)
            elif code == GELU:
                gelu(y, a, a_step, r.alpha, r.beta)
            elif code == GELU_TANH:
                gelu_tanh(y, a, a_step, r.alpha, r.beta)
            elif code == GELU_SIGMOID:
                gelu_sigmoid(y, a, a_step, r.alpha, r.beta)

    return kernel


def norm_kernel(stamp):
    """The kernel of ``NORM``: a unit is a row."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, NORM)[0]
        bases, aside = numba.carray(longs(bases_at), MANY), numba.carray(floats(aside_at), LANES)
        each = units_of(r.size, AXES - 1)
        for unit in range(count * each * part // parts, count * each * (part + 1) // parts):
            norm(r, unit // each, unit % each, bases, aside)

    return kernel


def copy_kernel(stamp):
    """The kernel of ``COPY``: a unit is what the last two axes hold."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, COPY)[0]
        bases = numba.carray(longs(bases_at), MANY)
        each = units_of(r.size, AXES - 2)
        for unit in range(count * each * part // parts, count * each * (part + 1) // parts):
            copied(r, unit // each, unit % each, bases)

    return kernel


def border_kernel(stamp):
    """The kernel of ``BORDER``: a unit is a row of an image with its border."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, BORDER)[0]
        bases = numba.carray(longs(bases_at), MANY)
        each = r.lead * (r.rows + r.top + r.bottom)
        for unit in range(count * each * part // parts, count * each * (part + 1) // parts):
            bordered(r, unit, bases)

    return kernel
