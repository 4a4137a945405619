"""``tailor backup``: keep a personalised model in a store, as the next version of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel, MLModelStore, MLVersion, Snapshot, read_snapshot

from .daemon_backup import backup_daemon
from .daemon_options import Config, State
from .stores import Branch, Device, KeyFile, StorePlace, short, store_at, this_device, whose
from .terminal import print_json, results

MAGIC = b"\x89tailor"


def backup(
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A .mlmodel, or a snapshot of one.", show_default=False)] = None,
    base: Annotated[Path | None, typer.Option("--base", help="Keep only what differs from this model.", show_default=False)] = None,
    store: StorePlace = None,
    key_file: KeyFile = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it. [default: the file name of --base, or of MODEL]", show_default=False)
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Whose it is.", show_default=False)] = "",
    branch: Branch = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="What there is to say of it.", show_default=False)] = "",
    device: Device = "",
    half: Annotated[bool, typer.Option("--half", help="Keep half the digits: smaller, and what is restored is rounded.")] = False,
    compress: Annotated[bool, typer.Option("--compress", help="Compress what gets smaller by it.")] = False,
    daemon: Annotated[
        Path | None,
        typer.Option("--daemon", metavar="FILE", help="Instead of a model: all that the daemon keeps, to this file.", show_default=False),
    ] = None,
    config: Config = None,
    state: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the version as JSON.")] = False,
) -> None:
    """Keep a model in a store, as the next version of its name.

    With --base only what differs from that model is kept, and the base once
    for all users. The store is made where there is none yet, and is not
    encrypted then: 'tailor keys create' makes one that is. A model that is the
    last version already is not kept again.

    With --daemon: examples, models, what is at work, settings and the store of
    the daemon, in one file, while it works. Only --config, --state, --store and
    --key-file say more then. 'tailor restore FILE --daemon' is the way back.

    \b
    Example: tailor backup Mine.mlmodel --base Drawing.mlmodel --user anna
             tailor backup Mine.mlmodel --store s3://bucket/models -m "May"
             tailor backup --daemon everything.tailor
    """
    if (model is None) == (daemon is None):
        raise typer.BadParameter("expected either MODEL or --daemon", param_hint="MODEL / --daemon")
    if daemon is not None:
        backup_daemon(daemon, config, state, store, key_file, as_json=as_json)
        return
    assert model is not None
    at = store_at(store, key_file, create=True)
    given = _read(model)
    against = MLModel(base) if base is not None else None
    called = name if name is not None else None if against is not None else model.stem

    async def keep(opened: MLModelStore) -> tuple[MLVersion, bool]:
        made = at.key is None and await opened.is_empty()
        return await opened.commit(given, against, user=user, name=called, branch=branch, message=message, half=half), made

    version, made = at.run(keep, device=this_device(device), compress=compress)
    if as_json:
        print_json({"store": str(at), "newStore": made, **version.as_dict()})
    else:
        if made:
            results().print(f"{at}: a new store, not encrypted ('tailor keys create' makes one that is)", markup=False)
        results().print(f"{whose(version.model, version.user, version.branch)}: version {short(version)} in {at}", markup=False)


def _read(path: Path) -> MLModel | Snapshot:
    """The model, or the snapshot, in a file."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return read_snapshot(path)
    return MLModel(path)
