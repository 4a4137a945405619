"""Registered models: what users begin with. Each is a row of the ledger, and a file of the daemon's own, which nobody changes meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from anyio import CancelScope, Lock, to_thread

from tailor import MLConflictError, MLFeatureDescription, MLFormatError, MLLimitError, MLModel, MLModelError, MLNotFoundError
from tailor.client import ModelRecord

from ..configuration import Limits
from ..examples import TrainingFeatures
from ..ledger import KeptModel, Ledger, LedgerBusy, LedgerMoved
from .bases import BaseFiles
from .loaded import Loaded, Models, loaded
from .memory import Weighed
from .watched import WatchedFiles
from .words import ModelWords, words_of

T = TypeVar("T")

TRIES = 3
"""How often something is made for a model that is replaced meanwhile."""


class Tell(Protocol):
    """Makes an event of what happened to a model."""

    async def __call__(self, kind: str, text: str, *, model: str | None = None) -> object: ...


class _Told(NamedTuple):
    """What is small of a registered model, and is remembered when the model itself has left memory."""

    words: ModelWords
    training: TrainingFeatures | None


class ModelRegistry:
    """The registered models. ``folder``: where their files are; ``memory``: shared with those of users; ``limits`` may be set anew.

    Begin with ``start``. A file that is missing or damaged is told by name when it is needed, and keeps nothing else from working.
    """

    def __init__(self, folder: Path, ledger: Ledger, memory: Models, limits: Limits, tell: Tell) -> None:
        self.limits = limits
        self._files = BaseFiles(folder)
        self._ledger = ledger
        self._memory = memory
        self._tell = tell
        self._kept: dict[str, KeptModel] = {}
        self._told: dict[tuple[str, str], _Told] = {}  # by name and the SHA-256 of the file
        self._sources = WatchedFiles()
        self._registering = Lock()

    async def start(self, needed: Collection[str] = ()) -> None:
        """Takes up what the ledger has. Removes the files of models that neither it names nor ``needed``, the bases of open updates."""
        self._kept = {kept.name: kept for kept in await self._ledger.models()}
        await self._files.sweep({*needed, *(kept.base for kept in self._kept.values())})

    async def register(self, name: str, data: bytes, *, replace: bool = False) -> ModelRecord:
        """Registers a model, given by the bytes of its file; it is on the disk then. The same again changes nothing.

        With ``replace`` another model of this name may be there. Users begin with the new one; who has a version keeps it. Raises
        ``MLConflictError`` where another is there, or has users and takes other inputs or training inputs than this one: their examples
        would not fit. ``MLLimitError`` where it is too large or one too many, ``MLFormatError`` where it is no model, and what building it
        raises: what can be found out without an example. ``OSError`` where its file cannot be written.
        """
        if len(data) > self.limits.model_bytes:
            raise MLLimitError(f"limits.model_bytes: expected at most {self.limits.model_bytes} bytes for model {name!r}, got {len(data)}")
        digest = await to_thread.run_sync(lambda: hashlib.sha256(data).hexdigest())
        async with self._registering:
            before = self._kept.get(name)
            other = before is not None and before.base != digest
            if before is not None and not other and await self._is_whole(before):
                return await self.record(name)
            if other and not replace:
                raise MLConflictError(f"model {name!r}: expected a new name, or to replace the model that has it, got another model")
            model = await to_thread.run_sync(partial(_checked, data, name))
            misfit = await self._misfit(before, model) if before is not None and other else ""
            if misfit and await self._ledger.users(name, most=1):
                raise MLConflictError(misfit)
            told = await to_thread.run_sync(partial(_told, model))
            await self._files.keep(digest, data)
            if before is None or other:
                kept = KeptModel(name, digest, model.model_type, len(data), self._ledger.now())
                try:
                    with CancelScope(shield=True):  # what the ledger has is known here too
                        await self._ledger.put_model(kept, self.limits, without_users=bool(misfit))
                        self._kept[name] = kept
                except LedgerBusy as error:  # it has its first one since
                    raise MLConflictError(misfit) from error
            self._told[name, digest] = told
            self._forget_unused()
        done = "registered" if before is None else "replaced" if other else "mended"
        await self._tell("model_registered", f"model {name} was {done}: {digest[:12]}", model=name)
        return await self.record(name)

    async def register_file(self, name: str, path: Path) -> ModelRecord | None:
        """Registers the model of a file that the settings name, in the place of another one of this name.

        What keeps it from that becomes an event of trouble: the daemon goes on with the model that it has of this name, and the answer is
        ``None`` where it has none. ``path`` may be replaced or removed afterwards; ``look_again`` tells of it.
        """
        try:
            data = await to_thread.run_sync(partial(self._sources.read, name, path, self.limits.model_bytes))
            return await self.register(name, data, replace=True)
        except (MLModelError, OSError) as error:
            goes_on = "goes on with the one that it has" if name in self._kept else "has none of this name"
            await self._tell("trouble", f"model {name}: {path} was not registered; the daemon {goes_on}: {error}", model=name)
            return await self.record(name) if name in self._kept else None

    async def look_again(self) -> None:
        """Tells once of each of the settings' files that is another by now, or gone. It is registered at the next start or reload."""
        for name, path, what in await to_thread.run_sync(self._sources.changed):
            if name in self._kept:
                text = f"model {name}: {path} was {what}; the daemon goes on with its copy until it is reloaded or started anew"
                await self._tell("trouble", text, model=name)

    async def records(self) -> list[ModelRecord]:
        """All models, by name. Nothing is told of the inputs of one whose file is damaged."""
        return [await self._record(kept) for kept in await self._ledger.models()]

    async def record(self, name: str) -> ModelRecord:
        """One model. Raises ``MLNotFoundError``."""
        kept = await self._ledger.model(name)
        if kept is None:
            raise self._missing(name)
        return await self._record(kept)

    async def remove(self, name: str) -> None:
        """Raises ``MLNotFoundError``, and ``MLConflictError`` while it has users. Its file goes at the next start."""
        async with self._registering:
            if name not in self._kept:
                raise self._missing(name)
            with CancelScope(shield=True):
                await self._ledger.remove_model(name)
                del self._kept[name]
            self._sources.forget(name)
            self._forget_unused()

    def digest(self, name: str) -> str:
        """The SHA-256 of the file that users begin with now. Raises ``MLNotFoundError``."""
        if name not in self._kept:
            raise self._missing(name)
        return self._kept[name].base

    async def base(self, name: str, digest: str | None = None) -> MLModel:
        """The model that users begin with, or began with, from memory or its file.

        Raises ``MLNotFoundError`` for a name that is not there and where the file is missing, ``MLFormatError`` where it is damaged.
        """
        return (await self.loaded(name, digest)).model

    async def loaded(self, name: str, digest: str | None = None) -> Loaded:
        """``base``, and the inputs that it takes."""
        of = digest or self.digest(name)
        found = await self._memory.of((name, "", of), partial(self._load, name, of))
        assert found is not None, "_load loads"
        return found

    async def for_base(self, name: str, ask: Callable[[str], Awaitable[T]]) -> T:
        """What ``ask`` gives for ``digest``; where it raises ``LedgerMoved``, as another model is registered by then, it is asked again.

        Raises what ``ask`` raises, ``LedgerMoved`` where that goes on.
        """
        for _ in range(TRIES - 1):
            with suppress(LedgerMoved):
                return await ask(self.digest(name))
        return await ask(self.digest(name))

    async def training_features(self, name: str, digest: str | None = None) -> TrainingFeatures:
        """What examples of a model must have. Raises as ``base`` does, and ``MLUpdateError`` where it cannot be updated."""
        digest = digest or self.digest(name)
        if (name, digest) not in self._told:
            self._told[name, digest] = await to_thread.run_sync(partial(_told, await self.base(name, digest)))
        training = self._told[name, digest].training
        return TrainingFeatures(await self.base(name, digest)) if training is None else training  # which says why it cannot

    async def _load(self, name: str, digest: str) -> Weighed[Loaded | None]:
        return await to_thread.run_sync(partial(loaded, await self._files.read(digest, name), name))

    async def _record(self, kept: KeptModel) -> ModelRecord:
        words = await self._words(kept)
        return ModelRecord(
            name=kept.name,
            base=kept.base,
            kind=kept.kind,
            size=kept.size,
            is_updatable=words.is_updatable,
            inputs=words.inputs,
            outputs=words.outputs,
            training_inputs=words.training_inputs,
            parameters=words.parameters,
            features=words.features,
            users=kept.users,
            registered_at=kept.registered_at,
        )

    async def _words(self, kept: KeptModel) -> ModelWords:
        if (kept.name, kept.base) not in self._told:
            try:
                model = await self._files.read(kept.base, kept.name)
            except MLModelError:  # told by name to whoever needs it
                return ModelWords()
            self._told[kept.name, kept.base] = await to_thread.run_sync(partial(_told, model))
        return self._told[kept.name, kept.base].words

    async def _is_whole(self, kept: KeptModel) -> bool:
        """Whether the file of a model is there and undamaged."""
        try:
            await self._files.read(kept.base, kept.name)
        except MLModelError:  # it is to be written again
            return False
        return True

    async def _misfit(self, before: KeptModel, model: MLModel) -> str:
        """Why ``model`` could not learn the examples of users of ``before``, in words; nothing where it could."""
        try:
            old = (await self._files.read(before.base, before.name)).description
        except MLModelError:  # nobody can tell any more, and one that is damaged must be replaced
            return ""
        new = model.description
        for what, of_old, of_new in (
            ("inputs", old.input_descriptions_by_name, new.input_descriptions_by_name),
            ("training inputs", old.training_input_descriptions_by_name, new.training_input_descriptions_by_name),
        ):
            one, other = _features(of_old), _features(of_new)
            if one != other:
                names = ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name)))
                expected = f"expected one with the {what} of the model that it replaces, which has users"
                return f"model {before.name!r}: {expected}, got one that differs in {names}"
        return ""

    def _forget_unused(self) -> None:
        used = {(kept.name, kept.base) for kept in self._kept.values()}
        self._told = {key: told for key, told in self._told.items() if key in used}

    def _missing(self, name: str) -> MLNotFoundError:
        known = f", one of {', '.join(sorted(self._kept)[:5])}{' ...' if len(self._kept) > 5 else ''}" if self._kept else ""
        return MLNotFoundError(f"expected the name of a registered model{known}, got {name!r:.100}")


def _checked(data: bytes, name: str) -> MLModel:
    """The model of a file, after everything that predicting needs was made of it."""
    try:
        model = MLModel(data)
    except MLFormatError as error:
        raise MLFormatError(f"model {name!r}: {str(error).removeprefix('model: ')}") from error
    model.name = name
    _ = model.kept_on_cpu  # builds it
    return model


def _told(model: MLModel) -> _Told:
    return _Told(words_of(model), TrainingFeatures(model) if model.description.is_updatable else None)


def _features(described: Mapping[str, MLFeatureDescription]) -> dict[str, object]:
    """What a model takes, whatever it says about it."""
    return {name: (told.type, told.optional, told.constraint) for name, told in described.items()}
