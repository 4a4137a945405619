"""Loading: real models whole, everything else as one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model, array_feature, image_feature, load_model, model_bytes, model_type
from tailor.runtime.format.schema.network_pb2 import NeuralNetworkLayer
from tests.format.models import pipeline_of_depth, small_model
from tests.places import shared_model

REAL = {
    "BasicPitch.mlpackage": "mlProgram",
    "BostonGLM.mlmodel": "glmRegressor",
    "CustomSwishLayer.mlmodel": "neuralNetwork",
    "DocumentClassification.mlmodel": "pipelineClassifier",
    "HousePrices_updatable.mlmodel": "neuralNetwork",
    "Image2Image.mlmodel": "neuralNetwork",
    "MNIST_Model.mlmodel": "neuralNetwork",
    "MNIST_classifier.mlmodel": "neuralNetworkClassifier",
    "NamesDT.mlmodel": "pipelineClassifier",
    "OneHotPipeline.mlmodel": "pipeline",
    "PoseHourglass.mlmodel": "neuralNetwork",
    "SentimentPolarity.mlmodel": "pipelineClassifier",
    "TinyDrawingEmbedding.mlmodel": "neuralNetwork",
    "TreesRanker_a_z.mlmodel": "treeEnsembleRegressor",
    "UpdatableDrawingClassifier.mlmodel": "pipelineClassifier",
    "UpdatableKNN_kdtree.mlmodel": "kNearestNeighborsClassifier",
    "Waifu2xUpscale.mlmodel": "neuralNetwork",
}


def refusal(source: str | Path | bytes) -> str:
    with pytest.raises(MLFormatError) as caught:
        load_model(source)
    return str(caught.value)


def nested_messages(message: Message) -> int:
    """How many messages lie in ``message``: a walk over all that was read."""
    count = 1
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for inner in [value] if isinstance(value, Message) else value:
            count += nested_messages(inner)
    return count


@pytest.mark.parametrize("name", REAL)
def test_a_real_model_saves_to_bytes_that_parse_equal(name: str) -> None:
    model = load_model(shared_model(name))
    assert model_type(model) == REAL[name]
    assert nested_messages(model) > 5
    again = load_model(model_bytes(model))
    assert again == model
    assert model_bytes(again) == model_bytes(model)


def test_the_table_of_real_models_is_complete() -> None:
    present = {path.name for path in shared_model("MODELS.md").parent.glob("*.ml*")}
    assert present - {"Corrupt_prerelease_format.mlmodel"} == set(REAL)


def test_a_path_a_string_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "small.mlmodel"
    path.write_bytes(model_bytes(small_model()))
    assert load_model(path) == load_model(str(path)) == load_model(path.read_bytes()) == small_model()


def test_the_prerelease_file_is_refused_by_name() -> None:
    message = refusal(shared_model("Corrupt_prerelease_format.mlmodel"))
    assert "Corrupt_prerelease_format.mlmodel: expected a Core ML model, got 449 bytes" in message
    assert "another version of the format, or damaged" in message


SOMETHING_ELSE = {
    "empty": (b"", "0 bytes"),
    "zip": (b"PK\x03\x04" + bytes(40), "zip archive"),
    "json": (b'{"specificationVersion": 4}', "JSON"),
    "html": (b"<!DOCTYPE html><html></html>", "HTML"),
    "xml": (b'<?xml version="1.0"?><plist/>', "XML"),
    "pickle": (b"\x80\x04]\x94.", "pickle"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "gzip"),
    "png": (b"\x89PNG\r\n\x1a\n", "image"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "numpy": (b"\x93NUMPY\x01\x00", "NumPy"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x011\x3a\x05\x0a\x03\x0a\x01x", "ONNX"),
    "text": (b"hello, world: this is no model", "68 65 6c 6c 6f"),
    "one byte": (b"\x08", "expected a Core ML model"),
    "zeros": (bytes(64), "begins with 00 00"),
}


@pytest.mark.parametrize("case", SOMETHING_ELSE)
def test_something_else_is_refused_and_named(case: str, tmp_path: Path) -> None:
    content, expected = SOMETHING_ELSE[case]
    path = tmp_path / "thing.mlmodel"
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith("thing.mlmodel: expected ")
    assert expected in message


def test_a_truncated_model_is_refused_at_every_length() -> None:
    whole = model_bytes(small_model(NeuralNetworkLayer(name="layer", input=["x"], output=["y"])))
    kinds = {refusal(whole[:length]).partition("got ")[0] for length in range(len(whole))}
    assert len(kinds) <= 3
    assert "more bytes of its neuralNetwork are missing" in refusal(whole[:-4])


def test_a_truncated_real_model_is_refused() -> None:
    whole = shared_model("MNIST_Model.mlmodel").read_bytes()
    for length in (1, 2, 100, 1000, len(whole) // 2, len(whole) - 1):
        assert refusal(whole[:length]).startswith("model: expected ")
    assert f"{len(whole) // 2} or more bytes of its neuralNetwork are missing" in refusal(whole[: len(whole) - len(whole) // 2])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_happens(content: bytes) -> None:
    assert refusal(content).startswith("model: expected ")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_model_loads_or_is_refused(data: st.DataObject) -> None:
    whole = bytearray(model_bytes(small_model(NeuralNetworkLayer(name="layer", input=["x"], output=["y"]))))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    try:
        model = load_model(bytes(whole))
    except MLFormatError as error:
        assert str(error).startswith("model: ")
    else:
        assert 1 <= model.specificationVersion <= 10
        assert model_type(model)


def test_a_missing_file_and_folders_that_are_no_packages_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.mlmodel") == "absent.mlmodel: expected a Core ML model file, got nothing: there is no such file"
    assert "a folder without Manifest.json" in refusal(tmp_path)
    compiled = tmp_path / "thing.mlmodelc"
    compiled.mkdir()
    assert "a compiled model" in refusal(compiled)
    assert "expected a Core ML model file" in refusal("nul\0byte.mlmodel")


INVALID = {
    "no version": (lambda m: m.ClearField("specificationVersion"), "specification version 1 to 10, got none"),
    "newer": (lambda m: setattr(m, "specificationVersion", 11), "got 11: it is newer"),
    "negative": (lambda m: setattr(m, "specificationVersion", -1), "got -1"),
    "absurd": (lambda m: setattr(m, "specificationVersion", 123456), "got 123456"),
    "no type": (lambda m: m.ClearField("neuralNetwork"), "model of a type that the format knows, got none"),
    "unknown type": (lambda m: (m.ClearField("neuralNetwork"), m.MergeFromString(b"\xaa\x38\x00")), "unknown fields: 901"),
    "nameless input": (lambda m: m.description.input.add(), "inputs: expected a name, got none for number 1"),
    "input twice": (lambda m: m.description.input.append(array_feature("x", (1,))), "inputs: expected unique names, got 'x' twice"),
    "output twice": (lambda m: m.description.output.append(image_feature("y", 2, 2)), "outputs: expected unique names, got 'y' twice"),
    "no feature type": (lambda m: m.description.trainingInput.add(name="t"), "training inputs: expected a type of 't'"),
    "updatable twice": (
        lambda m: m.neuralNetwork.layers.extend(NeuralNetworkLayer(name="dense", isUpdatable=True) for _ in range(2)),
        "updatable layers: expected unique names, got 'dense' twice",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_message_that_is_no_model_is_refused(case: str) -> None:
    change, expected = INVALID[case]
    model = small_model()
    change(model)
    assert expected in refusal(model.SerializeToString())


PIPELINES = {
    "empty": ([], 0, "at least one model, got none"),
    "names": (["a"], 2, "as many names as models (2) or none, got 1"),
    "same names": (["a", "a"], 2, "models: expected unique names, got 'a' twice"),
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_that_is_none_is_refused(case: str) -> None:
    names, count, expected = PIPELINES[case]
    model = Model(specificationVersion=4)
    model.pipeline.names.extend(names)
    model.pipeline.models.extend(small_model() for _ in range(count))
    model.pipeline.SetInParent()
    assert expected in refusal(model.SerializeToString())


def test_a_model_inside_a_pipeline_is_checked_and_named() -> None:
    model = pipeline_of_depth(2)
    model.pipeline.models[0].pipeline.models[0].ClearField("specificationVersion")
    assert "model: model 'model0': model 'model0': expected a Core ML model of specification version" in refusal(model.SerializeToString())


def test_nesting_is_bounded() -> None:
    assert load_model(model_bytes(pipeline_of_depth(20))) == pipeline_of_depth(20)
    layer = b""
    for _ in range(5000):  # field 202 (pipeline) of field 1 (models), each with its length
        layer = prefixed(b"\xd2\x0c", prefixed(b"\x0a", b"\x08\x04" + layer))
    assert "cannot be read" in refusal(b"\x08\x04" + layer)


def prefixed(tag: bytes, content: bytes) -> bytes:
    length, number = b"", len(content)
    while True:
        number, low = number >> 7, number & 0x7F
        length += bytes([low | (0x80 if number else 0)])
        if not number:
            return tag + length + content


def package(folder: Path, path: object = "com.example/model.mlmodel", manifest: object = None) -> Path:
    (folder / "Data" / "com.example").mkdir(parents=True)
    (folder / "Data" / "com.example" / "model.mlmodel").write_bytes(model_bytes(small_model()))
    content = {"rootModelIdentifier": "id", "itemInfoEntries": {"id": {"path": path}}} if manifest is None else manifest
    (folder / "Manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_package_gives_its_specification(tmp_path: Path) -> None:
    assert load_model(package(tmp_path / "small.mlpackage")) == small_model()


BAD_MANIFESTS = {
    "climbing": ("../../secret.mlmodel", None, "path inside the package, got '../../secret.mlmodel'"),
    "absolute": ("/etc/hostname", None, "path inside the package, got '/etc/hostname'"),
    "itself": (".", None, "path inside the package, got '.'"),
    "absent": ("com.example/other.mlmodel", None, "a model at Data/com.example/other.mlmodel, got nothing"),
    "a folder": ("com.example", None, "a model at Data/com.example, got nothing"),
    "no path": (None, None, "path of the root model 'id', got None"),
    "a number": (3, None, "path of the root model 'id', got 3"),
    "no JSON": ("", "{", "expected JSON"),
    "deep JSON": ("", "[" * 100_000, "expected JSON"),
    "a list": ("", [1], "expected an object, got list"),
    "no root": ("", {"itemInfoEntries": {}}, "rootModelIdentifier to be a string, got NoneType"),
    "no entries": ("", {"rootModelIdentifier": "id", "itemInfoEntries": []}, "path of the root model 'id'"),
    "huge": ("", " " * (2 << 20), "at most 1048576 bytes"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_package_whose_manifest_is_wrong_is_refused(case: str, tmp_path: Path) -> None:
    path, manifest, expected = BAD_MANIFESTS[case]
    (tmp_path / "secret.mlmodel").write_bytes(model_bytes(small_model()))
    message = refusal(package(tmp_path / "small.mlpackage", path, manifest))
    assert message.startswith("small.mlpackage/Manifest.json: expected ")
    assert expected in message


def test_a_link_out_of_a_package_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.mlmodel").write_bytes(model_bytes(small_model()))
    folder = package(tmp_path / "small.mlpackage", "link.mlmodel")
    try:
        (folder / "Data" / "link.mlmodel").symlink_to(tmp_path / "secret.mlmodel")
    except OSError:
        pytest.skip("needs the right to make symbolic links")
    assert "path inside the package" in refusal(folder)


def test_an_onnx_model_is_refused_by_name() -> None:
    assert "it looks like an ONNX model" in refusal(shared_model("BasicPitch.onnx"))
