"""A bucket through obstore: it is opened here, and what obstore raises becomes ours, without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeVar

from ..errors import BackendError, ConflictError, MissingError, StoreError
from .backend import Entry

Kind = Literal["s3", "gs", "az"]
T = TypeVar("T")

PROBE = "CONDITIONAL-PUTS"  # never a key of a store: those have no capitals
STORES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
# Where a cloud's own machines get credentials. Elsewhere nobody answers there.
METADATA = re.compile(r"169\.254\.\d+\.\d+|metadata\.google")


class Bucket:
    """An obstore store and the one way to ask it: ``ask``. Everything here blocks. Arguments are ``CloudBackend``'s."""

    def __init__(self, kind: Kind, bucket: str, prefix: str, name: str, settings: Mapping[str, Any], timeout: float, retries: int) -> None:
        try:
            import obstore.exceptions as failures
            import obstore.store as stores
        except ModuleNotFoundError as error:
            how = "pip install 'tailor[cloud]'"
            raise ModuleNotFoundError(f"{name}: obstore is not installed; {how}", name=error.name) from error
        self.name = name
        self._bucket = bucket
        self._conflicts = (failures.AlreadyExistsError, failures.PreconditionError)
        self._refusals = (failures.PermissionDeniedError, failures.UnauthenticatedError)
        # The last two are what obstore raises for settings and requests that it cannot do.
        self._failures = (failures.BaseError, OSError, ValueError, NotImplementedError)
        self._answered = False
        self._proven = kind != "s3"
        silence = timedelta(seconds=timeout)
        client: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=min(timeout, 10)),
            "read_timeout": silence,
            "timeout": timedelta(hours=1),
        }
        if str(settings.get("endpoint", settings.get("base_url"))).startswith("http://"):
            client["allow_http"] = True
        try:
            self.store: Any = getattr(stores, STORES[kind])(
                bucket,
                prefix=prefix or None,
                client_options=client,
                retry_config={"max_retries": retries, "retry_timeout": silence},
                **settings,
            )
        except self._failures as error:
            failure = StoreError(f"{name}: expected settings that obstore takes, got: {_without_urls(str(error))}")
        else:
            return
        raise failure

    def ask(self, what: str, call: Callable[[Any], T]) -> T:
        """What ``call`` gets from the store.

        Raises ``MissingError``, ``ConflictError`` or ``BackendError``. None of them has obstore's own error behind it: that repeats the
        URL of the request, which for Azure may hold a signature.
        """
        if self.store is None:
            raise BackendError(f"{self.name}: {what}: it is closed")
        try:
            answer = call(self.store)
        except self._failures as error:
            failure = self._ours(what, error)
        else:
            self._answered = True
            return answer
        raise failure

    def find(self) -> None:
        """Raises ``BackendError`` where the bucket is missing, which the answers to HEAD and DELETE do not tell from a missing key."""
        if not self._answered:
            try:
                self.ask("listing it", lambda store: next(store.list(PROBE, chunk_size=1), None))
            except MissingError:
                raise self._no_bucket() from None

    def prove(self) -> None:
        """Raises ``BackendError`` where the server ignores conditions, as some do that speak like S3, and say nothing."""
        if self._proven:
            return
        new = self._holds("create")
        if (new and self._holds("create")) or self._holds({"e_tag": '"0"'}):
            raise BackendError(
                f"{self.name}: expected a server that refuses a conditional put, got one that ignores the condition; "
                "where one process at a time writes, conditional=false does without"
            )
        self._proven = True

    def _holds(self, mode: object) -> bool:
        try:
            self.ask("trying a conditional put", lambda store: store.put(PROBE, b"tailor", mode=mode))
        except (ConflictError, MissingError):
            return False
        return True

    def _ours(self, what: str, error: Exception) -> StoreError:
        text = str(error)
        code = "".join(re.findall(r"<Code>(\w{1,60})</Code>", text)[:1])
        status = "".join(re.findall(r"status code: (\d{3}[ \w]{0,40})", text)[:1])
        said = ", ".join(filter(None, (status, code))) or _without_urls(text)
        if code in NO_BUCKET:
            return self._no_bucket()
        if isinstance(error, FileNotFoundError):
            return MissingError(f"{self.name}: {what}: expected it there, got nothing of this name")
        if isinstance(error, self._conflicts):
            return ConflictError(f"{self.name}: {what}: expected what was there before, got another")
        if isinstance(error, self._refusals) or status.startswith(("401", "403")):
            return BackendError(f"{self.name}: {what}: expected credentials that may do so, got: {said}")
        if METADATA.search(text):
            return BackendError(f"{self.name}: {what}: expected credentials in the environment, got none")
        return BackendError(f"{self.name}: {what}: expected an answer, got: {said}")

    def _no_bucket(self) -> BackendError:
        return BackendError(f"{self.name}: expected a bucket {self._bucket!r}, got none of this name; make it first")


def entry_of(key: str, meta: Mapping[str, Any]) -> Entry:
    """obstore's metadata as ours."""
    return Entry(key, meta["size"], meta["last_modified"].timestamp(), tag_of(meta))


def tag_of(answer: Mapping[str, Any]) -> str:
    """The ETag without its quotes, which Azure's listings leave out."""
    return str(answer["e_tag"] or "").strip('"')


def _without_urls(text: str) -> str:
    """The last part of the first line of obstore's message, which says what happened, and nothing that was part of a URL."""
    line = text.partition("\n")[0]
    return re.sub(r"\S+://\S+", "<URL>", line)[-200:]
