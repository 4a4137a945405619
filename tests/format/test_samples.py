"""The samples of nearest neighbours, read and written all at once: as sample by sample, whoever wrote them."""

from __future__ import annotations

import numpy as np
import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model, append_samples, load_model, model_bytes, read_floats, read_samples, write_floats


def index_of(dimensions: int) -> Model:
    model = Model(specificationVersion=4)
    index = model.kNearestNeighborsClassifier.nearestNeighborsIndex
    index.numberOfDimensions = dimensions
    index.singleKdTreeIndex.leafSize = 30
    return model


@pytest.mark.parametrize("dimensions", [1, 2, 31, 32, 4095, 4096])  # lengths of one byte, two and three
@pytest.mark.parametrize("count", [1, 3])
def test_samples_come_back_and_are_what_one_by_one_would_be(dimensions: int, count: int) -> None:
    rows = np.random.default_rng(dimensions).standard_normal((count, dimensions)).astype(np.float32)
    at_once, one_by_one = index_of(dimensions), index_of(dimensions)
    append_samples(at_once.kNearestNeighborsClassifier.nearestNeighborsIndex, rows[:1], "knn")
    append_samples(at_once.kNearestNeighborsClassifier.nearestNeighborsIndex, rows[1:].astype(np.float64), "knn")
    index = one_by_one.kNearestNeighborsClassifier.nearestNeighborsIndex
    for row in rows:
        write_floats(index.floatSamples.add(), "vector", row)
    assert at_once == one_by_one
    assert model_bytes(at_once) == model_bytes(one_by_one)
    read = load_model(model_bytes(at_once)).kNearestNeighborsClassifier.nearestNeighborsIndex
    np.testing.assert_array_equal(read_samples(read, "knn"), rows)
    assert [read_floats(sample, "vector").tolist() for sample in read.floatSamples] == rows.tolist()


def test_samples_in_another_manner_are_read_too() -> None:
    index = index_of(2).kNearestNeighborsClassifier.nearestNeighborsIndex
    for number in range(3):
        write_floats(index.floatSamples.add(), "vector", [number, -number])
    index.floatSamples[1].ParseFromString(b"\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\x40")  # value by value: 1.0, 2.0
    index.floatSamples[2].vector[:] = [np.float32(7).tobytes(), np.float32(8).tobytes()]  # in two runs
    assert read_samples(index, "knn").tolist() == [[0, 0], [1, 2], [7, 8]]


@pytest.mark.parametrize(
    ("dimensions", "sizes", "message"),
    [
        (2, [2, 3, 1], r"knn: floatSamples\[1\]: expected 2 numbers \(numberOfDimensions\), got 3"),
        (2, [1, 2], r"floatSamples\[0\]: expected 2 numbers .*, got 1"),
        (-3, [2], r"floatSamples\[0\]: expected -3 numbers .*, got 2"),
        (0, [1], r"floatSamples\[0\]: expected 0 numbers .*, got 1"),
    ],
)
def test_samples_of_another_size_are_refused(dimensions: int, sizes: list[int], message: str) -> None:
    index = index_of(dimensions).kNearestNeighborsClassifier.nearestNeighborsIndex
    for size in sizes:
        write_floats(index.floatSamples.add(), "vector", np.zeros(size))
    with pytest.raises(MLFormatError, match=message):
        read_samples(index, "knn")


def test_the_edges() -> None:
    for dimensions in (-1, 0, 5):
        assert read_samples(index_of(dimensions).kNearestNeighborsClassifier.nearestNeighborsIndex, "knn").shape == (0, max(0, dimensions))
    nothing = index_of(0).kNearestNeighborsClassifier.nearestNeighborsIndex
    append_samples(nothing, np.zeros((2, 0)), "knn")
    assert read_samples(nothing, "knn").shape == (2, 0)
    with pytest.raises(MLFormatError, match="knn: expected values that fit float32, got 1e"):
        append_samples(nothing, np.full((1, 1), 1e39), "knn")
