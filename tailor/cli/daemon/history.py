"""``tailor daemon history``, ``rollback`` and ``forget``: the past of a user's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..asking import PAGE, SHOWN, DaemonPlace, Json, User, Whose, ask, local, model_and_user, plain_record
from ..failures import ExitCode
from ..forget_kept import as_label
from ..terminal import add_rows, print_json, results, table

if TYPE_CHECKING:
    from tailor.client import Client, Forgotten, VersionRecord


def history(
    whose: Whose,
    user: User = None,
    most: Annotated[int, typer.Option("--most", min=1, max=PAGE, help="Only so many, the newest.")] = 20,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """List the versions of a user's model, the newest first.

    \b
    Example: tailor daemon history Drawing anna
    """
    model, whom = model_and_user(whose, user)
    versions = ask(daemon, lambda client: client.history(model, whom, most=most))
    if as_json:
        print_json({"versions": plain_record(versions)})
    elif not versions:
        results().print(f"{model}/{whom}: no versions yet: the model answers as it was registered", markup=False, soft_wrap=True)
    else:
        rows = [(one.identifier[:SHOWN], local(one.created_at), (one.update or "")[:SHOWN], one.device, _remarks(one)) for one in versions]
        results().print(add_rows(table(f"{model}/{whom}", "version", "made", "update", "device", ""), rows))


def rollback(
    whose: Whose,
    user: User = None,
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="HEAD~1, a tag, or six hex digits or more of one.", show_default=False)
    ] = "HEAD~1",
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Make an older version of a user's model the last one again.

    \b
    Example: tailor daemon rollback Drawing anna --to HEAD~1
    """
    model, whom = model_and_user(whose, user)
    version = ask(daemon, lambda client: client.rollback(model, whom, to))
    if as_json:
        print_json(plain_record(version))
    else:
        results().print(f"{model}/{whom}: version {version.identifier[:SHOWN]} is like {to}", markup=False)


def forget(
    whose: Whose,
    user: User = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Examples of this id. Can be repeated.", show_default=False)] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="Examples of this label. Can be repeated.", show_default=False)
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="Examples from this source. Can be repeated.", show_default=False)
    ] = None,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Forget a user's examples by id, label or source.

    Those that wait, and in every version; there is no way back. 'tailor daemon
    examples' shows ids and sources.

    \b
    Example: tailor daemon forget Drawing anna --label cat
    """
    if not (ids or labels or sources):
        raise typer.BadParameter("give what to forget, at least one of them", param_hint="--id / --label / --source")
    model, whom = model_and_user(whose, user)

    async def go(client: Client) -> Forgotten:
        told = await client.model(model)
        whole_numbers = any(told.features[name].type == "int64" for name in told.training_inputs if name in told.features)
        named = [as_label(label, whole_numbers) for label in labels or ()]
        return await client.forget(model, whom, ids=ids or (), labels=named, sources=sources or ())

    forgotten = ask(daemon, go)
    if as_json:
        print_json(plain_record(forgotten))
    else:
        told = f"{model}/{whom}: forgot {forgotten.examples} examples that the daemon held; replaced {forgotten.replaced} versions"
        results().print(told, markup=False)
        for line in forgotten.remains:
            results().print(line, markup=False)
    if not (forgotten.examples or forgotten.replaced):
        raise typer.Exit(ExitCode.FAILED)


def _remarks(version: VersionRecord) -> str:
    """What there is to say of a version: message, what was measured, what the guard decided."""
    scores = [f"loss {version.metrics['lossValue']:.4g}"] if isinstance(version.metrics.get("lossValue"), float) else []
    parts = [version.message, "(pruned)" if version.pruned else "", *scores, _verdict(version)]
    return "  ".join(part for part in parts if part)


def _verdict(version: VersionRecord) -> str:
    accepted = (version.verdict or {}).get("accepted")
    return "" if accepted is None else "guard: accepted" if accepted else "guard: refused"
