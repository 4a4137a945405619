"""``tailor daemon predict``: what a user's own model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailor.persistence import write_atomically
from tailor.runtime.data import open_data

from ..answers import print_answer, print_answers
from ..asking import SHOWN, DaemonPlace, User, Whose, ask, model_and_user
from ..example_options import Answers, Data, Inputs, JsonAnswers, check_one_or_many
from ..outputs import check_writable
from ..predict import one_example
from ..terminal import print_json, results, to_json
from .features import features_at, wanted_for_prediction

if TYPE_CHECKING:
    from tailor.client import Client, Predictions


def predict(
    whose: Whose,
    user: User = None,
    inputs: Inputs = None,
    data: Data = None,
    output: Answers = None,
    daemon: DaemonPlace = None,
    as_json: JsonAnswers = False,
) -> None:
    """Predict with a user's own model.

    Without a user: with the model as it was registered.

    \b
    Example: tailor daemon predict Drawing anna --input drawing=cat.png
             tailor daemon predict Drawing --data drawings/ --output a.jsonl
    """
    check_one_or_many(inputs, data)
    if output is not None:
        check_writable(output)
    model, whom = (whose, None) if user is None and "/" not in whose else model_and_user(whose, user)
    places: list[str] = []

    async def go(client: Client) -> Predictions:
        wanted = wanted_for_prediction(await client.model(model))
        if data is None:
            return await client.predict(model, whom, [one_example(wanted.must, inputs or [])])
        read = open_data(data, wanted)
        places.extend(map(read.place, range(read.count)))
        rows = (features_at(read, number, wanted) for number in range(read.count))
        return await client.predict(model, whom, ({name: value for name, value in row.items() if name in wanted.must} for row in rows))

    predictions = ask(daemon, go)
    answers = predictions.outputs
    if output is not None:
        write_atomically(output, (to_json(answer).encode() + b"\n" for answer in answers))
    if as_json:
        for answer in answers if output is None or data is None else []:
            print_json(answer, indent=2 if data is None else None)
        return
    if data is None and output is None:
        print_answer(answers[0])
    elif data is not None:
        summary = {"examples": len(answers)} | ({"output": str(output)} if output is not None else {})
        print_answers("", list(zip(places, answers, strict=True)) if output is None else [], summary)
    results().print(f"version {predictions.version[:SHOWN]}" if predictions.version else "the model as it was registered")
