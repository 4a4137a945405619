"""``tailor log``: what a store keeps, and the past of one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tailor import MLModelStore, MLVersion

from .stores import Branch, KeyFile, StorePlace, made, name_and_user, short, store_at, whose
from .terminal import add_rows, print_json, results, table


def log(
    of: Annotated[
        str | None, typer.Argument(metavar="NAME[/USER]", help="Whose past; without it, all that is kept.", show_default=False)
    ] = None,
    store: StorePlace = None,
    key_file: KeyFile = None,
    branch: Branch = "main",
    most: Annotated[int | None, typer.Option("--most", min=1, help="Only so many, the newest.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Show what a store keeps, or the versions of one model.

    \b
    Example: tailor log
             tailor log Drawing/anna --store /mnt/backup
    """
    at = store_at(store, key_file)
    if of is None:
        _show_all(at.run(MLModelStore.heads), as_json)
        return
    name, user = name_and_user(of)

    async def look(opened: MLModelStore) -> tuple[list[MLVersion], dict[str, str]]:
        if not user and (heads := await opened.heads(name)) and not any(not head.user for head in heads):
            return heads, {}
        return await opened.log(name, user, branch=branch, most=most), await opened.tags(name, user)

    versions, tags = at.run(look)
    if versions[0].user != user:
        _show_all(versions, as_json)
    else:
        _show(versions, tags, as_json)


def _show_all(heads: Sequence[MLVersion], as_json: bool) -> None:
    """The last version of every name."""
    if as_json:
        print_json({"heads": [head.as_dict() for head in heads]})
        return
    rows = [(whose(head.model, head.user, head.branch), short(head), made(head), head.device, head.message) for head in heads]
    if rows:
        results().print(add_rows(table("", "model", "version", "made", "device", "message"), rows))
    else:
        results().print("nothing is kept here yet")


def _show(versions: Sequence[MLVersion], tags: dict[str, str], as_json: bool) -> None:
    """The past of one name, the newest first."""
    named: dict[str, list[str]] = {version.identifier: [] for version in versions}
    for tag, identifier in sorted(tags.items()):
        named.get(identifier, []).append(tag)
    if as_json:
        print_json({"versions": [{**version.as_dict(), "tags": named[version.identifier]} for version in versions]})
        return
    rows = [(short(one), made(one), one.device, _remarks(one, named[one.identifier])) for one in versions]
    first = versions[0]
    results().print(add_rows(table(whose(first.model, first.user, first.branch), "version", "made", "device", ""), rows))


def _remarks(version: MLVersion, tags: list[str]) -> str:
    """What there is to say of a version: tags, message, what it was made of, what was measured."""
    rolled_back, forgotten = version.metadata.get("rollback"), version.metadata.get("forgotten")
    scores = [f"{name} {version.metrics[key]:.4g}" for key, name in (("lossValue", "loss"),) if key in version.metrics]
    parts = [
        *(f"[{tag}]" for tag in tags),
        version.message,
        f"merge of {' and '.join(map(short, version.parents))}" if len(version.parents) > 1 else "",
        "(pruned)" if version.pruned else "",
        f"back to {short(rolled_back)}" if isinstance(rolled_back, str) else "",
        f"forgot {len(forgotten)} examples" if isinstance(forgotten, list) else "",
        *scores,
    ]
    return "  ".join(part for part in parts if part)
