"""Probit regression with uncertain weights: the mean and variance of a weighted sum as a probability.

Source: ``BayesianProbitRegressor.proto`` of the format, which describes the model of T. Graepel and others, "Web-Scale
Bayesian Click-Through Rate Prediction" (2010): the sum is normally distributed, and so is the noise around it, with variance 1.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from .op import Array


def probability(mean: Array, variance: Array, optimism: Array | float = 0.0) -> Array:
    """The probability that sum and noise are positive; all ``[count]``, float64. The mean is moved by ``optimism`` deviations."""
    return np.asarray(special.ndtr((mean + optimism * np.sqrt(variance)) / np.sqrt(1 + variance)))


def sampled_probability(mean: Array, variance: Array, scale: Array | float, truncation: Array | float, uniform: Array) -> Array:
    """The probability for one sum each, drawn from its distribution; all ``[count]``, float64.

    The deviation is multiplied by ``scale``; what lies more than ``truncation`` (0 or more) of the deviations so made from
    the mean is never drawn. ``uniform`` are the random numbers, from 0 to 1, of which the draws are made.
    """
    low = special.ndtr(-np.asarray(truncation, np.float64))
    drawn = special.ndtri(low + uniform * (1 - 2 * low)).clip(-truncation, truncation)
    return np.asarray(special.ndtr(mean + scale * np.sqrt(variance) * drawn))
