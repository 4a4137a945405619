"""Every op keeps these laws, with the compiled loops and with their NumPy twins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tailor.kernels import HAVE_NUMBA, OPS, Array, Op
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case, Drawn, Message
from tests.kernels.loops import KERNELS


def cases(chosen: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", chosen, ids=str)


def stacked_attributes(case: Case) -> Any:
    """The attributes for one more leading axis of examples, ``None`` where examples go one by one."""
    batched = OPS[case.op].batched
    return None if batched is None or not case.inputs else batched(case.attributes, tuple(x.ndim for x in case.inputs))


every_case = cases(CASES)
every_gradient = cases([case for case in CASES if OPS[case.op].backward is not None])


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


def frozen(arrays: Sequence[Array], dtype: str) -> tuple[Array, ...]:
    """Copies that cannot be written to."""
    copies = tuple(np.asarray(array).astype(dtype) for array in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies


def several(answer: Any) -> tuple[Any, ...]:
    """Outputs, gradients or shapes, one an output."""
    return answer if isinstance(answer, tuple) and not all(isinstance(size, int) for size in answer) else (answer,)


def drawing(op: Op, seed: int = 3) -> dict[str, Any]:
    """The generator that an op takes if it draws, always in the same state."""
    return {"generator": np.random.default_rng(seed)} if op.draws else {}


def forward(case: Case, arrays: Sequence[Array]) -> tuple[Array, ...]:
    op = OPS[case.op]
    return several(op.forward(*arrays, **case.attributes, **drawing(op)))


def downstream(case: Case, dtype: str = "f8") -> tuple[Array, ...]:
    """Some gradient of each output."""
    random = np.random.default_rng(7)
    return tuple(random.standard_normal(y.shape).astype(dtype) for y in forward(case, case.arrays))


def back(case: Case, arrays: Sequence[Array], g: tuple[Array, ...], needs: tuple[bool, ...] | None = None) -> tuple[Array | None, ...]:
    op = OPS[case.op]
    assert op.backward is not None
    y = forward(case, arrays)
    for array in (*y, *g):
        array.flags.writeable = False
    single = len(y) == 1
    return op.backward(g[0] if single else g, y[0] if single else y, *arrays, needs=needs or (True,) * len(arrays), **case.attributes)


def smooth(case: Case) -> Sequence[int]:
    """The places of the arrays that have a gradient."""
    return range(len(case.arrays)) if case.smooth is None else case.smooth


def test_every_op_has_cases() -> None:
    assert {case.op for case in CASES} == set(OPS)


@cases([case for case in CASES if not OPS[case.op].draws])
def test_answers_are_those_of_an_independent_source(case: Case) -> None:
    expected = several(case.expected())
    for dtype, tolerance in (("f8", 1e-10), ("f4", 3e-5)):
        answers = forward(case, frozen(case.arrays, dtype))
        for answer, right in zip(answers, expected, strict=True):
            assert answer.dtype == (dtype if case.arrays else "f4") and answer.shape == right.shape
            close = tolerance if case.arrays else 3e-5
            np.testing.assert_allclose(answer, right, rtol=close, atol=close)


@cases([case for case in CASES if OPS[case.op].draws])
def test_what_is_drawn_has_the_distribution(case: Case) -> None:
    expected, op = case.expected(), OPS[case.op]
    assert isinstance(expected, Drawn)
    arrays = frozen(case.arrays, "f4")
    (answer,) = forward(case, arrays)
    assert answer.dtype == np.float32 and answer.shape == expected.shape
    assert expected.p_value(answer) > 0.01
    if expected.varies:
        assert not np.array_equal(answer, op.forward(*arrays, **case.attributes, **drawing(op, seed=4)))


@every_case
def test_shapes_are_foretold(case: Case) -> None:
    foretold = OPS[case.op].shape(*(array.shape for array in case.arrays), **case.attributes)
    for shape, answer in zip(several(foretold), forward(case, case.arrays), strict=True):
        assert shape is None or shape == answer.shape


@every_case
def test_work_is_a_count(case: Case) -> None:
    work = OPS[case.op].work(*(array.shape for array in case.arrays), **case.attributes)
    assert isinstance(work, int) and work >= max((array.size for array in case.inputs), default=0) // 4


@every_case
def test_same_inputs_give_the_same_bits(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f4"), downstream(case, "f4")
    runs = [[y.tobytes() for y in forward(case, arrays)] for _ in range(2)]
    assert runs[0] == runs[1]
    if OPS[case.op].backward is not None:
        backward = [[None if d is None else d.tobytes() for d in back(case, arrays, g)] for _ in range(2)]
        assert backward[0] == backward[1]


@every_gradient
def test_gradients_are_those_of_central_differences(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f8"), downstream(case)
    gradients = back(case, arrays, g)
    assert len(gradients) == len(arrays)
    for place in smooth(case):
        gradient = gradients[place]
        assert gradient is not None and gradient.shape == arrays[place].shape
        np.testing.assert_allclose(gradient, differences(case, arrays, g, place), rtol=1e-6, atol=1e-7)


def differences(case: Case, arrays: tuple[Array, ...], g: tuple[Array, ...], place: int, step: float = 1e-5) -> Array:
    """The gradient of the sum of g * y with respect to one array, a number at a time."""
    moved = list(arrays)
    found = np.empty(arrays[place].shape)
    for at in np.ndindex(found.shape):
        ends = []
        for shift in (step, -step):
            moved[place] = arrays[place].copy()
            moved[place][at] += shift
            ends.append(sum(float((one * y).sum()) for one, y in zip(g, forward(case, moved), strict=True)))
        found[at] = (ends[0] - ends[1]) / (2 * step)
    return found


@every_gradient
def test_gradients_have_the_type_of_their_arrays_and_only_wanted_ones_are_computed(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f4"), downstream(case, "f4")
    every = back(case, arrays, g)
    for place in range(len(arrays)):
        needs = tuple(other == place for other in range(len(arrays)))
        for need, answer, full in zip(needs, back(case, arrays, g, needs), every, strict=True):
            if need and (answer is not None or place in smooth(case)):
                assert answer is not None and answer.dtype == np.float32
                np.testing.assert_array_equal(answer, full)
            else:
                assert answer is None


def outputs(case: Case) -> int:
    return len(several(OPS[case.op].shape(*(array.shape for array in case.arrays), **case.attributes)))


@cases([case for case in CASES if OPS[case.op].backward is not None and outputs(case) > 1])
def test_an_output_that_nobody_uses_adds_nothing(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f8"), downstream(case)
    op = OPS[case.op]
    assert op.backward is not None
    y = forward(case, arrays)
    needs = (True,) * len(arrays)
    for place in range(len(g)):
        unused = tuple(None if other == place else one for other, one in enumerate(g))
        zero = tuple(np.zeros_like(one) if other == place else one for other, one in enumerate(g))
        for one, other in zip(*(op.backward(gs, y, *arrays, needs=needs, **case.attributes) for gs in (unused, zero)), strict=True):
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@cases([case for case in CASES if stacked_attributes(case) is not None])
def test_stacked_examples_are_independent(case: Case) -> None:
    op, attributes = OPS[case.op], stacked_attributes(case)
    weights = tuple(case.weights.values())
    examples = [tuple(np.roll(x, shift) for x in case.inputs) for shift in range(3)]
    stacked = tuple(np.stack(parts) for parts in zip(*examples, strict=True))
    y = several(op.forward(*stacked, *weights, **attributes))
    assert several(op.shape(*(x.shape for x in (*stacked, *weights)), **attributes)) == tuple(one.shape for one in y)
    single = [several(op.forward(*example, *weights, **case.attributes)) for example in examples]
    for place, together in enumerate(y):
        np.testing.assert_allclose(together, np.stack([one[place] for one in single]), rtol=1e-12, atol=1e-12)
    if op.backward is None:
        return

    random = np.random.default_rng(5)
    g = tuple(random.standard_normal(one.shape) for one in y)
    needs = (True,) * len(case.arrays)

    def gradients(g: tuple[Array, ...], y: tuple[Array, ...], arrays: tuple[Array, ...], attributes: Any) -> tuple[Array | None, ...]:
        assert op.backward is not None
        one = len(y) == 1
        return op.backward(g[0] if one else g, y[0] if one else y, *arrays, *weights, needs=needs, **attributes)

    at_once = gradients(g, y, stacked, attributes)
    apart = [gradients(tuple(one[n] for one in g), single[n], examples[n], case.attributes) for n in range(3)]
    for place, gradient in enumerate(at_once):
        if place in smooth(case):
            assert gradient is not None
            parts = np.stack([np.asarray(found[place]) for found in apart])
            np.testing.assert_allclose(gradient, parts if place < len(stacked) else parts.sum(axis=0), rtol=1e-9, atol=1e-9)


@every_case
def test_reading_a_message_gives_the_attributes_and_the_weights(case: Case) -> None:
    def decode(message: Message, field: str, shape: tuple[int, ...]) -> Array:
        assert hasattr(message, field)
        weight = case.weights[case.message.key(message, field)]
        assert shape in (weight.shape, (-1,))
        return weight

    reading = OPS[case.op].read(case.message, decode)
    assert dict(reading.attributes) == dict(case.attributes)
    assert list(reading.weights) == list(case.weights)
    hash(tuple(sorted(reading.attributes.items())))  # attributes are keys of caches


def strange(array: Array) -> Array:
    """The same numbers, laid out in another way."""
    return np.asfortranarray(np.repeat(array, 2, axis=-1))[..., ::2] if array.ndim else array


@every_case
def test_other_layouts_of_the_inputs_change_nothing(case: Case) -> None:
    arrays, g = frozen(case.arrays, "f8"), downstream(case)
    others = tuple(map(strange, arrays))
    for one, other in zip(forward(case, others), forward(case, arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    if OPS[case.op].backward is not None:
        for one, other in zip(back(case, arrays, g), back(case, others, tuple(map(strange, g))), strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_rows_with_one_name_are_refused() -> None:
    from tailor.kernels.registry import join

    row: Op = OPS["add"]
    with pytest.raises(ValueError, match="op 'add': expected one row, got two"):
        join((row,), (row,))
    table: Any = OPS
    with pytest.raises(TypeError):
        table["add"] = row
