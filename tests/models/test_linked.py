"""Linked models: where they are found, where they are not looked for, and that there is one in memory."""

from __future__ import annotations

import gc
import json
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLFeatureError,
    MLFormatError,
    MLModel,
    MLModelConfiguration,
    MLParameterError,
    MLUpdateTask,
    restore_snapshot,
    take_snapshot,
)
from tailor import MLParameterKey as Key
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature, double_feature, make_pipeline, save_model
from tailor.runtime.models.linked import LONGEST, LinkedPredictor
from tests.models.hand_made import X, Y, classifier, model, pipeline

WEIGHTS = np.array([[2.0, 0.0], [0.0, -3.0]], np.float32)
POINT = {"x": np.array([1.0, 2.0], np.float32)}


def extractor(weights: Any = WEIGHTS, output: str = "input") -> Model:
    """x -> weights @ x, as ``output``: what the classifiers of these tests take."""
    made, taken = np.asarray(weights, np.float32).shape
    builder = NeuralNetworkBuilder([array_feature("x", [taken])], [array_feature(output, [made])])
    builder.add_inner_product("dense", np.asarray(weights, np.float32), None, taken, made, False, "x", output)
    return builder.spec


def link(to: Model, name: str = "extractor.mlmodelc", path: str = "") -> Model:
    """A model that links to ``name``, with the features of ``to``."""
    made = Model(specificationVersion=4)
    made.description.CopyFrom(to.description)
    made.linkedModel.linkedModelFile.linkedModelFileName.defaultValue = name
    made.linkedModel.linkedModelFile.linkedModelSearchPath.defaultValue = path
    return made


