"""Every op keeps these laws, with the compiled loops and with their NumPy twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tailor.kernels import HAVE_NUMBA, OPS, Array, Op
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case, Message
from tests.kernels.loops import KERNELS

every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(params=["numba", "numpy"], autouse=True, scope="module")
def loops(request: pytest.FixtureRequest) -> Iterator[str]:
    """The compiled loops, then their twins in their place."""
    if request.param == "numba" and not HAVE_NUMBA:
        pytest.skip("needs Numba, which is absent or switched off")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            for kernel in KERNELS:
                patch.setattr(kernel, "_call", kernel.twin)
        yield request.param


def frozen(arrays: tuple[Array, ...], dtype: str) -> tuple[Array, ...]:
    """Copies that cannot be written to."""
    copies = tuple(array.astype(dtype) for array in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies


def foretold(case: Case) -> tuple[int, ...]:
    shape: tuple[int, ...] = OPS[case.op].shape(*(array.shape for array in case.arrays), **case.attributes)
    return shape


def downstream(case: Case, dtype: str = "f8") -> Array:
    """Some gradient of the answer."""
    return np.random.default_rng(7).standard_normal(foretold(case)).astype(dtype)


def back(case: Case, arrays: tuple[Array, ...], g: Array, needs: tuple[bool, ...] | None = None) -> tuple[Array | None, ...]:
    op = OPS[case.op]
    assert op.backward is not None
    y = op.forward(*arrays, **case.attributes)
    y.flags.writeable = g.flags.writeable = False
    return op.backward(g, y, *arrays, needs=needs or (True,) * len(arrays), **case.attributes)


def test_every_op_has_cases_with_weights_and_a_gradient() -> None:
    assert {case.op for case in CASES} == set(OPS)
    assert all(op.backward is not None and op.batched is not None for op in OPS.values())


@every_case
def test_answers_are_those_of_an_independent_source(case: Case) -> None:
    expected = case.expected()
    for dtype, tolerance in (("f8", 1e-10), ("f4", 3e-5)):
        answer = OPS[case.op].forward(*frozen(case.arrays, dtype), **case.attributes)
        assert answer.dtype == dtype and answer.shape == expected.shape
        np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=tolerance)


@every_case
def test_shapes_are_foretold(case: Case) -> None:
    assert foretold(case) == OPS[case.op].forward(*case.arrays, **case.attributes).shape


@every_case
def test_work_is_a_count(case: Case) -> None:
    work = OPS[case.op].work(*(array.shape for array in case.arrays), **case.attributes)
    assert isinstance(work, int) and work >= max(array.size for array in case.inputs) // 4


@every_case
def test_same_inputs_give_the_same_bits(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f4"), downstream(case, "f4")
    forward = [OPS[case.op].forward(*arrays, **case.attributes).tobytes() for _ in range(2)]
    assert forward[0] == forward[1]
    backward = [[None if d is None else d.tobytes() for d in back(case, arrays, g)] for _ in range(2)]
    assert backward[0] == backward[1]


@every_case
def test_gradients_are_those_of_central_differences(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f8"), downstream(case)
    gradients = back(case, arrays, g)
    assert len(gradients) == len(arrays)
    for place in range(len(arrays)) if case.smooth is None else case.smooth:
        gradient = gradients[place]
        assert gradient is not None and gradient.shape == arrays[place].shape
        np.testing.assert_allclose(gradient, differences(case, arrays, g, place), rtol=1e-6, atol=1e-7)


def differences(case: Case, arrays: tuple[Array, ...], g: Array, place: int, step: float = 1e-5) -> Array:
    """The gradient of the sum of g * y with respect to one array, a number at a time."""
    moved = list(arrays)
    found = np.empty(arrays[place].shape)
    for at in np.ndindex(found.shape):
        ends = []
        for shift in (step, -step):
            moved[place] = arrays[place].copy()
            moved[place][at] += shift
            ends.append(float((g * OPS[case.op].forward(*moved, **case.attributes)).sum()))
        found[at] = (ends[0] - ends[1]) / (2 * step)
    return found


@every_case
def test_gradients_have_the_type_of_their_arrays_and_only_wanted_ones_are_computed(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f4"), downstream(case, "f4")
    every = back(case, arrays, g)
    for place in range(len(arrays)):
        needs = tuple(other == place for other in range(len(arrays)))
        for need, answer, full in zip(needs, back(case, arrays, g, needs), every, strict=True):
            if need:
                assert answer is not None and answer.dtype == np.float32
                np.testing.assert_array_equal(answer, full)
            else:
                assert answer is None


@every_case
def test_stacked_examples_are_independent(case: Case) -> None:
    op = OPS[case.op]
    assert op.backward is not None and op.batched is not None
    attributes = op.batched(case.attributes, tuple(x.ndim for x in case.inputs))
    weights = tuple(case.weights.values())
    examples = [tuple(np.roll(x, shift) for x in case.inputs) for shift in range(3)]
    stacked = tuple(np.stack(parts) for parts in zip(*examples, strict=True))
    y = op.forward(*stacked, *weights, **attributes)
    assert op.shape(*(x.shape for x in (*stacked, *weights)), **attributes) == y.shape
    single = [op.forward(*example, *weights, **case.attributes) for example in examples]
    np.testing.assert_allclose(y, np.stack(single), rtol=1e-12, atol=1e-12)

    g = np.random.default_rng(5).standard_normal(y.shape)
    needs = (True,) * len(case.arrays)
    together = op.backward(g, y, *stacked, *weights, needs=needs, **attributes)
    apart = [
        op.backward(*parts[:2], *parts[2], *weights, needs=needs, **case.attributes) for parts in zip(g, single, examples, strict=True)
    ]
    for place, gradient in enumerate(together):
        assert gradient is not None
        parts = np.stack([np.asarray(found[place]) for found in apart])
        np.testing.assert_allclose(gradient, parts if place < len(stacked) else parts.sum(axis=0), rtol=1e-9, atol=1e-9)


@every_case
def test_reading_a_message_gives_the_attributes_and_the_weights(case: Case) -> None:
    def decode(message: Message, field: str, shape: tuple[int, ...]) -> Array:
        assert message is case.message and hasattr(message, field)
        assert shape in (case.weights[field].shape, (-1,))
        return case.weights[field]

    reading = OPS[case.op].read(case.message, decode)
    assert dict(reading.attributes) == dict(case.attributes)
    assert list(reading.weights) == list(case.weights)
    hash(tuple(sorted(reading.attributes.items())))  # attributes are keys of caches


@every_case
def test_other_layouts_of_the_inputs_change_nothing(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f8"), downstream(case)
    strange = tuple(np.asfortranarray(np.repeat(array, 2, axis=-1))[..., ::2] for array in arrays)
    forward = OPS[case.op].forward
    np.testing.assert_allclose(forward(*strange, **case.attributes), forward(*arrays, **case.attributes), rtol=1e-10, atol=1e-10)
    for one, other in zip(back(case, arrays, g), back(case, strange, np.asfortranarray(g)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)  # type: ignore[arg-type]


def test_rows_with_one_name_are_refused() -> None:
    from tailor.kernels.registry import join

    row: Op = OPS["add"]
    with pytest.raises(ValueError, match="op 'add': expected one row, got two"):
        join((row,), (row,))
    table: Any = OPS
    with pytest.raises(TypeError):
        table["add"] = row
