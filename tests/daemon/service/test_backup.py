"""A backup of a daemon, and the daemon that is made of it: nothing is lost, and nothing learned twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.from_thread import run
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor import MLConflictError, MLModelError, MLModelStore, Runtime
from tailor.client import NewModel
from tailor.daemon.configuration import Conditions, Settings
from tailor.daemon.daemon import Daemon
from tailor.daemon.service import BackupReport, back_up, backup, locked, restore_daemon
from tailor.daemon.service.bundle import Bundle, FileEntry, Manifest, write_bundle
from tailor.scheduler import Surroundings
from tailor.scheduler.testing import FakeSensors
from tests.cli.models import Terminal
from tests.daemon.updates.daemons import BASE, LEARN, examples, learned, rows, until

TOLD = Manifest(made_at="2026-01-01T00:00:00+00:00", settings=None, store="s", heads=[])


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[tuple[Daemon, MLModelStore]]:
    """A daemon in a folder, with the store beside it."""
    async with MLModelStore(folder / "store") as store, Daemon(Settings(updates=LEARN, **settings), folder / "state", store) as daemon:
        yield daemon, store


async def backed_up(folder: Path, store: MLModelStore) -> BackupReport:
    return await back_up(folder / "backup", folder / "state", store, str(folder / "store"), None)


async def restored(folder: Path, to: Path, **options: Any) -> None:
    async with MLModelStore(to / "store") as store:
        await restore_daemon(folder / "backup", to / "state", store, **options)


@pytest.mark.anyio
async def test_a_daemon_goes_on_elsewhere_as_it_would_have_here(tmp_path: Path) -> None:
    first, second, late = rows(4), rows(4, seed=2), rows(3, seed=3)
    async with opened(tmp_path) as (daemon, store):
        await daemon.register("m", NewModel(data=BASE.to_bytes()))
        await daemon.add_examples("m", "ann", examples(first))
        await until(daemon, "update_ended")
        await daemon.add_examples("m", "bob", examples(late))
        report = await backed_up(tmp_path, store)
        await daemon.add_examples("m", "ann", examples(second, 4))  # the backup has nothing of these
        await until(daemon, "update_ended", after=(await daemon.recent())[-1].sequence)
    assert (report.models, report.updates, report.heads, report.store) == (1, 0, 1, None)
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["backup", "state", "store"]
    other = tmp_path / "other"
    await restored(tmp_path, other)
    async with opened(other) as (daemon, store):
        assert [(user.user, user.waiting, user.learned) for user in await daemon.users("m")] == [("ann", 0, 4), ("bob", 3, 0)]
        before = (await daemon.recent())[-1].sequence
        assert (await daemon.add_examples("m", "ann", examples(first))).duplicates == 4
        await daemon.add_examples("m", "ann", examples(second, 4))
        await until(daemon, "update_ended", after=before)
        model = await store.model("m", "ann")
        assert (await store.verify()).problems == ()
    assert model.content_hash == (await learned(await learned(BASE, first), second)).content_hash


@pytest.mark.anyio
@pytest.mark.parametrize("had", [0, 1])
async def test_what_is_learned_while_the_backup_is_made_is_learned_once_there(
    had: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the ledger's copy and that of the store an update goes from its plan to its version."""
    copy, all_rows = backup._copy, rows(8)
    async with opened(tmp_path) as (daemon, store):
        await daemon.register("m", NewModel(data=BASE.to_bytes()))
        if had:
            await daemon.add_examples("m", "ann", examples(all_rows[:4]))
            await until(daemon, "update_ended")
        new = all_rows[4 * had : 4 * had + 4]
        await daemon.add_examples("m", "ann", examples(new[:3], 4 * had))

        async def meanwhile() -> None:
            last = (await daemon.recent())[-1].sequence
            await daemon.add_examples("m", "ann", examples(new[3:], 4 * had + 3))
            await until(daemon, "update_ended", after=last)

        monkeypatch.setattr(backup, "_copy", lambda live, to: (copy(live, to), run(meanwhile)))
        report = await backed_up(tmp_path, store)
        assert len(await store.log("m", "ann")) == had + 1
    assert report.heads == had
    other = tmp_path / "other"
    await restored(tmp_path, other)
    async with opened(other) as (daemon, store):
        user = await daemon.user("m", "ann")
        assert (user.waiting, user.learned) == (3, 4 * had)
        assert len(await store.log("m", "ann") if had else await store.heads()) == had
        before = (await daemon.recent())[-1].sequence
        await daemon.add_examples("m", "ann", examples(new[3:], 4 * had + 3))
        await until(daemon, "update_ended", after=before)
        model = await store.model("m", "ann")
    expected = await learned(await learned(BASE, all_rows[:4]), new) if had else await learned(BASE, new)
    assert model.content_hash == expected.content_hash