def put(spec: Model, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(spec, path)
    return path


def package(spec: Model, path: Path) -> Path:
    put(spec, path / "Data" / "model.mlmodel")
    entries = {"root": {"path": "model.mlmodel", "author": "", "name": "", "description": ""}}
    manifest = {"fileFormatVersion": "1.0.0", "rootModelIdentifier": "root", "itemInfoEntries": entries}
    (path / "Manifest.json").write_text(json.dumps(manifest))
    return path


def linked_of(loaded: MLModel) -> Any:
    predictor = loaded._ready()
    assert isinstance(predictor, LinkedPredictor)
    return predictor.linked


# search path, the file's place, the folders of the configuration: all below one folder, in which the head is heads/head.mlmodel
FOUND = {
    "beside the head": ("", "heads/extractor.mlmodel", []),
    "a point": (".", "heads/extractor.mlmodel", []),
    "below": ("parts/more", "heads/parts/more/extractor.mlmodel", []),
    "up and down again": ("parts/..", "heads/extractor.mlmodel", []),
    "the second path": ("nowhere:parts", "heads/parts/extractor.mlmodel", []),
    "a folder of the configuration": ("", "shared/extractor.mlmodel", ["shared"]),
    "below one": ("parts", "shared/parts/extractor.mlmodel", ["shared"]),
    "from the head to one": ("../shared", "shared/extractor.mlmodel", ["shared"]),
    "the bundle": ("$BUNDLE_MAIN", "shared/extractor.mlmodel", ["other", "shared"]),
    "another bundle": ("$BUNDLE_IDENTIFIER(org.example.app):.", "heads/extractor.mlmodel", []),
    "a package": ("", "heads/extractor.mlpackage", []),
}


@pytest.mark.parametrize(("search", "place", "folders"), FOUND.values(), ids=FOUND.keys())
def test_a_linked_model_is_found_and_predicts(search: str, place: str, folders: list[str], tmp_path: Path) -> None:
    (package if place.endswith("package") else put)(extractor(), tmp_path / place)
    head = put(link(extractor(), path=search), tmp_path / "heads" / "head.mlmodel")
    configuration = MLModelConfiguration(linked_model_folders=[tmp_path / folder for folder in folders])
    for source in (head, str(head)):
        answer = MLModel(source, configuration).predict(POINT)
        np.testing.assert_array_equal(answer["input"], [2.0, -6.0])
    rows = [{"x": np.array(row, np.float32)} for row in np.random.default_rng(0).normal(size=(9, 2))]
    loaded = MLModel(head, configuration)
    assert [row["input"].tolist() for row in loaded.predict(rows)] == [loaded.predict(row)["input"].tolist() for row in rows]


def test_of_several_the_first_path_wins_and_the_heads_own_folder_before_others(tmp_path: Path) -> None:
    factors = {
        "heads/extractor.mlmodel": 1,
        "shared/extractor.mlmodel": 2,
        "heads/parts/extractor.mlmodel": 3,
        "shared/parts/extractor.mlmodel": 4,
    }
    for place, factor in factors.items():
        put(extractor(factor * np.eye(2)), tmp_path / place)
    configuration = MLModelConfiguration(linked_model_folders=[tmp_path / "shared"])
    for search, factor in ((".:parts", 1), ("parts:.", 3), ("$BUNDLE_MAIN:parts", 2), ("../shared/parts", 4)):
        head = put(link(extractor(), path=search), tmp_path / "heads" / "head.mlmodel")
        np.testing.assert_array_equal(MLModel(head, configuration).predict(POINT)["input"], factor * POINT["x"])


def test_name_and_search_path_are_parameters(tmp_path: Path) -> None:
    put(extractor(), tmp_path / "parts" / "other.mlmodel")
    spec = link(extractor())
    head = put(spec, tmp_path / "head.mlmodel")
    described = MLModel(head).description.parameter_descriptions_by_key
    assert [(str(key), told.default_value) for key, told in described.items()] == [
        ("linkedModelFileName", "extractor.mlmodelc"),
        ("linkedModelSearchPath", ""),
    ]
    given = {Key.LINKED_MODEL_FILE_NAME: "other.mlmodelc", Key.LINKED_MODEL_SEARCH_PATH: "parts"}
    assert MLModel(head, MLModelConfiguration(parameters=given)).predict(POINT)["input"].tolist() == [2.0, -6.0]

    whole = make_pipeline(None, [spec, model([array_feature("input", [2])], [array_feature("input", [2])])], ["front", "back"])
    inside = put(whole, tmp_path / "whole.mlmodel")
    scoped = {key.scoped("front"): value for key, value in given.items()}
    assert MLModel(inside, MLModelConfiguration(parameters=scoped)).predict(POINT)["input"].tolist() == [2.0, -6.0]
    with pytest.raises(MLParameterError, match="linkedModelFileName: expected text, got 3"):
        MLModel(head, MLModelConfiguration(parameters={Key.LINKED_MODEL_FILE_NAME: 3}))


def test_heads_share_one_object_that_goes_with_the_last_of_them(tmp_path: Path) -> None:
    file = put(extractor(), tmp_path / "extractor.mlmodel")
    (tmp_path / "alias").mkdir()
    (tmp_path / "alias" / "extractor.mlmodel").symlink_to(file)
    one, two = (put(link(extractor()), tmp_path / f"{name}.mlmodel") for name in "ab")
    three = put(link(extractor(), path="alias"), tmp_path / "c.mlmodel")
    heads = [MLModel(one), MLModel(two), MLModel(two, MLModelConfiguration(linked_model_folders=[tmp_path])), MLModel(three)]
    heads.append(MLModel(link(extractor()).SerializeToString(), MLModelConfiguration(linked_model_folders=[tmp_path])))
    for head in heads:
        head.predict(POINT)
    assert len({id(linked_of(head)) for head in heads}) == 1

    old = linked_of(heads[0])
    put(extractor(5 * np.eye(2)), file)
    written = MLModel(one)
    assert written.predict(POINT)["input"].tolist() == [5.0, 10.0], "a file that was written again is another model"
    assert heads[0].predict(POINT)["input"].tolist() == [2.0, -6.0], "a model that was loaded stays as it is"

    gone = weakref.ref(old)
    del old, head, heads
    gc.collect()
    assert gone() is None


def test_heads_in_several_threads_share_one_object(tmp_path: Path) -> None:
    put(extractor(), tmp_path / "extractor.mlmodel")
    heads = [MLModel(put(link(extractor()), tmp_path / f"{number}.mlmodel")) for number in range(8)]
    threads = [threading.Thread(target=head.predict, args=(POINT,)) for head in heads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(linked_of(head)) for head in heads}) == 1


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures the memory of the process, as Linux tells it")
def test_another_head_takes_no_memory_for_the_linked_model(tmp_path: Path) -> None:
    weights = np.ones((2, 1 << 22), np.float32)  # 32 MiB
    put(extractor(weights), tmp_path / "extractor.mlmodel")
    spec = link(extractor(weights))
    given = {"x": np.ones(1 << 22, np.float32)}
    rows = []

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    heads: list[MLModel] = []
    for number in range(4):
        heads.append(MLModel(put(spec, tmp_path / f"{number}.mlmodel")))
        assert heads[-1].predict(given)["input"].tolist() == [1 << 22, 1 << 22]
        rows.append(resident() - before)
        before += rows[-1]
    assert rows[0] > weights.nbytes
    assert sum(rows[1:]) < weights.nbytes / 4, "three more heads"


