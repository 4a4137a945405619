"""Is everything in a store there and undamaged? Every byte is read; nothing stops at the first problem, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from ..backends import Entry
from ..errors import BackendError, MissingError, RecordError, StoreError
from ..records import VERSION_BYTES, CheckedRecord, FullSnapshot, RecordCheck, check_record
from ..several import for_each
from .history import Links, standing_in
from .names import HEADS, OBJECTS, PRUNED, REPLACED, TAGS, name_of, object_key
from .pointers import BATCH, KeptHead, parse_pointer
from .replacing import replacements
from .store import Store

SMALL_BYTES = 2**16
"""Objects up to this size are read many at once."""

BATCH_BYTES = 2**22
AT_ONCE = 4
GIVE_UP = 20
"""A backend that fails so often in a row is not there; one that fails now and then has a problem."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and under which key."""

    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a store has. ``unreferenced``: hashes of objects that nothing refers to, as interrupted work leaves them: no problem."""

    objects: int
    bytes: int
    heads: int
    tags: int
    problems: tuple[Problem, ...]
    unreferenced: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


async def verify_store(
    store: Store,
    *,
    base_hash: Callable[[FullSnapshot], str] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> VerifyReport:
    """Reads every object, head and tag of ``store``, and follows every reference.

    ``base_hash``  says, in a worker thread, which hash the model has that a base is the record of (what ``DeltaSnapshot.base`` names):
                   then every delta is checked to be against the base that its version names. Bases are read whole for it.
    ``progress``   is told how many bytes are done, of how many.

    Nobody waits for it, and it waits for nobody: what is written meanwhile is left for the next time. Raises ``BackendError`` where the
    backend fails again and again.
    """
    # In this order: what a head names was there before the head, and what a mark excuses goes only after the mark.
    check = _Check(store, progress)
    heads, tags = await check.pointers(HEADS), await check.pointers(TAGS)
    await check.objects()
    await check.marks()
    deltas = await run_sync(check.follow, [*heads, *tags])
    if base_hash is not None:
        await check.bases(deltas, base_hash)
    unreferenced = tuple(sorted(check.kinds.keys() - check.needed))
    problems = tuple(sorted(check.problems, key=lambda problem: problem.key))
    return VerifyReport(check.count, check.done, len(heads), len(tags), problems, unreferenced)


@dataclass
class _Check:
    store: Store
    progress: Callable[[int, int], object] | None
    problems: list[Problem] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)  # of every undamaged object
    damaged: set[str] = field(default_factory=set)
    links: dict[str, Links] = field(default_factory=dict)
    models: dict[str, str | None] = field(default_factory=dict)  # what each delta is against
    pruned: set[str] = field(default_factory=set)
    replaced: Mapping[str, str] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    count: int = 0
    done: int = 0
    failures: int = 0

    def problem(self, key: str, what: object) -> None:
        self.problems.append(Problem(key, str(what).removeprefix(f"{self.store.backend.name}: {key}: ")))

    def failed(self, error: BackendError) -> None:
        self.failures += 1
        if self.failures >= GIVE_UP:
            raise error

    async def pointers(self, prefix: str) -> list[KeptHead]:
        backend, found = self.store.backend, list[KeptHead]()
        entries = await backend.list(prefix)
        for begin in range(0, len(entries), BATCH):
            sizes = {entry.key: entry.size for entry in entries[begin : begin + BATCH]}
            for key in [key for key, size in sizes.items() if size > VERSION_BYTES]:
                self.problem(key, f"expected at most {VERSION_BYTES} bytes, got {sizes.pop(key)}")
            for key, (data, entry) in (await self.small(list(sizes))).items():
                try:
                    found.append(parse_pointer(backend, name_of(key), data, entry, self.store.limits))
                except (RecordError, StoreError) as error:
                    self.problem(key, error)
        return found

    async def small(self, keys: list[str]) -> dict[str, tuple[bytes, Entry]]:
        backend = self.store.backend
        try:
            return await backend.read_many(keys, most=VERSION_BYTES)
        except RecordError as error:  # of a backend that encrypts; which of them it is shows by halves
            if len(keys) == 1:
                self.problem(keys[0], error)
                return {}
        middle = len(keys) // 2
        return await self.small(keys[:middle]) | await self.small(keys[middle:])

    async def objects(self) -> None:
        entries = await self.store.backend.list(OBJECTS)
        total = sum(entry.size for entry in entries)

        async def check(job: list[Entry]) -> None:
            await self.check_many(job)
            self.done += sum(entry.size for entry in job)
            if self.progress is not None:
                self.progress(self.done, total)

        await for_each(_jobs(entries), check, AT_ONCE)

    async def check_many(self, entries: list[Entry]) -> None:
        if len(entries) > 1:
            try:
                read = await self.store.backend.read_many([entry.key for entry in entries], most=SMALL_BYTES)
            except (BackendError, RecordError):  # which of them it is shows one by one
                read = {}
            for key, found in await run_sync(self.checked, read):
                self.keep(key, found)
            entries = [entry for entry in entries if entry.key not in read]
        for entry in entries:
            try:
                self.keep(entry.key, await self.check_one(entry))
                self.failures = 0
            except BackendError as error:
                self.problem(entry.key, error)
                self.damaged.add(entry.key.rpartition("/")[2])
                self.failed(error)

    def checked(self, read: Mapping[str, tuple[bytes, Entry]]) -> list[tuple[str, CheckedRecord | RecordError]]:
        found: list[tuple[str, CheckedRecord | RecordError]] = []
        for key, (data, _) in read.items():
            try:
                found.append((key, check_record(data, self.store.limits)))
            except RecordError as error:
                found.append((key, error))
        return found

    async def check_one(self, entry: Entry) -> CheckedRecord | RecordError | None:
        """``None`` for what has gone meanwhile; what was written again meanwhile is looked at again."""
        found: CheckedRecord | RecordError | None = None
        for _ in range(2):
            check = RecordCheck(entry.size, self.store.limits)
            try:
                await self.store.backend.read(entry.key, check.update, most=entry.size)
                return await run_sync(check.finish)
            except MissingError:
                return None
            except RecordError as error:
                found = error
            again = await self.store.backend.look(entry.key)
            if again is None or again.tag == entry.tag:
                break
            entry = again
        return found

    def keep(self, key: str, found: CheckedRecord | RecordError | None) -> None:
        digest = key.rpartition("/")[2]
        if found is None:
            return
        self.count += 1
        if isinstance(found, RecordError):
            self.problem(key, found)
        elif key != object_key(found.hash):
            self.problem(key, f"expected an object under its hash, got one that belongs under {object_key(found.hash)}")
        elif found.kind not in ("version", "delta", "full"):
            self.problem(key, f"expected a snapshot or a version, got {found.kind!r:.40}")
        else:
            self.kinds[digest] = found.kind
            if found.version is not None:
                self.links[digest] = Links.of(found.version)
            if found.kind == "delta":
                self.models[digest] = found.model
            return
        self.damaged.add(digest)

    async def marks(self) -> None:
        self.pruned = await self.store.pruned()
        try:
            self.replaced = await replacements(self.store)
        except RecordError as error:
            self.problem((error.source or REPLACED).removeprefix(f"{self.store.backend.name}: "), error)
        for digest in self.pruned:
            if len(digest) != 64:
                self.problem(PRUNED + digest, "expected a mark under a version's hash")

    def follow(self, pointers: Iterable[KeptHead]) -> dict[str, set[str]]:
        """Follows every reference; returns the deltas by the base that a version names for them."""
        deltas: dict[str, set[str]] = {}
        waiting = [(f"the head or tag {pointer.name}", pointer.version) for pointer in pointers]  # who refers, and to which version
        seen: set[str] = set()
        while waiting:
            who, digest = waiting.pop()
            if digest in seen:
                continue
            seen.add(digest)
            self.needed.add(digest)
            links = self.links.get(digest)
            if links is None:
                self.lacks(digest, "a version", who)
                continue
            who = f"version {digest}"
            waiting += [(who, parent) for parent in links.parents]
            snapshot = standing_in(links.snapshot, self.replaced, self.kinds)
            self.needed.add(snapshot)
            kind = self.kinds.get(snapshot)
            if kind not in ("delta", "full"):
                if kind is not None or digest not in self.pruned:
                    self.lacks(snapshot, "a snapshot", who)
            elif kind == "delta" and links.base is None:
                self.problem(object_key(digest), "expected the hash of a base, for its snapshot is a delta, got none")
            elif kind == "delta" and links.base is not None:
                deltas.setdefault(links.base, set()).add(snapshot)
                if self.kinds.get(links.base) != "full" and links.base not in self.needed:
                    self.lacks(links.base, "a base", who)
                self.needed.add(links.base)
        return deltas

    def lacks(self, digest: str, what: str, who: str) -> None:
        kind = self.kinds.get(digest)
        got = "one that is damaged" if digest in self.damaged else "nothing of this name" if kind is None else f"{kind!r}"
        self.problem(object_key(digest), f"expected {what}, to which {who} refers, got {got}")

    async def bases(self, deltas: Mapping[str, set[str]], base_hash: Callable[[FullSnapshot], str]) -> None:
        for base in [base for base in deltas if self.kinds.get(base) == "full"]:
            record = await self.store.get(base)
            if isinstance(record, FullSnapshot):
                found = await run_sync(base_hash, record)
                for delta in sorted(deltas[base]):
                    if self.models[delta] != found:
                        what = f"expected a delta against {base}, whose model's hash is {found}, got one against {self.models[delta]}"
                        self.problem(object_key(delta), what)


def _jobs(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Small objects in batches, the others alone, those first that take long."""
    batch, size = list[Entry](), 0
    for entry in sorted(entries, key=lambda entry: entry.size > SMALL_BYTES, reverse=True):
        if entry.size > SMALL_BYTES:
            yield [entry]
            continue
        if len(batch) == BATCH or size + entry.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch
