"""Who can open an encrypted store: passphrases, key files, the keyring and its changes."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from tailor.persistence.backends import Backend, Body, Expected, MemoryBackend, read_whole
from tailor.persistence.encryption import (
    Cipher,
    EncryptedBackend,
    KeyKind,
    Passphrase,
    ScryptCost,
    SecretKey,
    StoreKey,
    add_key,
    create_encrypted,
    is_encrypted,
    list_keys,
    open_encrypted,
    read_key_file,
    remove_key,
    rotate_keys,
    write_key_file,
)
from tailor.persistence.encryption.access import KEYRING
from tailor.persistence.encryption.keyring import Keyring, KeySlot, open_keyring, seal_keyring
from tailor.persistence.encryption.keys import check_store_key
from tailor.persistence.encryption.primitives import Siv, hkdf
from tailor.persistence.errors import BackendError, ConflictError, EncryptionError, MissingError, WrongKeyError
from tailor.persistence.testing import Fault, FaultyBackend, Killed
from tests.persistence.by_the_encryption_page import Reader

CHEAP = ScryptCost(log2_n=4)
FIRST, SECOND, FILE = Passphrase("first"), Passphrase("second"), SecretKey(bytes(range(32)))

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits of this kind")


async def made(key: StoreKey = FIRST) -> tuple[MemoryBackend, EncryptedBackend]:
    inner = MemoryBackend()
    store = await create_encrypted(inner, key, cost=CHEAP)
    await store.write("a/old", Body.of(b"old"))
    return inner, store


async def keyring_of(inner: Backend) -> bytes:
    return (await read_whole(inner, KEYRING, most=100_000))[0]


async def contents(store: Backend, key: str) -> bytes:
    return (await read_whole(store, key, most=100))[0]


# What the ciphers and derivations are, by those who defined them


def test_scrypt_is_that_of_rfc_7914() -> None:
    made = Passphrase("password").wrapping_key(b"NaCl", ScryptCost(log2_n=10, r=8, p=16))
    assert made == bytes.fromhex(
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
    )


def test_siv_is_that_of_rfc_5297() -> None:
    key = bytes.fromhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
    about = (
        bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
        bytes.fromhex("102030405060708090a0"),
        bytes.fromhex("09f911029d74e35bd84156c5635688c0"),
    )
    text = b"this is some plaintext to encrypt using SIV-AES"
    data = bytes.fromhex(
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    )
    assert Siv(key).encrypt(text, *about) == data
    assert Siv(key).decrypt(data, *about) == text


def test_hkdf_is_that_of_rfc_5869() -> None:
    made = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert made.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


# Opening


@pytest.mark.anyio
@pytest.mark.parametrize("key", [FIRST, FILE], ids=["passphrase", "key file"])
async def test_only_the_key_opens_it(key: StoreKey) -> None:
    inner, _ = await made(key)
    assert await contents(await open_encrypted(inner, key), "a/old") == b"old"
    assert await is_encrypted(inner) and not await is_encrypted(MemoryBackend())
    for wrong in SECOND, Passphrase("First"), Passphrase("first "), SecretKey(bytes(32)):
        with pytest.raises(WrongKeyError, match="expected a key of this store, got a .* that does not open it"):
            await open_encrypted(inner, wrong)
    with pytest.raises(MissingError, match="expected an encrypted store, got no keyring"):
        await open_encrypted(MemoryBackend(), key)
    with pytest.raises(ConflictError, match="expected a place without an encrypted store"):
        await create_encrypted(inner, key, cost=CHEAP)
    assert await contents(await open_encrypted(inner, key), "a/old") == b"old"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("caf\u00e9", "cafe\u0301", True),  # composed in one, in two characters
        ("\u1112\u1161\u11ab", "\ud55c", True),  # Hangul, letter by letter
        ("\ufb01sh", "fish", False),  # a ligature is no other spelling of the same
        ("\U0001f511 \u2764\ufe0f \u0000", "\U0001f511 \u2764\ufe0f \u0000", True),
        ("a b", "a\u00a0b", False),
        ("x" * 100_000, "x" * 100_001, False),
    ],
)
def test_passphrases_are_equal_by_what_is_read(one: str, other: str, same: bool) -> None:
    first, second = (Passphrase(text).wrapping_key(b"salt", ScryptCost(1, 1, 1)) for text in (one, other))
    assert (first == second) is same


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Passphrase(""), "passphrase: expected at least one character, got none"),
        (lambda: Passphrase("a\ud800"), "passphrase: expected Unicode text, got a surrogate"),
        (lambda: Passphrase(b"bytes"), "passphrase: expected text, got bytes$"),  # type: ignore[arg-type]
        (lambda: SecretKey("my secret"), "secret key: expected 32 bytes, got str$"),  # type: ignore[arg-type]
        (lambda: SecretKey(b"short"), "secret key: expected 32 bytes, got 5 bytes"),
        (lambda: check_store_key("text"), "key: expected a Passphrase or a SecretKey, got str"),  # type: ignore[arg-type]
        (lambda: ScryptCost(log2_n=0), "scrypt: expected .*, got log2_n=0, r=8, p=1"),
        (lambda: ScryptCost(log2_n=20), "scrypt: expected at most 536870912 bytes of memory"),
        (lambda: ScryptCost(log2_n=17, p=17), "scrypt: expected"),
        (lambda: ScryptCost(log2_n=10**9), "scrypt: expected"),
        (lambda: ScryptCost(log2_n=16, r=1), "scrypt: expected .* log2_n below 16 r, got log2_n=16, r=1"),  # RFC 7914: N < 2^(128 r / 8)
    ],
)
def test_what_cannot_be_a_key_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(EncryptionError, match=message):
        make()


def test_keys_do_not_print_themselves() -> None:
    assert "first" not in repr(FIRST) and "1f" not in repr(FILE)


# A keyring that is damaged, or hostile


def with_sum(data: bytes) -> bytes:
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return with_sum(data[:at] + new + data[at + len(new) :])


SLOTS = 10
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda ring: b"",
    "the magic alone": lambda ring: ring[:8],
    "another magic": lambda ring: changed(ring, 1, b"u"),
    "a later version": lambda ring: changed(ring, 8, b"\2"),
    "no slots": lambda ring: changed(ring, 9, b"\0"),
    "255 slots": lambda ring: changed(ring, 9, b"\xff"),
    "more slots than bytes": lambda ring: changed(ring, 9, b"\2"),
    "a kind that is not known": lambda ring: changed(ring, SLOTS, b"\7"),
    "scrypt of 2^255": lambda ring: changed(ring, SLOTS + 1, b"\xff\xff\xff"),
    "scrypt of 1 TiB": lambda ring: changed(ring, SLOTS + 1, b"\x1e\x08\x01"),
    "scrypt of 1 GiB": lambda ring: changed(ring, SLOTS + 1, b"\x14\x08\x01"),
    "scrypt of 4,000 rounds": lambda ring: changed(ring, SLOTS + 1, b"\x11\x08\xff"),
    "scrypt of N = 2^(16 r)": lambda ring: changed(ring, SLOTS + 1, b"\x10\x01\x01"),
    "scrypt of nothing": lambda ring: changed(ring, SLOTS + 1, b"\0\0\0"),
    "a key file that costs": lambda ring: changed(ring, SLOTS, b"\2"),
    "16 dear slots": lambda ring: with_sum(ring[:9] + b"\x10" + 16 * (b"\1\x12\x08\1" + ring[14 : SLOTS + 84]) + ring[SLOTS + 84 :]),
    "a byte less": lambda ring: with_sum(ring[:-33] + ring[-32:]),
    "a data key cut off": lambda ring: with_sum(ring[: -32 - 41] + ring[-32:]),
    "what is locked, changed": lambda ring: changed(ring, len(ring) - 40, b"????"),
    "one slot twice": lambda ring: with_sum(ring[:9] + b"\2" + 2 * ring[SLOTS : SLOTS + 84] + ring[SLOTS + 84 :]),
    "more than any": lambda ring: ring + bytes(100_000),
}


@pytest.mark.anyio
@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_keyring_is_refused(spoil: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    inner, _ = await made()
    await inner.write(KEYRING, Body.of(spoil(await keyring_of(inner))))
    costs: list[int] = []
    derive = Passphrase.wrapping_key
    monkeypatch.setattr(Passphrase, "wrapping_key", lambda key, salt, cost: (costs.append(cost.work), derive(key, salt, cost))[1])
    with pytest.raises((EncryptionError, BackendError), match=r"encryption/keyring: .*expected .*, got "):
        await open_encrypted(inner, FIRST)
    assert sum(costs) <= CHEAP.work


def test_every_byte_of_a_keyring_counts() -> None:
    keyring = Keyring.new(Cipher.AES_256_GCM)
    ring = seal_keyring(keyring, [KeySlot.wrapping(keyring.master, key, CHEAP) for key in (FIRST, FILE)])
    assert open_keyring(ring, FILE, "here")[0] == keyring
    for at in range(len(ring)):
        flipped = bytearray(ring)
        flipped[at] ^= 1 << at % 8
        for data in {bytes(flipped), with_sum(bytes(flipped))} - {ring}:  # a sum that is put right is no better
            with pytest.raises(EncryptionError):
                open_keyring(data, FILE, "here")


# Changes


@pytest.mark.anyio
async def test_keys_come_and_go() -> None:
    inner, _ = await made()
    before = {key: data for key, (data, _) in inner._kept.items() if key != KEYRING}
    id = await add_key(inner, FIRST, FILE)
    await add_key(inner, FILE, SECOND, cost=CHEAP)
    found = await list_keys(inner)
    assert [slot.kind for slot in found] == [KeyKind.PASSPHRASE, KeyKind.KEY_FILE, KeyKind.PASSPHRASE]
    assert found[1].id == id and id in repr(found[1]) and found[0].cost == CHEAP and found[1].cost is None
    for key in FIRST, SECOND, FILE:
        assert await contents(await open_encrypted(inner, key), "a/old") == b"old"
    for wrong in "", "nothing", "0" * 8:
        with pytest.raises(EncryptionError, match=f"expected the id of one of several keys .*{id}"):
            await remove_key(inner, FIRST, wrong)
    await remove_key(inner, FIRST, found[0].id)
    await remove_key(inner, SECOND, id)
    for key in FIRST, FILE:
        with pytest.raises(WrongKeyError):
            await open_encrypted(inner, key)
    with pytest.raises(EncryptionError, match="one of several keys"):
        await remove_key(inner, SECOND, found[2].id)
    assert await contents(await open_encrypted(inner, SECOND), "a/old") == b"old"
    assert {key: data for key, (data, _) in inner._kept.items() if key != KEYRING} == before
    assert Reader({key: data for key, (data, _) in inner._kept.items()}, passphrase="second").contents("a/old") == b"old"


@pytest.mark.anyio
async def test_a_rotation_has_new_keys_for_what_comes_and_leaves_what_is_there() -> None:
    inner, opened_before = await made()
    replayed = await keyring_of(inner)
    before = dict(inner._kept)
    fresh = await rotate_keys(inner, FIRST, [SECOND, FILE], cipher=Cipher.CHACHA20_POLY1305, cost=CHEAP)
    assert {key for key in before if inner._kept[key] != before[key]} == {KEYRING}
    await fresh.write("a/new", Body.of(b"new"))
    await opened_before.write("a/beside", Body.of(b"beside"))  # by who has not heard of it
    for store in fresh, await open_encrypted(inner, SECOND), await open_encrypted(inner, FILE):
        assert [await contents(store, key) for key in ("a/beside", "a/new", "a/old")] == [b"beside", b"new", b"old"]
        assert [entry.key for entry in await store.list("a/")] == ["a/beside", "a/new", "a/old"]
    with pytest.raises(WrongKeyError):
        await open_encrypted(inner, FIRST)
    reader = Reader(everything := {key: data for key, (data, _) in inner._kept.items()}, key_file=f"tailor-key-1 {FILE.secret.hex()}\n")
    assert (reader.contents("a/old"), reader.contents("a/new")) == (b"old", b"new")
    assert everything[reader.name("a/old")][9:17] != everything[reader.name("a/new")][9:17]

    # Who opened the store before, or is given the keyring from before, does not read what is new, and is told.
    await inner.write(KEYRING, Body.of(replayed))
    for store in opened_before, await open_encrypted(inner, FIRST):
        assert await contents(store, "a/old") == b"old"
        with pytest.raises(EncryptionError, match="a/new: expected a data key of the keyring .*the keyring was put back"):
            await contents(store, "a/new")
    with pytest.raises(WrongKeyError):
        await open_encrypted(inner, SECOND)


@pytest.mark.anyio
async def test_rotating_keeps_the_key_unless_others_are_named_and_the_cipher() -> None:
    inner, _ = await made(FILE)
    for _ in range(2):
        await rotate_keys(inner, FILE)
    await (await open_encrypted(inner, FILE)).write("a/new", Body.of(b"new"))
    reader = Reader({key: data for key, (data, _) in inner._kept.items()}, key_file=f"tailor-key-1 {FILE.secret.hex()}")
    assert (reader.contents("a/old"), reader.contents("a/new"), len(reader.keys)) == (b"old", b"new", 3)
    assert len({cipher for cipher, _ in reader.keys.values()}) == 1
    with pytest.raises(EncryptionError, match="expected 1 to 16 slots, got 17"):
        await rotate_keys(inner, FILE, 17 * [FILE])


CHANGES: dict[str, tuple[Callable[[Backend], Awaitable[object]], set[StoreKey]]] = {
    "add": (lambda inner: add_key(inner, FILE, SecretKey(bytes(32))), {FILE, SecretKey(bytes(32))}),
    "rotate": (lambda inner: rotate_keys(inner, FILE, [SecretKey(bytes(32))]), {SecretKey(bytes(32))}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("change", CHANGES)
async def test_wherever_a_change_is_stopped_the_old_keys_or_the_new_open_it(change: str, fault: Fault) -> None:
    work, after = CHANGES[change]
    for n in count():
        inner, _ = await made(FILE)
        faulty = FaultyBackend(inner, {n: fault})
        try:
            await work(faulty)
        except (Killed, BackendError):
            assert faulty.failed
        working: set[StoreKey] = set()
        for key in FILE, SecretKey(bytes(32)):
            try:
                assert await contents(await open_encrypted(inner, key), "a/old") == b"old"
                working.add(key)
            except WrongKeyError:
                assert key not in working
        assert working in ({FILE}, after)
        if not faulty.failed:
            assert n >= 2 and working == after
            break


@pytest.mark.anyio
@pytest.mark.parametrize("conditional", [True, False])
async def test_of_two_changes_at_once_one_is_refused(conditional: bool) -> None:
    inner, _ = await made(FILE)
    write, ring = inner.write, await keyring_of(inner)

    async def beside_another(key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """Another writes first; where the backend keeps nobody from it, last too."""
        await write(key, Body.of(ring))
        if conditional:
            return await write(key, body, expected=expected)
        tag = await write(key, body)
        await write(key, Body.of(ring))
        return tag

    inner.conditional = conditional
    inner.write = beside_another  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="encryption/keyring: expected .*, got another"):
        await rotate_keys(inner, FILE)
    assert await keyring_of(inner) == ring


@pytest.mark.anyio
async def test_a_change_is_no_conflict_with_itself() -> None:
    """Where an answer is lost a backend repeats the write, and finds there what it wrote."""
    inner = MemoryBackend()
    write = inner.write

    async def twice(key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        await write(key, body, expected=expected)
        return await write(key, body, expected=expected)

    inner.write = twice  # type: ignore[method-assign]
    await create_encrypted(inner, FILE)
    other = SecretKey(bytes(32))
    assert await add_key(inner, FILE, other) == (await list_keys(inner))[1].id
    await rotate_keys(inner, other)
    with pytest.raises(WrongKeyError):
        await open_encrypted(inner, FILE)
    with pytest.raises(ConflictError):
        await create_encrypted(inner, FILE)
    await open_encrypted(inner, other)


def test_too_little_memory_for_a_passphrase_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("tailor.persistence.encryption.keys.scrypt", fails)
    with pytest.raises(EncryptionError, match="passphrase: expected 128 MiB of memory for scrypt, got less"):
        FIRST.wrapping_key(bytes(32), ScryptCost())


# Key files


def test_a_key_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = write_key_file(path)
    assert read_key_file(path) == key != write_key_file(tmp_path / "other")
    assert path.read_text() == f"tailor-key-1 {key.secret.hex()}\n"
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_key_file(path)
    assert read_key_file(path) == key
    with pytest.raises(FileNotFoundError):
        write_key_file(tmp_path / "nowhere" / "key")


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_key_file(path)
    path.chmod(mode)
    with pytest.raises(
        EncryptionError, match=rf"key: expected a key file that only its owner can read \(chmod 600\), got permissions {mode:04o}"
    ):
        read_key_file(path)


@pytest.mark.parametrize("text", ["", "tailor-key-1 " + 63 * "0", "tailor-key-2 " + 64 * "0", "tailor-key-1 " + 64 * "G", 10_000 * "x"])
def test_what_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(EncryptionError, match="key: expected a key file: one line"):
        read_key_file(path)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r"encryption: cryptography is not installed; pip install 'tailor\[crypto\]'"):
        Passphrase("a").wrapping_key(b"salt", CHEAP)
