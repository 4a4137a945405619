"""``tailor predict``: what a model answers for one example, or for many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tailor import MLFeatureDescription, MLFeatureError, MLModel
from tailor.persistence import write_atomically
from tailor.runtime.data import DataSource, Wanted, from_text, open_data

from .answers import print_answer, print_answers
from .example_options import Answers, Data, Inputs, JsonAnswers, check_one_or_many
from .outputs import check_writable
from .terminal import print_json, to_json

_CHUNK = 256  # examples predicted at once: enough for speed, little enough for memory


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mlmodel file or .mlpackage folder.", show_default=False)],
    inputs: Inputs = None,
    data: Data = None,
    output: Answers = None,
    as_json: JsonAnswers = False,
) -> None:
    """Predict for one example (--input) or many (--data).

    Where the data has the right answers too, such as the names of the folders, the share of right ones is told.

    \b
    Example: tailor predict Drawing.mlmodel --input drawing=cat.png
             tailor predict Drawing.mlmodel --data drawings/ --output a.jsonl
    """
    check_one_or_many(inputs, data)
    if output is not None:
        check_writable(output)
    loaded = MLModel(model)
    if data is None:
        answer = loaded.predict(one_example(loaded.description.input_descriptions_by_name, inputs or []))
        if output is not None:
            write_atomically(output, _line(answer))
        if as_json:
            print_json(answer)
        elif output is None:
            print_answer(answer)
        return
    source = open_data(data, Wanted.for_prediction(loaded.description))
    answers = _answers(loaded, source)
    tally = Tally(loaded.description.predicted_feature_name)
    if output is not None:
        write_atomically(output, (_line(answer) for answer in tally.watch(answers)))
        summary = {"output": str(output), **tally.summary()}
        if as_json:
            print_json(summary)
        else:
            print_answers("", [], summary)
    elif as_json:
        for answer in tally.watch(answers):
            print_json(answer, indent=None)
    else:
        shown = [(source.place(number), answer) for number, answer in enumerate(tally.watch(answers))]
        print_answers(loaded.description.predicted_feature_name, shown, tally.summary())


class Tally:
    """Counts examples, and right answers where the right ones are known."""

    def __init__(self, predicted: str) -> None:
        self._predicted = predicted
        self._count = self._known = self._right = 0

    def watch(self, answers: Iterator[tuple[Mapping[str, object], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Passes the answers on and counts them."""
        for features, answer in answers:
            self._count += 1
            if self._predicted and self._predicted in features:
                self._known += 1
                self._right += features[self._predicted] == answer.get(self._predicted)
            yield answer

    def summary(self) -> dict[str, Any]:
        """How many examples, and how many of those whose answer is known were right."""
        known = {"known": self._known, "right": self._right, "share": self._right / self._known} if self._known else {}
        return {"examples": self._count, **known}


def one_example(known: Mapping[str, MLFeatureDescription], inputs: list[str]) -> dict[str, object]:
    """One example of the features in ``known``, from ``NAME=VALUE`` arguments."""
    example: dict[str, object] = {}
    for argument in inputs:
        name, equals, text = argument.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, got {argument!r}", param_hint="--input")
        if name not in known:
            raise MLFeatureError(f"--input {name}: the model has no such input; it has {', '.join(map(repr, known)) or 'none'}")
        if name in example:
            raise typer.BadParameter(f"{name!r} was given twice", param_hint="--input")
        example[name] = from_text(known[name], text, f"--input {name}")
    return example


def _answers(model: MLModel, source: DataSource) -> Iterator[tuple[Mapping[str, object], dict[str, Any]]]:
    """Each example with what the model answers, a few at a time."""
    inputs = model.description.input_descriptions_by_name
    for start in range(0, source.count, _CHUNK):
        rows = [source.features_at(number) for number in range(start, min(start + _CHUNK, source.count))]
        given = [{name: value for name, value in row.items() if name in inputs} for row in rows]
        try:
            answers = model.predict(given)
        except MLFeatureError:
            _name_the_place(model, source, start, given)
            raise
        yield from zip(rows, answers, strict=True)


def _name_the_place(model: MLModel, source: DataSource, start: int, given: list[dict[str, object]]) -> None:
    """Finds the example that did not fit, one by one, and says where it stands."""
    for number, example in enumerate(given, start):
        try:
            model.predict(example)
        except MLFeatureError as error:
            raise MLFeatureError(f"{source.place(number)}: {error}") from error


def _line(answer: Mapping[str, Any]) -> bytes:
    return to_json(answer).encode() + b"\n"
