"""``tailor keys``: encrypted stores, and who can open them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from tailor import MLModelStore, MLStoreKeys, Passphrase, SecretKey, read_key_file, write_key_file

from .stores import KeyFile, StoreAt, StorePlace, asked_passphrase
from .terminal import add_rows, print_json, results, table

keys = typer.Typer(help="Make a store encrypted, and say who can open it.", no_args_is_help=True, rich_markup_mode=None)

NewKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--new-key-file",
        help="The other key; made where there is no such file. Otherwise TAILOR_NEW_PASSPHRASE, or you are asked.",
        show_default=False,
    ),
]


@keys.command()
def create(store: StorePlace = None, key_file: KeyFile = None) -> None:
    """Make a new store that is encrypted.

    --key-file is made where there is no such file; without it the key is a
    passphrase. Whoever loses all keys loses what the store keeps.

    \b
    Example: tailor keys create --store /mnt/usb/store
             tailor keys create --store s3://bucket/a --key-file a.key
    """
    at = _place(store)
    anyio.run(MLStoreKeys(at.place).create, _new_key(key_file, "TAILOR_PASSPHRASE"))
    results().print(f"{at}: an encrypted store", markup=False)


@keys.command("list")
def list_(store: StorePlace = None, as_json: Annotated[bool, typer.Option("--json", help="Print the keys as JSON.")] = False) -> None:
    """Show which keys open a store, by their ids.

    \b
    Example: tailor keys list --store /mnt/usb/store
    """
    found = [(slot.id, slot.kind.name.lower().replace("_", " ")) for slot in anyio.run(MLStoreKeys(_place(store).place).list)]
    if as_json:
        print_json({"keys": [{"id": id, "kind": kind} for id, kind in found]})
    else:
        results().print(add_rows(table("", "id", "kind"), found))


@keys.command()
def add(store: StorePlace = None, key_file: KeyFile = None, new_key_file: NewKeyFile = None) -> None:
    """Let another key open a store too.

    \b
    Example: tailor keys add --store /mnt/usb/store --new-key-file spare.key
    """
    at = _place(store)
    key = _key(key_file)
    id = anyio.run(MLStoreKeys(at.place).add, key, _new_key(new_key_file, "TAILOR_NEW_PASSPHRASE"))
    results().print(f"{at}: key {id} opens it too", markup=False)


@keys.command()
def remove(
    id: Annotated[str, typer.Argument(metavar="ID", help="As 'tailor keys list' shows it.", show_default=False)],
    store: StorePlace = None,
    key_file: KeyFile = None,
) -> None:
    """Let a key open a store no longer.

    \b
    Example: tailor keys remove 3f9a02c4 --store /mnt/usb/store
    """
    at = _place(store)
    anyio.run(MLStoreKeys(at.place).remove, _key(key_file), id)
    results().print(f"{at}: key {id} opens it no longer", markup=False)


@keys.command()
def rotate(store: StorePlace = None, key_file: KeyFile = None, new_key_file: NewKeyFile = None) -> None:
    """Let one new key open a store, no other, and encrypt anew from now on.

    Nothing that is kept is written again.

    \b
    Example: tailor keys rotate --store /mnt/usb/store --new-key-file b.key
    """
    at = _place(store)
    key = _key(key_file)
    anyio.run(MLStoreKeys(at.place).rotate, key, [_new_key(new_key_file, "TAILOR_NEW_PASSPHRASE")])
    results().print(f"{at}: the new key opens it, and no other", markup=False)


def _place(store: str | None) -> StoreAt:
    return StoreAt(store or MLModelStore.default_place())


def _key(key_file: Path | None) -> Passphrase | SecretKey:
    """A key that there is."""
    if key_file is not None:
        return read_key_file(key_file)
    text = os.environ.get("TAILOR_PASSPHRASE")
    return Passphrase(text) if text else asked_passphrase()


def _new_key(key_file: Path | None, variable: str) -> Passphrase | SecretKey:
    """A key that is to be: in a file, which is made if it is not there, or a passphrase."""
    if key_file is not None:
        return read_key_file(key_file) if key_file.exists() else write_key_file(key_file)
    text = os.environ.get(variable)
    return Passphrase(text) if text else asked_passphrase(new=True)
