"""Answers of a model, printed for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .terminal import add_rows, results, table

_SHOWN_ROWS = 20
_SHOWN_LABELS = 5
_SHOWN_NUMBERS = 8


def print_answer(answer: Mapping[str, Any]) -> None:
    """Prints the answer for one example: an output a row, the likeliest labels first."""
    rows: list[tuple[str, str]] = []
    for name, value in answer.items():
        texts = (_likeliest(value) or ["nothing"]) if isinstance(value, Mapping) else [in_words(value)]
        rows += [(name if number == 0 else "", text) for number, text in enumerate(texts)]
    results().print(add_rows(table("", "output", "value"), rows))


def print_answers(predicted: str, shown: Sequence[tuple[str, Mapping[str, Any]]], summary: Mapping[str, Any]) -> None:
    """Prints the first answers in a table, the output ``predicted`` first, then how many there were and how many were right."""
    console = results()
    if shown:
        names = _names(predicted, shown[0][1])
        rows = [(place, *(in_words(answer[name]) for name in names)) for place, answer in shown[:_SHOWN_ROWS]]
        console.print(add_rows(table("", "example", *names), rows))
        if len(shown) > _SHOWN_ROWS:
            console.print(f"and {len(shown) - _SHOWN_ROWS} more: --json or --output give all of them")
    if "output" in summary:
        console.print(f"{summary['output']}: {summary['examples']} answers", markup=False)
    if "share" in summary:
        console.print(f"right: {summary['right']} of {summary['known']} ({summary['share']:.1%})")


def in_words(value: Any) -> str:
    """A value in a few words: numbers, or what kind of array or image it is."""
    if isinstance(value, np.ndarray):
        if value.size <= _SHOWN_NUMBERS:
            return " ".join(in_words(number) for number in value.ravel().tolist())
        kind = f"{value.dtype} {list(value.shape)}"
        return f"{kind} from {value.min():.6g} to {value.max():.6g}"
    if isinstance(value, Image.Image):
        return f"image {value.width}x{value.height} {value.mode}"
    if isinstance(value, Mapping):
        return ", ".join(_likeliest(value)[:1]) or "nothing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _likeliest(probabilities: Mapping[Any, float]) -> list[str]:
    """The entries with the highest numbers, highest first."""
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    texts = [f"{number:8.4f}  {label}" for label, number in ordered[:_SHOWN_LABELS]]
    return [*texts, f"and {len(ordered) - _SHOWN_LABELS} more"] if len(ordered) > _SHOWN_LABELS else texts


def _names(predicted: str, answer: Mapping[str, Any]) -> list[str]:
    """The outputs in the order in which people look for them: what is predicted, the others, and dictionaries last."""
    return sorted(answer, key=lambda name: (name != predicted, isinstance(answer[name], Mapping), list(answer).index(name)))
