"""Models of many users, which learn in updates that outlive the process: what ``web_service.py`` serves. Nothing here knows of HTTP.

In the folder every user has ``model.snapshot``, what they have taught their model, and while an update is under way ``update.json``, what
was asked for, and ``update.checkpoint``, how far it is.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from PIL import Image

from tailor import (
    MLArrayBatchProvider,
    MLBatching,
    MLBusyError,
    MLCheckpointError,
    MLCheckpoints,
    MLFeatureDescription,
    MLFeatureError,
    MLFeatureType,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLModelError,
    MLParameterKey,
    MLScheduling,
    MLTaskState,
    MLTaskStateError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Priority,
    Runtime,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor import MLUpdateProgressEvent as Event

log = logging.getLogger("personal_models")


@dataclass(frozen=True)
class Limits:
    """Of one request, and of all together. ``models``: kept in memory."""

    pixels: int = 1 << 22
    examples: int = 1000
    predictions: int = 256
    updates: int = 16
    models: int = 256


class Update:
    """A user's update, and what is told of it. ``news`` is set when that changes."""

    task: MLUpdateTask

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"state": "running"}
        self.news = anyio.Event()

    @property
    def is_over(self) -> bool:
        return bool(self.told["state"] != "running")

    def tell(self, **more: Any) -> None:
        self.told.update(more)
        self.news.set()
        self.news = anyio.Event()

    def tell_progress(self, context: MLUpdateContext) -> None:
        self.tell(epoch=context.metrics[MLMetricKey.EPOCH_INDEX], loss=context.metrics.get(MLMetricKey.LOSS_VALUE))