def test_links_in_pipelines_and_in_linked_files_start_at_their_own_folders(tmp_path: Path) -> None:
    put(extractor(), tmp_path / "shared" / "deep" / "extractor.mlmodel")
    front = make_pipeline(None, [link(extractor(), path="deep"), model([array_feature("input", [2])], [array_feature("input", [2])])])
    put(front, tmp_path / "shared" / "front.mlmodel")
    nearest = classifier([[2, -6], [0, 0]], ["near", "far"], k=1)
    head = make_pipeline("classifier", [make_pipeline(None, [link(front, "front.mlmodel", "../shared")]), nearest])
    path = put(head, tmp_path / "heads" / "head.mlmodel")
    configuration = MLModelConfiguration(linked_model_folders=[tmp_path / "shared"])
    loaded = MLModel(path, configuration)
    assert loaded.predict(POINT)["label"] == "near"
    assert loaded.models[0][1].models[0][1].predict(POINT)["input"].tolist() == [2.0, -6.0]


def test_folders_make_a_difference_to_what_links_further(tmp_path: Path) -> None:
    put(link(extractor(), "leaf.mlmodel"), tmp_path / "heads" / "middle.mlmodel")
    head = put(link(extractor(), "middle.mlmodel"), tmp_path / "heads" / "head.mlmodel")
    for name, factor in (("one", 1), ("two", 2)):
        put(extractor(factor * np.eye(2)), tmp_path / name / "leaf.mlmodel")
    heads = {name: MLModel(head, MLModelConfiguration(linked_model_folders=[tmp_path / name])) for name in ("one", "two")}
    assert {name: loaded.predict(POINT)["input"].tolist() for name, loaded in heads.items()} == {"one": [1.0, 2.0], "two": [2.0, 4.0]}


