"""What compiled programs answer, against the independent answers of the cases and PyTorch; and that neither threads nor old memory show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from tailor.kernels import BINDS, Array, Assembly, Shape, can_run
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case
from tests.kernels.test_fused import SLIDING, by_torch, numbers

pytestmark = pytest.mark.skipif(not can_run(), reason="needs Numba, which is absent or switched off")


class Crew:
    """So many threads, all of which take part; memory is full of NaN."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def gather(self, work: Callable[[int], object]) -> None:
        mates = [Thread(target=work, args=(self.threads,)) for _ in range(self.threads - 1)]
        for mate in mates:
            mate.start()
        work(self.threads)
        for mate in mates:
            mate.join()

    def empty(self, shape: Shape) -> Array:
        return np.full(shape, np.nan, np.float32)


def answers(op: str, inputs: Sequence[Array], weights: Sequence[Array], attributes: Any, threads: int = 1) -> list[Array]:
    """The outputs of a program of one layer; ``inputs`` have a leading axis of examples."""
    to = Assembly({}, {}, {})
    bind = BINDS[op]
    views = [to.input(x.shape[1:]) for x in inputs]
    made = bind.make(to, "y", views, [w.astype(np.float32) for w in weights], attributes)
    program = to.finish(made if isinstance(made, tuple) else [made])
    count = len(inputs[0]) if inputs else 1
    return program.run([x.astype(np.float32) for x in inputs], count, Crew(threads))


def programmed(op: str, inputs: Sequence[Array], weights: Sequence[Array], attributes: Any, threads: int = 1) -> Array:
    """The only output."""
    (answer,) = answers(op, inputs, weights, attributes, threads)
    return answer


def bound(case: Case) -> bool:
    shapes = [x.shape for x in case.inputs]
    if case.op not in BINDS or any(len(shape) > 5 for shape in shapes):
        return False
    return BINDS[case.op].fits(shapes, [w.shape for w in case.weights.values()], case.attributes)


BOUND = [case for case in CASES if bound(case)]


def test_every_row_has_a_case() -> None:
    assert {case.op for case in BOUND} == set(BINDS)


@pytest.mark.parametrize("case", BOUND, ids=str)
def test_a_program_answers_as_the_case_says(case: Case) -> None:
    """Two examples, the second with other numbers, which must not reach the first."""
    wanted = case.reference(*case.arrays) if callable(case.reference) else case.reference
    inputs = [np.stack([x, x[..., ::-1] if x.ndim else x]) for x in case.inputs]
    found = answers(case.op, inputs, list(case.weights.values()), case.attributes)
    for answer, right in zip(found, wanted if isinstance(wanted, tuple) else [wanted], strict=True):
        np.testing.assert_allclose(answer[0], np.asarray(right, np.float32), rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("case", SLIDING)
def test_a_fused_convolution_in_a_program(case: str) -> None:
    x_shape, w_shape, sliding = SLIDING[case]
    x, w, bias = numbers(*x_shape), numbers(*w_shape), numbers(w_shape[0])
    plain = by_torch(x, w, bias, sliding)
    other = numbers(*plain.shape)
    for more in ([], [other]):
        attributes = {"adding": {"alpha": 0.0} if more else None, "limits": (-0.5, 6.0), **sliding}
        y = programmed("convolution", [x, *more], [w, bias], attributes)
        np.testing.assert_allclose(y, np.clip(plain + (other if more else 0), -0.5, 6.0), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(programmed("convolution", [x, *more], [w, bias], attributes, threads=3), y)
        np.testing.assert_array_equal(programmed("convolution", [x[:1], *(o[:1] for o in more)], [w, bias], attributes), y[:1])


def test_nan_passes_through_limits_and_maxima() -> None:
    x = numbers(1, 3, 6, 6)
    x[0, 1, 2, 3] = np.nan
    y = programmed("pooling", [x], [], {"kind": "max", "kernel": (3, 3), "stride": (3, 3)})
    assert np.isnan(y[0, 1, 0, 1]) and np.isnan(y).sum() == 1
    w = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    y = programmed("convolution", [x], [w], {"limits": (0.0, 1.0)})
    assert np.isnan(y[0, :, 2, 3]).all() and np.isnan(y).sum() == 3
    assert np.isnan(programmed("activation.ReLU", [x], [], {})).sum() == 1


def test_functions_of_the_edges() -> None:
    x = np.array([[0.0, -0.0, 1e-30, 88.0, 89.0, -87.0, -200.0, np.inf, -np.inf, np.nan]], np.float32)
    with np.errstate(over="ignore"):
        wanted = np.exp(x.astype(np.float64)).astype(np.float32)
    attributes = {"operation": "exp", "alpha": 0.0, "epsilon": 1e-6, "shift": 0.0, "scale": 1.0}
    np.testing.assert_allclose(programmed("unary", [x], [], attributes), wanted, rtol=2e-7)
    np.testing.assert_allclose(programmed("activation.tanh", [x], [], {}), np.tanh(x), rtol=1e-6)


def test_no_function_is_far_from_the_exact_one() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-12, 12, 40_001, dtype=np.float32)[None]
    exact = x.astype(np.float64)
    for op, attributes, wanted in (
        ("activation.tanh", {}, np.tanh(exact)),
        ("activation.sigmoid", {}, special.expit(exact)),
        ("gelu", {"mode": "exact"}, exact * special.ndtr(exact)),
    ):
        np.testing.assert_allclose(programmed(op, [x], [], attributes), wanted, rtol=1e-6, atol=1e-6)


ALONE = """
import sys
import numpy as np
from tests.kernels.test_programs import programmed
x = np.array([[-2, -0.5, 3]])
wanted = {"activation.sigmoid": 1 / (1 + np.exp(-x)), "activation.tanh": np.tanh(x)}
for op in sys.argv[1:]:
    np.testing.assert_allclose(programmed(op, [x], [], {}), wanted[op], rtol=1e-5)
"""


def test_kernels_that_different_processes_left_on_disk_do_not_take_each_others_place(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ops = ["activation.sigmoid", "activation.tanh"]
    for asked in ([ops[0]], [ops[1]], ops):
        subprocess.run([sys.executable, "-c", ALONE, *asked], check=True, env=environment, timeout=400)
