"""Examples at the command line: told apart by what the data says of them, shown as reasons, and forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tailor import MLModel
from tailor.runtime.format import KNearestNeighborsClassifierBuilder
from tests.cli.models import Terminal, drawings, neighbors, picture_folder, regression

TABLE = "point_0,point_1,label,id,source,time\n0,0,origin,a,phone,2026-01-02T03:04:05Z\n1,0,east,,,\n0,1,north,7,,\n"
LINES = """{"point": [0, 0], "label": "origin", "id": "a", "source": "phone", "time": "2026-01-02T03:04:05+00:00"}
{"point": [1, 0], "label": "east"}
{"point": [0, 1], "label": "north", "id": 7, "source": null}
"""


def taught(tailor: Terminal, folder: Path, name: str, text: str) -> MLModel:
    (folder / name).write_text(text)
    made = folder / "taught.mlmodel"
    assert tailor("update", neighbors(folder / "n.mlmodel"), "--data", folder / name, "--output", made) == 0, tailor.err
    return MLModel(made)


@pytest.mark.parametrize(("name", "text"), [("points.csv", TABLE), ("points.jsonl", LINES)])
def test_rows_say_where_they_came_from_and_the_file_where_they_do_not(tailor: Terminal, tmp_path: Path, name: str, text: str) -> None:
    one, two, three = taught(tailor, tmp_path, name, text).examples
    assert (one.id, one.source, one.time and one.time.isoformat()) == ("a", "phone", "2026-01-02T03:04:05+00:00")
    assert (two.source, two.time, three.id, three.source) == (name, None, "7", name)
    assert two.id not in (None, "a", "7")
    assert tailor("predict", tmp_path / "taught.mlmodel", "--data", tmp_path / name, "--json") == 0, tailor.err


def test_images_are_called_by_their_path_and_arrays_come_from_their_file(tailor: Terminal, tmp_path: Path) -> None:
    made = tmp_path / "taught.mlmodel"
    pictures = picture_folder(tmp_path / "pictures")
    assert tailor("update", drawings(tmp_path / "d.mlmodel"), "--data", pictures, "--output", made) == 0
    examples = MLModel(made).examples
    assert [one.id for one in examples] == [f"{label}/{number}.png" for label in ("bright", "dark") for number in range(3)]
    assert {one.source for one in examples} == {"pictures"}
    np.savez(tmp_path / "points.npz", point=np.eye(2), label=np.array(["east", "north"]))
    assert tailor("update", neighbors(tmp_path / "n.mlmodel"), "--data", tmp_path / "points.npz", "--output", made) == 0
    assert [one.source for one in MLModel(made).examples] == ["points.npz"] * 2


def test_a_feature_of_that_name_is_a_feature(tailor: Terminal, tmp_path: Path) -> None:
    builder = KNearestNeighborsClassifierBuilder("point", "id", 2, "nobody")
    MLModel.from_spec(builder.spec).write(tmp_path / "n.mlmodel")
    for name, text in (("d.csv", "point_0,point_1,id\n0,0,origin\n"), ("d.jsonl", '{"point": [0, 0], "id": "origin"}\n')):
        (tmp_path / name).write_text(text)
        assert tailor("update", tmp_path / "n.mlmodel", "--data", tmp_path / name, "--output", tmp_path / "o.mlmodel") == 0, tailor.err
        (one,) = MLModel(tmp_path / "o.mlmodel").examples
        assert one.label == "origin" != one.id


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", "point_0,point_1,label,time\n0,0,a,noon\n", "line 2, 'time': expected a time in ISO 8601, got 'noon'"),
        (
            "d.csv",
            "point_0,point_1,label,time\n0,0,a,2026-01-02\n",
            "line 2: origin of an example: time: expected a datetime with a time zone",
        ),
        ("d.jsonl", '{"point": [0, 0], "label": "a", "id": [1]}\n', "line 1, 'id': expected text, got [1]"),
        ("d.jsonl", json.dumps({"point": [0, 0], "label": "a", "id": "x" * 1001}), "expected text of 1 to 1000 characters, got 1001"),
        ("d.csv", "point_0,point_1,label,colour\n0,0,a,red\n", "'colour' unknown to the model"),
    ],
)
def test_origins_that_cannot_be_are_refused(tailor: Terminal, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    assert tailor("update", neighbors(tmp_path / "n.mlmodel"), "--data", tmp_path / name, "--output", tmp_path / "o.mlmodel") == 1
    assert message in tailor.err
    assert not (tmp_path / "o.mlmodel").exists()


def test_explain_shows_who_votes(tailor: Terminal, tmp_path: Path) -> None:
    taught(tailor, tmp_path, "points.csv", TABLE)
    assert tailor("explain", tmp_path / "taught.mlmodel", "--input", "point=[0.5, 0]", "--json") == 0
    (one,) = json.loads(tailor.out)["neighbors"]
    assert one == {
        "index": 0, "id": "a", "label": "origin", "distance": 0.25, "weight": 1.0, "source": "phone", "time": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    assert tailor("explain", tmp_path / "taught.mlmodel", "--input", "point=[0.5, 0]") == 0
    for part in ("origin", "0.25", "phone", "2026-01-02T03:04:05+00:00"):
        assert part in tailor.out
    assert tailor("explain", tmp_path / "n.mlmodel", "--input", "point=[0.5, 0]") == 0
    assert "no neighbours" in tailor.out


def test_forget_writes_a_model_without(tailor: Terminal, tmp_path: Path) -> None:
    taught(tailor, tmp_path, "points.csv", TABLE)
    made, left = tmp_path / "taught.mlmodel", tmp_path / "left.mlmodel"
    assert tailor("forget", made, "--id", "a", "--id", "7", "--output", left, "--json") == 0
    assert json.loads(tailor.out) == {"output": str(left), "size": left.stat().st_size, "forgotten": 2, "examples": 1}
    assert [one.label for one in MLModel(left).examples] == ["east"]
    assert tailor("forget", made, "--source", "points.csv", "--output", made) == 0
    assert "forgot 2 of 3 examples" in tailor.out
    assert [one.id for one in MLModel(made).examples] == ["a"]


def test_labels_that_are_numbers_are_given_as_such(tailor: Terminal, tmp_path: Path) -> None:
    builder = KNearestNeighborsClassifierBuilder("point", "label", 2, 0)
    builder.add_samples([[0, 0], [1, 0]], [7, 8])
    MLModel.from_spec(builder.spec).write(tmp_path / "n.mlmodel")
    assert tailor("forget", tmp_path / "n.mlmodel", "--label", "7", "--output", tmp_path / "o.mlmodel") == 0
    assert [one.label for one in MLModel(tmp_path / "o.mlmodel").examples] == [8]
    assert tailor("forget", tmp_path / "n.mlmodel", "--label", "seven", "--output", tmp_path / "o.mlmodel") == 1
    assert "got 'seven', which no example has" in tailor.err


def test_a_prediction_of_another_kind_has_no_neighbours(tailor: Terminal, tmp_path: Path) -> None:
    path = regression(tmp_path / "r.mlmodel")
    assert tailor("explain", path, "--input", "x=[1, 2]") == 1
    assert "expected a nearest neighbour classifier, or a pipeline that ends in one, to explain" in tailor.err
    assert tailor("forget", path, "--id", "a", "--output", tmp_path / "o") == 1
    assert tailor("forget", path, "--output", tmp_path / "o") == 2
    assert "give what to forget" in tailor.err
    assert not (tmp_path / "o").exists()
