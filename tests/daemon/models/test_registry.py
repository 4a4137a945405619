"""Registered models: kept whole or not at all, found again, and told of by name where they cannot be."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio
import pytest

from tailor import MLConflictError, MLFeatureError, MLFormatError, MLLimitError, MLModel, MLNotFoundError, MLUpdateError
from tailor.building import NeuralNetworkBuilder, array_feature
from tailor.daemon.configuration import Limits
from tailor.daemon.ledger import Ledger, LedgerFull
from tests.store.models import neighbors
from tests.tasks.softmax_regression import classifier

from .keeping import AT, keeping, line

pytestmark = pytest.mark.anyio

ONE, TWO = line(2).to_bytes(), line(3).to_bytes()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def slope(model: MLModel) -> float:
    return float(model.predict({"x": [1.0]})["y"][0])


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "bases").glob("*")}


async def test_a_model_is_told_of_in_words_and_found_again(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        record = await kept.registry.register("line", ONE)
        assert (record.name, record.base, record.kind, record.size) == ("line", sha(ONE), "neuralNetwork", len(ONE))
        assert (record.is_updatable, record.users, record.registered_at) == (True, 0, AT)
        assert record.inputs == {"x": "a float32 multi-array of shape [1]"}
        assert record.outputs == {"y": "a float32 multi-array of shape [1]"}
        assert record.training_inputs.keys() == {"x", "y_true"}
        assert record.parameters["epochs"].startswith("1: one of 1, 2, 3")
        assert [kind for kind, _ in kept.events] == ["model_registered"]
    async with keeping(tmp_path) as kept:
        assert await kept.registry.records() == [record]
        assert slope(await kept.registry.base("line")) == 2
        assert len(kept.memory) == 1
    assert files(tmp_path) == {f"{sha(ONE)}.mlmodel"}


async def test_the_same_again_changes_nothing_and_another_must_be_said_to_replace_it(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        record = await kept.registry.register("line", ONE)
        assert await kept.registry.register("line", ONE) == record
        with pytest.raises(MLConflictError, match="model 'line': expected a new name, or to replace the model that has it"):
            await kept.registry.register("line", TWO)
        assert slope(await kept.registry.base("line")) == 2
        replaced = await kept.registry.register("line", TWO, replace=True)
        assert replaced.base == kept.registry.digest("line") == sha(TWO)
        assert slope(await kept.registry.base("line")) == 3
        assert slope(await kept.registry.base("line", sha(ONE))) == 2  # an update that began with it goes on
        assert [kind for kind, _ in kept.events] == ["model_registered"] * 2


async def test_files_that_nobody_needs_go_at_the_next_start(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        await kept.registry.register("line", TWO, replace=True)
        (tmp_path / "bases" / ".tailor-0123456789abcdef.tmp").write_bytes(b"what a killed writer left")
        await kept.registry.start([sha(ONE)])
        assert files(tmp_path) == {f"{sha(ONE)}.mlmodel", f"{sha(TWO)}.mlmodel"}
        await kept.registry.start()
        assert files(tmp_path) == {f"{sha(TWO)}.mlmodel"}


async def test_a_model_with_users_is_replaced_only_by_one_that_takes_the_same(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        await kept.registry.register("line", neighbors("ab").to_bytes(), replace=True)  # nobody has anything that would not fit
        await kept.registry.register("line", ONE, replace=True)
        await kept.ledger.add_user("line", "anna", AT)
        with pytest.raises(MLConflictError, match="expected one with the inputs of the model that it replaces.* in point, x"):
            await kept.registry.register("line", neighbors("ab").to_bytes(), replace=True)
        assert (await kept.registry.register("line", TWO, replace=True)).users == 1


async def test_the_first_user_who_comes_while_a_model_is_replaced_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Ledger.put_model

    async def put_model(ledger: Ledger, *args: Any, **more: Any) -> None:
        await ledger.add_user("line", "anna", AT)  # after it was looked whether there is one
        await really(ledger, *args, **more)

    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        monkeypatch.setattr(Ledger, "put_model", put_model)
        with pytest.raises(MLConflictError, match="which has users, got one that differs in point, x"):
            await kept.registry.register("line", neighbors("ab").to_bytes(), replace=True)
        assert kept.registry.digest("line") == (await kept.registry.record("line")).base == sha(ONE)
        assert (await kept.registry.register("line", TWO, replace=True)).users == 1


async def test_a_model_is_removed_once_it_has_no_users(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        await kept.ledger.add_user("line", "anna", AT)
        with pytest.raises(MLConflictError):
            await kept.registry.remove("line")
        assert slope(await kept.registry.base("line")) == 2
        await kept.ledger.remove_user("line", "anna")
        await kept.registry.remove("line")
        for ask in (kept.registry.remove, kept.registry.record, kept.registry.base, kept.registry.training_features):
            with pytest.raises(MLNotFoundError, match="expected the name of a registered model, got 'line'"):
                await ask("line")


def without_labels() -> bytes:
    spec = classifier().spec
    spec.neuralNetworkClassifier.ClearField("ClassLabels")
    data: bytes = spec.SerializeToString()
    return data


REFUSED: dict[str, tuple[bytes, type[Exception], str]] = {
    "nothing": (b"", MLFormatError, "expected a Core ML model"),
    "text": (b"no model", MLFormatError, "expected a Core ML model"),
    "cut": (ONE[:-9], MLFormatError, "expected a Core ML model"),
    "without labels": (without_labels(), MLFormatError, "model 'line': expected class labels in a classifier, got none"),
    "large": (bytes(2001), MLLimitError, "limits.model_bytes: expected at most 2000 bytes for model 'line', got 2001"),
}


@pytest.mark.parametrize(("data", "kind", "told"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_predict_is_not_registered(data: bytes, kind: type[Exception], told: str, tmp_path: Path) -> None:
    async with keeping(tmp_path, Limits(model_bytes=2000)) as kept:
        with pytest.raises(kind, match=told):
            await kept.registry.register("line", data)
        assert (await kept.registry.records(), kept.events, files(tmp_path)) == ([], [], set())


async def test_one_file_may_have_two_names(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        for name in ("line", "other"):
            await kept.registry.register(name, ONE)
            assert (await kept.registry.base(name)).name == name
            with pytest.raises(MLFeatureError, match=f"model '{name}': expected training input 'x'"):
                (await kept.registry.training_features(name)).normalised({}, 1)
        assert len(await kept.registry.records()) == 2
        assert files(tmp_path) == {f"{sha(ONE)}.mlmodel"}


async def test_there_are_not_more_models_than_may_be(tmp_path: Path) -> None:
    async with keeping(tmp_path, Limits(models=1)) as kept:
        await kept.registry.register("line", ONE)
        with pytest.raises(LedgerFull, match="limits.models"):
            await kept.registry.register("other", ONE)
        assert [record.name for record in await kept.registry.records()] == ["line"]
        assert slope(await kept.registry.base("line")) == 2


@pytest.mark.parametrize("harm", ["flipped", "removed"])
async def test_a_damaged_file_is_told_by_name_and_mended_by_registering_again(harm: str, tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        await kept.registry.register("other", TWO)
    path = tmp_path / "bases" / f"{sha(ONE)}.mlmodel"
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(ONE[:-1] + bytes([ONE[-1] ^ 1]))
    async with keeping(tmp_path) as kept:
        for _ in range(2):
            with pytest.raises(MLFormatError if harm == "flipped" else MLNotFoundError, match="model 'line'.*register the model again"):
                await kept.registry.base("line")
        assert slope(await kept.registry.base("other")) == 3
        assert [record.inputs == {} for record in await kept.registry.records()] == [True, False]
        mended = await kept.registry.register("line", ONE)
        assert (mended.inputs != {}, mended.registered_at, kept.events[-1][1]) == (True, AT, f"model line was mended: {sha(ONE)[:12]}")
        assert slope(await kept.registry.base("line")) == 2
        await kept.ledger.add_user("line", "anna", AT)
        path.unlink()
        assert (await kept.registry.register("line", TWO, replace=True)).base == sha(TWO)


async def test_what_examples_must_have_is_known_without_the_model_in_memory(tmp_path: Path) -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("y", (1,))])
    builder.add_activation("a", "RELU", "x", "y")
    async with keeping(tmp_path) as kept:
        await kept.registry.register("line", ONE)
        await kept.registry.register("fixed", builder.spec.SerializeToString())
        features = await kept.registry.training_features("line")
        assert await kept.registry.training_features("line") is features
        assert len(kept.memory) == 0
        assert features.restored(features.normalised({"x": [1], "y_true": [2]}, 1)[0])["y_true"].tolist() == [2]
        with pytest.raises(MLUpdateError, match="model 'fixed': expected one that can be updated"):
            await kept.registry.training_features("fixed")


async def test_files_of_the_settings_are_copied_and_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "Line.mlmodel"
    path.write_bytes(ONE)
    async with keeping(tmp_path / "state") as kept:
        record = await kept.registry.register_file("line", path)
        assert record is not None
        assert record.base == sha(ONE)
        await kept.registry.look_again()
        assert [kind for kind, _ in kept.events] == ["model_registered"]
        path.write_bytes(TWO + b"\0")  # another size: the clock of the disk may stand still in a test
        for _ in range(2):
            await kept.registry.look_again()
        assert kept.events[1:] == [("trouble", f"model line: {path} was replaced; the daemon goes on with its copy until {RELOADED}")]
        assert slope(await kept.registry.base("line")) == 2
        path.unlink()
        await kept.registry.look_again()
        assert f"{path} was removed" in kept.events[2][1]
        path.write_bytes(TWO)
        assert await kept.registry.register_file("line", path) == await kept.registry.record("line")
        assert kept.events[3][0] == "model_registered"
        assert slope(await kept.registry.base("line")) == 3


RELOADED = "it is reloaded or started anew"


async def test_a_file_of_the_settings_that_cannot_be_registered_is_trouble_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "Line.mlmodel"
    async with keeping(tmp_path / "state", Limits(model_bytes=2000)) as kept:
        assert await kept.registry.register_file("line", path) is None
        path.write_bytes(ONE)
        record = await kept.registry.register_file("line", path)
        for data in (b"no model", bytes(2001)):
            path.write_bytes(data)
            assert await kept.registry.register_file("line", path) == record
        assert await kept.registry.register_file("line", tmp_path) == record
        texts = [text for kind, text in kept.events if kind == "trouble"]
        assert [text.split(": ")[1].rpartition("; ")[2] for text in texts] == [
            "the daemon has none of this name",
            *["the daemon goes on with the one that it has"] * 3,
        ]
        assert all(str(tmp_path) in text for text in texts)


async def test_two_who_register_a_name_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    answers: list[str] = []

    async with keeping(tmp_path) as kept:

        async def ask(data: bytes) -> None:
            try:
                answers.append((await kept.registry.register("line", data)).base)
            except MLConflictError:
                answers.append("conflict")

        async with anyio.create_task_group() as group:
            for data in (ONE, TWO, ONE):
                group.start_soon(ask, data)
        assert kept.registry.digest("line") == (await kept.registry.record("line")).base
    assert "conflict" in answers
    assert len(set(answers)) == 2