@pytest.mark.anyio
async def test_an_update_that_waits_comes_with_its_checkpoint(tmp_path: Path) -> None:
    unplugged = Surroundings(external_power=False, battery=0.5)
    plan = Settings(updates=msgspec.structs.replace(LEARN, conditions=Conditions(external_power=True)))
    new = rows(4)
    async with MLModelStore(tmp_path / "store") as store:
        async with Runtime(sensors=FakeSensors(unplugged)) as runtime, Daemon(plan, tmp_path / "state", store, runtime=runtime) as daemon:
            await daemon.register("m", NewModel(data=BASE.to_bytes()))
            await daemon.add_examples("m", "ann", examples(new))
            identifier = (await until(daemon, "update_planned")).update
        (tmp_path / "state" / "checkpoints" / str(identifier)).write_bytes(b"damaged")
        assert (await backed_up(tmp_path, store)).updates == 1  # nobody runs
    other = tmp_path / "other"
    await restored(tmp_path, other)
    assert (other / "state" / "checkpoints" / str(identifier)).read_bytes() == b"damaged"
    async with opened(other) as (daemon, store):
        await until(daemon, "update_ended", after=0)
        assert [update.identifier for update in await daemon.updates(states=["completed"])] == [identifier]
        model = await store.model("m", "ann")
    assert model.content_hash == (await learned(BASE, new)).content_hash


@pytest.mark.anyio
async def test_what_is_there_is_not_restored_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as (daemon, store):
        await daemon.register("m", NewModel(data=BASE.to_bytes()))
        await daemon.add_examples("m", "ann", examples(rows(4)))
        await until(daemon, "update_ended")
        await backed_up(tmp_path, store)
        with pytest.raises(MLModelError, match=r"expected the state folder of a daemon, got one without ledger\.sqlite"):
            await back_up(tmp_path / "b", tmp_path / "nothing", store, "s", None)
    used, full, empty = tmp_path / "used", tmp_path / "full", tmp_path / "empty"
    (used / "state").mkdir(0o700, parents=True)
    with locked(used / "state"), pytest.raises(MLConflictError, match="expected a state folder that nobody uses"):
        await restored(tmp_path, used)
    (full / "state").mkdir(0o700, parents=True)
    (full / "state" / "mine").touch()
    with pytest.raises(MLConflictError, match="expected an empty folder, got one with mine"):
        await restored(tmp_path, full)
    async with MLModelStore(empty / "store") as store:
        await store.commit(BASE, name="another")
    with pytest.raises(MLConflictError, match="expected an empty store .*, got one with another"):
        await restored(tmp_path, empty)
    assert os.listdir(empty / "state") == ["daemon.lock"]
    ahead = tmp_path / "ahead"
    async with MLModelStore(tmp_path / "store") as store, MLModelStore(ahead / "store") as other:
        await other.sync(store)
        before = await other.head("m", "ann")
        after = await other.commit((await learned(BASE, rows(3, seed=5))), user="ann", name="m")
    later = f"got m/ann/main at {after.identifier[:12]}, later than {before.identifier[:12]}; --move-back"
    with pytest.raises(MLConflictError, match=later):
        await restored(tmp_path, ahead)
    assert os.listdir(ahead / "state") == ["daemon.lock"]
    for option, expected in ((False, after), (True, before)):
        if option:
            await restored(tmp_path, ahead, move_back=True)
        async with MLModelStore(ahead / "store") as other:
            assert (await other.head("m", "ann")).identifier == expected.identifier
    data = bytearray((tmp_path / "backup").read_bytes())
    data[tarfile.BLOCKSIZE + 5000] ^= 1  # of the ledger
    (tmp_path / "backup").write_bytes(data)
    with pytest.raises(MLModelError, match=r"ledger\.sqlite: expected .* damaged"):
        await restored(tmp_path, tmp_path / "damaged")
    assert os.listdir(tmp_path / "damaged" / "state") == ["daemon.lock"]


