"""Files that are complete become examples. What is wrong with one is told of, once; what is not its fault is for the caller to wait for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from anyio.to_thread import run_sync

from tailor import MLConflictError, MLFeatureError, MLLimitError, MLModelDescription, MLModelError, MLUpdateError
from tailor.client import Added, NewExamples
from tailor.runtime.data import Wanted

from ..configuration import Limits, Watch
from .contents import Portion, image_example, portions
from .files import MOST_BYTES, Found, looked_at, read_bytes

Tell: TypeAlias = Callable[..., Awaitable[object]]
Describe: TypeAlias = Callable[[str], Awaitable[MLModelDescription]]
Add: TypeAlias = Callable[[str, str, NewExamples], Awaitable[Added]]

IMAGES = 256
"""Image files that are read at a time."""
MOST_TOLD = 10_000
"""Files that are remembered as told of."""

log = logging.getLogger(__name__)


class Taking:
    """Of one watched folder. ``done`` is told of each file that there is nothing left to do with, as it was found; ``again`` of the name of
    each that has changed meanwhile.
    """

    def __init__(
        self,
        name: str,
        watch: Watch,
        limits: Limits,
        *,
        description: Describe,
        add: Add,
        tell: Tell,
        done: Callable[[Found], None],
        again: Callable[[str], None],
    ) -> None:
        self._name, self._watch, self._folder, self._most = name, watch, Path(watch.folder), limits.example_bytes
        self._description, self._add, self._tell, self._done, self._again = description, add, tell, done, again
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()  # files, with what was in them

    async def take(self, ready: Sequence[Found]) -> None:
        """Keeps the examples of files, in portions. Raises ``MLModelError`` where that cannot be now, for which no file is to blame."""
        for one in [one for one in ready if one.trouble is not None]:
            await self._refuse(one, f"{self._folder / one.name}: {one.trouble}")
        good = [one for one in ready if one.trouble is None]
        if not good:
            return
        wanted = Wanted.for_update(await self._description(self._watch.model))
        if not wanted.must:
            raise MLUpdateError(f"model {self._watch.model!r}: expected one that can be updated, to take examples, got one that cannot")
        images = [one for one in good if not one.is_data]
        for begin in range(0, len(images), IMAGES):
            await self._take_images(images[begin : begin + IMAGES], wanted)
        for one in good:
            if one.is_data:
                await self._take_rows(one, wanted)

    async def _take_images(self, images: Sequence[Found], wanted: Wanted) -> None:
        rest = images
        while rest:
            portion, wrong, changed, rest = await run_sync(_read_images, self._folder, rest, wanted, self._most)
            for name in changed:
                self._again(name)
            for one, error in wrong:
                await self._refuse(one, error)
            refused = await self._keep(portion)
            await self._finish([one for one in portion.files if one.name not in refused])

    async def _take_rows(self, one: Found, wanted: Wanted) -> None:
        rows = portions(self._folder, one, wanted, self._most)
        try:
            while (portion := await run_sync(next, rows, None)) is not None:
                if not await run_sync(_is_as, self._folder, one, self._most):
                    self._again(one.name)
                    return
                if await self._keep(portion):
                    return
        except (MLFeatureError, OSError) as error:
            await self._refuse(one, str(error))
            return
        await self._finish([one])

    async def _keep(self, portion: Portion) -> set[str]:
        """Keeps the examples, and tells; the names of files that are refused. Raises ``MLModelError`` for what no file is to blame for."""
        refused: set[str] = set()
        parts, accepted, duplicates = [portion], 0, 0
        trouble: MLModelError | None = None
        while parts and trouble is None:
            part = parts.pop().without(refused)
            if not part.examples:
                continue
            try:
                added = await self._add(self._watch.model, self._watch.user, NewExamples(examples=part.examples))
                accepted, duplicates = accepted + added.accepted, duplicates + added.duplicates
            except (MLFeatureError, MLLimitError, MLConflictError) as error:
                number = getattr(error, "index", error.example)
                if number is not None:
                    refused.add(part.files[number].name)
                    await self._refuse_example(part, number, error)
                    parts.append(part)
                elif len(part.examples) > 1 and not isinstance(error, MLConflictError):
                    half = len(part.examples) // 2  # of so many together there may be too many, or nobody says which it is
                    parts += [part.part(half), part.part(0, half)]
                elif isinstance(error, MLFeatureError):
                    refused.add(part.files[0].name)
                    await self._refuse_example(part, 0, error)
                else:
                    trouble = error
            except MLModelError as error:
                trouble = error
        if accepted:
            text = f"{_counted(accepted, 'new example')} from {self._folder}"
            await self._event("file_read", text, examples=accepted, duplicates=duplicates)
        if trouble is not None:
            raise trouble
        return refused

    async def _finish(self, taken: Sequence[Found]) -> None:
        """Their examples are kept."""
        for one in taken:
            self._done(one)
        if self._watch.then == "remove":
            await run_sync(_remove, self._folder, taken, self._most)

    async def _refuse_example(self, part: Portion, number: int, error: MLFeatureError | MLLimitError | MLConflictError) -> None:
        one, place = part.files[number], part.places[number]
        error.example = None  # a number that says nothing here
        if one.is_data:
            await self._refuse(one, f"{self._folder / one.name}, {place}: {error}", place=place)
        else:
            await self._refuse(one, f"{self._folder / one.name}: {error}")

    async def _refuse(self, one: Found, text: str, **detail: Any) -> None:
        """Leaves a file alone, and tells of it, once for what is in it. One that has changed since it was found may be good by now."""
        if not await run_sync(_is_as, self._folder, one, self._most):
            self._again(one.name)
            return
        content = one.trouble if one.trouble is not None else await run_sync(_hash, self._folder / one.name)
        await self.tell_once("file_refused", one.name, text, content, **detail)
        self._done(one)

    async def tell_once(self, kind: str, name: str, text: str, content: str, **detail: Any) -> None:
        """Tells of a file with this content, unless it did so before."""
        if (name, content) in self._told:
            return
        await self._event(kind, text, file=name, **detail)
        self._told[name, content] = None
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)

    async def _event(self, kind: str, text: str, **detail: Any) -> None:
        await self._tell(kind, f"watch {self._name}: {text}", model=self._watch.model, user=self._watch.user, watch=self._name, **detail)


def _read_images(
    folder: Path, images: Sequence[Found], wanted: Wanted, most: int
) -> tuple[Portion, list[tuple[Found, str]], list[str], Sequence[Found]]:
    """The examples of as many images as fit into a portion; what cannot be read, and why; what has changed meanwhile; the rest."""
    portion = Portion()
    wrong: list[tuple[Found, str]] = []
    changed: list[str] = []
    for number, one in enumerate(images):
        if portion.is_full:
            return portion, wrong, changed, images[number:]
        try:
            example, size = image_example(folder, one, wanted, most)
        except (MLFeatureError, OSError) as error:
            wrong.append((one, str(error)))
            continue
        if _is_as(folder, one, most):
            portion.add(example, one.name, one, size)
        else:
            changed.append(one.name)
    return portion, wrong, changed, []


def _is_as(folder: Path, one: Found, most: int) -> bool:
    """Whether a file is as it was found. If not somebody writes into it, and what was read may be half of the old."""
    now = looked_at(folder, one.name, most)
    return now is not None and now.stamp == one.stamp


def _remove(folder: Path, files: Iterable[Found], most: int) -> None:
    for one in files:
        if _is_as(folder, one, most):
            try:
                (folder / one.name).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s: cannot be removed: %s", folder / one.name, error)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _hash(path: Path) -> str:
    try:
        return sha256(read_bytes(path, MOST_BYTES)).hexdigest()
    except OSError as error:
        return str(error)
