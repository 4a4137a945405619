"""``tailor daemon add``: examples for a user's model, read here and sent in parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailor.runtime.data import DataSource, Wanted, open_data

from ..asking import DaemonPlace, Json, User, Whose, ask, model_and_user, plain_record
from ..example_options import Data, TrainingInputs, check_one_or_many
from ..predict import one_example
from ..terminal import print_json, results
from ..work_done import WorkDone
from .features import features_at, wanted_for_update

if TYPE_CHECKING:
    from tailor.client import Added, Client, MLDaemonError, NewExample

_DIGITS = 24  # of the SHA-256 that an example without an id is called by
_LONGEST = 180  # characters of a path, so that there is room for the rest
_SHOWN = 12  # of it behind the path of an image


def add(
    whose: Whose,
    user: User = None,
    inputs: TrainingInputs = None,
    data: Data = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Where they come from. [default: what is read]", show_default=False)
    ] = None,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Give the daemon examples for a user's model.

    They are on disk when this is done. An example without an id is called by its content, so that the same command
    again adds only what is new. The daemon makes an update when its rules say so.

    \b
    Example: tailor daemon add Drawing anna --data drawings/
             tailor daemon add Drawing/anna -i drawing=cat.png -i label=cat
    """
    check_one_or_many(inputs, data, "training input")
    model, whom = model_and_user(whose, user)

    async def go(client: Client) -> Added:
        from tailor.client import MLDaemonError

        wanted = wanted_for_update(await client.model(model))
        read = open_data(data, wanted) if data is not None else None
        place: Callable[[int], str] = read.place if read is not None else lambda _: "--input"
        with WorkDone("adding", quiet=as_json) as done:
            examples = _examples(read, wanted, source) if read is not None else _one(wanted, inputs or [], source)
            named = _named(examples, paths=data is not None and data.is_dir())
            try:
                return await client.add_examples(model, whom, _counted(named, done, 1 if read is None else read.count))
            except MLDaemonError as error:
                raise _placed(error, place) from None

    added = ask(daemon, go)
    if as_json:
        print_json(plain_record(added))
        return
    before = f", {added.duplicates} were there before" if added.duplicates else ""
    told = f"{model}/{whom}: {added.accepted} examples kept{before}; {added.waiting} wait for an update"
    results().print(told, markup=False)


def _one(wanted: Wanted, inputs: list[str], source: str | None) -> Iterator[tuple[str, dict[str, Any], NewExample]]:
    """What ``--input`` gives, as ``_examples`` does."""
    from tailor.client import NewExample

    yield "--input", dict(one_example(wanted.all, inputs)), NewExample(features={}, source=source)


def _examples(read: DataSource, wanted: Wanted, source: str | None) -> Iterator[tuple[str, dict[str, Any], NewExample]]:
    """Where each example stands, its features, and where it came from. The id of an image in a folder is its path within it."""
    from tailor.client import NewExample

    for number in range(read.count):
        origin = read.origin_at(number)
        yield (
            read.place(number),
            features_at(read, number, wanted),
            NewExample(features={}, id=origin.id, source=source or origin.source, time=origin.time),
        )


def _named(examples: Iterator[tuple[str, dict[str, Any], NewExample]], paths: bool) -> Iterator[NewExample]:
    """The examples as they are sent. Those without an id are called by content and source, the same again as another one.

    ``paths``: ids are paths, which say nothing of the content, so that it is added to them: another image of that name is another example.
    """
    from msgspec.structs import replace

    from tailor.client import digest_of, to_wire

    seen: Counter[str] = Counter()
    for place, features, example in examples:
        sent = to_wire(features, place)
        name = example.id
        if name is None or paths:
            digest = digest_of({"features": sent, "source": example.source})
            name = digest[:_DIGITS] if name is None else f"{name[-_LONGEST:]}@{digest[:_SHOWN]}"
            seen[name] += 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
        yield replace(example, features=sent, id=name)


def _counted(examples: Iterator[NewExample], done: WorkDone, of: int) -> Iterator[NewExample]:
    for number, example in enumerate(examples, 1):
        yield example
        if number % 100 == 0 or number == of:
            done.show(number, of)


def _placed(error: MLDaemonError, place: Callable[[int], str]) -> MLDaemonError:
    """An error about an example, with where that stands."""
    for told in (str(error), error.field or ""):
        found = re.match(r"examples?[ \[](\d+)", told)
        if found is not None:
            said = re.sub(r"^example \d+: ", "", str(error))
            return type(error)(f"{place(int(found[1]))}: {said}", kind=error.kind, status=error.status, field=error.field)
    return error
