"""All cases, joined from the families' files."""

from __future__ import annotations

from . import activation, convolution, elementwise, linear, normalize, pooling, reshape

CASES = (
    *activation.CASES,
    *convolution.CASES,
    *elementwise.CASES,
    *linear.CASES,
    *normalize.CASES,
    *pooling.CASES,
    *reshape.CASES,
)