class PersonalModels:
    """Users' models and updates. They are alive within ``opened``; what matters afterwards is in the folder."""

    def __init__(self, base: MLModel, folder: Path, limits: Limits | None = None) -> None:
        self.base = base
        self.folder = folder
        self.limits = limits or Limits()
        self.runtime = Runtime(batching=MLBatching(most_waiting=self.limits.predictions, refuses=True))
        self.updates: dict[str, Update] = {}
        self.leaving = False
        self._models: OrderedDict[str, MLModel] = OrderedDict()
        self._loading = anyio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Takes up the updates that were left; in the end suspends those that are at work, each with a checkpoint."""
        async with self.runtime:
            for path in sorted(self.folder.glob("*/update.json")):
                await self._take_up(path.parent.name, path)
            yield
            self.leave()
            for update in self.updates.values():
                if update.task.state is MLTaskState.RUNNING:
                    update.task.suspend()  # the runtime waits until its checkpoint has been written

    def leave(self) -> None:
        """Begins nothing more, and lets those go who follow updates."""
        self.leaving = True
        for update in self.updates.values():
            update.tell()

    async def predict(self, user: str, inputs: object) -> dict[str, Any]:
        """The answer of the user's model; computed together with others of the same model."""
        model = await self._model(user)
        answer: dict[str, Any] = await self.runtime.prediction(model, self._row(inputs, model.description.input_descriptions_by_name))
        return answer

    async def begin(self, user: str, asked: Mapping[str, Any]) -> Update:
        """Begins an update. It is on disk when this returns: it will be done, whatever happens to the process."""
        model = await self._model(user)
        under_way = [name for name, update in self.updates.items() if not update.is_over]
        if user in under_way:
            raise MLTaskStateError(f"user {user!r}: expected one update at a time, got another one")
        if self.leaving or len(under_way) >= self.limits.updates:
            raise MLBusyError(f"expected a service that goes on, and at most {self.limits.updates} updates at a time")
        path = self._file(user, "update.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file(user, "update.checkpoint").unlink(missing_ok=True)
        update = self._made(user, model, asked)
        path.with_suffix(".new").write_text(json.dumps({**asked, "model": model.content_hash}), encoding="utf-8")
        os.replace(path.with_suffix(".new"), path)
        if len(self.updates) >= self.limits.updates:
            self.updates = {name: self.updates[name] for name in under_way}  # of the others it was told long enough
        return self._started(user, update)

    async def cancel(self, user: str) -> Update | None:
        """Ends the user's update, where there is one; nothing is kept of it."""
        update = self.updates.get(user)
        if update is not None:
            update.task.cancel()
            await update.task.paused()  # its last mini-batch is over
            if not update.is_over:
                self._clear(user)
                update.tell(state="cancelled")
        return update

    async def follow(self, update: Update, pause: float) -> AsyncIterator[dict[str, Any]]:
        """How it goes: now, and whenever that has changed, at least ``pause`` seconds later. Who reads slowly holds nobody up."""
        while True:
            news = update.news
            yield update.told
            if update.is_over or self.leaving:
                return
            await anyio.sleep(pause)
            await news.wait()

    async def _model(self, user: str) -> MLModel:
        """The user's model, from memory or its snapshot; the base model where they have taught it nothing."""
        async with self._loading:
            if user not in self._models:
                path = self._file(user, "model.snapshot")
                self._remember(user, await to_thread.run_sync(restore_snapshot, path, self.base) if path.exists() else self.base)
            self._models.move_to_end(user)
            return self._models[user]

    def _remember(self, user: str, model: MLModel) -> None:
        self._models[user] = model
        while len(self._models) > self.limits.models:
            self._models.popitem(last=False)

    def _row(self, given: object, described: Mapping[str, MLFeatureDescription]) -> dict[str, Any]:
        """An example as tailor takes it. There a string is the path of an image's file; from a client it is the image, in base64."""
        if not isinstance(given, Mapping):
            raise MLFeatureError(f"expected an object of features by name, got {type(given).__name__}")
        images = {name for name, feature in described.items() if feature.type is MLFeatureType.IMAGE}
        return {name: self._image(name, value) if name in images else value for name, value in given.items()}

    def _image(self, name: str, encoded: object) -> Image.Image:
        try:
            image = Image.open(io.BytesIO(base64.b64decode(str(encoded), validate=True)), formats=["PNG", "JPEG"])
        except (binascii.Error, ValueError, OSError, Image.DecompressionBombError) as error:
            raise MLFeatureError(f"{name!r}: expected a PNG or JPEG image in base64, got something else") from error
        if image.width * image.height > self.limits.pixels:
            raise MLFeatureError(f"{name!r}: expected an image of at most {self.limits.pixels} pixels, got {image.width}x{image.height}")
        return image

    def _made(self, user: str, model: MLModel, asked: Mapping[str, Any]) -> Update:
        """An update that has not begun: a new one, or one that goes on from its checkpoint."""
        examples, parameters = asked.get("examples"), asked.get("parameters", {})
        if not isinstance(examples, list) or not 0 < len(examples) <= self.limits.examples:
            raise MLFeatureError(f"examples: expected a list of 1 to {self.limits.examples}")
        if not isinstance(parameters, Mapping):
            raise MLUpdateError(f"parameters: expected an object of values by name, got {type(parameters).__name__}")
        described = model.description.training_input_descriptions_by_name
        data = MLArrayBatchProvider([self._row(example, described) for example in examples])
        configuration = MLModelConfiguration(parameters={MLParameterKey.parse(name): value for name, value in parameters.items()})
        update, path = Update(), self._file(user, "update.checkpoint")

        async def over(context: MLUpdateContext) -> None:
            await self._over(user, update, context)

        more: dict[str, Any] = {
            "progress_handlers": MLUpdateProgressHandlers(Event.EPOCH_END, update.tell_progress),
            "completion_handler": over,
            "checkpoints": MLCheckpoints(path, every_seconds=5),
            "runtime": self.runtime,
            "scheduling": MLScheduling(priority=Priority.BACKGROUND, share=user),
        }
        if path.exists():
            update.task = MLUpdateTask.restore(path, model, data, configuration, **more)
        else:
            update.task = MLUpdateTask(model, data, configuration, **more)
        return update

    def _started(self, user: str, update: Update) -> Update:
        self.updates[user] = update
        update.task.resume()
        return update

    async def _over(self, user: str, update: Update, context: MLUpdateContext) -> None:
        """Keeps what was learned. Where that, or a checkpoint, cannot be written, its files stay, and the next start tries again."""
        error = context.task.error
        try:
            if error is None:
                async with self._loading:
                    path = self._file(user, "model.snapshot")
                    await to_thread.run_sync(lambda: write_snapshot(path, take_snapshot(context, self.base)))
                    self._remember(user, context.model)
            if not isinstance(error, MLCheckpointError):  # of a full disk, for example
                self._clear(user)
        except (MLModelError, OSError) as raised:
            update.tell(state="failed", error=str(raised))
            raise
        update.tell(**({"state": "completed"} if error is None else {"state": "failed", "error": str(error)}))

    async def _take_up(self, user: str, path: Path) -> None:
        try:
            asked = json.loads(await to_thread.run_sync(path.read_bytes))
            model = await self._model(user)
            if asked["model"] == model.content_hash:
                self._started(user, self._made(user, model, asked))
                log.info("user %s: an update is taken up again", user)
            else:  # it was over, and its snapshot written; this file was all that was left to do
                self._clear(user)
        except (MLModelError, OSError, ValueError, KeyError):
            log.exception("user %s: an update cannot be taken up again, and stays where it is: %s", user, path)

    def _clear(self, user: str) -> None:
        for name in ("update.json", "update.checkpoint"):
            self._file(user, name).unlink(missing_ok=True)

    def _file(self, user: str, name: str) -> Path:
        return self.folder / user / name
