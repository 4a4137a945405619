"""Kernels that multiply matrices: convolutions of all kinds, inner products, products of two computed values."""

from __future__ import annotations

import numba
import numpy as np

from .machine import PIXELS, anything, floats, longs, tile
from .records import LANES, PACK, PRODUCT

MANY = 1 << 40
"""The length of an array whose length does not matter."""

TABLE = 3 * PIXELS + PIXELS * LANES // 2 + PIXELS
"""64-bit numbers that a product needs aside: three rows of addresses, a tile, and a row of addresses again."""


def product(stamp):
    """The kernel of ``PRODUCT``; ``split``: in how many parts the channels are done."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, PRODUCT)[0]
        bases, table = numba.carray(longs(bases_at), MANY), numba.carray(longs(aside_at), MANY)
        units = r.outer * count * r.lead if r.apart else r.outer
        pixels = r.rows * r.cols if r.apart else r.rows * r.cols * count * r.lead
        channel_parts, pixel_parts = split, parts // (units * split)
        unit, rest = divmod(part, channel_parts * pixel_parts)
        channel_part, pixel_part = divmod(rest, pixel_parts)
        blocks = (r.channels + LANES - 1) // LANES
        first_block, last_block = blocks * channel_part // channel_parts, blocks * (channel_part + 1) // channel_parts
        place, last = pixels * pixel_part // pixel_parts, pixels * (pixel_part + 1) // pixel_parts
        image, outer = 0, unit
        if r.apart:
            image, outer = divmod(unit, r.outer)
        x = bases[r.x] + 4 * (r.x_at + outer * r.x_outer)
        y = bases[r.y] + 4 * (r.y_at + outer * r.y_outer)
        z = bases[r.z] + 4 * (r.z_at + outer * r.z_outer)
        w = bases[r.w] + 4 * (r.w_at + image * r.w_image + outer * r.w_outer)
        bias = bases[r.bias] + 4 * (r.bias_at + outer * r.bias_outer)
        panel = 4 * LANES * r.taps * r.depth
        rows = aside_at
        steps = offsets_at + 8 * r.offsets
        each, adds = r.each != 0, r.adds != 0
        here, across = divmod(place, r.rows * r.cols)
        image += here
        down, across = divmod(across, r.cols)
        tiles = (last - place + PIXELS - 1) // PIXELS
        for left in range(tiles, 0, -1):
            count = (last - place + left - 1) // left
            place += count
            for i in range(count):
                table[i] = x + 4 * (image * r.x_image + down * r.x_row + across * r.x_col)
                table[PIXELS + i] = y + 4 * (image * r.y_image + down * r.y_row + across * r.y_col)
                table[2 * PIXELS + i] = z + 4 * (image * r.z_image + down * r.z_row + across * r.z_col)
                across += 1
                if across == r.cols:
                    across = 0
                    down += 1
                    if down == r.rows:
                        down = 0
                        image += 1
            for block in range(first_block, last_block):
                along = 4 * LANES * block
                lanes = r.channels - LANES * block
                if lanes < LANES:  # the last channels are not a whole tile: written aside first
                    aside = rows + 8 * 3 * PIXELS
                    for i in range(count):
                        table[3 * PIXELS + PIXELS * LANES // 2 + i] = table[PIXELS + i]
                        table[PIXELS + i] = aside + 4 * LANES * i - along
                tile(
                    count,
                    each,
                    rows,
                    steps,
                    r.taps,
                    r.depth,
                    w + block * panel,
                    bias + along,
                    along if each else 0,
                    along,
                    r.low,
                    r.high,
                    adds,
                )
                if lanes < LANES:
                    for i in range(count):
                        table[PIXELS + i] = table[3 * PIXELS + PIXELS * LANES // 2 + i]
                        source = numba.carray(floats(aside + 4 * LANES * i), LANES)
                        target = numba.carray(floats(table[PIXELS + i] + along), LANES)
                        for lane in range(lanes):
                            target[lane] = source[lane]

    return kernel


def pack(stamp):
    """The kernel of ``PACK``: a unit is a matrix; channels beyond the last are zero."""

    def kernel(record, part, parts, split, count, bases_at, offsets_at, aside_at):
        _ = stamp
        r = numba.carray(anything(record), 1, PACK)[0]
        bases = numba.carray(longs(bases_at), MANY)
        units = count * r.outer
        for unit in range(units * part // parts, units * (part + 1) // parts):
            image, outer = divmod(unit, r.outer)
            x = bases[r.x] + 4 * (r.x_at + image * r.x_image + outer * r.x_outer)
            y = bases[r.y] + 4 * (r.y_at + image * r.y_image + outer * r.y_outer)
            matrix = numba.carray(floats(x), (r.depth - 1) * r.x_deep + (r.channels - 1) * r.x_channel + 1)
            for block in range((r.channels + LANES - 1) // LANES):
                panel = numba.carray(floats(y + 4 * LANES * r.depth * block), (r.depth, LANES))
                lanes = min(LANES, r.channels - LANES * block)
                if lanes == LANES and r.x_channel == 1:
                    for k in range(r.depth):
                        begin = max(0, k * r.x_deep + LANES * block)
                        for lane in range(LANES):
                            panel[k, lane] = matrix[begin + lane]
                else:
                    for k in range(r.depth):
                        begin = max(0, k * r.x_deep + LANES * block * r.x_channel)
                        for lane in range(lanes):
                            panel[k, lane] = matrix[begin + lane * r.x_channel]
                        for lane in range(lanes, LANES):
                            panel[k, lane] = np.float32(0.0)

    return kernel
