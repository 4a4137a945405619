"""``tailor sync``: what it moves, merges, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelStore, MLUpdateTask
from tests.cli.models import Terminal, neighbors


@pytest.fixture(autouse=True)
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stores, in each of which alice has taught the same base another label."""
    monkeypatch.chdir(tmp_path)
    base = MLModel(neighbors(tmp_path / "n.mlmodel"))

    async def fill() -> None:
        for place, label in (("phone", "east"), ("tablet", "north")):
            data = MLArrayBatchProvider([{"point": [float(len(label)), 0.0], "label": label}])
            async with MLModelStore(place, device=place) as store:
                await store.commit((await MLUpdateTask(base, data)).model, base, user="alice")

    anyio.run(fill)


def labels(place: str) -> list[str]:
    async def read() -> list[str]:
        async with MLModelStore(place) as store:
            return sorted(str(example.label) for example in (await store.model("n", "alice")).examples)

    return anyio.run(read)


async def past(place: str) -> list[str]:
    async with MLModelStore(place) as store:
        return [version.identifier for version in await store.log("n", "alice")]


def test_two_devices_through_a_third_place_end_with_the_same(tailor: Terminal) -> None:
    assert tailor("sync", "between", "--store", "phone", "--dry-run") == 0, tailor.err
    assert "1 pushed; 3 objects would move" in tailor.out and not Path("between/heads").exists()
    assert tailor("sync", "between", "--store", "phone") == 0, tailor.err
    assert tailor("sync", "between", "--store", "tablet", "--json") == 0, tailor.err
    report = json.loads(tailor.out)
    assert ([row["outcome"] for row in report["names"]], report["dryRun"], report["equal"]) == (["merged"], False, 0)
    assert tailor("sync", "between", "--store", "phone") == 0, tailor.err
    assert "n/alice" in tailor.out and "1 pulled" in tailor.out
    assert labels("phone") == labels("tablet") == ["east", "north"]
    assert tailor("sync", "between", "--store", "tablet") == 0 and "1 equal from the start; 0 objects moved" in tailor.out


def test_what_is_forgotten_goes_from_the_backup_too_and_is_counted(tailor: Terminal) -> None:
    assert tailor("sync", "between", "--store", "phone") == 0 and tailor("sync", "tablet", "--store", "phone") == 0, tailor.err
    before = anyio.run(past, "between")
    assert tailor("forget", "n/alice", "--label", "east", "--store", "phone", "--backup", "between", "--json") == 0, tailor.err
    cleared = json.loads(tailor.out)["backups"]["between"]
    assert set(before) <= set(cleared) <= set(anyio.run(past, "between")) and labels("between") == ["north"]
    assert tailor("forget", "n/alice", "--label", "north", "--store", "phone", "--backup", "tablet") == 0, tailor.err
    assert "tablet: taken out of" in tailor.out and "out of 0 versions" not in tailor.out


def test_without_merging_both_stay_and_the_exit_code_says_so(tailor: Terminal) -> None:
    assert tailor("sync", "tablet", "--store", "phone", "--merge", "none") == 1
    assert "1 diverged" in tailor.out and (labels("phone"), labels("tablet")) == (["east"], ["north"])
    assert tailor("sync", "tablet", "--store", "phone", "--merge", "none", "--user", "bob") == 0 and "nothing there" in tailor.out
    assert tailor("sync", "tablet", "--store", "phone", "--pull") == 0 and "1 merged" in tailor.out
    assert (labels("phone"), labels("tablet")) == (["east", "north"], ["north"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tablet", "--push", "--pull"], 2, "expected one of them, got both"),
        (["phone"], 2, "expected another store, got the same one"),
        (["nowhere", "--pull"], 1, "nowhere: expected a store, got nothing of this name"),
    ],
)
def test_what_cannot_be_is_refused(tailor: Terminal, arguments: list[str], code: int, said: str) -> None:
    assert tailor("sync", *arguments, "--store", "phone") == code
    assert said in tailor.err and not Path("nowhere").exists()
