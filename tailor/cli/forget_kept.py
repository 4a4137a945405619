"""``tailor forget`` of a model that is kept in a store: of every version, and of its backups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailor import MLForgetReport, MLModelStore, MLStoreError

from .failures import ExitCode
from .stores import StoreAt, name_and_user, short, whose
from .terminal import print_json, results


def forget_kept(
    of: str,
    at: StoreAt,
    backups: Sequence[StoreAt],
    device: str,
    ids: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str],
    past: bool,
    as_json: bool,
) -> int:
    """Forgets in the store ``at``, then in ``backups``, and prints what came of it; the exit code."""
    name, user = name_and_user(of)

    async def go(store: MLModelStore) -> tuple[MLForgetReport, dict[str, tuple[str, ...]]]:
        model = await store.model(name, user)
        whole_numbers = any(isinstance(label, int) for label in model.description.class_labels)
        named = [as_label(label, whole_numbers) for label in labels]
        report = await store.forget(name, user, ids=ids, labels=named, sources=sources, past=past)
        elsewhere: dict[str, tuple[str, ...]] = {}
        for backup in backups:
            async with backup.opened(device=device) as other:
                synced = await store.sync(other, models=[name], users=[user])
                again = await other.forget_again(name, user) if past else ()
                elsewhere[str(backup)] = tuple(dict.fromkeys((*synced.forgotten, *again)))
        return report, elsewhere

    report, elsewhere = at.run(go, device=device)
    if as_json:
        print_json({**report.as_dict(), "backups": {place: list(versions) for place, versions in elsewhere.items()}})
    else:
        for line in _lines(report, elsewhere):
            results().print(line, markup=False)
    return ExitCode.DONE if report.examples else ExitCode.FAILED


def as_label(text: str, whole_number: bool) -> str | int:
    """A label as the model has them: a whole number where its labels are."""
    try:
        return int(text) if whole_number else text
    except ValueError:
        return text  # which no example has


def _lines(report: MLForgetReport, elsewhere: dict[str, Any]) -> list[str]:
    called = whose(report.model, report.user)
    lines = []
    if report.examples:
        lines.append(f"{called}: forgot {report.examples} examples; version {', '.join(map(short, report.heads))}")
    if report.rewritten:
        lines.append(f"taken out of {len(report.rewritten)} older versions: {', '.join(map(short, report.rewritten))}")
    if report.dropped:
        lines.append(f"no longer kept, for nothing was left to answer with: {', '.join(map(short, report.dropped))}")
    if report.base:
        lines.append(f"{report.base} of the examples are in the base, which is as it was shipped: no version shows them")
    if report.trained:
        lines.append(f"what {', '.join(report.trained)} learned of an example cannot be taken out of them: roll back, or train again")
    for place, versions in elsewhere.items():
        lines.append(f"{place}: taken out of {len(versions)} versions")
    return lines


def check_is_kept(of: str) -> None:
    """Raises ``MLStoreError`` for what looks like a file and is none."""
    if of.endswith((".mlmodel", ".mlpackage")):
        raise MLStoreError(f"{of}: expected a file that is there with --output, or the NAME[/USER] of a model that a store keeps")
