"""Under which keys a store keeps things, and back."""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import RecordError, StoreError
from ..records import Name, check_label

PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
QUOTED = [chr(byte) if byte in PLAIN else f"={byte:02x}" for byte in range(256)]
# What Windows takes for a device, whatever the folder.
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])")
LONGEST = 200

OBJECTS, HEADS, TAGS, PRUNED, REPLACED = "objects/", "heads/", "tags/", "pruned/", "replaced/"


def object_key(digest: str) -> str:
    """Where the record with this hash is."""
    return f"{OBJECTS}{digest[:2]}/{digest}"


def pruned_key(version: str) -> str:
    """The mark of a version whose snapshot was pruned."""
    return f"{PRUNED}{version}"


def replaced_key(snapshot: str) -> str:
    """The mark of a snapshot that was taken away for good, which names what stands in for it."""
    return f"{REPLACED}{snapshot}"


def head_key(name: Name) -> str:
    """Where the head of this name is. Raises ``StoreError`` for a name that is too long to be a key."""
    return HEADS + "/".join((quoted(name.model), quoted(name.user), quoted(name.branch)))


def tag_key(name: Name, tag: str) -> str:
    """Where a tag of one model's user is; the branch does not count. Raises ``StoreError``, ``RecordError``."""
    check_label(tag, "tag")
    return TAGS + "/".join((quoted(name.model), quoted(name.user), quoted(tag)))


def name_of(key: str) -> Name:
    """The name whose head a key is; of a tag's key the tag is the branch. Raises ``StoreError`` for any other key."""
    place, *quotes = key.split("/")
    if f"{place}/" not in (HEADS, TAGS) or len(quotes) != 3:
        raise StoreError(f"key {key!r:.100}: expected heads/MODEL/USER/BRANCH or tags/MODEL/USER/TAG")
    try:
        return Name(*(unquoted(part) for part in quotes))
    except RecordError as error:
        raise StoreError(f"key {key!r:.100}: {error}") from None


def quoted(text: str) -> str:
    """``text`` in characters that every backend can hold, another for every other text: a-z, 0-9, ``_`` and ``-`` stand for themselves,
    every other byte of its UTF-8 is ``=`` and two hex digits, and nothing is ``=``.

    Raises ``StoreError`` for more than 200 characters of it.
    """
    if not text:
        return "="
    key = "".join([QUOTED[byte] for byte in text.encode("utf-8")])
    if DEVICES.fullmatch(key):
        key = f"={ord(key[0]):02x}{key[1:]}"
    if len(key) > LONGEST:
        raise StoreError(f"name {text!r:.100}: expected a shorter one: its key has {len(key)} characters of {LONGEST} at most")
    return key


@lru_cache(4096)  # a model's name comes again and again
def unquoted(key: str) -> str:
    """The text that ``quoted`` made ``key`` of. Raises ``StoreError`` for what it never makes."""
    try:
        data = re.sub(rb"=([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), key.encode("ascii"))
        text = "" if key == "=" else data.decode("utf-8")
        if quoted(text) == key:
            return text
    except UnicodeError:
        pass  # said below, as of any other key that quoted() does not make
    raise StoreError(f"key {key!r:.100}: expected a quoted name")
