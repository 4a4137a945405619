"""The page on federated learning does what it says, and the Flower example learns real digits in Flower's simulation."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.places import shared_model

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "federated.md"
PROGRAM = ROOT / "examples" / "federated_flower.py"
SECONDS = 420
"""For the simulation, at most; it takes a minute on two busy processors."""


def run_program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The example in a process of its own, as Ray starts others from it, which find tailor where this one has."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_examples_of_the_page_run() -> None:
    scope: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(example, str(PAGE), "exec"), scope)
    key = scope["Key"].WEIGHTS.scoped("dense")
    np.testing.assert_allclose(scope["shared"].parameter(key), [[2.0, -1.0]], atol=0.01)
    np.testing.assert_allclose(scope["half"].parameter(key), [[1.0, -0.5]], atol=0.01)
    assert scope["other"].predict({"x": np.zeros(2)})["y"] == pytest.approx([0.0])
    scope["task"].cancel()


def test_two_rounds_in_the_simulation_teach_real_digits() -> None:
    model, digits = shared_model("MNIST_Model.mlmodel"), shared_model("mnist_test_10k.npz")
    lacking = [name for name in ("flwr", "ray") if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"needs {' and '.join(lacking)}, in an environment of their own: make federated")
    ran = run_program(model, digits, "--clients", 2, "--examples", 512, "--rounds", 2)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shares = [float(share) for share in re.findall(r"^after round \d: ([\d.]+)% right$", ran.stdout, re.MULTILINE)]
    assert len(shares) == 3
    assert shares[0] == pytest.approx(12.0)  # what the network of random weights is right at, as PyTorch says too
    assert shares[2] > 40.0


def test_who_lacks_flower_is_told_what_to_install() -> None:
    if importlib.util.find_spec("flwr") is not None:
        pytest.skip("Flower is installed here")
    ran = run_program("model", "digits")
    assert ran.returncode == 1
    assert "pip install 'tailor[federated]'" in ran.stderr