@pytest.mark.anyio
async def test_a_head_learns_behind_a_linked_front(tmp_path: Path) -> None:
    put(extractor(), tmp_path / "heads" / "parts" / "extractor.mlmodel")
    put(extractor(), tmp_path / "shared" / "extractor.mlmodel")
    spec = make_pipeline("classifier", [link(extractor()), classifier([[9, 9]], ["far"], k=1)], ["front", "neighbours"])
    assert spec.isUpdatable
    path = put(spec, tmp_path / "heads" / "head.mlmodel")
    examples = MLArrayBatchProvider([{**POINT, "label": "near"}, {"x": -POINT["x"], "label": "other"}])
    overridden = MLModelConfiguration(parameters={Key.LINKED_MODEL_SEARCH_PATH: "parts"})
    for configuration in (MLModelConfiguration(linked_model_folders=[tmp_path / "shared"]), overridden):
        for given in (path, MLModel(path)):
            updated = (await MLUpdateTask(given, examples, configuration)).model
            assert [updated.predict({"x": sign * POINT["x"]})["label"] for sign in (1, -1)] == ["near", "other"]
    updated.write(tmp_path / "heads" / "updated.mlmodel")
    again = MLModel(tmp_path / "heads" / "updated.mlmodel", overridden)
    assert again.predict(POINT)["label"] == "near"
    restored = restore_snapshot(take_snapshot(updated, path), MLModel(path, overridden))
    assert restored.predict(POINT)["label"] == "near"
    nearest = updated.spec.pipelineClassifier.pipeline.models[-1].kNearestNeighborsClassifier
    kept = [np.frombuffer(b"".join(sample.vector), "<f4").tolist() for sample in nearest.nearestNeighborsIndex.floatSamples]
    assert kept == [[9.0, 9.0], [2.0, -6.0], [-2.0, 6.0]], "what is learned is what the linked model makes"
    with pytest.raises(MLFormatError, match=r"model 'front' of model 'head.mlmodel': expected a file extractor.mlmodel or .*, got none"):
        await MLUpdateTask(path, examples)


def test_what_is_lacking_or_missing_is_for_the_linked_model_to_judge(tmp_path: Path) -> None:
    linked = model([X, double_feature("y", optional=True)], [X, double_feature("y", optional=True)])
    put(linked, tmp_path / "identity.mlmodel")
    head = MLModel(put(link(linked, "identity.mlmodel"), tmp_path / "head.mlmodel"))
    assert np.isnan(head.predict({"x": float("nan"), "y": 1.0})["x"])
    network = MLModel(put(link(extractor(), "network.mlmodel"), tmp_path / "head2.mlmodel"))
    put(extractor(), tmp_path / "network.mlmodel")
    with pytest.raises(MLFeatureError, match="input 'x'"):
        network.predict({"x": np.array([np.nan, 1.0])})


def chain(folder: Path, count: int) -> Path:
    """``count`` links in a row, and a model at the end."""
    for number in range(count):
        put(link(extractor(), f"{number + 1}.mlmodel"), folder / f"{number}.mlmodel")
    put(extractor(), folder / f"{count}.mlmodel")
    return folder / "0.mlmodel"


def test_links_may_follow_each_other_but_not_without_end(tmp_path: Path) -> None:
    assert MLModel(chain(tmp_path / "long", LONGEST)).predict(POINT)["input"].tolist() == [2.0, -6.0]
    with pytest.raises(MLFormatError, match=f"expected at most {LONGEST} links that follow each other, got more"):
        MLModel(chain(tmp_path / "longer", LONGEST + 1)).predict(POINT)


CIRCLES: dict[str, tuple[dict[str, str], str]] = {
    "itself": ({"head": "head"}, "head.mlmodel -> head.mlmodel"),
    "two": ({"head": "a", "a": "head"}, "a.mlmodel -> head.mlmodel -> a.mlmodel"),
    "a circle further on": ({"head": "a", "a": "b", "b": "c", "c": "b"}, "b.mlmodel -> c.mlmodel -> b.mlmodel"),
}


@pytest.mark.parametrize("inside", [False, True], ids=["link", "link in a pipeline"])
@pytest.mark.parametrize(("links", "told"), CIRCLES.values(), ids=CIRCLES.keys())
def test_circles_are_refused(links: dict[str, str], told: str, inside: bool, tmp_path: Path) -> None:
    for name, to in links.items():
        spec = link(extractor(), f"{to}.mlmodel")
        put(make_pipeline(None, [spec]) if inside else spec, tmp_path / f"{name}.mlmodel")
    with pytest.raises(MLFormatError, match=f"expected a link that ends at a model, got one that leads back to itself: {told}$"):
        MLModel(tmp_path / "head.mlmodel").predict(POINT)


