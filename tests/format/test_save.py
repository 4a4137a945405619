"""Saving: the same bytes for the same model, unknown fields kept, a file replaced whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model, load_model, model_bytes, model_hash, save_model
from tailor.runtime.format.schema.network_pb2 import NeuralNetworkLayer
from tests.format.models import small_model

# Field 4000 (a varint of 7) and field 4001 (the string "kept"), which no version of the format has.
UNKNOWN = b"\x80\xfa\x01\x07" + b"\x8a\xfa\x01\x04kept"


def test_unknown_fields_are_kept_wherever_they_are(tmp_path: Path) -> None:
    layer = NeuralNetworkLayer.FromString(UNKNOWN + b"\x0a\x05dense")
    model = small_model(layer)
    model.MergeFromString(UNKNOWN)
    path = tmp_path / "model.mlmodel"
    save_model(load_model(model.SerializeToString()), path)
    assert path.read_bytes().count(b"\x8a\xfa\x01\x04kept") == 2
    again = load_model(path)
    assert again == model
    assert again.neuralNetwork.layers[0].name == "dense"


def test_equal_models_have_equal_bytes_and_hashes() -> None:
    entries = {f"key {number}": f"value {number}" for number in range(50)}
    forwards, backwards = small_model(), small_model()
    for key, value in entries.items():
        forwards.description.metadata.userDefined[key] = value
    for key, value in reversed(entries.items()):
        backwards.description.metadata.userDefined[key] = value
    assert model_bytes(forwards) == model_bytes(backwards)
    assert model_hash(forwards) == model_hash(backwards) == hashlib.sha256(model_bytes(forwards)).hexdigest()
    backwards.description.metadata.userDefined["key 0"] = "another"
    assert model_hash(forwards) != model_hash(backwards)


def test_a_model_with_one_field_is_written_as_protobuf_writes_it() -> None:
    assert model_bytes(Model(specificationVersion=4)) == b"\x08\x04"


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.mlmodel"
    path.write_bytes(b"old")
    save_model(small_model(), str(path))
    assert load_model(path) == small_model()
    assert list(tmp_path.iterdir()) == [path]


BAD_PATHS = {
    "folder": (".", "path of a file to write, got a folder"),
    "package": ("new.mlpackage", "name of a .mlmodel file, got a .mlpackage"),
    "absent folder": ("absent/model.mlmodel", "an existing folder to write to"),
    "file as folder": ("file/model.mlmodel", "an existing folder to write to"),
    "long name": ("x" * 300 + ".mlmodel", "to write a file, got an error"),
}


@pytest.mark.parametrize("case", BAD_PATHS)
def test_a_path_that_cannot_be_written_is_refused(case: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    path, expected = BAD_PATHS[case]
    with pytest.raises(MLFormatError, match=expected):
        save_model(small_model(), tmp_path / path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]
