"""Settings that are right one by one, and cannot be together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations

from tailor import MLParameterError, MLParameterKey

from .checking import Found
from .places import is_url
from .settings import Settings, Updates


def conflicts(settings: Settings) -> Iterator[Found]:
    """What contradicts something else; paths are those of ``read_settings``, from the root on."""
    yield from _folders(settings)
    yield from _remotes(settings)
    keeps = settings.examples.keep_learned
    if settings.updates.learn_from == "all" and not keeps:
        yield ("updates", "learn_from"), *KEPT
    for name, model in settings.models.items():
        own = model.updates or settings.updates
        if own.learn_from == "all" and settings.updates.learn_from == "new" and not keeps:
            yield ("models", name, "updates", "learn_from"), *KEPT
        yield from _parameters(("models", name, "updates"), own) if own.parameters != settings.updates.parameters else ()
    yield from _parameters(("updates",), settings.updates)


KEPT = ('[examples] keep_learned = true with it, or "new"', '"all", of which nothing is kept')


def _folders(settings: Settings) -> Iterator[Found]:
    """Nothing that is watched may hold what else is watched, or what the daemon writes itself."""
    own = {"state": settings.state, "store": None if is_url(settings.store) else settings.store}
    used = {name: os.path.realpath(path) for name, path in own.items() if path is not None}
    if "state" in used and used["state"] == used.get("store"):
        yield ("store",), "a place of its own", "that of state"
    watched = {name: os.path.realpath(watch.folder) for name, watch in settings.watch.items()}
    for name, folder in watched.items():
        for which, path in used.items():
            if _overlap(folder, path):
                yield ("watch", name, "folder"), f"a folder apart from {which}, {path}", folder
    for (first, folder), (second, other) in combinations(watched.items(), 2):
        if _overlap(folder, other):
            yield ("watch", second, "folder"), f"a folder apart from that of watch.{first}, {folder}", other


def _overlap(first: str, second: str) -> bool:
    return os.path.commonpath([first, second]) in (first, second)


def _remotes(settings: Settings) -> Iterator[Found]:
    seen = {settings.store} - {None}
    for number, remote in enumerate(settings.sync.remotes):
        if remote.place in seen:
            yield ("sync", "remotes", number, "place"), "another place than the store and other remotes have", "one that is there already"
        seen.add(remote.place)


def _parameters(path: tuple[str, ...], updates: Updates) -> Iterator[Found]:
    for name, value in updates.parameters.items():
        where = (*path, "parameters", *name.split("."))
        try:
            MLParameterKey.parse(name)
        except MLParameterError as error:
            yield where, str(error).partition("expected ")[2].partition(", got")[0], f"{name!r}"
        if not isinstance(value, bool | int | float):
            yield where, "a number, or true or false", f"{type(value).__name__}"
