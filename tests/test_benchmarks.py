"""The benchmarks run: the smallest of each, in a process of its own, prints its table. How fast is not asked here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"

# program, smallest arguments, what it needs, rows of its table
SMALLEST: list[tuple[str, list[str], list[str], list[str]]] = [
    (
        "networks.py",
        ["--networks", "LSTM", "--batches", "1", "--seconds", "0", "--runs", "1", "--threads", "1"],
        ["torch", "coremltools", "onnx", "onnxruntime"],
        ["| LSTM | 1 | "],
    ),
    (
        "load.py",
        ["--megabytes", "4", "--turns", "1", "--ours"],
        [],
        ["| reading the file |", "| tailor |", "| tailor, and a prediction |"],
    ),
    ("accelerators.py", ["--images", "4", "--batch", "2", "--rounds", "1"], [], ["| CPU |"]),
    (
        "batching.py",
        ["--clients", "3", "--turns", "1", "--seconds", "0"],
        [],
        ["| one by one, in a thread |", "| one by one, in a runtime |", "| in batches, in a runtime |"],
    ),
    ("foresight.py", ["--waiting", "9", "--jobs", "9", "--turns", "1"], [], ["| why, 9 jobs |", "| simulate, a week of 9 jobs |"]),
    ("daemon.py", ["--only", "intake", "--seconds", "0"], ["msgspec", "uvicorn"], ["| 1 | 16 |", "| 1000 | 2 |"]),
    ("store.py", ["--users", "20", "--turns", "1", "--large", "1"], [], ["| directory |", "| SQLite |"]),
    ("checkpoint.py", ["--turns", "1", "--images", "32", "--threads", "1"], ["torch"], ["| 1 |"]),
    (
        "frozen_head.py",
        ["--images", "10", "--epochs", "1", "--rounds", "1", "--threads", "1"],
        ["torch", "coremltools"],
        ["| tailor |", "| PyTorch, features kept by hand |", "| PyTorch, plain |"],
    ),
    ("update_memory.py", ["--images", "128", "--threads", "1"], ["torch"], ["| all learns |", "| the head learns, kept in a file |"]),
    ("update_epoch.py", ["--epochs", "1", "--images", "32", "--threads", "1"], ["torch"], ["| 1 |"]),
    (
        "neighbors.py",
        ["--seconds", "0", "--shrink", "50"],
        ["sklearn"],
        ["| 1000 queries", "| 100 samples more", "| an update with 100 more", "| 100 updates"],
    ),
    (
        "trees.py",
        ["--trees", "3", "--rows", "20", "--seconds", "0"],
        ["sklearn"],
        ["| scikit-learn, boosted |", "| scikit-learn, random forest |"],
    ),
    ("budgets.py", ["--runs", "2", "--longest", "0.1"], [], ["| up to 0.1 s | 2 |", "| deadlines | 1 |", "| seconds | 1 |", "| all | 2 |"]),
    (
        "scheduler.py",
        ["--rounds", "1", "--waiting", "100", "--decisions", "100", "--examples", "64", "--runs", "1", "--processes", "0"],
        [],
        ["| asyncio, run |", "| trio, submit |", "| 100 |", "100 jobs that wait and", "| a share each |", "| two lanes, 1 thread each |"],
    ),
    ("encryption.py", ["--megabytes", "1", "--turns", "1"], ["cryptography"], ["| AES_256_GCM | encrypt, tailor |"]),
    (
        "snapshots.py",
        ["--megabytes", "4", "--turns", "1"],
        [],
        ["| full, from memory to file |", "| full, to a model file |", "| delta, tensor by tensor |", "| its delta |"],
    ),
    ("sync.py", ["--users", "3", "--heads", "5"], [], ["| first push of 3 users |", "| nothing to do, 5 heads | 1 |"]),
    ("kernels.py", ["1", "0"], ["torch"], ["softmax 500, forward", "Adam, 600,000 parameters"]),
]


def test_every_benchmark_is_tried() -> None:
    assert sorted(path.name for path in BENCHMARKS.glob("*.py")) == sorted(row[0] for row in SMALLEST)


@pytest.mark.parametrize(("program", "arguments", "needs", "rows"), SMALLEST, ids=[row[0] for row in SMALLEST])
def test_the_smallest_run_prints_its_table(program: str, arguments: list[str], needs: list[str], rows: list[str]) -> None:
    if absent := [name for name in needs if find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(absent)}, which the extra 'peers' installs")
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(BENCHMARKS / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": found})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for row in rows:
        assert any(line.startswith(row) for line in lines), done.stdout
