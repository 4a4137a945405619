"""What a file's examples are, and that their ids say which they are."""

from __future__ import annotations

import json
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image

from tailor import MLFeatureError, MLModel
from tailor.client import NewExample
from tailor.daemon.watching.contents import as_source, image_example, portions
from tailor.daemon.watching.files import Found, looked_at
from tailor.runtime.data import Wanted
from tests.cli.models import drawings, neighbors, picture

MOST = 10_000


@pytest.fixture
def points(tmp_path: Path) -> Wanted:
    return Wanted.for_update(MLModel(neighbors(tmp_path / "points.mlmodel")).description)


@pytest.fixture
def images(tmp_path: Path) -> Wanted:
    return Wanted.for_update(MLModel(drawings(tmp_path / "drawings.mlmodel")).description)


def at(folder: Path, name: str) -> Found:
    found = looked_at(folder, name, MOST)
    assert found is not None
    return found


def rows(folder: Path, name: str, wanted: Wanted) -> list[NewExample]:
    return [example for portion in portions(folder, at(folder, name), wanted, MOST) for example in portion.examples]


def ids(folder: Path, name: str, wanted: Wanted) -> list[str | None]:
    return [example.id for example in rows(folder, name, wanted)]


def lines(path: Path, *points: tuple[float, float, str], **more: Any) -> None:
    path.write_text("".join(json.dumps({"point": [x, y], "label": label, **more}) + "\n" for x, y, label in points))


def test_an_image_is_called_by_its_path_and_its_bytes(tmp_path: Path, images: Wanted) -> None:
    data = picture(tmp_path / "drop" / "cat" / "1.png", 1, 2, 3, 4).read_bytes()
    example, size = image_example(tmp_path / "drop", at(tmp_path / "drop", "cat/1.png"), images, MOST)
    assert (example.id, example.source, size) == (f"cat/1.png@{sha256(data).hexdigest()[:16]}", "cat/1.png", len(data))
    assert example.features == {"drawing": data, "label": "cat"}


@pytest.mark.parametrize(("name", "message"), [("1.png", "expected images in sub-folders named by 'label'"), ("a/b/1.png", "further down")])
def test_an_image_without_a_label_is_refused(name: str, message: str, tmp_path: Path, images: Wanted) -> None:
    picture(tmp_path / "drop" / name, 1, 2, 3, 4)
    with pytest.raises(MLFeatureError, match=message):
        image_example(tmp_path / "drop", at(tmp_path / "drop", name), images, MOST)


def test_a_folder_of_images_is_nothing_for_a_model_of_points(tmp_path: Path, points: Wanted) -> None:
    picture(tmp_path / "drop" / "cat" / "1.png", 1, 2, 3, 4)
    with pytest.raises(MLFeatureError, match="this model needs 'point'.*use .jsonl or .npz"):
        image_example(tmp_path / "drop", at(tmp_path / "drop", "cat/1.png"), points, MOST)


def test_rows_are_called_by_their_path_and_what_they_hold(tmp_path: Path, points: Wanted) -> None:
    a, b, c = (1.0, 2.0, "a"), (3.0, 4.0, "b"), (5.0, 6.0, "c")
    lines(tmp_path / "d.jsonl", a, b)
    first = ids(tmp_path, "d.jsonl", points)
    assert len(set(first)) == 2 and all(str(one).startswith("d.jsonl@") for one in first)
    lines(tmp_path / "d.jsonl", b, c, a)  # they change places, and another comes between them
    assert ids(tmp_path, "d.jsonl", points)[::2] == first[::-1]
    lines(tmp_path / "d.jsonl", a, a, a)  # three times the same are three
    assert len(set(ids(tmp_path, "d.jsonl", points))) == 3 and ids(tmp_path, "d.jsonl", points)[0] == first[0]
    lines(tmp_path / "e.jsonl", a, b)  # another file's are others
    assert not set(ids(tmp_path, "e.jsonl", points)) & set(first)


def test_rows_that_say_what_they_are_called_are_believed(tmp_path: Path, points: Wanted) -> None:
    lines(tmp_path / "d.jsonl", (1, 2, "a"), id="mine", source="scanner", time="2026-01-02T03:04:05+00:00")
    lines(tmp_path / "e.jsonl", (1, 2, "a"))
    mine, other = rows(tmp_path, "d.jsonl", points) + rows(tmp_path, "e.jsonl", points)
    assert (mine.id, mine.source, str(mine.time)) == ("mine", "scanner", "2026-01-02 03:04:05+00:00")
    assert (other.source, other.time) == ("e.jsonl", None)


def test_long_and_strange_paths_make_short_names_that_differ() -> None:
    names = ["a" * 500 + ending for ending in ("1", "2")] + ["a" * 120, "a" * 121, "\udcff.png"]
    made = [as_source(name) for name in names]
    assert len(set(made)) == len(names) and made[2] == names[2] and made[4] == "\\udcff.png"
    assert all(len(one) <= 120 and one.encode() for one in made)