def bundled(folder: Path, files: dict[str, bytes]) -> Path:
    for number, data in enumerate(files.values()):
        (folder / str(number)).write_bytes(data)
    write_bundle(folder / "out", {name: folder / str(number) for number, name in enumerate(files)}, TOLD)
    return folder / "out"


@settings(max_examples=50)
@given(st.data())
def test_damage_is_found_or_does_not_matter(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    files = {"ledger.sqlite": bytes(range(256)) * 3, "bases/a": b"", "store.tailor": b"x" * 600}
    path = bundled(tmp_path_factory.mktemp("b"), files)
    with tarfile.open(path) as tar:  # another program finds the same in it
        assert {member.name: tar.extractfile(member).read() for member in tar.getmembers()[:-1]} == files
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        spoiled = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        spoiled = whole[:at] + bytes((whole[at] ^ data.draw(st.integers(1, 255)),)) + whole[at + 1 :]
    path.write_bytes(spoiled)
    try:
        with Bundle(path) as bundle:
            found = {name: b"".join(bundle.read(name)) for name in bundle.told.files}
            told = bundle.told
    except MLModelError as error:
        assert str(path) in str(error)
    else:
        assert found == files
        assert msgspec.structs.replace(told, files={}) == TOLD


@pytest.mark.anyio
async def test_a_file_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    climbing = {"ledger.sqlite": b"1", "../climbs": b"2"}
    store = MLModelStore(tmp_path / "store")
    for make, told in (
        (lambda: bundled(tmp_path, climbing), "expected the files of a daemon, got others"),
        (lambda: bundled(tmp_path, {"tailor.toml": b""}), "expected the files of a daemon, got others"),
        (lambda: bundled(tmp_path, {"ledger.sqlite": b"no ledger"}), "expected the ledger's file, got one that is no SQLite file"),
        (lambda: linked(tmp_path), "got links, folders, holes, or nothing"),
        (lambda: hollow(tmp_path), "got links, folders, holes, or nothing"),
        (lambda: nested(tmp_path), "recursion"),
        (lambda: signed(tmp_path, {"layout": 2}), "Object missing required field"),
        (lambda: signed(tmp_path, {**msgspec.to_builtins(TOLD), "layout": 2}), "a backup of layout 1, got 2"),
        (lambda: signed(tmp_path, msgspec.to_builtins(TOLD), ["store.tailor"]), "got other files than it tells of"),
        (lambda: (tmp_path / "out").write_bytes(b"x" * 2000), "expected what 'tailor backup --daemon' wrote"),
    ):
        make()
        with pytest.raises(MLModelError, match=told):
            await restore_daemon(tmp_path / "out", tmp_path / "state", store)
        assert os.listdir(tmp_path / "state") == ["daemon.lock"]
    assert not (tmp_path / "climbs").exists()


@pytest.mark.anyio
async def test_heads_are_those_that_the_backup_tells_of(tmp_path: Path) -> None:
    async with opened(tmp_path) as (daemon, store):
        await daemon.register("m", NewModel(data=BASE.to_bytes()))
        await daemon.add_examples("m", "ann", examples(rows(4)))
        await until(daemon, "update_ended")
        await backed_up(tmp_path, store)
    (tmp_path / "parts" / "bases").mkdir(parents=True)
    with Bundle(tmp_path / "backup") as bundle:
        members = {name: tmp_path / "parts" / name for name in bundle.told.files}
        for name, part in members.items():
            bundle.extract(name, part)
    for number, (heads, told) in enumerate((([], "got m/ann/main, too"), ([("", "", "main", "0" * 64)], "name.model: expected"))):
        write_bundle(tmp_path / "backup", members, msgspec.structs.replace(TOLD, heads=heads))
        with pytest.raises(MLModelError, match=told):
            await restored(tmp_path, tmp_path / str(number))
        assert os.listdir(tmp_path / str(number) / "state") == ["daemon.lock"]


def linked(folder: Path) -> None:
    with tarfile.open(folder / "out", "w") as tar:
        link = tarfile.TarInfo("ledger.sqlite")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)


