"""Probit regression: probabilities as SciPy's normal distribution has them, draws as its truncated normal distribution has them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tailor.kernels import probit

RANDOM = np.random.default_rng(1)
MEAN, VARIANCE = RANDOM.standard_normal(50), RANDOM.random(50) * 3


def test_the_noise_and_the_doubt_about_the_weights_add_up() -> None:
    np.testing.assert_allclose(probit.probability(MEAN, VARIANCE), stats.norm(0, np.sqrt(1 + VARIANCE)).cdf(MEAN), rtol=1e-12)
    moved = MEAN - 1.5 * np.sqrt(VARIANCE)
    np.testing.assert_allclose(probit.probability(MEAN, VARIANCE, -1.5), stats.norm(0, np.sqrt(1 + VARIANCE)).cdf(moved), rtol=1e-12)


def test_draws_are_those_of_a_truncated_normal_distribution() -> None:
    uniform = RANDOM.random(50)
    for scale, truncation in ((1.0, 2.0), (0.5, 0.25), (3.0, np.inf)):
        drawn = stats.truncnorm(-truncation, truncation).ppf(uniform)
        expected = stats.norm.cdf(MEAN + scale * np.sqrt(VARIANCE) * drawn)
        found = probit.sampled_probability(MEAN, VARIANCE, scale, truncation, uniform)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_draws_stay_within_their_bounds() -> None:
    most = stats.norm.cdf(MEAN + 2 * np.sqrt(VARIANCE))
    for uniform in (np.zeros(50), np.ones(50)):
        found = probit.sampled_probability(MEAN, VARIANCE, 1.0, 2.0, uniform)
        sign = 2 * uniform - 1
        np.testing.assert_allclose(found, stats.norm.cdf(MEAN + 2 * sign * np.sqrt(VARIANCE)), rtol=1e-12)
        assert (found <= most).all()
    np.testing.assert_array_equal(
        probit.sampled_probability(MEAN, VARIANCE, 1.0, 0.0, np.ones(50)),
        probit.sampled_probability(MEAN, 0 * VARIANCE, 1.0, 1.0, np.ones(50)),
    )
