"""What the commands on a store share: where it is, whose model is meant, and opening it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import typer

from tailor import MLModelStore, MLStoreError, MLVersion, Passphrase
from tailor.persistence import DirectoryBackend, SQLiteBackend

T = TypeVar("T")

SHOWN = 12
"""Digits of an identifier that people are shown; a command takes six or more."""

StorePlace = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        envvar="TAILOR_STORE",
        help="Where the store is: a folder, a file or a URL. [default: the user's data folder]",
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="TAILOR_KEY_FILE",
        help="The key of an encrypted store; otherwise TAILOR_PASSPHRASE, or you are asked.",
        show_default=False,
    ),
]
Branch = Annotated[str, typer.Option("--branch", help="Which line of versions.")]
Device = Annotated[
    str, typer.Option("--device", envvar="TAILOR_DEVICE", help="What this device is called. [default: its host name]", show_default=False)
]
Whose = Annotated[str, typer.Argument(metavar="NAME[/USER]", help="Which model, and of which user.", show_default=False)]


def name_and_user(whose: str) -> tuple[str, str]:
    """``NAME`` and ``USER`` of ``NAME/USER``; a user may have further slashes. Raises ``typer.BadParameter`` where there is no name."""
    name, _, user = whose.partition("/")
    if not name:
        raise typer.BadParameter(f"expected NAME or NAME/USER, got {whose!r}", param_hint="NAME")
    return name, user


def whose(name: str, user: str, branch: str = "main") -> str:
    """How people write it: ``NAME/USER``, and the branch where it is not the main one."""
    return name + (f"/{user}" if user else "") + (f" ({branch})" if branch != "main" else "")


@dataclass(frozen=True, slots=True)
class StoreAt:
    """Where a store is, and what opens it. ``str()`` of it has no secrets."""

    place: str
    key: Passphrase | Path | None = None

    def __str__(self) -> str:
        return MLModelStore(self.place).name

    def run(self, work: Callable[[MLModelStore], Awaitable[T]], *, device: str = "", compress: bool = False) -> T:
        """What ``work`` gives for the store. Raises ``MLStoreError`` where it cannot be opened, and what ``work`` raises."""

        async def run() -> T:
            async with self.opened(device=device, compress=compress) as store:
                return await work(store)

        return anyio.run(run)

    def opened(self, *, device: str = "", compress: bool = False) -> MLModelStore:
        """The store, to be used with ``async with``."""
        return MLModelStore(self.place, device=device, compress=compress, key=self.key)


def store_at(place: str | None, key_file: Path | None, *, create: bool = False, passphrase: str = "TAILOR_PASSPHRASE") -> StoreAt:
    """The store that the options ask for; where it is encrypted and no key is given, the passphrase is asked for, so not within ``run``.

    ``create``: nothing need be there yet. ``passphrase``: the environment variable that may have it.

    Raises ``MLStoreError`` where there is no store, or no way to ask.
    """
    chosen = place or MLModelStore.default_place()
    store = MLModelStore(chosen)
    local = isinstance(store.store.backend, DirectoryBackend | SQLiteBackend)
    if local and not create and not os.path.exists(store.name):
        raise MLStoreError(f"{store.name}: expected a store, got nothing of this name; 'tailor backup' makes one")
    if key_file is not None:
        return StoreAt(chosen, key_file)
    if text := os.environ.get(passphrase):
        return StoreAt(chosen, Passphrase(text))
    return StoreAt(chosen, asked_passphrase() if anyio.run(store.is_encrypted) else None)


def asked_passphrase(new: bool = False) -> Passphrase:
    """A passphrase from the terminal. Raises ``MLStoreError`` where there is none to ask at."""
    what = "New passphrase" if new else "Passphrase"
    if not sys.stdin.isatty():
        raise MLStoreError(f"{what.lower()}: expected a key file, or the passphrase in an environment variable, got no terminal to ask at")
    return Passphrase(str(typer.prompt(what, hide_input=True, confirmation_prompt=new, err=True)))


def this_device(device: str) -> str:
    """What a device is called: as asked for, or by its host name."""
    return device or platform.node()


def short(version: MLVersion | str) -> str:
    """An identifier as people are shown it."""
    return (version if isinstance(version, str) else version.identifier)[:SHOWN]


def made(version: MLVersion) -> str:
    """When a version was made, in the local time zone, to the minute."""
    return f"{version.created_at.astimezone():%Y-%m-%d %H:%M}"
