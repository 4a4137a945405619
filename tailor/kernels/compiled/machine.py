"""What compiled loops need of the machine and Numba does not give: the tile of a matrix product, memory by address, counters.

The tile is written for LLVM: so many pixels times ``LANES`` channels of the answer, each in registers of its own from the
first product to the last. Everything else in a product is bookkeeping around it.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .records import LANES

UNROLLED = 4
"""Steps along the depth that are written out in a turn of the innermost loop."""


_named: Counter[str] = Counter()


def compiled(function: Callable[..., Any]) -> Any:
    """A function for kernels to call, under a name of its own, which is the same in every process.

    Numba tells functions of one name apart by a number that counts what a process has compiled. Kernels that different
    processes have left on disk hold functions of one name and one number, of which one would be called for all.
    """
    _named[function.__module__] += 1
    function.__qualname__ = f"{function.__name__}_{_named[function.__module__]}"
    return numba.njit(nogil=True, error_model="numpy")(function)


def _most_pixels() -> int:
    """As many as leave registers for a row of weights and a value: AVX-512 has 32 of them, each as wide as a tile."""
    features = binding.get_host_cpu_features() if platform.machine() in ("x86_64", "AMD64") else {}
    return 12 if features.get("avx512f") else 6


PIXELS = _most_pixels()
"""Pixels in a tile, at most."""

FLOAT, LONG, WORD = ir.FloatType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)


def _vector(builder: Any, address: Any) -> Any:
    loaded = builder.load(builder.inttoptr(address, VECTOR.as_pointer()))
    loaded.align = 4
    return loaded


def _repeated(builder: Any, number: Any) -> Any:
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES))


def _multiply_add(builder: Any, a: Any, b: Any, total: Any) -> Any:
    name = f"llvm.fma.v{LANES}f32"
    known = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(known, [a, b, total])


def _number(value: int) -> Any:
    return ir.Constant(LONG, value)


def _shifted(builder: Any, address: Any, amount: int) -> Any:
    return builder.add(address, _number(amount))


def _entry(builder: Any, table: Any, place: int) -> Any:
    return builder.load(builder.inttoptr(_shifted(builder, table, 8 * place), LONG.as_pointer()))


def _tile(builder: Any, pixels: int, each: bool, arguments: tuple[Any, ...]) -> None:
    """Code for a tile of ``pixels``; ``each``: a channel of the answer sees its own channel of the image only."""
    table, offsets, taps, depth, weights, bias, sideways, along, low, high, adds = arguments
    starts = [builder.add(_entry(builder, table, i), sideways) for i in range(pixels)]
    first = _vector(builder, bias)
    totals = [cgutils.alloca_once_value(builder, first) for _ in range(pixels)]
    panel = cgutils.alloca_once_value(builder, weights)

    def turn(values: list[Any], steps: int) -> None:
        """``steps`` steps along the depth, from where ``values`` lie."""
        here = builder.load(panel)
        for step in range(steps):
            row = _vector(builder, _shifted(builder, here, 4 * LANES * step))
            for value, total in zip(values, totals, strict=True):
                if each:
                    x = _vector(builder, value)
                else:
                    number = builder.load(builder.inttoptr(_shifted(builder, value, 4 * step), FLOAT.as_pointer()))
                    number.align = 4
                    x = _repeated(builder, number)
                builder.store(_multiply_add(builder, x, row, builder.load(total)), total)
        builder.store(_shifted(builder, here, 4 * LANES * steps), panel)

    with cgutils.for_range(builder, taps) as tap:
        offset = builder.load(builder.inttoptr(builder.add(offsets, builder.shl(tap.index, _number(3))), LONG.as_pointer()))
        lines = [builder.add(start, offset) for start in starts]
        if each:
            turn(lines, 1)
        else:
            whole = builder.and_(depth, _number(-UNROLLED))
            for begin, end, steps in ((_number(0), whole, UNROLLED), (whole, depth, 1)):
                with cgutils.for_range_slice(builder, begin, end, _number(steps), LONG) as (place, _):
                    turn([builder.add(line, builder.shl(place, _number(2))) for line in lines], steps)
    with builder.if_then(adds):
        for i, total in enumerate(totals):
            other = _vector(builder, builder.add(_entry(builder, table, 2 * PIXELS + i), along))
            builder.store(builder.fadd(builder.load(total), other), total)
    lowest, highest = _repeated(builder, low), _repeated(builder, high)
    for i, total in enumerate(totals):
        answer = builder.load(total)
        answer = builder.select(builder.fcmp_ordered("<", answer, lowest), lowest, answer)  # NaN stays
        answer = builder.select(builder.fcmp_ordered(">", answer, highest), highest, answer)
        place = builder.add(_entry(builder, table, PIXELS + i), along)
        builder.store(answer, builder.inttoptr(place, VECTOR.as_pointer())).align = 4


@intrinsic
def tile(
    context: Any,
    pixels: Any,
    each: Any,
    table: Any,
    offsets: Any,
    taps: Any,
    depth: Any,
    weights: Any,
    bias: Any,
    sideways: Any,
    along: Any,
    low: Any,
    high: Any,
    adds: Any,
) -> Any:
    """A tile: ``clip(bias + sum over taps and depth of x * weights + other, low, high)``, ``pixels`` x ``LANES`` numbers.

    Addresses and amounts are in bytes. ``table`` has three rows of ``PIXELS`` addresses: where the pixels' values begin,
    where the answers go, and where what is ``added`` lies. ``offsets``: what each of ``taps`` adds to the first; then
    ``depth`` float32 follow each other, or with ``each`` one vector. ``sideways`` and ``along`` are added to the first and to
    the other rows. ``weights`` are a panel ``[taps, depth, LANES]``, ``bias`` ``LANES`` numbers. Products are added in the order
    of the panel, whatever the number of pixels, in one rounding each where the processor has that.
    """
    signature = types.void(
        types.int64,
        types.boolean,
        *(types.int64,) * 4,
        types.int64,
        types.int64,
        *(types.int64,) * 2,
        types.float32,
        types.float32,
        types.boolean,
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count, each, *rest = arguments
        function, here = builder.function, builder.block
        end = function.append_basic_block("tile.end")
        builder.position_at_end(here)
        choice = builder.add(count, builder.mul(builder.zext(each, LONG), _number(PIXELS)))
        ways = builder.switch(choice, end)
        for number in range(2 * PIXELS):
            alone, pixels = divmod(number, PIXELS)
            block = function.append_basic_block(f"tile.{pixels + 1}")
            ways.add_case(_number(alone * PIXELS + pixels + 1), block)
            builder.position_at_end(block)
            _tile(builder, pixels + 1, bool(alone), tuple(rest))
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def window(
    context: Any, maximum: Any, pixels: Any, row: Any, col: Any, rows: Any, cols: Any, blocks: Any, answers: Any, divisor: Any
) -> Any:
    """``blocks`` times ``LANES`` channels of a window's answer: the greatest of its ``rows`` x ``cols`` pixels (NaN where there is
    one), or their sum over ``divisor``. ``row`` and ``col`` are in bytes, ``pixels`` and ``answers`` addresses of the first channel."""
    signature = types.void(types.boolean, *(types.int64,) * 7, types.float32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        maximum, pixels, row, col, rows, cols, blocks, answers, divisor = arguments
        highest = cgutils.alloca_once(builder, VECTOR)
        spoilt = cgutils.alloca_once(builder, ir.VectorType(ir.IntType(1), LANES))

        def sweep(take: Any) -> Any:
            with cgutils.for_range(builder, rows) as down:
                line = builder.add(here, builder.mul(down.index, row))
                with cgutils.for_range(builder, cols) as across:
                    take(_vector(builder, builder.add(line, builder.mul(across.index, col))))

        def greatest(value: Any) -> None:
            so_far = builder.load(highest)
            builder.store(builder.select(builder.fcmp_ordered(">", value, so_far), value, so_far), highest)
            builder.store(builder.or_(builder.load(spoilt), builder.fcmp_unordered("uno", value, value)), spoilt)

        def added(value: Any) -> None:
            builder.store(builder.fadd(builder.load(highest), value), highest)

        with cgutils.for_range(builder, blocks) as block:
            along = builder.shl(block.index, _number(6))
            here = builder.add(pixels, along)
            place = builder.inttoptr(builder.add(answers, along), VECTOR.as_pointer())
            with builder.if_else(maximum) as (then, otherwise):
                with then:
                    builder.store(ir.Constant(VECTOR, [float("-inf")] * LANES), highest)
                    builder.store(ir.Constant(ir.VectorType(ir.IntType(1), LANES), [0] * LANES), spoilt)
                    sweep(greatest)
                    nan = ir.Constant(VECTOR, [float("nan")] * LANES)
                    builder.store(builder.select(builder.load(spoilt), nan, builder.load(highest)), place).align = 4
                with otherwise:
                    builder.store(ir.Constant(VECTOR, [0.0] * LANES), highest)
                    sweep(added)
                    builder.store(builder.fdiv(builder.load(highest), _repeated(builder, divisor)), place).align = 4
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def claim(context: Any, address: Any) -> Any:
    """Adds one to the counter at ``address``, of all threads; the number before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], LONG.as_pointer()), _number(1), "seq_cst")

    return types.int64(types.int64), generate