def hollow(folder: Path) -> None:
    """A few bytes that are a terabyte of zeros to who reads them."""
    with tarfile.open(folder / "out", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("ledger.sqlite")
        member.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 40)}
        tar.addfile(member)


def nested(folder: Path) -> None:
    """Headers of headers of headers."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 12
    (folder / "out").write_bytes((header.tobuf(tarfile.USTAR_FORMAT) + b"12 a=aaaaaa\n".ljust(tarfile.BLOCKSIZE, b"\0")) * 3000)


def signed(folder: Path, manifest: dict[str, Any], names: list[str] | None = None) -> None:
    """What tells of itself by its right hash."""
    data = json.dumps(manifest).encode()
    with tarfile.open(folder / "out", "w") as tar:
        for name, content in [*((name, b"") for name in names or ()), (f"manifest-{hashlib.sha256(data).hexdigest()}.json", data)]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_the_manifest_tells_sizes_and_hashes(tmp_path: Path) -> None:
    with Bundle(bundled(tmp_path, {"ledger.sqlite": b"abc"})) as bundle:
        # the hash is FIPS 180-2's example
        assert bundle.told.files == {"ledger.sqlite": FileEntry(3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")}


def test_backup_and_restore_by_command(tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAILOR_STORE", "TAILOR_PASSPHRASE", "TAILOR_KEY_FILE", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("tailor.toml").write_text('state = "state"\nstore = "store"\n')

    async def work() -> None:
        async with opened(tmp_path) as (daemon, _):
            await daemon.register("m", NewModel(data=BASE.to_bytes()))
            await daemon.add_examples("m", "ann", examples(rows(4)))
            await until(daemon, "update_ended")

    anyio.run(work)
    assert tailor("backup", "--daemon", "all", "--config", "tailor.toml", "--json") == 0, tailor.err
    report = json.loads(tailor.out)
    assert {name: report[name] for name in ("models", "updates", "heads", "storeElsewhere")} == {
        "models": 1,
        "updates": 0,
        "heads": 1,
        "storeElsewhere": None,
    }
    assert tailor("restore", "all", "--daemon", "--state", "there", "--store", "versions", "--json") == 0, tailor.err
    assert json.loads(tailor.out)["settings"] == str(tmp_path / "there" / "tailor.toml")
    assert Path("there/tailor.toml").read_text() == Path("tailor.toml").read_text()
    assert tailor("log", "m/ann", "--store", "versions", "--json") == 0
    assert len(json.loads(tailor.out)["versions"]) == 1
    for arguments, code, told in (
        (("backup",), 2, "expected either MODEL or --daemon"),
        (("backup", "m", "--daemon", "all"), 2, "expected either MODEL or --daemon"),
        (("backup", "--daemon", "absent/all"), 1, "the folder 'absent' does not exist"),
        (("restore", "all"), 2, "expected either --output or --daemon"),
        (("restore", "all", "-o", "m", "--move-back"), 2, "expected it with --daemon"),
        (("restore", "absent", "--daemon", "--state", "s"), 1, "absent"),
        (("restore", "all", "--daemon", "--state", "there", "--store", "other"), 1, "expected an empty folder"),
    ):
        assert tailor(*arguments) == code
        assert told in tailor.err
