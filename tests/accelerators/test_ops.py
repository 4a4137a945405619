"""An op that says it runs on accelerators answers there as here, and brings nothing back for it; one that does not say so cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tailor.kernels import (
    OPS,
    SGD,
    Adam,
    Array,
    Op,
    categorical_cross_entropy,
    categorical_cross_entropy_gradient,
    mean_squared_error,
    mean_squared_error_gradient,
    softmax_cross_entropy_gradient,
)
from tailor.runtime.accelerators.testing import FakeArray, FakeDevice
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case

TOLERANCE = {"rtol": 3e-5, "atol": 3e-5}


def together(case: Case) -> Mapping[str, Any] | None:
    """The attributes with which the case's op takes examples stacked, as accelerators are given them."""
    batched = OPS[case.op].batched
    return None if batched is None or not case.inputs else batched(case.attributes, tuple(x.ndim for x in case.inputs))


def several(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def single(parts: tuple[Any, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts


class Carried:
    """Calls a function with arrays that lie on a device, and sees to it that nothing goes there or comes back meanwhile."""

    def __init__(self) -> None:
        self.device = FakeDevice()

    def there(self, given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(map(self.there, given))
        return self.device.put(given) if isinstance(given, np.ndarray) else given

    def __call__(self, function: Callable[..., Any], *args: Any, **attributes: Any) -> Any:
        before = self.device.transfers
        found = function(*args, **attributes)
        assert self.device.transfers == before, "nothing goes there or comes back"
        return found

    def agrees(self, found: Any, right: Any) -> None:
        assert (found is None) == (right is None)
        if right is not None:
            assert isinstance(found, FakeArray) and (found.dtype, found.shape) == (right.dtype, right.shape)
            np.testing.assert_allclose(found.get(), right, **TOLERANCE)


def hold(op: Op, arrays: tuple[Array, ...], attributes: Mapping[str, Any]) -> None:
    """Fails where the op does not answer for arrays on a device what it answers for those here."""
    carried = Carried()
    there = carried.there(arrays)
    right, found = several(op.forward(*arrays, **attributes)), several(carried(op.forward, *there, **attributes))
    for one, other in zip(found, right, strict=True):
        carried.agrees(one, other)
    if op.backward is None:
        return
    random = np.random.default_rng(7)
    g = tuple(random.standard_normal(y.shape).astype(y.dtype) for y in right)
    options = {"needs": (True,) * len(arrays), **attributes}
    slopes = op.backward(single(g), single(right), *arrays, **options)
    answers = carried(op.backward, single(carried.there(g)), single(found), *there, **options)
    for one, other in zip(answers, slopes, strict=True):
        carried.agrees(one, other)


def cases(portable: bool) -> list[Case]:
    return [case for case in CASES if OPS[case.op].portable is portable and together(case) is not None]


@pytest.mark.parametrize("case", cases(portable=True), ids=str)
def test_an_op_that_says_so_answers_there_as_here(case: Case) -> None:
    op, attributes = OPS[case.op], together(case)
    assert attributes is not None
    arrays = tuple(np.asarray(array, np.float32) for array in case.arrays)
    hold(op, arrays, case.attributes)
    examples = len(case.inputs)
    stacked = tuple(np.stack([x, np.roll(x, 1)]) for x in arrays[:examples])
    hold(op, (*stacked, *arrays[examples:]), attributes)


@pytest.mark.parametrize("name", sorted({case.op for case in cases(portable=False)} - {name for name, op in OPS.items() if op.draws}))
def test_an_op_that_does_not_say_so_cannot(name: str) -> None:
    def can(case: Case) -> bool:
        try:
            hold(OPS[name], tuple(np.asarray(array, np.float32) for array in case.arrays), case.attributes)
        except (TypeError, AssertionError, AttributeError, ValueError):
            return False
        return True

    assert not all(can(case) for case in cases(portable=False) if case.op == name)


def test_every_op_that_says_so_has_a_case_and_draws_no_numbers() -> None:
    named = {name for name, op in OPS.items() if op.portable}
    assert named == {case.op for case in cases(portable=True)}
    assert not any(OPS[name].draws for name in named)


PROBABILITIES = np.random.default_rng(1).dirichlet(np.ones(5), 7).astype(np.float32)
CLASSES = np.array([0, 4, 2, 2, 1, 3, 0])


@pytest.mark.parametrize(
    ("loss", "arrays"),
    [
        (categorical_cross_entropy, (PROBABILITIES, CLASSES)),
        (categorical_cross_entropy_gradient, (PROBABILITIES, CLASSES)),
        (softmax_cross_entropy_gradient, (PROBABILITIES, CLASSES)),
        (mean_squared_error, (PROBABILITIES, PROBABILITIES[::-1].copy())),
        (mean_squared_error_gradient, (PROBABILITIES, PROBABILITIES[::-1].copy())),
    ],
)
def test_losses_are_those_of_here(loss: Callable[..., Array], arrays: tuple[Array, ...]) -> None:
    carried = Carried()
    carried.agrees(carried(loss, *carried.there(arrays)), loss(*arrays))


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, 0.9, 0.01), Adam(0.1), Adam(0.1, weight_decay=0.1)], ids=str)
def test_optimizers_move_what_lies_there_as_what_lies_here(optimizer: SGD | Adam) -> None:
    carried, random = Carried(), np.random.default_rng(2)
    here = {"w": random.standard_normal((3, 4)).astype(np.float32)}
    there = {"w": carried.there(here["w"])}
    slots_here, slots_there = optimizer.init(here), carried(optimizer.init, there)
    for count in (1, 2, 3):
        g = random.standard_normal((3, 4)).astype(np.float32)
        optimizer.step(here, {"w": g}, slots_here, count)
        arrived = carried.there(g)
        carried(optimizer.step, there, {"w": arrived}, slots_there, count)
    carried.agrees(there["w"], here["w"])
    assert slots_there.keys() == slots_here.keys()
    for name, slot in slots_here.items():
        carried.agrees(slots_there[name], slot)