@intrinsic
def take(context: Any, address: Any, turn: Any) -> Any:
    """Whether this thread is the one that makes the number at ``address`` one more than ``turn``, which it is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, turn = builder.inttoptr(arguments[0], LONG.as_pointer()), arguments[1]
        found = builder.cmpxchg(place, turn, builder.add(turn, _number(1)), "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64), generate


@intrinsic
def counted(context: Any, address: Any) -> Any:
    """What the counter at ``address`` says; what other threads wrote before they counted can be read after it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(arguments[0], LONG.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def breathe(context: Any) -> Any:
    """Tells the processor that this thread waits for another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine() in ("x86_64", "AMD64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        elif platform.machine() in ("aarch64", "arm64"):
            hint = ir.FunctionType(ir.VoidType(), [WORD])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [ir.Constant(WORD, 1)])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def floats(context: Any, address: Any) -> Any:
    """``address`` as ``numba.carray`` takes it, of float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], FLOAT.as_pointer())

    return types.CPointer(types.float32)(types.int64), generate


@intrinsic
def longs(context: Any, address: Any) -> Any:
    """``address`` as ``numba.carray`` takes it, of 64-bit numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], LONG.as_pointer())

    return types.CPointer(types.int64)(types.int64), generate


@intrinsic
def anything(context: Any, address: Any) -> Any:
    """``address`` as ``numba.carray`` takes it together with a type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def perform(
    context: Any, kernel: Any, record: Any, part: Any, parts: Any, split: Any, count: Any, bases: Any, offsets: Any, aside: Any
) -> Any:
    """Calls the kernel (see ``kernels``) at an address with the other arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [LONG] * (len(arguments) - 1))
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 9), generate


@intrinsic
def as_float(context: Any, bits: Any) -> Any:
    """The float32 that the 32 ``bits`` are."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def as_bits(context: Any, number: Any) -> Any:
    """The 32 bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], WORD)

    return types.int32(types.float32), generate


@intrinsic
def plus(context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of float32 in one rounding."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(*(types.float32,) * 3), generate


YIELD = "tailor_yield"


def find_yield() -> Any:
    """The system's call that gives the processor to another thread, under a name of our own (see ``blas``)."""
    import ctypes
    import sys

    if sys.platform == "win32":
        call: Any = ctypes.windll.kernel32.SwitchToThread
    else:
        call = ctypes.CDLL(None).sched_yield
    binding.add_symbol(YIELD, ctypes.cast(call, ctypes.c_void_p).value)
    return types.ExternalFunction(YIELD, types.int32())
