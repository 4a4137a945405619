"""The course of a guard: examples are held out and the base model judged before training, the updated one after it."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from tailor.kernels import Array

from ..errors import MLModelError, MLUpdateError, numbered
from ..model import MLModel
from ..models import Learner, build_judge
from .examples import Examples
from .guard import Metric, MLGuardScores, MLUpdateGuard, MLUpdateVerdict, decide
from .hold_out import held_out

ROUNDED = 1e-6
"""Losses below are rounding: many times as much of them is no sign of anything."""

Scores: TypeAlias = dict[str, dict[str, float]]
"""By set, by metric."""


class Judging:
    """Holds out, judges, and decides, as ``guard`` says; ``portion`` examples at a time.

    ``before`` and ``after`` are walked through in a worker, in this order; nothing is held up between two of their turns.
    ``numbers`` are then the examples to learn from, by their numbers in the training data, and ``verdict`` is what came out.

    Raises ``MLUpdateError`` where the model has not what the guard decides by, or there is nothing to hold out.
    """

    def __init__(self, guard: MLUpdateGuard, model: MLModel, examples: Examples, learner: Learner, portion: int) -> None:
        if not isinstance(guard, MLUpdateGuard):
            raise MLUpdateError(f"guard: expected an MLUpdateGuard, got {type(guard).__name__}")
        self._guard = guard
        self._model = model
        self._examples = examples
        self._label = learner.label
        self._portion = portion
        self.numbers = np.arange(examples.count)
        self.verdict: MLUpdateVerdict | None = None
        self._metric: Metric = guard.metric or ("loss" if learner.label is None else "accuracy")
        has = [*(["accuracy"] if learner.label is not None else []), *(["loss"] if learner.iterative else [])]
        if self._metric not in has:
            raise MLUpdateError(f"guard: metric: expected {' or '.join(has)} for {model.name}, got {self._metric}")
        if guard.hold_out is not None and examples.count < 2:
            raise MLUpdateError("guard: hold_out: expected at least 2 training examples, got 1")
        self._sets: dict[str, tuple[Examples, Array]] = {}
        if guard.reference is not None:
            with _said("reference"):
                reference = Examples(model, guard.reference, learner)
            self._sets["reference"] = (reference, np.arange(reference.count))
        self._before: Scores = {}

    def before(self) -> Generator[None]:
        """Chooses the hold-out and judges the base model.

        Raises ``MLUpdateError`` where the labels leave nothing to hold out, or nothing to judge by, and whatever an example
        that does not fit raises, naming set and example.
        """
        if self._guard.hold_out is not None:
            labels = yield from self._labels()
            held = held_out(self._examples.count if labels is None else labels, self._guard.hold_out, self._guard.seed)
            self._check(labels, held)
            self.numbers = np.setdiff1d(self.numbers, held)
            self._sets = {"hold_out": (self._examples, held), **self._sets}
        self._before = yield from self._scores("base", self._model)

    def after(self, candidate: MLModel) -> Generator[None]:
        """Judges the updated model, and decides."""
        after = yield from self._scores("updated", candidate)
        sets = {name: MLGuardScores(len(numbers), self._before[name], after[name]) for name, (_, numbers) in self._sets.items()}
        self.verdict = decide(sets, self._metric, self._guard.margin, self._guard.seed, len(self.numbers))

    def check_epoch(self, epoch: int, loss: float, first: float) -> None:
        """Raises ``MLUpdateError`` where the mean loss of an epoch says, beside that of the first one, that training diverges."""
        most = self._guard.diverged_above
        if most is not None and loss > most * max(first, ROUNDED):
            raise MLUpdateError(
                f"epoch {epoch}: expected a loss of at most {most:g} times that of epoch 0, which was {first:.6g}, got {loss:.6g}: "
                "the training diverges"
            )

    def _labels(self) -> Generator[None, None, list[Hashable] | None]:
        """The label or class of every training example; ``None`` where the target is neither."""
        if self._label is None:
            return None
        labels: list[Hashable] = []
        for some in self._portions(np.arange(self._examples.count)):
            with _said("hold_out"):
                told = self._label in self._model.description.training_input_descriptions_by_name  # or made by models in front
                found = self._examples.feature(self._label, some) if told else self._examples.columns(np.array(some))[self._label]
                labels += [_plain(value) for value in found]
            yield
        return labels

    def _check(self, labels: list[Hashable] | None, held: Array) -> None:
        if labels is None:
            return
        known = dict.fromkeys(labels)
        if len(known) == 1 and self._guard.reference is None:
            raise MLUpdateError(
                f"guard: hold_out: expected examples of at least two labels, or a reference set, got only {labels[0]!r}: "
                "a model that always answers so would be accepted"
            )
        if not len(held):
            raise MLUpdateError(
                f"guard: hold_out: expected two examples or more of some label, got {len(labels)} examples of as many labels"
            )

    def _scores(self, which: str, model: MLModel) -> Generator[None, None, Scores]:
        """The means over each set of what ``model`` scores on its examples."""
        chosen = model.configuration
        judge = build_judge(model.spec, model._given, f"model {model.name!r}", chosen.trainable, chosen.training)
        try:
            scores: Scores = {}
            for name, (examples, numbers) in self._sets.items():
                sums: dict[str, float] = {}
                for some in self._portions(numbers):
                    with _said(f"{name}, {which} model"):
                        if not sums:
                            examples.check_count()
                        columns = examples.prepared(np.array(some))
                        with numbered(some):
                            found = judge.judge(columns, len(some))
                    for metric, values in found.items():
                        sums[metric] = sums.get(metric, 0.0) + float(np.sum(values, dtype=np.float64))
                    yield
                scores[name] = {metric: total / len(numbers) for metric, total in sums.items()}
            return scores
        finally:
            judge.close()

    def _portions(self, numbers: Array) -> list[list[int]]:
        return [numbers[start : start + self._portion].tolist() for start in range(0, len(numbers), self._portion)]


@contextmanager
def _said(where: str) -> Iterator[None]:
    """What fails inside says what of the guard it is about."""
    try:
        yield
    except MLModelError as error:
        raise type(error)(f"guard: {where}: {error}") from error


def _plain(value: object) -> Hashable:
    """A label or class, of whatever type it comes in, as plain values that can be compared."""
    if isinstance(value, str):
        return value
    flat = np.asarray(value).reshape(-1).tolist()
    return flat[0] if len(flat) == 1 else tuple(flat)
