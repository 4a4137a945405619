"""Vectors divided by their norms: as SciPy has them, the same bits whatever comes beside them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from tailor.kernels import Norm, normalized

ROWS = np.random.default_rng(1).standard_normal((50, 1001))


@pytest.mark.parametrize(("norm", "order"), [("L1", 1), ("L2", 2)])
def test_rows_have_a_norm_of_1_and_their_direction(norm: Norm, order: int) -> None:
    np.testing.assert_allclose(normalized(ROWS, norm), [row / linalg.norm(row, order) for row in ROWS], rtol=1e-12)


@pytest.mark.parametrize("norm", ["max", "L1", "L2"])
def test_a_row_alone_and_in_any_layout_has_the_same_bits(norm: Norm) -> None:
    together = normalized(ROWS, norm)
    for rows in (np.asfortranarray(ROWS), np.repeat(ROWS, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(normalized(rows, norm), together)
    np.testing.assert_array_equal([normalized(row[None], norm)[0] for row in ROWS], together)


@pytest.mark.parametrize("norm", ["max", "L1", "L2"])
def test_nothing_stays_nothing(norm: Norm) -> None:
    np.testing.assert_array_equal(normalized(np.zeros((2, 3), np.float32), norm), np.zeros((2, 3)))
    assert normalized(np.zeros((2, 0)), norm).shape == (2, 0)