def test_pixels_become_an_image_that_is_the_same(tmp_path: Path, images: Wanted) -> None:
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    np.savez(tmp_path / "d.npz", drawing=pixels, label=np.array(["a", "b"]))
    (tmp_path / "d.jsonl").write_text('{"drawing": [[0, 1], [2, 3]], "label": "a"}\n{"drawing": [[4, 5], [6, 7]], "label": "b"}\n')
    for name in ("d.npz", "d.jsonl"):
        decoded = [np.asarray(Image.open(BytesIO(example.features["drawing"]))) for example in rows(tmp_path, name, images)]
        np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("pixels", [[[0.5, 1], [2, 3]], [[-1, 1], [2, 3]], [[256, 1], [2, 3]], [1, 2], [[[1, 2]]]])
def test_pixels_that_are_none_are_refused_by_line(pixels: list[Any], tmp_path: Path, images: Wanted) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"drawing": pixels, "label": "a"}) + "\n")
    with pytest.raises(MLFeatureError, match="d.jsonl, line 1, 'drawing': expected whole numbers from 0 to 255"):
        rows(tmp_path, "d.jsonl", images)


def test_rows_name_images_of_the_folder_and_no_others(tmp_path: Path, images: Wanted) -> None:
    folder, secret = tmp_path / "drop", picture(tmp_path / "secret.png", 9, 9, 9, 9)
    inside = picture(folder / ".images" / "1.png", 1, 2, 3, 4)
    (folder / "sub").mkdir()
    (folder / "link.png").symlink_to(secret)
    (folder / "sub" / "d.jsonl").write_text('{"drawing": "../.images/1.png", "label": "a"}\n')
    assert rows(folder, "sub/d.jsonl", images)[0].features["drawing"] == inside.read_bytes()
    for path in ["../secret.png", str(secret), "link.png", "sub/../../secret.png", "a\0b.png"]:
        (folder / "d.jsonl").write_text(json.dumps({"drawing": path, "label": "a"}) + "\n")
        with pytest.raises(MLFeatureError, match="line 1, 'drawing': expected an image.*which leads out of"):
            rows(folder, "d.jsonl", images)
    (folder / "d.csv").write_text("drawing,label\n../secret.png,a\n")
    with pytest.raises(MLFeatureError, match="line 2, 'drawing'.*leads out of"):
        rows(folder, "d.csv", images)
    (folder / "d.csv").write_text("drawing,label\n.images/2.png,a\n")
    with pytest.raises(MLFeatureError, match="where there is no file"):
        rows(folder, "d.csv", images)


def test_arrays_in_files_of_their_own_are_of_the_folder_too(tmp_path: Path, points: Wanted) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    for place in (folder, tmp_path):
        np.save(place / "p.npy", np.array([1.0, 2.0]))
    (folder / "d.jsonl").write_text('{"point": "p.npy", "label": "a"}\n')
    np.testing.assert_array_equal(rows(folder, "d.jsonl", points)[0].features["point"], [1, 2])
    (folder / "d.jsonl").write_text('{"point": "../p.npy", "label": "a"}\n')
    with pytest.raises(MLFeatureError, match="leads out of"):
        rows(folder, "d.jsonl", points)


@pytest.mark.parametrize("compression", [ZIP_STORED, ZIP_DEFLATED])
def test_an_array_that_claims_to_be_huge_is_refused_before_it_is_made(compression: int, tmp_path: Path, points: Wanted) -> None:
    header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    header += str({"descr": "<f8", "fortran_order": False, "shape": (2**40, 2)}).ljust(117).encode() + b"\n"
    with ZipFile(tmp_path / "d.npz", "w", compression) as archive:
        archive.writestr("point.npy", header + bytes(1000))
        archive.writestr("label.npy", header + bytes(1000))
    (tmp_path / "p.npy").write_bytes(header)
    (tmp_path / "d.jsonl").write_text('{"point": "p.npy", "label": "a"}\n')
    for name in ("d.npz", "d.jsonl"):
        with pytest.raises(MLFeatureError, match="its header tells of 17592186044416 bytes, of which there are at most"):
            rows(tmp_path, name, points)


@pytest.mark.parametrize("line", ['{"point": [1, 2], "label": "\\ud800"}', '{"point": [1, 2], "label": 99999999999999999999}'])
def test_what_nobody_can_keep_is_refused_by_line(line: str, tmp_path: Path, points: Wanted) -> None:
    (tmp_path / "d.jsonl").write_text(line + "\n")
    with pytest.raises(MLFeatureError, match="d.jsonl, line 1: expected text, numbers of 64 bits"):
        rows(tmp_path, "d.jsonl", points)


def test_many_rows_come_in_portions(tmp_path: Path, points: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailor.daemon.watching.contents.MOST_EXAMPLES", 10)
    np.savez(tmp_path / "d.npz", point=np.zeros((21, 2)), label=np.array(["a"] * 21))
    assert [len(portion.examples) for portion in portions(tmp_path, at(tmp_path, "d.npz"), points, MOST)] == [10, 10, 1]
    assert len(set(ids(tmp_path, "d.npz", points))) == 21
