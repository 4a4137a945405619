"""A backend that keeps everything encrypted in another one: what is promised, and what is refused."""

from __future__ import annotations

import contextlib
import json
import random
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.persistence.backends import Body, Entry, MemoryBackend, check_key, read_whole
from tailor.persistence.encryption import Cipher, EncryptedBackend, Passphrase, ScryptCost, SecretKey, create_encrypted, open_encrypted
from tailor.persistence.encryption.contents import SEGMENT_BYTES, Opening, opened_size, seal, sealed_size
from tailor.persistence.encryption.keyring import Keyring
from tailor.persistence.encryption.names import Names
from tailor.persistence.errors import ConflictError, EncryptionError, ForgedError, MissingError, StoreError, TooLargeError
from tailor.persistence.testing import check_backend
from tests.persistence.by_the_encryption_page import Reader

CHEAP = ScryptCost(log2_n=4)
KEYRING = Keyring.new(Cipher.AES_256_GCM)
NAMES = Names(KEYRING.name_key, "here")
KEYS = ["objects/ab/ab" + 62 * "0", "heads/m/u/main", "heads/m/u=40/main", "alone"]


def data_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def sealed(data: bytes, name: str = "a/b", keyring: Keyring = KEYRING, chunk: int = 100_000) -> bytes:
    view = memoryview(data)
    body = Body(len(data), lambda: (view[at : at + chunk] for at in range(0, len(data), chunk)))
    return b"".join(seal(body, name, keyring.data_keys[-1]))


def opened(data: bytes, name: str = "a/b", given: list[bytes] | None = None, chunk: int = 70_000, keyring: Keyring = KEYRING) -> bytes:
    """What comes out; ``given`` has it also where it ends in an error."""
    opening, texts = Opening(keyring, name, "here"), [] if given is None else given
    for at in range(0, len(data), chunk):
        texts.extend(opening.feed(data[at : at + chunk]))
    opening.finish()
    return b"".join(texts)


def everything(inner: MemoryBackend) -> dict[str, bytes]:
    return {key: data for key, (data, _) in inner._kept.items()}


@pytest.mark.anyio
async def test_it_is_a_backend() -> None:
    inner = MemoryBackend()
    await check_backend(lambda: contextlib.aclosing(EncryptedBackend(inner, KEYRING)))


@pytest.mark.anyio
@pytest.mark.parametrize("cipher", Cipher)
async def test_the_page_is_all_that_a_reader_needs(cipher: Cipher) -> None:
    inner = MemoryBackend()
    store = await create_encrypted(inner, Passphrase("cafe\u0301"), cipher=cipher, cost=CHEAP)
    sizes = {
        **dict.fromkeys(KEYS, 3),
        "a/empty": 0,
        "a/b": SEGMENT_BYTES,
        "heads/" + "/".join(3 * [200 * "x"]): 600_000,
        132 * "f" + "/a": 1,
    }
    contents = {key: data_of(size) for key, size in sizes.items()}
    for key, data in contents.items():
        await store.write(key, Body.of(data))
    kept = everything(inner)
    reader = Reader(kept, passphrase="caf\u00e9")
    assert {key: reader.contents(key) for key in contents} == contents
    assert {reader.name(key) for key in contents} | {"encryption/keyring"} == set(kept)


@pytest.mark.anyio
async def test_a_server_sees_no_name_and_no_content() -> None:
    inner = MemoryBackend()
    store = await create_encrypted(inner, SecretKey(bytes(32)))
    for key in KEYS:
        await store.write(key, Body.of(b"a secret that is long enough to be found " * 3))
    seen = b"\n".join(key.encode() + b"\n" + data for key, data in everything(inner).items())
    ring = store._keyring
    for word in (b"objects", b"heads", b"alone", b"secret", b"u=40", ring.master, ring.name_key, ring.data_keys[0].secret):
        assert word not in seen
    lengths = {len(key) for key in everything(inner)} - {len("encryption/keyring")}
    assert lengths == {40 + 1 + 112, 112}


