"""The compiled loops answer what their NumPy twins answer, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.kernels import HAVE_NUMBA, Array, pairs, pools, sampling, trees, window
from tailor.kernels import optimizers as steps
from tailor.kernels.jit import Kernel, plain
from tailor.kernels.layers import activation, lstm_gates
from tailor.kernels.window import Windows, slide
from tests.kernels.loops import KERNELS

needs_numba = pytest.mark.skipif(not HAVE_NUMBA, reason="needs Numba, which is absent or switched off")

EDGES = (-np.inf, -0.0, 0.0, np.nan, np.inf)


def agree(kernel: Kernel[..., Any], *arguments: Any, changed: tuple[int, ...]) -> None:
    """Both change the arrays at ``changed`` alike."""
    results = []
    for call in (kernel, kernel.twin):
        own = [np.copy(value) if place in changed else value for place, value in enumerate(arguments)]
        call(*own)
        results.append([own[place] for place in changed])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def sliding(count: int) -> list[tuple[Windows, tuple[int, int, int, int]]]:
    """Windows of all sorts over images of all sorts."""
    draw = np.random.default_rng(11).integers
    found: list[tuple[Windows, tuple[int, int, int, int]]] = []
    while len(found) < count:
        n, c, h, w, kh, kw, sh, sw, dh, dw = (int(draw(1, high)) for high in (3, 3, 12, 12, 4, 4, 4, 4, 3, 3))
        amounts = tuple(int(a) for a in draw(0, 3, 4))
        padding = ("valid", "same")[int(draw(0, 2))]
        try:
            found.append((slide((h, w), (kh, kw), (sh, sw), (dh, dw), padding, amounts), (n, c, h, w)))  # type: ignore[arg-type]
        except ValueError:
            continue
    return found


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_windows(dtype: str) -> None:
    random = np.random.default_rng(3)
    for windows, shape in sliding(60):
        x = window.padded(random.standard_normal(shape).astype(dtype), windows, 0.0)
        cols = random.standard_normal((*shape[:2], *windows.kernel, *windows.count)).astype(dtype)
        agree(window._im2col, x, *windows.stride, *windows.dilation, cols, changed=(5,))
        agree(window._col2im, cols, *windows.stride, *windows.dilation, np.zeros_like(x), changed=(5,))


@needs_numba
@pytest.mark.parametrize(("depth", "columns"), [(3, 600), (300, 5), (9000, 1), (4, 0), (0, 4)])
def test_pairs(depth: int, columns: int) -> None:
    random = np.random.default_rng(7)
    x, y, out = random.standard_normal((9, depth)), random.standard_normal((depth, columns)), np.zeros((9, columns))
    agree(pairs._products, x, y, out, changed=(2,))
    agree(pairs._distances, x, y, out, changed=(2,))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("values", [range(3), EDGES], ids=["ties", "edges"])
def test_pools(dtype: str, values: Any) -> None:
    random = np.random.default_rng(4)
    for windows, (n, _, h, w) in sliding(60):
        if windows.dilation != (1, 1):
            continue
        x = window.padded(random.choice(np.array(values, dtype), (n, h, w)), windows, -np.inf)
        y = np.zeros((n, *windows.count), dtype)
        sizes = (*windows.kernel, *windows.stride)
        agree(pools._max_pool, x, *sizes, y, changed=(5,))
        pools._max_pool(x, *sizes, y)
        g = random.standard_normal(y.shape).astype(dtype)
        agree(pools._max_pool_back, g, y, x, *sizes, np.zeros_like(x), changed=(7,))
        whole = random.standard_normal(x.shape).astype(dtype)
        agree(pools._sum_pool, whole, *sizes, y, changed=(5,))
        agree(pools._sum_pool_back, g, *sizes, np.zeros_like(x), changed=(5,))
    for shape in ((2, 6, 8), (1, 5, 7), (3, 2, 3)):
        x = random.choice(np.array(values, dtype), shape)
        y = np.zeros((shape[0], shape[1] // 2, shape[2] // 2), dtype)
        agree(pools._max_of_four, x, y, changed=(1,))
        pools._max_of_four(x, y)
        agree(pools._max_of_four_back, random.standard_normal(y.shape).astype(dtype), y, x, np.zeros_like(x), changed=(3,))


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_elements(dtype: str) -> None:
    random = np.random.default_rng(5)
    x, g, m, v = (np.concatenate([random.standard_normal(1000), EDGES]).astype(dtype) for _ in range(4))
    v = np.abs(v)
    number = x.dtype.type
    with np.errstate(invalid="ignore"):
        agree(activation._relu, x, np.empty_like(x), changed=(1,))
        agree(activation._relu_back, g, x, np.empty_like(x), changed=(2,))
        agree(steps._descend, x, g, number(0.1), changed=(0,))
        agree(steps._roll, x, g, m, number(0.1), number(0.9), changed=(0, 2))
        agree(steps._adapt, x, g, m, v, *map(number, (0.01, 0.9, 0.1, 0.999, 0.001, 3.0, 1e-8)), changed=(0, 2, 3))


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_samples(dtype: str) -> None:
    random = np.random.default_rng(6)
    for n, h, w, rows, cols in random.integers(1, 7, (20, 5)):
        x = random.standard_normal((n, h, w)).astype(dtype)
        at = [sampling.samples(random.uniform(-1, size, count), size) for size, count in ((h, rows), (w, cols))]
        grid = [part for one in at for part in (one.low, one.high, *sampling._shares(one, x))]
        agree(sampling._bilinear, x, *grid, np.empty((n, rows, cols), dtype), changed=(9,))


def run(code: str, **environment: str) -> None:
    """``code`` in a process of its own, where falling back with a warning is an error."""
    subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", code], check=True, env={**os.environ, **environment}, timeout=400)


STEP = """
import sys
import numpy as np
from tailor.kernels import HAVE_NUMBA, OPS, warm_up
assert "numba" not in sys.modules
x = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4)
y = OPS["pooling"].forward(OPS["activation.ReLU"].forward(x), kind="max", kernel=(2, 2), stride=(2, 2))
assert y.tolist() == [[[5.0, 7.0], [13.0, 15.0]]]
warm_up()
assert ("numba" in sys.modules) == HAVE_NUMBA
"""


def test_numba_is_imported_when_first_needed() -> None:
    run(STEP)


def test_everything_works_with_numba_switched_off() -> None:
    run("import tailor.kernels as k; assert not k.HAVE_NUMBA\n" + STEP, TAILOR_NO_NUMBA="1")


def fresh(loop: Callable[..., Any], twin: Callable[..., Any]) -> Kernel[..., Any]:
    kernel: Kernel[..., Any] = Kernel(loop, twin)
    kernel._call = None
    return kernel


def test_a_numba_that_cannot_be_imported_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    kernel = fresh(lambda: "loop", lambda: "twin")
    with pytest.warns(RuntimeWarning, match="NumPy is used instead"):
        assert kernel() == "twin"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel() == "twin"  # it says so once
    assert "NumPy" in repr(kernel)


@needs_numba
def test_without_a_folder_for_what_is_compiled_it_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    compile_ = numba.njit

    def njit(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'loop': no locator available for file 'nowhere'")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", njit)
    kernel = fresh(lambda x: x + 1, lambda x: None)
    assert "not called yet" in repr(kernel)
    assert kernel(41) == 42
    assert "Numba" in repr(kernel)


@needs_numba
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (1, 40), (3, 37), (16, 64)])
def test_lstm_steps(rows: int, size: int) -> None:
    random = np.random.default_rng(6)
    a, recurrent = (8.0 * random.standard_normal((2, rows, 4 * size))).astype("f4")
    edges = np.array((*EDGES, -9.02, 9.02), np.float32)[: 2 * size]
    a[-1, -len(edges) :] = a[-1, : len(edges)] = edges
    c, memory, answer = random.standard_normal((3, rows, size)).astype("f4")
    for limit in (0.75, 50.0):
        agree(lstm_gates.usual_step, a, recurrent, c, limit, memory, answer, changed=(0, 4, 5))


def test_plain_copies_only_what_a_loop_would_be_compiled_for_again() -> None:
    x = np.zeros((2, 3))
    assert plain(x) is x
    fixed = x.copy()
    fixed.flags.writeable = False
    strange: tuple[Array, ...] = (x.T, x[:, ::2], fixed)
    for array in strange:
        copy = plain(array)
        assert copy.flags.carray and not np.shares_memory(copy, array)
        np.testing.assert_array_equal(copy, array)


def test_every_loop_is_compared() -> None:
    compared = {window._im2col, window._col2im, pools._max_pool, pools._max_pool_back, pools._sum_pool, pools._sum_pool_back}
    compared |= {pools._max_of_four, pools._max_of_four_back, activation._relu, activation._relu_back}
    compared |= {pairs._products, pairs._distances}
    compared |= {lstm_gates.usual_step, trees._walk}  # the trees in test_trees
    assert set(KERNELS) == compared | {steps._descend, steps._roll, steps._adapt, sampling._bilinear}
