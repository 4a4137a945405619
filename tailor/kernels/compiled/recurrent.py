"""The kernel that goes through time: the simple recurrent layer, the gated recurrent unit and the LSTM, after their inputs' products.

Gates, memory and panels lie in blocks of ``LANES`` units, with zeros after the last unit.
"""

from __future__ import annotations

import numba
import numpy as np

from .machine import PIXELS, anything, compiled, floats, longs, plus, tile
from .maths import tanh
from .products import MANY
from .records import LANES, RECURRENT, Cell, Squash
from .strip import STRIP, strip

F = np.float32

LSTM, GRU = int(Cell.LSTM), int(Cell.GRU)
SIGMOID, TANH, SCALED_TANH, HARD, RELU = (int(kind) for kind in (Squash.SIGMOID, Squash.TANH, Squash.SCALED_TANH, Squash.HARD, Squash.RELU))

LIMIT = F(50.0)
"""What an activation is given is cut to -50...50; of a sigmoid and a tanh that cannot be seen."""

TILES = 3
"""Tiles of rows that go through a panel while it is in the first cache."""


@compiled
def at(r, image, example, time, bases):
    """Where the answer after a step in time begins; before the first, the state."""
    if time < 0:
        return bases[r.h] + 4 * (r.h_at + image * r.h_image + example * r.h_row)
    return bases[r.y] + 4 * (r.y_at + image * r.y_image + example * r.y_row + time * r.y_step)


@compiled
def kept(r, image, example, bases):
    """Where the memory begins, or what a reset gate left."""
    return bases[r.m] + 4 * (r.m_at + image * r.m_image + example * r.m_row)


@compiled
def gates(r, image, example, time, bases):
    """Where the gates begin."""
    return bases[r.a] + 4 * (r.a_at + image * r.a_image + example * r.a_row + time * r.a_step)


