"""Snapshots of models: taken, written, read and put back, equal bit for bit; and refused where they do not fit."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLFormatError,
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLSnapshotError,
    MLUpdateTask,
    read_snapshot,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor.persistence import AppendRows, DeltaSnapshot, FullSnapshot, SetValue
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, Model, read_contents, write_contents
from tailor.runtime.producer import producer
from tests.places import shared_model
from tests.tasks.models import regression_model, regression_provider

pytestmark = pytest.mark.anyio


def neighbors_model() -> MLModel:
    builder = KNearestNeighborsClassifierBuilder("point", "side", 2, "nowhere", number_of_neighbors=1)
    builder.add_samples([[0.0, 0.0], [1.0, 1.0]], ["left", "right"])
    return MLModel.from_spec(builder.spec, "sides")


async def taught_neighbors() -> MLModel:
    taught = [{"point": [5.0, 5.0], "side": "far"}, {"point": [-5.0, -5.0], "side": "left"}]
    return (await MLUpdateTask(neighbors_model(), MLArrayBatchProvider(taught))).model


async def trained_regression() -> MLModel:
    return (await MLUpdateTask(regression_model(), regression_provider())).model


@pytest.mark.parametrize("kind", ["delta", "full"])
@pytest.mark.parametrize("family", ["network", "neighbors"])
async def test_what_is_restored_is_what_was_taken(family: str, kind: str, tmp_path: Path) -> None:
    base, model = {
        "network": (regression_model(), await trained_regression()),
        "neighbors": (neighbors_model(), await taught_neighbors()),
    }[family]
    needed = base if kind == "delta" else None
    path = tmp_path / "kept.tailor"
    write_snapshot(path, take_snapshot(model, needed))
    restored = restore_snapshot(path, needed)
    assert restored.to_bytes() == model.to_bytes() != base.to_bytes()
    x: dict[str, Any] = {"x": [0.3, -0.7]} if family == "network" else {"point": [4.0, 4.0]}
    assert restored.predict(x) == model.predict(x)


async def test_a_delta_holds_the_changed_tensors_and_only_those() -> None:
    delta = take_snapshot(await trained_regression(), regression_model())
    assert isinstance(delta, DeltaSnapshot)
    assert {name: type(change) for name, change in delta.values.items()} == {"dense.weights": SetValue, "dense.bias": SetValue}
    delta = take_snapshot(await taught_neighbors(), neighbors_model())
    assert isinstance(delta, DeltaSnapshot)
    samples, labels = delta.values["samples"], delta.values["labels"]
    assert isinstance(samples, AppendRows) and isinstance(labels, AppendRows)
    assert np.asarray(samples.value).tolist() == [[5.0, 5.0], [-5.0, -5.0]]
    assert (samples.count, labels.count, tuple(labels.value)) == (2, 2, ("far", "left"))


async def test_the_file_of_a_full_snapshot_holds_the_model_file_for_any_reader(tmp_path: Path) -> None:
    model = await trained_regression()
    model.write(tmp_path / "model.mlmodel")
    write_snapshot(tmp_path / "full.tailor", take_snapshot(model))
    raw = (tmp_path / "full.tailor").read_bytes()
    record = msgpack.unpackb(raw[20:-32])
    assert record["whole"] == (tmp_path / "model.mlmodel").read_bytes()
    assert record["metadata"]["model_hash"] == hashlib.sha256(record["whole"]).hexdigest() == model.content_hash


async def test_metrics_and_parameters_of_the_update_are_kept() -> None:
    context = await MLUpdateTask(regression_model(), regression_provider(), MLModelConfiguration(parameters={MLParameterKey.SEED: 5}))
    metadata = take_snapshot(context, regression_model()).metadata
    assert metadata.metrics == {key.value: value for key, value in context.metrics.items()}
    assert metadata.parameters["seed"] == 5
    assert metadata.model == "regression"
    assert metadata.producer.startswith("tailor ")


def test_a_tree_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("tailor.runtime.producer.version", absent)
    assert producer() == "tailor unknown"


async def test_a_snapshot_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    delta = take_snapshot(await trained_regression(), regression_model())
    with pytest.raises(MLSnapshotError, match="base model .* got none"):
        restore_snapshot(delta)
    with pytest.raises(MLSnapshotError, match="snapshot of regression on regression: base: .*hash"):
        restore_snapshot(delta, await trained_regression())
    with pytest.raises(MLSnapshotError, match="against sides: .*dense.bias.*: expected none, as in the base, got a value"):
        take_snapshot(await trained_regression(), neighbors_model())
    other = regression_model()
    spec = Model()
    spec.CopyFrom(other.spec)
    spec.description.metadata.author = "somebody else"
    with pytest.raises(MLSnapshotError, match="take a full snapshot"):
        take_snapshot(MLModel.from_spec(spec, "other"), regression_model())
    with pytest.raises(MLSnapshotError, match="nothing-here"):
        read_snapshot(tmp_path / "nothing-here.tailor")
    (tmp_path / "random.tailor").write_bytes(bytes(range(200)))
    with pytest.raises(MLSnapshotError, match="random.tailor"):
        restore_snapshot(tmp_path / "random.tailor")


def test_a_full_snapshot_whose_model_was_exchanged_is_refused() -> None:
    full = take_snapshot(regression_model())
    assert isinstance(full, FullSnapshot)
    with pytest.raises(MLSnapshotError, match="expected a model with hash"):
        restore_snapshot(FullSnapshot(full.metadata, neighbors_model().to_bytes()))


def test_contents_of_real_models_go_back_to_what_they_were() -> None:
    for name in ("MNIST_Model", "HousePrices_updatable", "UpdatableDrawingClassifier", "UpdatableKNN_kdtree"):
        model = MLModel(shared_model(f"{name}.mlmodel"))
        copy = Model()
        copy.CopyFrom(model.spec)
        contents = read_contents(copy)
        write_contents(copy, contents)
        assert copy == model.spec
        assert contents
    assert list(contents) == ["samples", "labels", "origins"]


def test_a_content_that_the_model_does_not_have_is_refused_before_anything_changes() -> None:
    model = regression_model()
    before = model.spec.SerializeToString(deterministic=True)
    with pytest.raises(MLFormatError, match=r"elsewhere\.weights"):
        write_contents(model.spec, {"dense.bias": np.zeros(1, np.float32), "elsewhere.weights": np.zeros(1, np.float32)})
    assert model.spec.SerializeToString(deterministic=True) == before


def test_labels_of_another_type_than_the_models_are_refused() -> None:
    base = neighbors_model()
    delta = take_snapshot(base, base)
    assert isinstance(delta, DeltaSnapshot)
    wrong = DeltaSnapshot(delta.metadata, delta.base, {"labels": SetValue([1, 2])})
    with pytest.raises(MLSnapshotError, match="'labels': expected labels of type str"):
        restore_snapshot(wrong, base)
