"""An update of the ledger as a task of the runtime: anew, or from where its checkpoint was taken."""

from __future__ import annotations

from datetime import time
from functools import partial

from anyio import to_thread

from tailor import (
    Conditions,
    MLCheckpointError,
    MLCheckpoints,
    MLModel,
    MLModelConfiguration,
    MLScheduling,
    MLUpdateGuard,
    MLUpdateProgressEvent,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Priority,
    QuietHours,
    Retry,
)

from ..configuration import Updates
from ..examples import LedgerExamples
from ..ledger import KeptUpdate
from .parameters import parameters_of
from .parts import Parts, place_failed
from .running import Running

BUSY = 0.3
"""Share of the processors that others may use on a machine that is idle."""


async def prepared(parts: Parts, update: KeptUpdate, running: Running) -> MLUpdateTask:
    """The task of an open update, which has not begun; ``running`` is told of the end of each epoch.

    One whose checkpoint is damaged, or was made under another guard, begins anew: with the same examples, in the same order.

    Raises ``MLUpdateError`` and others for an update that cannot be, and what ``place_failed`` knows where it cannot be now.
    """
    rows = await parts.ledger.training_rows(update.identifier)
    data = LedgerExamples(parts.ledger, rows, await parts.registry.training_features(update.model))
    model = await _model(parts, update)
    rules, path = parts.rules(update.model), parts.checkpoints.path(update.identifier)
    make = partial(
        MLUpdateTask,
        configuration=MLModelConfiguration(parameters=parameters_of(model, update)),
        progress_handlers=MLUpdateProgressHandlers(MLUpdateProgressEvent.EPOCH_END, running.epoch_ended),
        runtime=parts.runtime,
        guard=guard_of(rules, len(rows)),
        checkpoints=MLCheckpoints(path, every_seconds=rules.checkpoint_seconds, keep=True),
        scheduling=scheduling_of(update.user, rules),
    )
    if await to_thread.run_sync(path.exists):
        try:
            return await to_thread.run_sync(partial(MLUpdateTask.restore, path, model, data, **make.keywords))
        except MLCheckpointError as error:
            if place_failed(error):
                raise
            text = f"its checkpoint cannot be gone on from, and it begins anew: {error}"
            await parts.events.tell("trouble", text, model=update.model, user=update.user, update=update.identifier)
            await parts.checkpoints.remove(update.identifier)
    return await to_thread.run_sync(partial(make, model, data))


async def _model(parts: Parts, update: KeptUpdate) -> MLModel:
    if update.onto is None:
        return await parts.registry.base(update.model, update.base)
    model = await parts.store.model(update.model, update.user, version=update.onto)
    model.name = update.model
    return model


def guard_of(rules: Updates, examples: int) -> MLUpdateGuard | None:
    """The guard that the settings ask for of an update of so many examples."""
    asked = rules.guard
    if asked is None or examples < asked.least_examples:
        return None
    return MLUpdateGuard(hold_out=asked.hold_out, metric=asked.metric, margin=asked.margin)


def scheduling_of(user: str, rules: Updates) -> MLScheduling:
    """When and where a user's update runs."""
    asked = rules.conditions
    quiet = () if asked.quiet is None else (QuietHours(time.fromisoformat(asked.quiet[0]), time.fromisoformat(asked.quiet[1])),)
    conditions = Conditions(
        external_power=asked.external_power,
        network=asked.network,
        most_processor_use=BUSY if asked.idle else None,
        least_battery=asked.least_battery,
        quiet_hours=quiet,
    )
    return MLScheduling(priority=Priority.BACKGROUND, share=user, conditions=conditions, retry=Retry(attempts=rules.attempts))
