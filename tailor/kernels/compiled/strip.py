"""The product of one row of numbers and some panels at once: what a recurrent layer does all the time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .machine import FLOAT, LONG, UNROLLED, VECTOR, _multiply_add, _number, _repeated, _shifted, _vector
from .records import LANES

STRIP = 4
"""Panels at once: as many sums as hide the time that an addition takes. Fewer read panels at half the speed of the second cache."""


def _strip(builder: Any, panels: int, arguments: tuple[Any, ...]) -> None:
    row, weights, depth, answers = arguments
    totals = [cgutils.alloca_once_value(builder, ir.Constant(VECTOR, [0.0] * LANES)) for _ in range(panels)]
    panel = builder.mul(depth, _number(4 * LANES))
    begins = [builder.add(weights, builder.mul(panel, _number(i))) for i in range(panels)]
    whole = builder.and_(depth, _number(-UNROLLED))
    for begin, end, steps in ((_number(0), whole, UNROLLED), (whole, depth, 1)):
        with cgutils.for_range_slice(builder, begin, end, _number(steps), LONG) as (place, _):
            value = builder.add(row, builder.shl(place, _number(2)))
            along = builder.shl(place, _number(6))
            for step in range(steps):
                number = builder.load(builder.inttoptr(_shifted(builder, value, 4 * step), FLOAT.as_pointer()))
                number.align = 4
                x = _repeated(builder, number)
                for first, total in zip(begins, totals, strict=True):
                    weight = _vector(builder, builder.add(_shifted(builder, first, 4 * LANES * step), along))
                    builder.store(_multiply_add(builder, x, weight, builder.load(total)), total)
    for i, total in enumerate(totals):
        place = _shifted(builder, answers, 4 * LANES * i)
        answer = builder.fadd(builder.load(total), _vector(builder, place))
        builder.store(answer, builder.inttoptr(place, VECTOR.as_pointer())).align = 4


@intrinsic
def strip(context: Any, panels: Any, row: Any, weights: Any, depth: Any, answers: Any) -> Any:
    """Adds to ``panels`` (``STRIP`` at most) times ``LANES`` answers the products of a row and panels ``[depth, LANES]``.

    ``row``, ``weights`` and ``answers`` are addresses. Products are added to each other as ``tile`` does, so an answer has
    the bits that it has among several rows.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count, *rest = arguments
        function, here = builder.function, builder.block
        end = function.append_basic_block("strip.end")
        builder.position_at_end(here)
        ways = builder.switch(count, end)
        for number in range(1, STRIP + 1):
            block = function.append_basic_block(f"strip.{number}")
            ways.add_case(_number(number), block)
            builder.position_at_end(block)
            _strip(builder, number, tuple(rest))
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 5), generate
