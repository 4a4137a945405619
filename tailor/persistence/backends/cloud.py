"""A backend in an object store: Amazon S3, Google Cloud Storage, Azure, and servers that speak like them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from anyio.from_thread import check_cancelled

from ..errors import BackendError, ConflictError, MissingError, StoreError
from .backend import Body, Chunk, Entry, Expected, check_expected, check_key, check_size
from .bucket import Bucket, Kind, entry_of, tag_of
from .source import Source
from .threaded import Entries, ThreadedBackend
from .turns import turn

CHUNK = 1 << 20
PART = 8 << 20
PARTS_AT_ONCE = 4
MOST_PARTS = 9_000  # stores take 10,000
PAGE = 1_000


class CloudBackend(ThreadedBackend):
    """Keeps everything in a bucket (Azure: a container), below ``prefix``. Credentials come from the environment, as obstore reads it.

    ``kind``         "s3", "gs" or "az".
    ``endpoint``     the server's URL, where it is not the provider's own.
    ``conditional``  False for a server without conditional puts: ``expected`` then holds within one process. With True, an S3 server that
                     ignores them is found out before the first conditional write, which raises ``BackendError``.
    ``timeout``      seconds that a server may be silent. A request takes an hour at the very most.
    ``retries``      how often a request is repeated that failed by the server's fault or the network's, within ``timeout`` seconds.

    More than 8 MiB go in parts of at least that size, four at a time, so that memory stays bounded; what is written on a condition goes in
    one request, held whole. A write that fails takes its parts back. One that is killed leaves them unseen: buckets have rules for those.
    Cancelled, a read or a write stops between two chunks.

    Raises ``ModuleNotFoundError`` where obstore is absent, ``StoreError`` for settings that it refuses.
    """

    def __init__(
        self,
        kind: Kind,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        account: str | None = None,
        conditional: bool = True,
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        self.name = f"{kind}://{bucket}/{prefix}".rstrip("/")
        self.conditional = conditional
        self._versions = kind == "gs"
        settings = {"base_url" if kind == "gs" else "endpoint": endpoint, "region": region, "account_name": account}
        if kind == "s3":
            settings["disable_bulk_delete"] = "true"  # a key at a time is what every server understands
        given = {name: value for name, value in settings.items() if value is not None}
        self._bucket = Bucket(kind, bucket, prefix, self.name, given, timeout, retries)

    async def aclose(self) -> None:
        """See ``Backend.aclose``."""
        self._bucket.store = None

    def __repr__(self) -> str:
        return f"<CloudBackend {self.name}{'' if self.conditional else ', no conditional puts'}>"

    # From here on in a worker thread.

    def _read(self, key: str, sink: Callable[[Chunk], object], most: int | None) -> Entry:
        what = f"reading {key}"
        answer = self._bucket.ask(what, lambda store: store.get(key))
        entry = entry_of(key, answer.meta)
        check_size(key, entry.size, most)
        stream = answer.stream(min_chunk_size=CHUNK)
        got = 0
        while (chunk := self._bucket.ask(what, lambda store: next(stream, None))) is not None:
            check_cancelled()
            got += len(chunk)
            if got > entry.size:
                break
            sink(chunk)
        if got != entry.size:
            raise BackendError(f"{self.name}: {what}: expected {entry.size} bytes, got {'more' if got > entry.size else got}")
        return entry

    def _write(self, key: str, body: Body, expected: str | Expected) -> str:
        if expected is Expected.ANYTHING:
            return self._put(key, body)
        if self.conditional:
            self._bucket.prove()
            return self._put(key, body, self._mode(key, expected))
        with turn(self.name, key):
            check_expected(self.name, key, self._look(key), expected)
            return self._put(key, body)

    def _mode(self, key: str, expected: str | Expected) -> object:
        """The condition in obstore's words. Google's is on a version, which only a look at the key tells."""
        if not isinstance(expected, str):
            return "create"
        if not self._versions:
            return {"e_tag": f'"{expected}"'}
        try:
            meta = self._bucket.ask(f"looking at {key}", lambda store: store.head(key))
        except MissingError:
            meta = None
        check_expected(self.name, key, None if meta is None else entry_of(key, meta), expected)
        return {"version": meta["version"]}

    def _put(self, key: str, body: Body, mode: object = None) -> str:
        source = Source(key, body)
        parts = mode is None and body.size > PART
        data = iter(source) if parts else b"".join(source)
        try:
            answer = self._bucket.ask(
                f"writing {key}",
                lambda store: store.put(
                    key,
                    data,
                    mode=mode,
                    use_multipart=parts,
                    chunk_size=max(PART, body.size // MOST_PARTS),
                    max_concurrency=PARTS_AT_ONCE,
                ),
            )
        except MissingError:  # there is a bucket, or this would be another error: the key of the condition is missing
            raise ConflictError(f"{self.name}: {key}: expected {mode} there, got nothing") from None
        except StoreError:
            if source.failure is not None:
                raise source.failure from None
            raise
        return tag_of(answer)

    def _look(self, key: str) -> Entry | None:
        try:
            return entry_of(key, self._bucket.ask(f"looking at {key}", lambda store: store.head(key)))
        except MissingError:
            self._bucket.find()
            return None

    def _list(self, prefix: str) -> Entries:
        def pages(store: Any) -> Entries:
            entries: Entries = []
            for page in store.list(prefix[:-1], chunk_size=PAGE):
                check_cancelled()
                entries += [entry_of(meta["path"], meta) for meta in page if _is_key(meta["path"])]
            return entries

        return sorted(self._bucket.ask(f"listing {prefix}", pages), key=lambda entry: entry.key)

    def _remove(self, key: str) -> None:
        self._bucket.find()
        with suppress(MissingError):
            self._bucket.ask(f"removing {key}", lambda store: store.delete(key))


def _is_key(path: str) -> bool:
    """False for what somebody else keeps in the bucket."""
    try:
        check_key(path)
    except StoreError:
        return False
    return True
