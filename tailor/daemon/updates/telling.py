"""What is told of updates and whose they are: as records, and in words why one is where it is, and when it will go on."""

from __future__ import annotations

import math

import anyio

from tailor import MLStoreError, MLUpdateTask
from tailor.client import Forecast, Reason, UpdateRecord, UserRecord, Why
from tailor.scheduler import Moment

from ..histories import SHOWN
from ..ledger import KeptUpdate, KeptUser
from .engine import Engine
from .rules import Due, decide, spoken

ENDED = {"refused": "its guard kept the model as it was", "failed": "it failed", "cancelled": "somebody cancelled it"}


def as_record(update: KeptUpdate) -> UpdateRecord:
    """What the wire has of an update."""
    return UpdateRecord(
        identifier=update.identifier,
        model=update.model,
        user=update.user,
        state=update.state,
        reason=update.reason,
        examples=update.examples,
        onto=update.onto,
        version=update.version,
        epoch=update.epoch,
        losses=list(update.losses),
        parameters=update.parameters,
        verdict=update.verdict,
        error=update.error,
        made_at=update.made_at,
        begun_at=update.begun_at,
        ended_at=update.ended_at,
    )


def as_user_record(engine: Engine, user: KeptUser, last: str | MLStoreError | None) -> UserRecord:
    """What the wire has of a user, whose last version is ``last``, or cannot be told for that reason."""
    return UserRecord(
        model=user.model,
        user=user.user,
        waiting=user.waiting,
        taken=user.taken,
        learned=user.learned,
        set_aside=user.set_aside,
        size=user.size,
        version=last if isinstance(last, str) else None,
        update=user.update,
        next=decide(user, engine.parts.rules(user.model), engine.parts.now()).text,
        added_at=user.added_at,
        trouble=f"the last version cannot be told: {last}" if isinstance(last, MLStoreError) else None,
    )


def why(engine: Engine, update: KeptUpdate) -> Why:
    """Why an update is where it is."""
    return _why(f"update {update.identifier[:SHOWN]}", _reasons(engine, update))


def why_user(engine: Engine, user: KeptUser, open_update: KeptUpdate | None, refused: str = "") -> Why:
    """Why a user's examples are where they are. ``refused``: what keeps the model from learning by the settings, if anything."""
    reasons = [Reason(kind="settings", text=refused)] if refused else []
    if open_update is not None:
        reasons += [Reason(kind="under way", text=f"update {open_update.identifier[:SHOWN]} is under way"), *_reasons(engine, open_update)]
    decided = decide(user, engine.parts.rules(user.model), engine.parts.now())
    if open_update is None:
        reasons.append(Reason(kind="due" if isinstance(decided, Due) else decided.kind, text=decided.text))
    if user.set_aside:
        text = f"{user.set_aside} more are set aside, as their update failed or was refused or cancelled; a command takes them up again"
        reasons.append(Reason(kind="set aside", text=text))
    return _why(f"{user.model}/{user.user}", reasons)


def forecast(engine: Engine, update: KeptUpdate) -> Forecast:
    """When an update will begin and end, as far as can be told."""
    who = f"update {update.identifier[:SHOWN]}"
    task = _scheduled(engine, update)
    if task is None:
        unknown = [reason.text for reason in _reasons(engine, update)]
        return Forecast(text=f"{who}: nobody can tell: {'; '.join(unknown)}", begin=None, end=None, unknown=unknown)
    told = engine.parts.runtime.scheduler.forecast(task)
    text = str(told).removeprefix(f"job {told.identifier!r}: ")
    unknown = [told.unknown] if told.unknown else []
    return Forecast(text=f"{who}: {text}", begin=_from_now(told.begin, told.time), end=_from_now(told.end, told.time), unknown=unknown)


def _from_now(moment: Moment | None, now: float) -> tuple[float, float, float] | None:
    """Likely, soonest and latest, in seconds from now; nothing where there is no latest."""
    if moment is None or math.isinf(moment.latest):
        return None
    return max(0.0, moment.likely - now), max(0.0, moment.soonest - now), max(0.0, moment.latest - now)


def _why(subject: str, reasons: list[Reason]) -> Why:
    return Why(subject=subject, text=f"{subject}: {'; '.join(reason.text for reason in reasons)}", reasons=reasons)


def _reasons(engine: Engine, update: KeptUpdate) -> list[Reason]:
    match update.state:
        case "completed":
            return [Reason(kind="ended", text=f"it has ended, as version {(update.version or '')[:SHOWN]}")]
        case "refused" | "failed" | "cancelled":
            told = (update.verdict or {}).get("reason") or update.error
            return [Reason(kind="ended", text=f"{ENDED[update.state]}{told and f': {told}'}")]
        case "paused":
            return [Reason(kind="paused", text="somebody paused it; it goes on when it is resumed")]
    held = engine.held.get(update.identifier)
    if held is not None:
        again = max(0.0, held.until - anyio.current_time())
        return [Reason(kind="trouble", text=f"it is tried again in {spoken(again)}: {held.text}")]
    task = _scheduled(engine, update)
    if update.state == "committing":
        return [Reason(kind="committing", text="it has learned, and its model is being kept in the store")]
    if task is not None:
        return [Reason(kind=reason.name, text=str(reason)) for reason in engine.parts.runtime.scheduler.why(task).reasons]
    if update.identifier in engine.alive:
        return [Reason(kind="beginning", text="its model and its examples are being read")]
    before = next((place for place, one in enumerate(engine.queue) if one == update.identifier), len(engine.queue))
    others = f", and {before} wait before it" if before else ""
    return [Reason(kind="others ahead", text=f"{len(engine.alive)} updates are alive, which is as many as may be{others}")]


def _scheduled(engine: Engine, update: KeptUpdate) -> MLUpdateTask | None:
    """The task of an update that the scheduler knows now."""
    running = engine.alive.get(update.identifier)
    if running is None or running.task is None or engine.parts.runtime.scheduler.ticket(running.task.task_identifier) is None:
        return None
    return running.task
