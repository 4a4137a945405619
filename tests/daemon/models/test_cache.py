"""Users' models: the last version that there is, with no more of them in memory than may be."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tailor import MLModel, MLNotFoundError
from tailor.daemon.configuration import Limits
from tailor.daemon.models.loaded import LEAST, PLAN

from .keeping import AT, keeping, line

pytestmark = pytest.mark.anyio


def slope(model: MLModel) -> float:
    return float(model.predict({"x": [1.0]})["y"][0])


async def test_a_user_has_the_registered_model_until_there_is_a_version(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        await kept.ledger.add_user("line", "anna", AT)
        model, version = await kept.users.of("line", "anna")
        assert (slope(model), version) == (2, None)
        assert (await kept.users.of("line", None))[0] is model
        first = await kept.store.commit(line(5), model, user="anna", name="line")
        kept.users.forget("line", "anna")
        model, version = await kept.users.of("line", "anna")
        assert (slope(model), version) == (5, first.identifier)
        assert (await kept.users.of("line", "anna"))[0] is model
        await kept.store.commit(line(7), user="anna", name="line")
        assert (await kept.users.of("line", "anna"))[1] == version  # nobody has said so yet
        kept.users.forget_all()
        assert slope((await kept.users.of("line", "anna"))[0]) == 7
        await kept.store.rollback("line", "anna", to=first)
        kept.users.forget("line", "anna")
        assert slope((await kept.users.of("line", "anna"))[0]) == 5


async def test_who_has_a_version_keeps_it_when_the_model_is_replaced(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        for user in ("anna", "ben"):
            await kept.ledger.add_user("line", user, AT)
            await kept.users.of("line", user)
        await kept.store.commit(line(5), await kept.registry.base("line"), user="anna", name="line")
        kept.users.forget("line", "anna")
        await kept.registry.register("line", line(3).to_bytes(), replace=True)
        assert [slope((await kept.users.of("line", user))[0]) for user in ("anna", "ben")] == [5, 3]


async def test_another_branch_is_not_what_predicts(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        await kept.ledger.add_user("line", "anna", AT)
        await kept.store.commit(line(9), user="anna", name="line", branch="another")
        assert (await kept.users.of("line", "anna"))[1] is None


async def test_models_and_users_that_are_not_there_are_told_by_name(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        for model, user, told in (
            ("curve", None, "one of line, got 'curve'"),
            ("curve", "anna", "got 'curve'"),
            ("line", "anna", "got 'anna'"),
        ):
            for _ in range(2):
                with pytest.raises(MLNotFoundError, match=told):
                    await kept.users.of(model, user)
        await kept.ledger.add_user("line", "anna", AT)
        assert (await kept.users.of("line", "anna"))[1] is None


async def test_many_users_take_the_memory_of_one_model(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        record = await kept.registry.register("line", line(2).to_bytes())
        for number in range(200):
            await kept.ledger.add_user("line", f"user{number}", AT)
        found = {id((await kept.users.of("line", f"user{number}"))[0]) for number in range(200)}
        assert len(found) == len(kept.memory) == 1
        assert kept.memory.bytes == LEAST + PLAN * record.size


async def test_users_models_are_bounded_together_with_the_registered_ones(tmp_path: Path) -> None:
    async with keeping(tmp_path, Limits(models_in_memory=3)) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        base = await kept.registry.base("line")
        for number in range(6):
            await kept.ledger.add_user("line", f"user{number}", AT)
            await kept.store.commit(line(number + 10), base, user=f"user{number}", name="line")
        for _ in range(2):
            for number in range(6):
                assert slope((await kept.users.of("line", f"user{number}"))[0]) == number + 10
                assert len(kept.memory) <= 3


async def test_who_asks_at_the_same_time_gets_the_same_model(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", line(2).to_bytes())
        await kept.ledger.add_user("line", "anna", AT)
        await kept.store.commit(line(5), user="anna", name="line")
        found: list[MLModel] = []

        async def ask() -> None:
            found.append((await kept.users.of("line", "anna"))[0])

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask)
        assert len({id(model) for model in found}) == 1
