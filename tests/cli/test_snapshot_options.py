"""``tailor snapshot --half --compress``: smaller files of the same model, or of the rounded one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tailor import MLModel
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, read_contents
from tests.cli.models import Terminal


def points(path: Path, count: int) -> Path:
    """A nearest neighbour classifier that knows the first ``count`` of a row of points."""
    builder = KNearestNeighborsClassifierBuilder("point", "label", 8, "nobody", number_of_neighbors=1)
    samples = np.sin(np.arange(8 * count, dtype="f4")).reshape(count, 8)
    builder.add_samples(samples.tolist(), ["odd" if place % 2 else "even" for place in range(count)])
    MLModel.from_spec(builder.spec, "points").write(path)
    return path


def test_a_snapshot_may_be_compressed_and_in_half_precision(tailor: Terminal, tmp_path: Path) -> None:
    base, taught = points(tmp_path / "b.mlmodel", 2), points(tmp_path / "t.mlmodel", 900)
    sizes, restored = {}, {}
    for options in ((), ("--compress",), ("--half",), ("--half", "--compress")):
        out, again = tmp_path / "s", tmp_path / "again.mlmodel"
        assert tailor("snapshot", taught, "--base", base, "--output", out, *options) == 0
        assert tailor("restore", out, "--base", base, "--output", again) == 0
        sizes[options], restored[options] = out.stat().st_size, again.read_bytes()
    assert sizes["--half", "--compress"] < sizes[("--half",)] < sizes[()] and sizes[("--compress",)] < sizes[()]
    assert restored[()] == restored[("--compress",)] == taught.read_bytes()
    exact, rounded = (np.asarray(read_contents(MLModel(data).spec)["samples"]) for data in (restored[()], restored[("--half",)]))
    assert np.array_equal(exact[:2], rounded[:2]), "the base's rows are its own"
    assert np.array_equal(exact[2:].astype("f2"), rounded[2:]) and not np.array_equal(exact, rounded)


def test_half_precision_needs_a_base(tailor: Terminal, tmp_path: Path) -> None:
    assert tailor("snapshot", points(tmp_path / "b.mlmodel", 2), "--output", tmp_path / "s", "--half") == 1
    assert "expected a base" in tailor.err and not (tmp_path / "s").exists()
