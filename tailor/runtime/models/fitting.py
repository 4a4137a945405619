"""Columns as a description declares them, for models that take or make what others have declared."""

from __future__ import annotations

from ..errors import MLFeatureError
from ..values import MLFeatureDescription, accept, accept_column
from .family import Column


def fitted(described: MLFeatureDescription, column: Column, who: str, *, finite: bool = False) -> Column:
    """``column`` as the canonical values of the described feature, which errors call ``who``.

    ``finite``: whether NaN and infinity are refused. Raises ``MLFeatureError`` about the first example that does not fit.
    """
    try:
        return accept_column(described, column, who, finite=finite)
    except MLFeatureError:
        for row, value in enumerate(column):
            try:
                accept(described, value, who, finite=finite)
            except MLFeatureError as error:
                raise error.of_example(row) from None
        raise
