"""Bodies: read within bounds, decoded as their media type says, and answers encoded as is asked for."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
from anyio import to_thread
from msgspec import Struct
from PIL import Image
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from tailor.client import Predictions, Request

from ..examples.arrays import packed
from .failures import Refusal

JSON = "application/json"
MSGPACK = "application/msgpack"
BYTES = "application/octet-stream"

Encode: TypeAlias = Callable[[Any], bytes]

_OTHER_NAMES = {"application/x-msgpack": MSGPACK, "application/vnd.msgpack": MSGPACK}
_WHERE = re.compile(r" - at `(?:key in )?\$\.?(?P<field>.*)`$")
CLOSING = {"Connection": "close"}
"""Of an answer to a request that was not read to its end."""


def media_of(value: str) -> str:
    """A media type without its parameters, by the name that is used here."""
    media = value.partition(";")[0].strip().lower()
    return _OTHER_NAMES.get(media, media)


def accepted(headers: Headers) -> str:
    """What an answer is written in: msgpack where ``Accept`` names it before JSON, otherwise JSON."""
    for value in headers.get("accept", "").split(","):
        if (media := media_of(value)) in _ENCODERS:
            return media
    return JSON


async def encoded(answer: Any, media: str) -> bytes:
    """An answer as ``media``. NaN and infinity are null in JSON, bytes base64; an image is the bytes of its PNG file."""
    encode = _ENCODERS[media]
    if isinstance(answer, Predictions) and any(isinstance(value, Image.Image) for output in answer.outputs for value in output.values()):
        return await to_thread.run_sync(encode, answer)  # to compress an image takes a while
    return encode(answer)


def _listed(value: Any) -> Any:
    """What JSON has in place of an array or an image."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else _png(value)


def _packed(value: Any) -> Any:
    """What msgpack has in place of an array or an image."""
    if isinstance(value, np.ndarray):
        return packed(value)
    return value.item() if isinstance(value, np.generic) else _png(value)


def _png(value: Any) -> bytes:
    if not isinstance(value, Image.Image):
        raise TypeError(f"expected an answer of numbers, texts, arrays and images, got {type(value).__name__}")
    value.save(written := io.BytesIO(), "PNG")
    return written.getvalue()


_ENCODERS: dict[str, Encode] = {
    JSON: msgspec.json.Encoder(enc_hook=_listed).encode,
    MSGPACK: msgspec.msgpack.Encoder(enc_hook=_packed).encode,
}


def is_bytes(headers: Headers) -> bool:
    """Whether a body is plain bytes."""
    return media_of(headers.get("content-type", "")) == BYTES


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """A whole body. Raises ``Refusal`` as soon as it is known to have more than ``most``, ``ClientDisconnect`` where it ends early."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise _too_large(f"{length} bytes", most)
    received = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        received += message.get("body", b"")
        if len(received) > most:
            raise _too_large("more", most)
        if not message.get("more_body", False):
            return bytes(received)


def decoder_of(body: type[Request], raw: Callable[[bytes, Any], Request] | None = None) -> Callable[[bytes, str | None, Any], Request]:
    """What makes the record ``body`` of bytes, their ``Content-Type`` and the query; ``raw`` does so for plain bytes.

    It raises ``Refusal`` with the field that is to blame. A record whose fields all have defaults may be no body at all.
    """
    decoders: dict[str, Callable[[bytes], Request]] = {
        JSON: msgspec.json.Decoder(body).decode,
        MSGPACK: msgspec.msgpack.Decoder(body).decode,
    }
    expected = ", ".join([*decoders, BYTES] if raw else decoders)
    optional = not any(field.required for field in msgspec.structs.fields(body))

    def decode(data: bytes, content_type: str | None, query: Any) -> Request:
        if not data and optional:
            return body()
        media = media_of(content_type or "")
        if raw is not None and media == BYTES:
            return raw(data, query)
        if media not in decoders:
            raise Refusal(415, f"expected a body of {expected}, got {media or 'no Content-Type'}")
        try:
            return decoders[media](data)
        except msgspec.ValidationError as error:
            raise _malformed(error, "") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"expected a body in {media}: {error}") from None
        except RecursionError:
            raise Refusal(400, "expected a body of some depth, got one that is nested too deep") from None

    return decode


def query_reader_of(query: type[Struct]) -> Callable[[QueryParams], Any]:
    """What makes the record ``query`` of what stands behind the question mark. It raises ``Refusal`` for what is not known or not right."""
    lists = {field.name for field in msgspec.structs.fields(query) if isinstance(field.default, list) or field.default_factory is list}

    def read(params: QueryParams) -> Any:
        values: dict[str, Any] = {}
        for name, value in params.multi_items():
            if name in lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise Refusal(400, f"expected {name} once in the query, got it more often", field=name)
            else:
                values[name] = value
        try:
            return msgspec.convert(values, query, strict=False)
        except msgspec.ValidationError as error:
            raise _malformed(error, "in the query: ") from None

    return read


def name_of(value: str, kind: Any, field: str) -> str:
    """What stands in a path, as ``kind`` has it. Raises ``Refusal`` with ``field``."""
    try:
        name: str = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"in the path: {error}", field=field) from None
    return name


def _malformed(error: msgspec.ValidationError, where: str) -> Refusal:
    told = str(error)
    found = _WHERE.search(told)
    return Refusal(400, where + told, field=found["field"] if found else None)


def _too_large(got: str, most: int) -> Refusal:
    return Refusal(413, f"expected a body of at most {most} bytes, got {got}", headers=CLOSING)