def outside(folder: Path) -> None:
    """A model beside the folder of the head, and links of the file system to it."""
    put(extractor(), folder / "outside" / "extractor.mlmodel")
    package(extractor(), folder / "heads" / "hollow.mlpackage")
    (folder / "heads" / "hollow.mlpackage" / "Data").rename(folder / "outside" / "Data")
    (folder / "heads" / "hollow.mlpackage" / "Data").symlink_to(folder / "outside" / "Data")
    (folder / "heads" / "door").symlink_to(folder / "outside")
    (folder / "heads" / "window.mlmodel").symlink_to(folder / "outside" / "extractor.mlmodel")
    (folder / "heads" / "loop.mlmodel").symlink_to(folder / "heads" / "loop.mlmodel")
    put(model([X], [Y]), folder / "heads" / "other.mlmodel")
    put(extractor(np.ones((3, 2))), folder / "heads" / "same.mlmodel")
    (folder / "heads" / "broken.mlmodel").write_bytes(b"no model")
    (folder / "heads" / "compiled.mlmodelc").mkdir()


LEADS = r"linkedModelSearchPath: expected paths that stay in \S*heads, got '{}', which leads to \S+; other folders are named in "
REFUSED: dict[str, tuple[str, str, str]] = {
    "nothing there": (
        "absent.mlmodelc",
        "a:b",
        r"expected a file absent.mlmodel or absent.mlpackage, got none; looked for \S+/heads/a/absent",
    ),
    "only a compiled one": ("compiled.mlmodelc", "", "expected a file compiled.mlmodel or compiled.mlpackage, got none"),
    "a path that climbs": ("extractor.mlmodel", "../outside", LEADS.format(r"\.\./outside")),
    "one that climbs further than there is": ("extractor.mlmodel", "../" * 99, "which leads to /;"),
    "one that climbs below": ("extractor.mlmodel", "a/../../outside", LEADS.format(r"a/\.\./\.\./outside")),
    "the second path climbs": ("extractor.mlmodel", ".:..", LEADS.format(r"\.\.")),
    "an absolute path": ("passwd", "/etc", LEADS.format("/etc")),
    "a folder that is a link out": ("extractor.mlmodel", "door", LEADS.format("door")),
    "a file that is a link out": (
        "window.mlmodel",
        "",
        r"expected a file in \S+heads, got \S+/window.mlmodel, which leads to \S+/outside/",
    ),
    "a package with a link out": (
        "hollow.mlpackage",
        "",
        r"hollow.mlpackage: expected a package whose model is inside of it, got one that leads",
    ),
    "a link in a circle": ("loop.mlmodel", "", "expected a file loop.mlmodel, got none"),
    "no name": ("", "", "linkedModelFileName: expected the name of a file, without folders, got ''"),
    "a name with folders": ("../outside/extractor.mlmodel", "", "linkedModelFileName: expected the name of a file, without folders, got"),
    "an absolute name": ("/etc/passwd", "", "linkedModelFileName: expected the name of a file, without folders, got '/etc/passwd'"),
    "a name that is none": ("a\0b", "", "linkedModelFileName: expected the name of a file, without folders, got 'a"),
    "a path that is none": ("a", "b\0c", "linkedModelSearchPath: expected paths, got 'b"),
    "a very long name": ("a" * 5000, "", "got none"),
    "no model": ("broken.mlmodel", "", "broken.mlmodel: expected a Core ML model, got 8 bytes"),
    "other features": (
        "other.mlmodel",
        "",
        "input 'x': expected a double, as linked model 'other.mlmodel' has it, got a float32 multi-array",
    ),
}


