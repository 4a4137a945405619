"""Watched folders on a real disk: nothing is lost, nothing counts twice, and whatever is put there, the rest goes on."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anyio import to_thread

from tailor import MLStoreError
from tailor.client import Added, NewExamples
from tailor.daemon.configuration import Limits, Watch
from tailor.daemon.watching import folder as followed
from tests.cli.models import picture, picture_folder

from .kiosk import Kiosk, kiosk

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "FOLDER", 0.05)
    monkeypatch.setattr(followed, "RETRY", 0.05)


async def files_of(kiosk: Kiosk) -> Counter[str]:
    """How many examples are kept of which file."""
    return Counter(str(record.source) for record in await kiosk.kept())


async def test_what_is_there_and_what_comes_is_taken_once(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with kiosk(tmp_path) as it:
        picture_folder(drop)
        async with it.open():
            await it.waiting(6)
            picture(drop / "new" / "1.png", 0, 0, 0, 9)  # a folder that was not there
            await it.waiting(7)
            os.rename(drop / "new" / "1.png", tmp_path / "away.png")
            picture(drop / "new" / "2.png", 0, 0, 9, 9)
            await it.waiting(8)
            os.rename(tmp_path / "away.png", drop / "new" / "1.png")  # the same again
            picture(drop / "new" / "2.png", 9, 9, 9, 9)  # another one, called the same
            await it.waiting(9)
        picture(drop / "dark" / "9.png", 5, 5, 5, 5)
        async with it.open():  # another daemon, which remembers nothing: only what came meanwhile is new
            await it.waiting(10)
        assert await files_of(it) == {
            **{f"{label}/{number}.png": 1 for label in ("bright", "dark") for number in range(3)},
            "new/1.png": 1, "new/2.png": 2, "dark/9.png": 1,
        }  # fmt: skip
        assert it.told("file_refused") == []


async def test_rows_that_are_appended_are_new_and_the_others_are_not(tmp_path: Path) -> None:
    async with kiosk(tmp_path, points=True) as it, it.open():
        path = tmp_path / "drop" / "d.csv"
        path.write_text("point_0,point_1,label\n1,2,a\n1,2,a\n")
        await it.waiting(2)
        with path.open("a") as file:
            file.write("3,4,b\n")
        await it.waiting(3)
        np.savez(tmp_path / "drop" / "d.npz", point=np.eye(2), label=np.array(["a", "b"]))
        await it.waiting(5)
        assert await files_of(it) == {"d.csv": 3, "d.npz": 2}


async def test_a_file_that_is_written_while_it_is_read_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kiosk(tmp_path, points=True) as it:
        path = tmp_path / "drop" / "d.jsonl"
        path.write_text('{"point": [1, 2], "label": "a"}\n{"point": [3')
        describe = it.describe

        async def write_on(model: str) -> Any:
            """The rest of the file comes between finding it complete and reading it."""
            if not path.read_text().endswith("\n"):
                with path.open("a") as file:
                    file.write(', 4], "label": "b"}\n')
            return await describe(model)

        monkeypatch.setattr(it, "describe", write_on)
        async with it.open():
            await it.waiting(2)
        assert it.told("file_refused") == []


async def test_what_cannot_be_read_is_told_once_for_what_is_in_it(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with kiosk(tmp_path, then="remove") as it, it.open():
        bad = drop / "cat" / "bad.png"
        picture(drop / "cat" / "1.png", 1, 2, 3, 4)
        bad.write_bytes(b"no image")
        (drop / "rows.jsonl").write_text('{"drawing": [[1, 2], [3, 4]], "label": "a"}\nnonsense\n')
        await it.waits_for(lambda: len(it.told("file_refused")) == 2)
        os.utime(bad, (1, 1))
        picture(drop / "cat" / "2.png", 2, 2, 3, 4)
        await it.waiting(2)
        bad.write_bytes(b"no image either")
        await it.waits_for(lambda: len(it.told("file_refused")) == 3)
        told = "\n".join(it.told("file_refused"))
        assert told.count("bad.png: training input 'drawing': expected an image") == 2
        assert told.count("rows.jsonl, line 2: expected a JSON object") == 1
        assert bad.exists() and (drop / "rows.jsonl").exists()  # left alone
        assert await files_of(it) == {"cat/1.png": 1, "cat/2.png": 1}


async def test_an_image_of_gigapixels_is_refused_by_its_header(tmp_path: Path) -> None:
    async with kiosk(tmp_path) as it, it.open():
        path = picture(tmp_path / "drop" / "cat" / "1.png", 1, 2, 3, 4)
        data = path.read_bytes()
        path.write_bytes(data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:])
        await it.waits_for(lambda: it.told("file_refused") != [])
        assert "1.png: training input 'drawing': expected" in it.told("file_refused")[0]


async def test_a_file_is_removed_when_its_examples_are_on_disk_and_not_before(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with kiosk(tmp_path, then="remove") as it:
        picture_folder(drop)
        it.trouble = MLStoreError("the disk is full")
        async with it.open():
            await it.waits_for(lambda: it.begun > 2)  # it is tried again and again, and told of once
            assert it.told("watch_waits") == ["watch desk: the disk is full"]
            assert (await it.kept(), len(list(drop.rglob("*.png")))) == ([], 6)
            it.trouble = None
            await it.waits_for(lambda: it.told("watch_goes_on") != [])
        assert (len(await it.kept()), list(drop.rglob("*.png"))) == (6, [])


async def test_one_that_was_kept_before_it_could_be_removed_is_removed_later(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with kiosk(tmp_path) as it:
        path = picture(drop / "cat" / "1.png", 1, 2, 3, 4)
        async with it.open():
            await it.waiting(1)
        removing = Watch(folder=str(drop), model="Drawing", user="ada", settle=0.0, then="remove")
        async with it.open(desk=removing):  # as after a kill between the two
            picture(drop / "cat" / "2.png", 1, 2, 3, 5)
            await it.waiting(2)
            await it.waits_for(lambda: len(it.told("file_read")) == 2)
        assert not path.exists() and len(await it.kept()) == 2


async def test_what_does_not_fit_into_the_limits_waits(tmp_path: Path) -> None:
    async with kiosk(tmp_path) as it:
        it.limits = Limits(examples_per_user=4)
        picture_folder(tmp_path / "drop")
        async with it.open():
            await it.waits_for(lambda: it.told("watch_waits") != [])
            assert len(await it.kept()) == 4 == sum(event["examples"] for event in it.events if event["kind"] == "file_read")
            assert "limits.examples_per_user: expected 4 at most" in it.told("watch_waits")[0]
            await it.ledger.forget_examples("Drawing", "ada", labels=["bright"])
            await it.waits_for(lambda: it.told("watch_goes_on") != [])
        assert Counter(record.state for record in await it.kept()) == {"waiting": 4, "forgotten": 2}


async def test_examples_that_were_forgotten_do_not_come_back(tmp_path: Path) -> None:
    async with kiosk(tmp_path) as it:
        picture_folder(tmp_path / "drop")
        async with it.open():
            await it.waiting(6)
        await it.ledger.forget_examples("Drawing", "ada", sources=["dark/1.png"])
        picture(tmp_path / "drop" / "dark" / "9.png", 5, 5, 5, 5)
        async with it.open():
            await it.waiting(7)
        assert Counter(record.state for record in await it.kept()) == {"waiting": 6, "forgotten": 1}


async def test_a_model_that_is_not_registered_yet_is_waited_for(tmp_path: Path) -> None:
    async with kiosk(tmp_path) as it:
        it.registered = False
        picture_folder(tmp_path / "drop")
        async with it.open():
            await it.waits_for(lambda: it.told("watch_waits") != [])
            it.registered = True
            await it.waiting(6)


async def test_a_folder_that_goes_and_comes_back_is_followed_again(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with kiosk(tmp_path) as it:
        shutil.rmtree(drop)
        async with it.open():
            for number in range(2):
                await it.waits_for(lambda number=number: len(it.told("watch_waits")) == number + 1)  # type: ignore[misc]
                picture(drop / "cat" / f"{number}.png", number, 2, 3, 4)
                await it.waiting(number + 1)
                shutil.rmtree(drop)
        assert f"expected a folder that can be read, {drop}, got No such file or directory" in it.told("watch_waits")[0]


async def test_many_files_are_kept_so_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailor.daemon.watching.taking.IMAGES", 10)
    async with kiosk(tmp_path) as it:
        first = picture(tmp_path / "drop" / "cat" / "0.png", 1, 2, 3, 4)
        for number in range(1, 25):
            shutil.copyfile(first, first.with_name(f"{number}.png"))
        async with it.open():
            await it.waiting(25)
        assert it.begun == 3


async def test_without_news_from_the_system_it_is_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*paths: Any, **settings: Any) -> AsyncIterator[set[Any]]:
        raise OSError("the limit on inotify watches was reached")
        yield set()

    monkeypatch.setattr(followed, "awatch", none_left)
    async with kiosk(tmp_path) as it, it.open():
        await it.waits_for(lambda: True)
        picture_folder(tmp_path / "drop")
        await it.waiting(6)


async def test_other_settings_are_followed_and_threads_are_left_for_others(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    limiter = to_thread.current_default_thread_limiter()
    before = limiter.total_tokens
    async with kiosk(tmp_path) as it:
        async with it.open() as watching:
            picture(tmp_path / "drop" / "a" / "1.png", 1, 2, 3, 4)
            await it.waiting(1)
            watches = {f"w{number}": it.watch for number in range(int(before))}  # as many as there are threads, and one of another folder
            other = Watch(folder=str(tmp_path / "other"), model="Drawing", user="ada", settle=0.0)
            watching.reload({**watches, "other": other}, it.limits)
            picture(tmp_path / "other" / "b" / "1.png", 1, 2, 3, 5)
            await it.waiting(2)
            watching.reload({"other": other}, it.limits)
            picture(tmp_path / "drop" / "c" / "1.png", 1, 2, 3, 6)
            picture(tmp_path / "other" / "d" / "1.png", 1, 2, 3, 7)
            await it.waiting(3)
        assert await files_of(it) == {"a/1.png": 1, "b/1.png": 1, "d/1.png": 1}
        assert limiter.total_tokens == before


async def test_a_fault_of_the_daemon_itself_stops_no_other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    async with kiosk(tmp_path) as it:
        add = it.add

        async def sometimes(model: str, user: str, new: NewExamples) -> Added:
            if str(new.examples[0].source).startswith("a/"):
                raise ZeroDivisionError("a fault")
            return await add(model, user, new)

        monkeypatch.setattr(it, "add", sometimes)
        picture(tmp_path / "drop" / "a" / "1.png", 1, 2, 3, 4)
        picture(tmp_path / "other" / "b" / "1.png", 1, 2, 3, 5)
        other = Watch(folder=str(tmp_path / "other"), model="Drawing", user="ada", settle=0.0)
        async with it.open(desk=it.watch, other=other):
            await it.waiting(1)
            await it.waits_for(lambda: it.told("watch_waits") == ["watch desk: a fault"])
