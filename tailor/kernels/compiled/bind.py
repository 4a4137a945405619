"""How an op becomes steps of a program: one row a kind of layer, beside its ``Op`` row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..op import Array, Attributes, Shape
from .assembly import Assembly
from .views import NO_BORDER, Border, View


class Fits(Protocol):
    """Whether steps exist for a layer, given shapes of one example: inputs first, weights behind."""

    def __call__(self, inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool: ...


class Make(Protocol):
    """Adds a layer's steps; the answer is its output, or all its outputs."""

    def __call__(
        self, to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes
    ) -> View | tuple[View, ...]: ...


def _no_border(x: Shape, weights: Sequence[Shape], attributes: Attributes) -> Border:
    return NO_BORDER


@dataclass(frozen=True, slots=True)
class Bind:
    """A row.

    ``name``     the op's.
    ``fits``     asked before any step is made.
    ``make``     makes the steps for the (first) output ``name``.
    ``border``   how many zeros around its first input the layer can use.
    ``moves``    whether it computes nothing.
    """

    name: str
    fits: Fits
    make: Make
    border: Callable[[Shape, Sequence[Shape], Attributes], Border] = _no_border
    moves: bool = False


def always(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    """Of a layer whose steps do for every shape."""
    return True