@pytest.mark.parametrize(("name", "search", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_linked_to_is_refused_and_nothing_is_changed(name: str, search: str, told: str, tmp_path: Path) -> None:
    outside(tmp_path)
    head = put(link(extractor(), name, search), tmp_path / "heads" / "head.mlmodel")
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    loaded = MLModel(head)
    assert loaded.description.output_descriptions_by_name["input"].phrase == "a float32 multi-array of shape [2]", "it can be looked at"
    with pytest.raises(MLFormatError, match=told):
        loaded.predict(POINT)
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def renamed(part: str, features: Sequence[Any]) -> Callable[[Model], None]:
    def change(spec: Model) -> None:
        found = getattr(spec.description, part)
        del found[:]
        found.extend(features)

    return change


def no_link(spec: Model) -> None:
    spec.linkedModel.ClearField("linkedModelFile")


def updatable(spec: Model) -> None:
    spec.isUpdatable = True


MISMATCHES: dict[str, tuple[Callable[[Model], None], str]] = {
    "no link": (no_link, "LinkType: expected a linkedModelFile, got none"),
    "updatable": (updatable, "expected a linked model that is not updatable, got one that is marked as updatable"),
    "an input that is not there": (
        renamed("input", [array_feature("x", [2]), Y]),
        r"input 'y': expected one that linked model 'extractor.mlmodel' has \(x\), got another",
    ),
    "an input that is needed": (renamed("input", []), "expected input 'x', which linked model 'extractor.mlmodel' needs, got none"),
    "an output that is not there": (
        renamed("output", [Y]),
        r"output 'y': expected one that linked model 'extractor.mlmodel' has \(input\)",
    ),
}


@pytest.mark.parametrize(("change", "told"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_link_that_does_not_go_with_its_model_is_refused(change: Callable[[Model], None], told: str, tmp_path: Path) -> None:
    put(extractor(), tmp_path / "extractor.mlmodel")
    spec = link(extractor())
    change(spec)
    with pytest.raises(MLFormatError, match=rf"^model 'head.mlmodel': {told}"):
        MLModel(put(spec, tmp_path / "head.mlmodel"))._ready()


def test_a_model_from_bytes_has_no_folder(tmp_path: Path) -> None:
    data = link(extractor()).SerializeToString()
    with pytest.raises(MLFormatError, match="expected a folder to look for 'extractor.mlmodelc' in, got none: .*linked_model_folders"):
        MLModel(data).predict(POINT)
    put(extractor(), tmp_path / "extractor.mlmodel")
    configured = MLModel(data, MLModelConfiguration(linked_model_folders=[tmp_path]))
    assert configured.folder is None
    assert configured.predict(POINT)["input"].tolist() == [2.0, -6.0]
    assert MLModel.from_spec(link(extractor()), folder=tmp_path).predict(POINT)["input"].tolist() == [2.0, -6.0]


@pytest.mark.parametrize("given", ["shared", b"shared", None, 3, ["shared", 3]])
def test_folders_are_a_list_of_paths(given: Any) -> None:
    with pytest.raises(MLParameterError, match="linked_model_folders: expected a list of paths of folders, got"):
        MLModelConfiguration(linked_model_folders=given)


def test_relative_folders_are_those_of_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(extractor(), tmp_path / "shared" / "extractor.mlmodel")
    put(link(extractor()), tmp_path / "head.mlmodel")
    monkeypatch.chdir(tmp_path)
    loaded = MLModel("head.mlmodel", MLModelConfiguration(linked_model_folders=["shared"]))
    monkeypatch.chdir("/")
    assert loaded.predict(POINT)["input"].tolist() == [2.0, -6.0]


def test_a_linked_model_in_a_pipeline_is_looked_for_when_it_is_needed() -> None:
    whole = pipeline([link(extractor())], [array_feature("x", [2])], [array_feature("input", [2])])
    loaded = MLModel.from_spec(whole, "whole")
    assert [name for name, _ in loaded.models] == ["model0"]
    with pytest.raises(MLFormatError, match="model 'model0' of model 'whole': expected a folder to look for"):
        loaded.predict(POINT)
