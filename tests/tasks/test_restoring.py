"""Snapshots as files: small where only a head changed, in half precision where asked for, restored in pieces where they are full."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tailor import MLModel, MLSnapshotError, persistence, read_snapshot, restore_snapshot, restore_to, take_snapshot, write_snapshot
from tailor.persistence import DeltaSnapshot, FullSnapshot, snapshot_bytes
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, peek_model_type, read_contents, write_contents
from tests.places import SHARED_MODELS, shared_model
from tests.tasks.models import regression_model


def changed(base: MLModel, names: list[str], step: float = 1 / 3) -> MLModel:
    """The model with other numbers under these names."""
    spec = type(base.spec)()
    spec.CopyFrom(base.spec)
    contents = read_contents(spec)
    write_contents(spec, {name: np.asarray(contents[name]) + np.float32(step) for name in names})
    return MLModel.from_spec(spec, base.name)


def network(layers: int, side: int) -> MLModel:
    builder = NeuralNetworkBuilder([array_feature("x", (side,))], [array_feature("y", (side,))])
    values = ["x", *(f"h{place}" for place in range(1, layers)), "y"]
    for place in range(layers):
        weights = np.random.default_rng(place).standard_normal((side, side), np.float32)
        builder.add_inner_product(f"dense{place}", weights, None, side, side, False, values[place], values[place + 1])
    return MLModel.from_spec(builder.spec, "net")


def test_a_delta_of_a_head_takes_little_more_than_its_tensors() -> None:
    base = MLModel(shared_model("MNIST_Model.mlmodel"))
    contents = read_contents(base.spec)
    last = list(contents)[-1].rsplit(".", 1)[0]
    names = [name for name in contents if name.startswith(last)]
    delta = take_snapshot(changed(base, names), base)
    assert isinstance(delta, DeltaSnapshot) and sorted(delta.values) == sorted(names)
    tensors = sum(np.asarray(contents[name]).nbytes for name in names)
    assert tensors < len(snapshot_bytes(delta)) <= 1.02 * tensors + 4096


@pytest.mark.parametrize("compress", [False, True])
def test_a_full_snapshot_is_restored_in_pieces(compress: bool, tmp_path: Path) -> None:
    model = network(20, 512)
    persistence.write_snapshot(tmp_path / "full", take_snapshot(model), compress=compress)
    tracemalloc.start()
    try:
        kind = restore_to(tmp_path / "full", tmp_path / "again.mlmodel")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kind == model.model_type == "neuralNetwork"
    assert (tmp_path / "again.mlmodel").read_bytes() == model.to_bytes()
    assert peak < 12 * 2**20 < model.size


def test_a_delta_is_restored_to_a_file(tmp_path: Path) -> None:
    base = regression_model()
    model = changed(base, ["dense.weights", "dense.bias"])
    write_snapshot(tmp_path / "delta", take_snapshot(model, base))
    base.write(tmp_path / "base.mlmodel")
    assert restore_to(tmp_path / "delta", tmp_path / "a.mlmodel", tmp_path / "base.mlmodel") == model.model_type
    assert (tmp_path / "a.mlmodel").read_bytes() == model.to_bytes()


def test_damage_leaves_the_model_that_was_there(tmp_path: Path) -> None:
    out, full = tmp_path / "out.mlmodel", tmp_path / "full"
    write_snapshot(full, take_snapshot(regression_model()))
    data = bytearray(full.read_bytes())
    data[-100] ^= 1
    full.write_bytes(data)
    out.write_bytes(b"old")
    with pytest.raises(MLSnapshotError, match=r"full: SHA-256: expected .*: damaged"):
        restore_to(full, out)
    (tmp_path / "none").write_bytes(snapshot_bytes(FullSnapshot(take_snapshot(regression_model()).metadata, b"no model")))
    with pytest.raises(MLSnapshotError, match="expected a Core ML model"):
        restore_to(tmp_path / "none", out)
    with pytest.raises(MLSnapshotError, match=r"absent.*expected a file that can be read"):
        restore_to(tmp_path / "absent", out)
    assert out.read_bytes() == b"old" and sorted(path.name for path in tmp_path.iterdir()) == ["full", "none", "out.mlmodel"]


def test_the_first_bytes_of_a_file_tell_the_type_of_its_model() -> None:
    paths = sorted(SHARED_MODELS.glob("*.mlmodel")) if SHARED_MODELS.is_dir() else []
    models = [MLModel(path) for path in paths if not path.name.startswith("Corrupt")] or [regression_model()]
    for model in models:
        assert peek_model_type(model.to_bytes()[: 2**20]) == model.model_type
    assert peek_model_type(b"") == peek_model_type(b"\x00\xff") == peek_model_type(models[0].to_bytes()[:3]) == ""


def test_half_precision_restores_the_rounded_model_whose_hash_it_has(tmp_path: Path) -> None:
    base = network(2, 64)
    model = changed(base, ["dense1.weights"])
    whole, half = take_snapshot(model, base), take_snapshot(model, base, half=True)
    write_snapshot(tmp_path / "half", half)
    assert len(snapshot_bytes(half)) < 0.6 * len(snapshot_bytes(whole))
    restored = restore_snapshot(read_snapshot(tmp_path / "half"), base)
    exact, rounded = read_contents(model.spec)["dense1.weights"], read_contents(restored.spec)["dense1.weights"]
    assert np.asarray(rounded).tobytes() == np.asarray(exact).astype("f2").astype("f4").tobytes()
    assert half.metadata.extra["model_hash"] == restored.content_hash != model.content_hash


def test_half_precision_that_cannot_be_is_refused() -> None:
    base = regression_model()
    with pytest.raises(MLSnapshotError, match="expected a base, of which a snapshot in half precision can be a delta, got none"):
        take_snapshot(base, half=True)
    with pytest.raises(MLSnapshotError, match=r"dense.bias'\]: expected numbers up to 65504, which f2 can hold"):
        take_snapshot(changed(base, ["dense.bias"], 1e6), base, half=True)
