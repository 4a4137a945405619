"""The page on making models does what it says: its examples run, in order."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import MLModel

PAGE = Path(__file__).resolve().parents[1] / "docs" / "building.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(examples: list[str]) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), scope)
    return scope


def test_the_examples_of_builders_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope = run(EXAMPLES[:-1])
    assert scope["same"] == scope["personal"]
    assert MLModel("Animals.mlmodel").predict({"x": np.zeros(4)})["scores"] == pytest.approx({"cat": 1 / 3, "dog": 1 / 3, "owl": 1 / 3})
    for name in ("Personal.mlmodel", "Ann.mlmodel"):
        assert MLModel(name).predict({"x": np.zeros(4)})["label"] == "unknown"


@pytest.mark.filterwarnings("ignore")
def test_the_example_of_a_conversion_runs() -> None:
    lacking = [name for name in ("torch", "coremltools") if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"needs {' and '.join(lacking)}")
    assert run(EXAMPLES[-1:])["model"].description.is_updatable
