"""Reading examples: the same examples from every kind of file, and errors that say where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureError,
    MLFeatureType,
    MLImageConstraint,
    MLMultiArrayConstraint,
    MLMultiArrayDataType,
)
from tailor.runtime.data import Wanted, from_text, open_data
from tailor.runtime.values import MLColorSpace, MLConstraint
from tests.cli.models import picture, picture_folder

ARRAY = MLFeatureType.MULTI_ARRAY


def array(*shape: int) -> MLMultiArrayConstraint:
    return MLMultiArrayConstraint(shape, MLMultiArrayDataType.FLOAT32)


def described(name: str, kind: MLFeatureType, constraint: MLConstraint | None = None, optional: bool = False) -> MLFeatureDescription:
    return MLFeatureDescription(name, kind, optional, "", constraint)


def wanted(*features: MLFeatureDescription) -> Wanted:
    labels = [row.name for row in features if row.type in (MLFeatureType.STRING, MLFeatureType.INT64)]
    return Wanted({row.name: row for row in features}, {}, labels[0] if len(labels) == 1 else None)


POINT = described("point", ARRAY, array(2))
GRID = described("grid", ARRAY, array(1, 2, 2))
ONE = described("one", ARRAY, array(1))
LABEL = described("label", MLFeatureType.STRING)
COUNT = described("count", MLFeatureType.INT64)
PRICE = described("price", MLFeatureType.DOUBLE)
DRAWING = described("drawing", MLFeatureType.IMAGE, MLImageConstraint(2, 2, MLColorSpace.GRAYSCALE))
WORDS = described("words", MLFeatureType.DICTIONARY, MLDictionaryConstraint(MLFeatureType.STRING))
ALL = wanted(POINT, GRID, ONE, LABEL, COUNT, PRICE)

EXPECTED = [
    {"point": [1.5, 2], "grid": [[[1, 2], [3, 4]]], "one": [7], "label": "a,b", "count": 3, "price": 0.25},
    {"point": [-1, 0], "grid": [[[5, 6], [7, 8]]], "one": [8], "label": "c", "count": -4, "price": 1e3},
]


def as_csv(folder: Path) -> Path:
    path = folder / "data.csv"
    path.write_text(
        'label,point_0,point_1,grid[0],grid[1],grid[2],grid[3],one,count,price\n"a,b",1.5,2,1,2,3,4,7,3,0.25\n\nc,-1,0,5,6,7,8,8,-4.0,1e3\n'
    )
    return path


def as_jsonl(folder: Path) -> Path:
    path = folder / "data.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in EXPECTED))
    return path


def as_npz(save: Callable[..., None]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "data.npz"
        save(
            path,
            point=np.asfortranarray([[1.5, 2], [-1, 0]]),
            grid=np.arange(1, 9, dtype=np.uint8).reshape(2, 1, 2, 2),
            one=np.array([7, 8]),
            label=np.array(["a,b", "c"]),
            count=np.array([3, -4]),
            price=np.array([[0.25], [1e3]], np.float64),
        )
        return path

    return write


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_npz(np.savez), as_npz(np.savez_compressed)])
def test_every_file_gives_the_same_examples(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = open_data(write(tmp_path), ALL)
    assert source.count == 2
    for index, expected in enumerate(EXPECTED):
        found = source.features_at(index)
        assert set(found) == set(expected)
        for name, value in expected.items():
            if ALL.must[name].type is ARRAY:
                np.testing.assert_array_equal(np.atleast_1d(np.asarray(found[name], np.float64)), value)
            else:
                assert found[name] == value
                assert type(found[name]) is type(value)


def test_an_uncompressed_npz_stays_on_disk(tmp_path: Path) -> None:
    source = open_data(as_npz(np.savez)(tmp_path), ALL)
    grid = source.features_at(1)["grid"]
    assert isinstance(grid, np.ndarray)
    base = grid
    while not isinstance(base, np.memmap):
        assert isinstance(base.base, np.ndarray)
        base = base.base
    assert str(base.filename) == str(tmp_path / "data.npz")


def test_labels_in_numbers_become_text_where_the_model_has_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", point=np.zeros((2, 2)), label=np.array([3, 10], np.uint8))
    source = open_data(tmp_path / "data.npz", wanted(POINT, LABEL))
    assert [source.features_at(index)["label"] for index in range(2)] == ["3", "10"]


def test_a_folder_gives_images_in_order_with_their_labels(tmp_path: Path) -> None:
    picture_folder(tmp_path)
    (tmp_path / "bright" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    source = open_data(tmp_path, wanted(DRAWING, LABEL))
    labels = [source.features_at(index)["label"] for index in range(source.count)]
    assert labels == ["bright"] * 3 + ["dark"] * 3
    assert source.features_at(4)["drawing"] == tmp_path / "dark" / "1.png"
    assert source.place(4) == "dark/1.png"


def test_folder_names_are_numbers_where_labels_are(tmp_path: Path) -> None:
    picture(tmp_path / "10" / "a.png", 0, 0, 0, 0)
    source = open_data(tmp_path, wanted(DRAWING, COUNT))
    assert source.features_at(0)["count"] == 10


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_images_are_found_beside_the_file_that_names_them(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "sub" / "a.png", 0, 0, 0, 0)
    text = "drawing,label\nsub/a.png,x\n" if name.endswith("csv") else '{"drawing": "sub/a.png", "label": "x"}\n'
    (tmp_path / name).write_text(text)
    source = open_data(tmp_path / name, wanted(DRAWING, LABEL))
    assert source.features_at(0) == {"drawing": tmp_path / "sub" / "a.png", "label": "x"}


def test_an_optional_feature_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"label": "x"}\n')
    optional = described("point", ARRAY, array(2), optional=True)
    assert open_data(tmp_path / "data.jsonl", wanted(optional, LABEL)).features_at(0) == {"label": "x"}


FILES: list[tuple[str, str, Wanted, str]] = [
    ("missing.csv", "point_0,point_1\n1,2\n", wanted(POINT, LABEL), "missing.csv.*'label' missing"),
    ("unknown.csv", "point_0,point_1,label,colour\n", wanted(POINT, LABEL), "'colour' unknown to the model"),
    ("short.csv", "point_0,point_1,label\n1,2\n", wanted(POINT, LABEL), "line 2: expected 3 cells, as in the header, got 2"),
    ("word.csv", "point_0,point_1,label\n1,2,a\n1,two,b\n", wanted(POINT, LABEL), "line 3, column 'point_1': expected .* got 'two'"),
    ("half.csv", "count\n1.5\n", wanted(COUNT), "line 2, column 'count': expected an int64, got '1.5'"),
    ("huge.csv", "count\n99999999999999999999\n", wanted(COUNT), "line 2, column 'count': expected an int64"),
    ("twice.csv", "label,label\na,b\n", wanted(LABEL), "expected each column once, got 'label'"),
    ("narrow.csv", "grid_0,grid_1\n1,2\n", wanted(GRID), "expected 4 columns from 'grid_0' to 'grid_3', got 2"),
    ("quote.csv", 'label\n"a\n', wanted(LABEL), "comma-separated values in UTF-8"),
    ("empty.csv", "label\n", wanted(LABEL), "expected at least one example, found none"),
    ("text.jsonl", '{"label": "a"}\nnonsense\n', wanted(LABEL), "line 2: expected a JSON object, got a line that is not JSON"),
    ("list.jsonl", "[1, 2]\n", wanted(LABEL), "line 1: expected a JSON object by feature names"),
    ("lacks.jsonl", '{"label": "a"}\n\n{"lable": "a"}\n', wanted(LABEL), "line 3: .*'label' missing and 'lable' unknown"),
    ("data.xml", "<a/>", wanted(LABEL), "expected a folder of images, or a file ending in .npz, .csv"),
    ("zip.npz", "not a zip file", wanted(LABEL), "expected an .npz file"),
]


@pytest.mark.parametrize(("name", "text", "features", "message"), FILES, ids=[row[0] for row in FILES])
def test_what_does_not_fit_is_refused_by_place(name: str, text: str, features: Wanted, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(MLFeatureError, match=message):
        open_data(tmp_path / name, features)


VALUES = [
    ('{"point": [[1], [2, 3]]}', "line 1, 'point': expected .* got lists of different lengths"),
    ('{"point": ["a", "b"]}', "line 1, 'point': expected .* a list that does not hold numbers only"),
    ('{"point": "no.npy"}', "line 1, 'point': expected .* where there is no file"),
]


@pytest.mark.parametrize(("text", "message"), VALUES)
def test_a_value_that_does_not_fit_is_refused_when_it_is_read(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(text)
    source = open_data(tmp_path / "data.jsonl", wanted(POINT))
    with pytest.raises(MLFeatureError, match=message):
        source.features_at(0)


ARRAYS = [
    ({"point": np.zeros((2, 2)), "label": np.array(["a"])}, "equally many examples, but 'point' has 2, 'label' has 1"),
    ({"point": np.zeros((2, 2)), "label": np.array([None, 1])}, "plain arrays"),
    ({"point": np.array(["a", "b"]), "label": np.array(["a", "b"])}, "array 'point': expected numbers"),
    ({"point": np.zeros((2, 2)), "label": np.array([["a", "b"], ["c", "d"]])}, "array 'label': expected text.* one value an example"),
    ({"point": np.array(1.0), "label": np.array("a")}, "array 'point': expected numbers, the examples along its first axis"),
]


@pytest.mark.parametrize(("arrays", "message"), ARRAYS)
def test_arrays_that_do_not_fit_are_refused_by_name(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(MLFeatureError, match=message):
        open_data(tmp_path / "data.npz", wanted(POINT, LABEL))


FOLDERS: list[tuple[list[str], Wanted, str]] = [
    (["a/1.png", "2.png"], wanted(DRAWING, LABEL), "expected images in sub-folders named by 'label', got '2.png'"),
    (["a/1.png", "b/notes.txt"], wanted(DRAWING, LABEL), "b: expected images, found none"),
    (["cat/1.png"], wanted(DRAWING, COUNT), "the name of a folder is the label 'count': expected an int64, got 'cat'"),
    (["a/1.png"], wanted(DRAWING, LABEL, PRICE), "this model needs 'drawing'.*'price' .a double.: use .jsonl"),
    (["a/1.png"], wanted(POINT, LABEL), "a folder gives one image and a label"),
    (["notes.txt"], wanted(DRAWING, LABEL), "expected at least one example, found none"),
]


@pytest.mark.parametrize(("names", "features", "message"), FOLDERS)
def test_a_folder_that_does_not_fit_is_refused(names: list[str], features: Wanted, message: str, tmp_path: Path) -> None:
    for name in names:
        path = tmp_path / "data" / name
        if path.suffix == ".png":
            picture(path, 0, 0, 0, 0)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    with pytest.raises(MLFeatureError, match=message):
        open_data(tmp_path / "data", features)


def test_values_typed_at_the_command_line(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([1.0, 2.0]))
    cases: list[tuple[MLFeatureDescription, str, object]] = [
        (LABEL, "12", "12"),
        (COUNT, "12", 12),
        (PRICE, "1.5", 1.5),
        (POINT, "[1, 2]", [1, 2]),
        (GRID, "[1, 2, 3, 4]", [[[1, 2], [3, 4]]]),
        (ONE, "3", 3),
        (POINT, str(tmp_path / "p.npy"), [1, 2]),
        (WORDS, '{"a": 2}', {"a": 2}),
    ]
    for description, text, expected in cases:
        found = from_text(description, text, "--input")
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    for description, text in [(COUNT, "1.5"), (PRICE, "x"), (POINT, "a, b"), (DRAWING, "absent.png"), (POINT, "absent.npy")]:
        with pytest.raises(MLFeatureError, match=r"^--input[:,] "):
            from_text(description, text, "--input")
