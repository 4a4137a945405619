"""``tailor restore``: a model again, from a snapshot or out of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModel, MLModelStore, MLStoreError, restore_to

from .daemon_backup import restore_daemon
from .daemon_options import State
from .outputs import check_writable
from .stores import Branch, KeyFile, StorePlace, name_and_user, store_at
from .terminal import file_size, print_json, results


def restore(
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT|NAME[/USER]", help="The snapshot's file, or a name in a store.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The model to write; replaced if it exists.", show_default=False)
    ] = None,
    base: Annotated[Path | None, typer.Option("--base", help="The model that the snapshot was taken against.", show_default=False)] = None,
    store: StorePlace = None,
    key_file: KeyFile = None,
    branch: Branch = "main",
    version: Annotated[str, typer.Option("--version", help="HEAD~1, a tag, or six hex digits or more of one; out of a store.")] = "HEAD",
    daemon: Annotated[bool, typer.Option("--daemon", help="The file is of 'tailor backup --daemon': make a daemon of it again.")] = False,
    state: State = None,
    move_back: Annotated[
        bool, typer.Option("--move-back", help="With --daemon: of whom the store has later versions, go back to those of the backup.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write the model that a snapshot holds, or a store.

    It equals the one that was kept, bit for bit. What is the name of a file
    is taken for a snapshot's. A store has the base itself.

    With --daemon all that a daemon had is put into --state, which is to be
    empty, and into the store; a daemon that is started there goes on from the
    moment of the backup. A store with later versions than the backup is refused,
    unless --move-back says that what was learned since is to be left behind.

    \b
    Example: tailor restore Mine.snap --base Drawing.mlmodel -o Again.mlmodel
             tailor restore Drawing/anna --version HEAD~1 -o Again.mlmodel
             tailor restore everything.tailor --daemon
    """
    if (output is None) is not daemon:
        raise typer.BadParameter("expected either --output or --daemon", param_hint="--output / --daemon")
    if move_back and not daemon:
        raise typer.BadParameter("expected it with --daemon", param_hint="--move-back")
    if output is None:
        restore_daemon(Path(snapshot), state, store, key_file, move_back=move_back, as_json=as_json)
        return
    check_writable(output)
    if base is not None or Path(snapshot).is_file():
        kind = restore_to(snapshot, output, base)
    else:
        model = _from_store(snapshot, store, key_file, branch, version)
        model.write(output)
        kind = model.model_type
    size = output.stat().st_size
    if as_json:
        print_json({"output": str(output), "size": size, "type": kind})
    else:
        results().print(f"{output}: {kind}, {file_size(size)}", markup=False)


def _from_store(whose: str, place: str | None, key_file: Path | None, branch: str, version: str) -> MLModel:
    name, user = name_and_user(whose)
    try:
        at = store_at(place, key_file)
    except MLStoreError as error:
        raise MLStoreError(f"{whose}: expected the file of a snapshot, or a name in a store, got no such file; {error}") from error

    async def find(opened: MLModelStore) -> MLModel:
        return await opened.model(name, user, branch=branch, version=version)

    return at.run(find)
