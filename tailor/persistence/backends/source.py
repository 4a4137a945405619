"""The chunks of a body on their way to a server."""

from __future__ import annotations

from collections.abc import Iterator

from anyio.from_thread import check_cancelled

from .backend import Body, Chunk, exact_chunks


class Source:
    """The chunks of ``body``, each time from the beginning, in anyio's worker threads. Cancelled, it stops between two of them.

    ``failure`` is what they raised: it is not to be taken for an error of the server.
    """

    def __init__(self, key: str, body: Body) -> None:
        self._key = key
        self._body = body
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[Chunk]:
        try:
            for chunk in exact_chunks(self._key, self._body):
                check_cancelled()
                if len(chunk):
                    yield chunk
        except Exception as error:  # whatever it is, it comes through
            self.failure = error
            raise
