"""What an update has learned becomes a version of its user's model: once, whatever dies or moves meanwhile.

The update's identifier is in the metadata of the version that it makes: by it the version is found again after a kill, and where the answer
of the store was lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailor import MLModelStore, MLStoreConflictError, MLStoreError, MLStoreMissingError, MLUpdateContext, MLVersion

from ..histories import SHOWN, UPDATE
from ..ledger import KeptUpdate
from ..models import ModelRegistry


@dataclass(frozen=True, slots=True)
class Committed:
    """``version``: the last one that has what the update learned. ``told``: in words, what else had to be done; mostly nothing."""

    version: MLVersion
    told: str = ""


async def made_by(store: MLModelStore, update: KeptUpdate) -> MLVersion | None:
    """The version that an update has made, if it has, with the branch that it was found on. Raises ``MLStoreError``."""
    for branch in ("main", _branch(update)):
        try:
            past = await store.log(update.model, update.user, branch=branch)
        except MLStoreMissingError:
            continue
        # The oldest: one that was rolled back to is told of as it was.
        made = [version for version in past if version.metadata.get(UPDATE) == update.identifier]
        if made:
            return made[-1]
    return None


async def commit(store: MLModelStore, registry: ModelRegistry, update: KeptUpdate, context: MLUpdateContext) -> Committed:
    """Keeps what an update has learned behind the version that it began with; merges it where there is another one behind that by now.

    Nobody else of this process may commit for this user meanwhile. Raises ``MLStoreError``: then it is done or not done, and ``commit`` or
    ``taken_over`` find out when they are asked again.
    """
    onto = None if update.onto is None else await store.head(update.model, update.user, version=update.onto)
    base = await registry.base(update.model, update.base) if onto is None else await store.base(onto)

    async def kept(branch: str) -> MLVersion:
        return await store.commit(
            context,
            base,
            user=update.user,
            name=update.model,
            branch=branch,
            message=f"an update of {update.examples} examples",
            onto=onto,
            first=onto is None,
            extra={UPDATE: update.identifier},
        )

    try:
        return Committed(await kept("main"))
    except MLStoreConflictError:
        made = await made_by(store, update)
        return await taken_over(store, update, made if made is not None else await kept(_branch(update)))


async def taken_over(store: MLModelStore, update: KeptUpdate, made: MLVersion) -> Committed:
    """Sees to it that what ``made_by`` or ``commit`` found is the last version, or part of it. Raises ``MLStoreError``."""
    if made.branch == "main":
        return Committed(made)
    try:
        report = await store.merge(update.model, update.user, made.branch)
    except MLStoreConflictError:
        raise
    except MLStoreError as error:
        if error.__cause__ is not None:  # the place failed
            raise
        told = f"somebody else has committed, and what this update learned stays on the branch {made.branch}: {error}"
        return Committed(made, told)
    return Committed(report.version, f"somebody else has committed: {report.outcome} into version {report.version.identifier[:SHOWN]}")


def _branch(update: KeptUpdate) -> str:
    return f"update-{update.identifier}"