@compiled
def multiply(r, time, phase, first_row, last_row, first_block, last_block, bases, table_at):
    """Adds the products of the answers before and some blocks of panels to the gates of some rows.

    Every other step in time begins with the panels that were last, for the cache still holds them.
    """
    table = numba.carray(longs(table_at), MANY)
    blocks = (r.size + LANES - 1) // LANES
    panel = 4 * LANES * r.size
    weights = bases[r.w] + 4 * r.w_at
    first_gate, last_gate = 0, r.gates
    if r.code == GRU:
        first_gate, last_gate = (2, 3) if phase else (0, 2)
    wide = STRIP if last_row == first_row + 1 else 1
    across = (last_block - first_block + wide - 1) // wide
    turns = (last_gate - first_gate) * across
    zeros = table_at + 8 * 3 * PIXELS * TILES
    numba.carray(longs(zeros), 1 + LANES // 2)[:] = 0  # the only tap's offset, and a bias
    place = first_row
    while place < last_row:
        count = min(TILES * PIXELS, last_row - place)
        tiles = (count + PIXELS - 1) // PIXELS
        for tiled in range(tiles):
            begin, end = place + count * tiled // tiles, place + count * (tiled + 1) // tiles
            for i in range(end - begin):
                image, example = divmod(begin + i, r.batch)
                mine = 3 * PIXELS * tiled + i
                table[mine] = kept(r, image, example, bases) if phase else at(r, image, example, time - 1, bases)
                table[mine + PIXELS] = gates(r, image, example, time, bases)
                table[mine + 2 * PIXELS] = table[mine + PIXELS]
        for turn in range(turns):
            gate, block = divmod(turns - 1 - turn if time % 2 else turn, across)
            block = first_block + wide * block
            number = (first_gate + gate) * blocks + block
            here = weights + number * panel
            if wide > 1:
                strip(min(wide, last_block - block), table[0], here, r.size, table[PIXELS] + 4 * LANES * number)
                continue
            for tiled in range(tiles):
                rows = count * (tiled + 1) // tiles - count * tiled // tiles
                along = 4 * LANES * number
                low, high = F(-np.inf), F(np.inf)
                tile(rows, False, table_at + 24 * PIXELS * tiled, zeros, 1, r.size, here, zeros + 8, 0, along, low, high, True)
        place += count


@compiled
def all_sigmoid(a):
    """In place, as the next ones: the compiler does many numbers at once only where it sees that nothing overlaps.

    By tanh: half as long as by the exponential, and as near where sums are of numbers near 1.
    """
    for i in range(a.size):
        a[i] = plus(tanh(F(0.5) * a[i]), F(0.5), F(0.5))


@compiled
def all_tanh(a, alpha, beta):
    """``alpha * tanh(beta * a)``."""
    for i in range(a.size):
        a[i] = alpha * tanh(beta * a[i])


@compiled
def scale(a, alpha, beta):
    """``alpha * a + beta``."""
    for i in range(a.size):
        a[i] = alpha * a[i] + beta


@compiled
def cut(a, low, high):
    """``a`` between ``low`` and ``high``; NaN stays."""
    for i in range(a.size):
        least = low if a[i] < low else a[i]
        a[i] = high if least > high else least


@compiled
def squash(kind, alpha, beta, a):
    """An activation in place."""
    if kind == SIGMOID:
        all_sigmoid(a)
    elif kind == TANH:
        all_tanh(a, F(1.0), F(1.0))
    else:
        cut(a, -LIMIT, LIMIT)
        if kind == SCALED_TANH:
            all_tanh(a, alpha, beta)
        elif kind == RELU:
            cut(a, F(0.0), F(np.inf))
        else:
            scale(a, alpha, beta)
            if kind == HARD:
                cut(a, F(0.0), F(1.0))


@compiled
def fill(a, source, count):
    """``count`` numbers, and zeros after them."""
    given = numba.carray(floats(source), count)
    for i in range(count):
        a[i] = given[i]
    a[count:] = F(0.0)


@compiled
def add_product(a, b, c):
    """``a += b * c``."""
    for i in range(a.size):
        a[i] += b[i] * c[i]


@compiled
def remember(c, entering, keeping, block, limit):
    """The memory after a step, also in the place of ``block``."""
    for i in range(c.size):
        memory = keeping[i] * c[i] + entering[i] * block[i]
        memory = limit if memory > limit else memory
        memory = -limit if memory < -limit else memory
        c[i] = memory
        block[i] = memory


@compiled
def lstm(r, a, c, looks, y):
    """An LSTM's gates become its answers; ``c``: the memory; ``looks``: the peepholes."""
    entering, keeping, leaving, block = a
    f, alpha, beta = r.kinds[0], r.alphas[0], r.betas[0]
    if r.peepholes:
        add_product(entering, looks[0], c)
        add_product(keeping, looks[1], c)
    squash(f, alpha, beta, entering)
    squash(r.kinds[1], r.alphas[1], r.betas[1], block)
    if r.coupled:
        for i in range(keeping.size):
            keeping[i] = F(1.0) - entering[i]
    else:
        squash(f, alpha, beta, keeping)
    remember(c, entering, keeping, block, r.limit)
    if r.peepholes:
        add_product(leaving, looks[2], c)
    squash(f, alpha, beta, leaving)
    squash(r.kinds[2], r.alphas[2], r.betas[2], block)
    for i in range(y.size):
        y[i] = block[i] * leaving[i]


@compiled
def mixed(y, update, output, before):
    """A GRU's answer."""
    for i in range(y.size):
        y[i] = (F(1.0) - update[i]) * output[i] + update[i] * before[i]


@compiled
def several(address, apart, count):
    """Four rows of ``count`` numbers, ``apart`` bytes from each other."""
    return (
        numba.carray(floats(address), count),
        numba.carray(floats(address + apart), count),
        numba.carray(floats(address + 2 * apart), count),
        numba.carray(floats(address + 3 * apart), count),
    )


@compiled
def finish(r, time, phase, row, first_block, last_block, bases):
    """Answers, or with the first phase of a GRU what its reset gate leaves, of some blocks of a row."""
    image, example = divmod(row, r.batch)
    along, whole = 4 * LANES * first_block, LANES * (last_block - first_block)
    count = min(r.size, LANES * last_block) - LANES * first_block
    apart = 4 * LANES * ((r.size + LANES - 1) // LANES)
    a = several(gates(r, image, example, time, bases) + along, apart, whole)
    y = numba.carray(floats(at(r, image, example, time, bases) + along), count)
    memory = numba.carray(floats(kept(r, image, example, bases) + along), whole)
    before = at(r, image, example, time - 1, bases) + along
    if r.code == LSTM:
        if time == 0:
            fill(memory, bases[r.c] + 4 * (r.c_at + image * r.c_image + example * r.c_row) + along, count)
        lstm(r, a, memory, several(bases[r.p] + 4 * r.p_at + along, apart, whole), y)
    elif r.code == GRU:
        update, reset, output, _ = a
        if phase == 0:
            squash(r.kinds[0], r.alphas[0], r.betas[0], update)
            squash(r.kinds[0], r.alphas[0], r.betas[0], reset)
            fill(memory, before, count)
            for i in range(whole):
                memory[i] *= reset[i]
        else:
            squash(r.kinds[1], r.alphas[1], r.betas[1], output)
            mixed(y, update, output, numba.carray(floats(before), count))
    else:
        squash(r.kinds[0], r.alphas[0], r.betas[0], a[0])
        for i in range(count):
            y[i] = a[0][i]


def recurrent(stamp):
    """The kernel of ``RECURRENT``.

    ``split`` above 1: a part is one turn (a step in time, or half of one of a GRU) of all rows and of one in ``split`` of the units;
    parts of one turn know nothing of each other. Else a part is some rows through all of time.
    """

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, RECURRENT)[0]
        bases = numba.carray(longs(bases_at), MANY)
        phases = 2 if r.code == GRU else 1
        rows, blocks = count * r.batch, (r.size + LANES - 1) // LANES
        first_row, last_row, first_block, last_block = 0, rows, 0, blocks
        begin, end = 0, r.steps * phases
        if split > 1:
            begin, part = divmod(part, split)
            end = begin + 1
            first_block, last_block = blocks * part // split, blocks * (part + 1) // split
        else:
            first_row, last_row = rows * part // parts, rows * (part + 1) // parts
        for turn in range(begin, end):
            time, phase = divmod(turn, phases)
            multiply(r, time, phase, first_row, last_row, first_block, last_block, bases, aside_at)
            for row in range(first_row, last_row):
                finish(r, time, phase, row, first_block, last_block, bases)

    return kernel