@pytest.mark.anyio
async def test_a_folder_is_one_listing_and_the_same_bytes_are_never_kept_twice() -> None:
    inner = MemoryBackend()
    store = EncryptedBackend(inner, KEYRING)
    for key in KEYS:
        await store.write(key, Body.of(b"equal"))
    kept = list(everything(inner).values())
    assert len(set(kept)) == len(kept) and len({data[57:] for data in kept}) == len(kept)
    asked: list[str] = []
    listing = inner.list

    async def counted(prefix: str) -> object:
        asked.append(prefix)
        return await listing(prefix)

    inner.list = counted  # type: ignore[assignment,method-assign]
    for prefix, found in ("heads/", KEYS[1:3]), ("heads/m/u/", KEYS[1:2]), ("heads/m/", KEYS[1:3]), ("pruned/", []):
        assert [entry.key for entry in await store.list(prefix)] == found
    assert len(asked) == 4 and len(set(asked)) == 2


@pytest.mark.parametrize("size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES, 3 * SEGMENT_BYTES + 7])
def test_bytes_come_back_whatever_the_chunks(size: int) -> None:
    data = data_of(size)
    for chunk in (9_999, SEGMENT_BYTES, size + 1):
        kept = sealed(data, chunk=chunk)
        assert len(kept) == sealed_size(size) and opened_size(len(kept)) == size
        assert opened(kept, chunk=chunk) == opened(kept, chunk=len(kept)) == data


@given(st.integers(0, 2**50))
def test_a_size_is_known_without_reading(size: int) -> None:
    assert opened_size(sealed_size(size)) == size < sealed_size(size) < sealed_size(size + 1)


def test_ten_megabytes_pass_in_a_few_segments_of_memory() -> None:
    chunk, count = bytes(1_000_000), 10
    opening, size = Opening(KEYRING, "a/b", "here"), 0
    tracemalloc.start()
    try:
        for piece in seal(Body(count * len(chunk), lambda: count * (chunk,)), "a/b", KEYRING.data_keys[0]):
            size += sum(map(len, opening.feed(piece)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    opening.finish()
    assert size == count * len(chunk)
    assert peak < 6 * SEGMENT_BYTES


# Damage and forgery

LONG = data_of(2 * SEGMENT_BYTES + 500)
KEPT = sealed(LONG)
ENDS = [57, 57 + SEGMENT_BYTES + 16, 57 + 2 * (SEGMENT_BYTES + 16), len(KEPT)]
SEGMENTS = [KEPT[start:end] for start, end in pairwise(ENDS)]
OTHER = sealed(LONG)
SPOILED: dict[str, bytes] = {
    "nothing": b"",
    **{f"cut to {end + by}": KEPT[: end + by] for end in (0, *ENDS) for by in (-16, -1, 0, 1, 15, 17) if 0 < end + by < len(KEPT)},
    "more behind it": KEPT + b"\0",
    "itself behind it": KEPT + KEPT,
    "first two segments changed places": KEPT[:57] + SEGMENTS[1] + SEGMENTS[0] + SEGMENTS[2],
    "a segment twice": KEPT[:57] + SEGMENTS[0] + SEGMENTS[0] + SEGMENTS[2],
    "the last segment first": KEPT[:57] + SEGMENTS[2] + SEGMENTS[1] + SEGMENTS[0],
    "a segment left out, and the size right": KEPT[:49] + (SEGMENT_BYTES + 500).to_bytes(8, "little") + SEGMENTS[0] + SEGMENTS[2],
    "cut at a segment, and the size right": KEPT[:49] + (2 * SEGMENT_BYTES).to_bytes(8, "little") + SEGMENTS[0] + SEGMENTS[1],
    "cut to nothing, and the size right": KEPT[:49] + bytes(8) + SEGMENTS[0][-16:],
    "a segment of another object": KEPT[: ENDS[1]] + OTHER[ENDS[1] : ENDS[2]] + KEPT[ENDS[2] :],
    "another object's header": OTHER[:57] + KEPT[57:],
    "another object's salt": KEPT[:17] + OTHER[17:49] + KEPT[49:],
    "a size of 2^63": KEPT[:49] + (2**63).to_bytes(8, "little") + KEPT[57:],
    "sealed under another key": sealed(LONG, "a/c"),
    "sealed by another store": sealed(LONG, keyring=Keyring.new(Cipher.AES_256_GCM)),
    "what is plain": LONG,
    "a later version": KEPT[:8] + b"\2" + KEPT[9:],
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
def test_what_was_not_sealed_so_is_refused_and_no_byte_of_it_is_given(spoiled: bytes) -> None:
    given: list[bytes] = []
    with pytest.raises(ForgedError, match=r"^here: a/b: expected .*, got "):
        opened(spoiled, given=given)
    whole = b"".join(given)
    assert whole == LONG[: len(whole)] and len(whole) in (0, SEGMENT_BYTES, 2 * SEGMENT_BYTES, len(LONG))
    assert len(whole) < len(LONG) or len(spoiled) > len(KEPT)


@pytest.mark.parametrize("data", [b"", b"12345"], ids=["empty", "small"])
def test_every_bit_and_every_length_counts(data: bytes) -> None:
    kept = sealed(data)
    for bit in range(8 * len(kept)):
        flipped = bytearray(kept)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ForgedError):
            opened(bytes(flipped))
    for length in range(len(kept)):
        with pytest.raises(ForgedError):
            opened(kept[:length], chunk=30)


@pytest.mark.parametrize("at", [*range(0, ENDS[-1], 65_537), *ENDS[:-1], *(end - 1 for end in ENDS), *(end - 16 for end in ENDS)])
def test_a_bit_in_every_region_of_a_long_object_counts(at: int) -> None:
    with pytest.raises(ForgedError):
        opened(KEPT[:at] + bytes((KEPT[at] ^ 4,)) + KEPT[at + 1 :])


@pytest.mark.anyio
async def test_a_server_that_moves_things_is_found_out() -> None:
    inner = MemoryBackend()
    store = EncryptedBackend(inner, KEYRING)
    hidden = [NAMES.hide(key) for key in KEYS]
    for key in KEYS:
        await store.write(key, Body.of(key.encode()))
    kept = everything(inner)
    await inner.write(hidden[1], Body.of(kept[hidden[2]]))
    with pytest.raises(ForgedError, match=r"^memory:: heads/m/u/main: expected segment 0 .*somebody else"):
        await read_whole(store, KEYS[1], most=100)
    with pytest.raises(ForgedError, match="heads/m/u/main"):
        await store.read_many(KEYS, most=100)
    assert [entry.key for entry in await store.list("heads/")] == KEYS[1:3]  # what can still be read can still be found
    heads = hidden[1].partition("/")[0]
    rest = hidden[1].partition("/")[2]
    strange = [
        "strange",
        hidden[0].partition("/")[2],
        rest[:-9] + "/" + rest[-9:],
        rest[:-1] + "ab"[rest[-1] == "a"],
        "a" + rest,
        8 * "a" + rest,
    ]
    strange += [rest.replace(old, new) for old, new in zip(sorted(set(rest)), "0189_=-", strict=False)]
    for name in strange:
        await inner.write(f"{heads}/{name}", Body.of(b""))
        with pytest.raises(EncryptionError, match="expected names of this store, got"):
            await store.list("heads/")
        await inner.remove(f"{heads}/{name}")


@pytest.mark.anyio
async def test_a_listing_of_another_folder_is_refused() -> None:
    inner = MemoryBackend()
    store = EncryptedBackend(inner, KEYRING)
    rest = NAMES.hide("heads/m/u/main").partition("/")[2]
    for strange in "strange", rest[:1], f"{NAMES.hide_folder('objects')}/{rest}":

        async def listing(prefix: str, key: str = strange) -> list[Entry]:
            return [Entry(key, 100, 0.0, "1")]

        inner.list = listing  # type: ignore[method-assign]
        with pytest.raises(EncryptionError, match=f"expected names of this store, got '{strange[:90]}"):
            await store.list("heads/")


@pytest.mark.anyio
async def test_errors_name_the_key_that_was_asked_for() -> None:
    inner = MemoryBackend()
    store = EncryptedBackend(inner, KEYRING)
    tag = await store.write("a/b", Body.of(LONG))
    table: list[tuple[Callable[[], object], type[StoreError]]] = [
        (lambda: store.read("a/c", print), MissingError),
        (lambda: store.read("a/b", print, most=len(LONG) - 1), TooLargeError),
        (lambda: store.write("a/b", Body.of(b""), expected=tag + "0"), ConflictError),
    ]
    for asked, kind in table:
        with pytest.raises(kind, match=r"^memory:: a/[bc]: ") as caught:
            await asked()  # type: ignore[misc]
        assert type(caught.value) is kind
    ours = ConflictError("of the caller")

    def fails(*_: object) -> Iterable[bytes]:
        raise ours

    for asking in (store.read("a/b", fails), store.write("a/b", Body(1, fails))):
        with pytest.raises(ConflictError) as caught_ours:
            await asking
        assert caught_ours.value is ours


# Names

SEGMENTS_OF_KEYS = st.text("abcxyz0189_=-", min_size=1, max_size=40)


@settings(max_examples=50)
@given(st.lists(SEGMENTS_OF_KEYS, min_size=2, max_size=5), st.lists(SEGMENTS_OF_KEYS, min_size=1, max_size=3))
def test_names_are_found_again_and_tell_nothing_but_steps(first: list[str], second: list[str]) -> None:
    one, two = "/".join(first), "/".join(second)
    hidden = NAMES.hide(one)
    check_key(hidden)
    assert hidden == Names(KEYRING.name_key, "elsewhere").hide(one) != Names(bytes(range(64)), "here").hide(one)
    assert NAMES.show(hidden, first[0]) == one
    assert (hidden == NAMES.hide(two)) is (one == two)
    folder, *rest = hidden.split("/")
    assert (len(folder) - 40) % 24 == 0 and (sum(map(len, rest)) - 112) % 96 == 0
    with pytest.raises(EncryptionError):
        NAMES.show(hidden, first[0] + "x")


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("f" * 132 + "/a", True),
        ("f" * 133 + "/a", False),
        ("f" * 72 + "/" + "/".join([158 * "x"] * 3 + [155 * "x"]), True),
        ("f" * 72 + "/" + "/".join([158 * "x"] * 3 + [156 * "x"]), False),
        ("f" * 132 + "/" + "/".join([184 * "x"] * 3)[:552], True),
        ("f" * 132 + "/" + "/".join([184 * "x"] * 3)[:553], False),
        ("x" * 200, True),
    ],
)
def test_how_long_a_key_may_be(key: str, fits: bool) -> None:
    if fits:
        assert len(NAMES.hide(key)) <= 900
    else:
        with pytest.raises(StoreError, match="here: expected a shorter key"):
            NAMES.hide(key)


@pytest.mark.anyio
async def test_what_was_kept_by_version_1_is_read() -> None:
    inner = MemoryBackend()
    for key, data in json.loads((Path(__file__).parent / "golden" / "encrypted-1.json").read_text()).items():
        await inner.write(key, Body.of(bytes.fromhex(data)))
    for key in Passphrase("correct horse \u2764"), SecretKey(bytes(range(32))):
        store = await open_encrypted(inner, key)
        found = {entry.key: await read_whole(store, entry.key, most=entry.size) for entry in await store.list("heads/")}
        assert {key: data for key, (data, _) in found.items()} == {"heads/m/u/main": b"what stays", "heads/m/u/old": b""}
