"""Where examples came from, in user metadata and in the texts of snapshots: what goes in comes out, in one way only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import (
    ORIGINS_KEY,
    Model,
    OriginRow,
    load_model,
    model_bytes,
    origin_rows,
    origin_texts,
    read_origins,
    write_origins,
)
from tests.models.hand_made import classifier

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
ROWS = st.lists(st.none() | st.tuples(TEXT.filter(bool), TEXT, st.sampled_from(["", "2026-01-02T03:04:05+00:00"])), max_size=8)


def holding(rows: list[OriginRow]) -> Model:
    model = classifier([[0, 0]] * len(rows), ["a"] * len(rows))
    write_origins(model, rows, "knn")
    return model


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_rows_come_back_from_a_file_and_from_texts(rows: list[OriginRow]) -> None:
    model = holding(rows)
    again = load_model(model_bytes(model))
    assert read_origins(again, "knn") == rows
    assert (ORIGINS_KEY in again.description.metadata.userDefined) is any(rows)
    write_origins(again, rows, "knn")
    assert again == model
    texts = origin_texts(rows)
    assert origin_rows(texts, "knn") == rows
    assert [bool(text) for text in texts] == [row is not None for row in rows]


def test_the_value_by_hand() -> None:
    rows: list[OriginRow] = [None, ("a", "phone", ""), None, ("b", "", "2026-01-02T03:04:05+00:00"), ("c", "phone", ""), None]
    assert json.loads(holding(rows).description.metadata.userDefined[ORIGINS_KEY]) == {
        "format": 1,
        "from": 1,
        "ids": ["a", None, "b", "c"],
        "sources": ["phone"],
        "source": [0, None, None, 0],
        "times": [None, None, "2026-01-02T03:04:05+00:00", None],
    }
    assert origin_texts(rows) == ["", '["a","phone"]', "", '["b","","2026-01-02T03:04:05+00:00"]', '["c","phone"]', ""]


@pytest.mark.parametrize("text", ["x", "3", '"a"', "{}", "[]", "[1]", '[""]', '["a","b","c","d"]', '["a",null]', 7])
def test_texts_that_are_no_origins_are_refused(text: object) -> None:
    with pytest.raises(MLFormatError, match="knn: expected JSON lists of id, source and time, got"):
        origin_rows(["", text], "knn")


def test_what_would_not_be_read_again_is_not_written() -> None:
    model = classifier([[0, 0]] * 70, ["a"] * 70)
    with pytest.raises(MLFormatError, match="knn: metadata 'com.tailor.examples': expected at most 67108864 bytes, got"):
        write_origins(model, [("x" * 10**6, "", "")] * 70, "knn")
    assert not model.description.metadata.userDefined
