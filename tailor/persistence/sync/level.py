"""One name of two stores: which side is behind, what it lacks, and its head last."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import ConflictError, MissingError, RecordError, TooLargeError
from ..records import Name
from ..store import KeptHead, Store
from .ancestry import Ancestry
from .carry import Carrier, Tally
from .pointers import HEAD_POINTERS, Pointers
from .report import SYNC_LIMITS, SyncDirection, SyncedName, SyncLimits, SyncOutcome

ATTEMPTS = 5


@dataclass(frozen=True)
class Terms:
    """How a sync is done; ``sync`` says what each of these means."""

    direction: SyncDirection = SyncDirection.BOTH
    most_at_once: int = 16
    dry_run: bool = False
    limits: SyncLimits = SYNC_LIMITS


class Levelling:
    """Brings single names of ``here`` and ``there`` together, as ``terms`` say; whatever several of them need is moved once.

    ``equal`` are versions that both sides' heads have from the start.
    """

    def __init__(self, here: Store, there: Store, terms: Terms) -> None:
        self._here = here
        self._there = there
        self._terms = terms
        self._push = Carrier(here, there, terms.most_at_once, terms.dry_run, lambda size: None)
        self._pull = Carrier(there, here, terms.most_at_once, terms.dry_run, self._take)
        self._bytes = self._versions = 0
        self._shared: set[str | None] = set()

    async def begin(self, equal: Iterable[str]) -> None:
        """Learns which bases both sides have and keep, by versions that both sides' heads name."""
        for digest in equal:
            with suppress(MissingError, RecordError):  # what is wrong there is for whoever needs it to say
                self._shared.add((await self._here.version(digest)).base)

    async def level(
        self, pointers: Pointers, name: Name, here: KeptHead | None, there: KeptHead | None, tally: Tally
    ) -> tuple[SyncedName, KeptHead | None]:
        """What becomes of a name, and what is there in the end; both are read first where neither is given."""
        row = SyncedName(name, SyncOutcome.BUSY, None, None)
        try:
            for attempt in range(ATTEMPTS):
                if attempt or here is there is None:
                    here, there = await pointers.one(self._here, name), await pointers.one(self._there, name)
                row = replace(row, here=here.version if here else None, there=there.version if there else None)
                try:
                    row, there = await self._attempt(pointers, row, here, there, tally)
                    break
                except ConflictError:  # somebody has moved one of them meanwhile: again from the start
                    continue
        except (RecordError, MissingError, TooLargeError) as error:
            row = replace(row, outcome=SyncOutcome.REFUSED, error=error)
        return replace(row, objects=tally.objects, bytes=tally.bytes), there

    async def _attempt(
        self, pointers: Pointers, row: SyncedName, here: KeptHead | None, there: KeptHead | None, tally: Tally
    ) -> tuple[SyncedName, KeptHead | None]:
        if row.here == row.there:
            return replace(row, outcome=SyncOutcome.EQUAL), there
        ancestry = Ancestry(self._here, self._there, self._take_version)
        newest = row.here or row.there
        if row.here is not None and row.there is not None:
            if pointers is not HEAD_POINTERS:
                return replace(row, outcome=SyncOutcome.DIVERGED), there
            newest = await ancestry.ahead(row.here, row.there)
            if newest is None:
                if self._terms.direction is not SyncDirection.PUSH:
                    await self._pull.carry(await ancestry.missing_here(row.there), (), tally)
                return replace(row, outcome=SyncOutcome.DIVERGED, ancestors=await ancestry.common(row.here, row.there)), there
        assert newest is not None
        if self._terms.direction is (SyncDirection.PULL if newest == row.here else SyncDirection.PUSH):
            return replace(row, outcome=SyncOutcome.LEFT), there
        if newest == row.there:
            bases = await self._bases(ancestry, row.here)
            await self._pull.carry(await ancestry.missing_here(newest), bases, tally)
            row = replace(row, outcome=SyncOutcome.PULLED)
            if not self._terms.dry_run:
                await pointers.move(self._here, row.name, newest, here)
                row = replace(row, here=newest)
        else:
            bases = await self._bases(ancestry, row.there)
            await self._push.carry(await ancestry.missing_there(newest, row.there), bases, tally)
            row = replace(row, outcome=SyncOutcome.PUSHED)
            if not self._terms.dry_run:
                there = await pointers.move(self._there, row.name, newest, there)
                row = replace(row, there=newest)
        return row, there

    async def _bases(self, ancestry: Ancestry, head: str | None) -> set[str | None]:
        """Those that a side is sure to have and to keep: that of its head; without one, those that both sides have."""
        return {(await ancestry.version(head)).base} if head is not None else self._shared

    def _take_version(self, size: int) -> None:
        self._versions += 1
        self._terms.limits.check("versions", self._there.backend.name, self._versions)
        self._take(size)

    def _take(self, size: int) -> None:
        self._bytes += size
        self._terms.limits.check("bytes", self._there.backend.name, self._bytes)
